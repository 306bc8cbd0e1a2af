"""Which server answers a statement, told by @@server_id: 1 is the primary, 2 and 3 are its replicas."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pymysql
import pytest

from tests.plugins.mesh import Mesh
from tests.plugins.processes import wait_until
from tests.plugins.replication import Replication

pytestmark = pytest.mark.integration

MeshOf = Callable[..., Mesh]
Connection = "pymysql.Connection[Any]"

WHERE = "SELECT @@server_id FROM account WHERE id = 1"


def ask(connection: Connection, *statements: str) -> Any:
    """Runs statements; the first value of the last one's first row."""
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        row = cursor.fetchone()
        return None if row is None else row[0]


def servers_of(connection: Connection, statement: str = WHERE, times: int = 12) -> Counter[int]:
    """How often each server answered."""
    return Counter(int(ask(connection, statement)) for _ in range(times))


def test_reads_take_turns_on_the_replicas_and_everything_else_is_the_primarys(
    replication: Replication, mesh_over: MeshOf
) -> None:
    mesh = mesh_over(replication)
    with mesh.connect("bank") as connection:
        assert servers_of(connection) == {2: 6, 3: 6}
        for statement in (
            f"{WHERE} FOR UPDATE",
            f"{WHERE} LOCK IN SHARE MODE",
            f"/* SHARDINGSPHERE_HINT: WRITE_ROUTE_ONLY=true */ {WHERE}",
            "SELECT @@server_id, GET_LOCK('x', 0) FROM account WHERE id = 1",
        ):
            assert servers_of(connection, statement, 4) == {1: 4}, statement
        assert ask(connection, "SELECT RELEASE_LOCK('x')") == 1
        with connection.cursor() as cursor:
            assert cursor.execute("UPDATE account SET balance = balance + 1 WHERE id = 1") == 1
            assert cursor.execute("UPDATE account SET balance = balance - 1 WHERE id = 1") == 1
    replication.caught_up()


def test_a_stored_function_may_write_so_its_callers_go_to_the_primary(
    replication: Replication, mesh_over: MeshOf
) -> None:
    mesh = mesh_over(replication)
    with mesh.connect("bank") as connection:
        ask(
            connection,
            "DROP FUNCTION IF EXISTS twice",
            "CREATE FUNCTION twice(n INT) RETURNS INT DETERMINISTIC RETURN n * 2",
        )
        assert servers_of(connection, "SELECT @@server_id, twice(balance) FROM account WHERE id = 1", 4) == {
            1: 4
        }
        assert servers_of(connection, "SELECT @@server_id, ABS(balance) FROM account WHERE id = 1", 4) == {
            2: 2,
            3: 2,
        }
        ask(connection, "CREATE VIEW doubled AS SELECT twice(balance) AS b FROM account")
        ask(connection, "CREATE VIEW again AS SELECT b FROM doubled")
        for view in ("doubled", "again"):
            assert servers_of(connection, f"SELECT @@server_id FROM {view} LIMIT 1", 4) == {1: 4}, view
        ask(
            connection,
            "DROP VIEW again, doubled",
            "DROP FUNCTION twice",
            "CREATE FUNCTION bump(n INT) RETURNS INT MODIFIES SQL DATA BEGIN "
            "UPDATE account SET balance = balance + n WHERE id = 2; RETURN n; END",
            "BEGIN",
            "SELECT bump(5)",
            "ROLLBACK",
        )
        assert ask(connection, "SELECT balance FROM account WHERE id = 2 FOR UPDATE") == 200
        ask(connection, "DROP FUNCTION bump")


def test_prepared_reads_are_the_replicas_too(replication: Replication, mesh_over: MeshOf) -> None:
    mesh = mesh_over(replication)
    with mesh.connect("bank") as connection:
        ask(connection, f"PREPARE s FROM '{WHERE}'")
        assert servers_of(connection, "EXECUTE s") == {2: 6, 3: 6}


@pytest.mark.parametrize(
    ("balancer", "expected"),
    [
        ("{type: RANDOM}", {2, 3}),
        ("{type: WEIGHT, props: {r1: 0, r2: 1}}", {3}),
        ("{type: LEAST_LATENCY}", {2, 3}),
    ],
)
def test_load_balancers(
    replication: Replication, mesh_over: MeshOf, balancer: str, expected: set[int]
) -> None:
    mesh = mesh_over(replication, loadBalancerName=f"chosen\n  loadBalancers:\n    chosen: {balancer}")
    with mesh.connect("bank") as connection:
        assert set(servers_of(connection, times=40)) == expected


def test_a_transaction_reads_on_the_primary_unless_told_otherwise(
    replication: Replication, mesh_over: MeshOf
) -> None:
    mesh = mesh_over(replication)
    with mesh.connect("bank") as connection:
        connection.begin()
        assert servers_of(connection, times=4) == {1: 4}
        connection.rollback()
        ask(connection, "SET autocommit = 0")
        assert servers_of(connection, times=4) == {1: 4}


def test_a_fixed_transaction_stays_on_one_replica_and_sees_one_moment_until_it_writes(
    replication: Replication, mesh_over: MeshOf
) -> None:
    mesh = mesh_over(replication, transactionalReadQueryStrategy="FIXED")
    with mesh.connect("bank") as connection:
        connection.begin()
        (chosen,) = servers_of(connection, times=4)
        assert chosen in (2, 3)
        replication.servers["p"].execute("UPDATE accounts.account SET balance = 111 WHERE id = 1")
        replication.caught_up()
        assert ask(connection, "SELECT balance FROM account WHERE id = 1") == 100
        ask(connection, "UPDATE account SET balance = 100 WHERE id = 1")
        assert servers_of(connection, times=4) == {1: 4}
        connection.commit()
        assert set(servers_of(connection)) == {chosen}.union({2, 3}), (
            "after the transaction all replicas are read"
        )
    replication.caught_up()


def test_a_dynamic_transaction_reads_anywhere_until_it_writes(
    replication: Replication, mesh_over: MeshOf
) -> None:
    mesh = mesh_over(replication, transactionalReadQueryStrategy="DYNAMIC")
    with mesh.connect("bank") as connection:
        connection.begin()
        assert servers_of(connection) == {2: 6, 3: 6}
        ask(connection, "UPDATE account SET balance = balance WHERE id = 2")
        assert servers_of(connection, times=4) == {1: 4}
        connection.rollback()
        ask(connection, "SET autocommit = 0", WHERE, WHERE)
        # One for reads, and one by which the mesh looks at the server.
        wait_until(lambda: _connections_there(replication) == [2, 2], 10, "the mesh looks at both")
        before = _connections_made(replication)
        assert servers_of(connection) == {2: 6, 3: 6}
        # Asking makes one.
        assert [made - 1 for made in _connections_made(replication)] == before, (
            "reads leave no transaction behind, for which connections would be closed"
        )


def test_a_replica_that_stops_applying_is_not_read_and_comes_back_when_it_has_lasted(
    replication: Replication, mesh_over: MeshOf
) -> None:
    mesh = mesh_over(replication)
    with mesh.connect("bank") as connection:
        assert servers_of(connection) == {2: 6, 3: 6}
        replication.stop_applying("r1")
        wait_until(lambda: _state(connection, "r1").startswith("it does not apply"), 10, "r1 is out")
        assert servers_of(connection) == {3: 12}
        replication.stop_applying("r2")
        wait_until(lambda: _state(connection, "r2").startswith("it does not apply"), 10, "r2 is out")
        assert servers_of(connection) == {1: 12}, "without a replica the primary is read"
        replication.go_on("r1")
        replication.go_on("r2")
        wait_until(lambda: servers_of(connection, times=4).keys() == {2, 3}, 20, "both are back")


def test_reads_without_a_replica_fail_where_they_are_told_to(
    replication: Replication, mesh_over: MeshOf
) -> None:
    mesh = mesh_over(replication, withoutReplica="FAIL")
    with mesh.connect("bank") as connection:
        replication.stop_applying("r1")
        replication.stop_applying("r2")
        try:
            wait_until(lambda: _state(connection, "r2").startswith("it does not"), 10, "r2 is out")
            wait_until(lambda: _state(connection, "r1").startswith("it does not"), 10, "r1 is out")
            with pytest.raises(
                pymysql.err.MySQLError, match="has no replica that can be read: r1: it does not apply"
            ):
                ask(connection, WHERE)
            assert ask(connection, f"{WHERE} FOR UPDATE") == 1
        finally:
            replication.go_on("r1")
            replication.go_on("r2")


def test_a_session_reads_what_it_wrote_from_replicas_that_lag(
    replication: Replication, mesh_over: MeshOf
) -> None:
    careless = mesh_over(replication)
    careful = mesh_over(replication, causalReads="session", causalReadsTimeoutMilliseconds=200)
    anxious = mesh_over(replication, causalReads="global", causalReadsTimeoutMilliseconds=200)
    question = "SELECT @@server_id, balance FROM account WHERE id = 2"
    replication.servers["p"].execute(
        "CREATE FUNCTION accounts.bump(n INT) RETURNS INT MODIFIES SQL DATA BEGIN "
        "UPDATE account SET balance = balance + n WHERE id = 2; RETURN n; END"
    )
    for name in ("r1", "r2"):
        replication.follow(name, "p", delay=3)
    try:
        with careless.connect("bank") as a, careful.connect("bank") as b, anxious.connect("bank") as c:
            for connection in (a, b, c):
                wait_until(
                    lambda connection=connection: (
                        servers_of(connection, "SELECT COUNT(*) FROM account")
                        and _state(connection, "r1") == _state(connection, "r2") == "in use"
                    ),
                    20,
                    "replicas are read",
                )
            ask(b, "UPDATE account SET balance = 222 WHERE id = 2")
            with b.cursor() as cursor:
                cursor.execute(question)
                assert cursor.fetchone() == (1, 222), (
                    "its own write, from the primary: no replica had it in time"
                )
            with a.cursor() as cursor:
                cursor.execute(question)
                assert cursor.fetchone() in ((2, 200), (3, 200)), (
                    "another session is content with what replicas have"
                )
            with c.cursor() as cursor:
                cursor.execute(question)
                assert cursor.fetchone() == (1, 222), "what others have written, too"
            replication.caught_up()
            with b.cursor() as cursor:
                cursor.execute(question)
                assert cursor.fetchone() in ((2, 222), (3, 222))
            ask(b, "BEGIN", "SELECT balance FROM account WHERE id = 2")
            ask(b, "UPDATE account SET balance = 223 WHERE id = 2", "COMMIT")
            assert ask(b, "SELECT balance FROM account WHERE id = 2") == 223, (
                "a write in a transaction that had begun with a read"
            )
            replication.caught_up()
            assert ask(b, WHERE) in (2, 3)
            ask(b, "SELECT bump(1)")
            assert ask(b, "SELECT balance FROM account WHERE id = 2") == 224, "a function's write"
    finally:
        replication.servers["p"].execute(
            "UPDATE accounts.account SET balance = 200 WHERE id = 2", "DROP FUNCTION accounts.bump"
        )
        for name in ("r1", "r2"):
            replication.follow(name, "p")
        replication.caught_up()


def test_a_replica_behind_the_limit_is_not_read(replication: Replication, mesh_over: MeshOf) -> None:
    mesh = mesh_over(replication, maxReplicaLagSeconds=1)
    with mesh.connect("bank") as connection:
        replication.follow("r1", "p", delay=4)
        try:
            replication.servers["p"].execute("UPDATE accounts.account SET balance = balance WHERE id = 1")
            replication.servers["p"].execute("UPDATE accounts.account SET balance = 201 WHERE id = 2")
            wait_until(lambda: _state(connection, "r1").endswith("s behind"), 20, "r1 is out")
            assert set(servers_of(connection)) == {3}
        finally:
            replication.servers["p"].execute("UPDATE accounts.account SET balance = 200 WHERE id = 2")
            replication.follow("r1", "p")
            replication.caught_up()


def test_the_shards_of_a_table_may_lie_in_a_group(replication: Replication, mesh_over: MeshOf) -> None:
    rules = (
        "- !SHARDING\n  tables:\n    entry:\n      actualDataNodes: ds.entry_${0..3}\n"
        "      tableStrategy: {standard: {shardingColumn: id, shardingAlgorithmName: by_id}}\n"
        "      databaseStrategy: {none: }\n"
        "  shardingAlgorithms:\n    by_id: {type: MOD, props: {sharding-count: 4}}\n"
    )
    mesh = mesh_over(replication, rules=rules, causalReads="session", pool_size=2)
    with mesh.connect("bank") as connection:
        ask(connection, "CREATE TABLE entry (id INT PRIMARY KEY, word VARCHAR(20))")
        try:
            ask(connection, "INSERT INTO entry VALUES (1, 'one'), (2, 'two'), (3, 'three')")
            with connection.cursor() as cursor:
                cursor.execute("SELECT id, word, @@server_id > 1 FROM entry ORDER BY id")
                assert list(cursor.fetchall()) == [(1, "one", 1), (2, "two", 1), (3, "three", 1)]
                cursor.execute("SELECT COUNT(*), SUM(a.id) FROM entry a JOIN entry b ON b.id = a.id + 1")
                assert cursor.fetchone() == (2, 3)
        finally:
            ask(connection, "DROP TABLE entry")


def test_encrypted_columns_are_read_from_replicas(replication: Replication, mesh_over: MeshOf) -> None:
    rules = (
        "- !ENCRYPT\n  tables:\n    person:\n      columns:\n"
        "        name: {cipher: {name: name_c, encryptorName: gcm}, assistedQuery: {name: name_h, encryptorName: hmac}, dataType: VARCHAR(20)}\n"
        "  encryptors:\n    gcm: {type: AES_GCM, keys: [{id: k, value: a key that is long enough}]}\n"
        "    hmac: {type: HMAC_SHA256, keys: [{id: k, value: a key that is long enough}]}\n"
    )
    mesh = mesh_over(replication, rules=rules, causalReads="session")
    with mesh.connect("bank") as connection, connection.cursor() as cursor:
        ask(connection, "CREATE TABLE person (id INT PRIMARY KEY, name VARCHAR(20), city VARCHAR(9))")
        try:
            ask(connection, "INSERT INTO person VALUES (1, 'Ada', 'Ulm'), (2, NULL, 'Bonn')")
            for statement, rows in (
                ("SELECT name, @@server_id > 1 AS r FROM person WHERE name = 'Ada'", [("Ada", 1)]),
                (
                    "SELECT x.n, @@server_id > 1 AS r FROM (SELECT id, name AS n FROM person) x ORDER BY x.id",
                    [("Ada", 1), (None, 1)],
                ),
                ("SELECT id, @@server_id AS r FROM person WHERE name = 'Ada' FOR UPDATE", [(1, 1)]),
                ("SELECT id FROM person WHERE name LIKE 'A%'", None),
            ):
                if rows is None:
                    with pytest.raises(pymysql.err.MySQLError, match="likeQuery"):
                        cursor.execute(statement)
                    continue
                cursor.execute(statement)
                assert list(cursor.fetchall()) == rows, statement
            assert cursor.execute("UPDATE person SET name = 'Eve' WHERE name = 'Ada'") == 1
            assert ask(connection, "SELECT name FROM person WHERE id = 1") == "Eve"
        finally:
            ask(connection, "DROP TABLE person")


def _connections_there(replication: Replication) -> list[int]:
    count = "SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'mesh'"
    return [replication.servers[name].execute(count)[0][0] for name in ("r1", "r2")]


def _connections_made(replication: Replication) -> list[int]:
    return [replication.servers[name].status("Connections") for name in ("r1", "r2")]


def _state(connection: Connection, server: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SHOW PROXY REPLICAS")
        rows = {row[2]: row for row in cursor.fetchall()}
    return str(rows[server][4])
