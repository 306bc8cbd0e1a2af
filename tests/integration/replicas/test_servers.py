"""Servers that vanish under a statement or a transaction, links with TLS, databases made beside a group, and branches that
outlive a change of the configured primary."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pymysql
import pytest

from dbmesh.transaction.decisions import MAKE_TABLE, record
from dbmesh.transaction.xid import Place, Xid
from tests.plugins.database_server import DatabaseServer
from tests.plugins.fix_mysql import ServerFactory
from tests.plugins.mesh import Mesh
from tests.plugins.processes import wait_until
from tests.plugins.replication import ACCOUNT, SCHEMA, TLS_ACCOUNT, Replication

pytestmark = pytest.mark.integration

MeshOf = Callable[..., Mesh]
Connection = "pymysql.Connection[Any]"

WHERE = "SELECT @@server_id FROM account WHERE id = 1"


def ask(connection: Connection, *statements: str) -> list[tuple[Any, ...]]:
    """Runs statements; the last one's rows."""
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        return list(cursor.fetchall())


def state(connection: Connection, server: str) -> str:
    return next(row[4] for row in ask(connection, "SHOW PROXY REPLICAS") if row[2] == server)


@contextmanager
def frozen(server: DatabaseServer) -> Iterator[None]:
    server.pause()
    try:
        yield
    finally:
        server.resume()


def test_a_statement_on_a_frozen_replica_ends_in_time_and_the_other_servers_are_looked_at_meanwhile(
    replication: Replication, mesh_over: MeshOf
) -> None:
    mesh = mesh_over(replication, failoverWaitMilliseconds=3000)
    server = replication.servers["r1"]
    errors: list[tuple[Any, ...]] = []

    def read(client: Connection) -> None:
        try:
            ask(client, "SELECT SLEEP(600) FROM account WHERE id = 1")
        except pymysql.err.MySQLError as error:
            errors.append(error.args)

    with mesh.connect("bank") as connection, mesh.connect("bank") as one, mesh.connect("bank") as other:
        # They take turns: one of two is on the replica that freezes.
        readers = [threading.Thread(target=read, args=(client,)) for client in (one, other)]
        for reader in readers:
            reader.start()
        wait_until(lambda: _sleepers(replication) == [1, 1], 20, "both read")
        with frozen(server):
            before = replication.reads("r2")
            wait_until(lambda: "did not answer" in state(connection, "r1"), 20, "noticed")
            assert replication.reads("r2") - before > 5, "the other replica was looked at all the time"
            wait_until(lambda: errors, 30, "the statement's end")
        assert [reader.is_alive() for reader in readers].count(True) == 1, "only that statement has ended"
        assert errors[0][0] == 1105
        assert "data source 'ds' closed the connection" in errors[0][1]
        for row in ask(connection, "SHOW PROCESSLIST"):
            if "SLEEP(600)" in str(row[7]):
                ask(connection, f"KILL QUERY {row[0]}")
        for reader in readers:
            reader.join(20)
        wait_until(lambda: state(connection, "r1") == "in use", 20, "it is read again")


def test_a_replica_that_dies_under_reads_fails_none_of_them(
    replication: Replication, mesh_over: MeshOf
) -> None:
    rules = (
        "- !SHARDING\n  tables:\n    entry:\n      actualDataNodes: ds.entry_${0..1}\n"
        "      tableStrategy: {standard: {shardingColumn: id, shardingAlgorithmName: by_id}}\n"
        "      databaseStrategy: {none: }\n"
        "  shardingAlgorithms:\n    by_id: {type: MOD, props: {sharding-count: 2}}\n"
    )
    mesh = mesh_over(replication, rules=rules, causalReads="none")
    dying = replication.servers["r1"]
    # Relayed, run by the session, prepared, merged, federated.
    questions = {
        "SELECT balance FROM account WHERE id = 1": [(100,)],
        "SELECT SQL_CALC_FOUND_ROWS balance FROM account WHERE id = 1": [(100,)],
        "EXECUTE prepared": [(200,)],
        "SELECT id, word FROM entry ORDER BY id": [(1, "one"), (2, "two")],
        "SELECT COUNT(*) FROM entry a JOIN entry b ON b.id = a.id + 1": [(1,)],
    }
    answers: list[tuple[str, object]] = []

    def read(client: Connection, question: str) -> None:
        try:
            answers.append((question, ask(client, question)))
        except pymysql.err.MySQLError as error:
            answers.append((question, error))

    with mesh.connect("bank") as connection:
        ask(connection, "CREATE TABLE entry (id INT PRIMARY KEY, word VARCHAR(20))")
        ask(connection, "INSERT INTO entry VALUES (1, 'one'), (2, 'two')")
        for name in ("r1", "r2"):
            wait_until(lambda name=name: _has_entry(replication.servers[name]), 20, f"{name} has the rows")
        clients = [(mesh.connect("bank"), question) for question in questions for _ in range(2)]
        for client, _ in clients:
            ask(client, "PREPARE prepared FROM 'SELECT balance FROM account WHERE id = 2'")
        holder = dying.connect(SCHEMA)
        ask(holder, "LOCK TABLES account WRITE, entry_0 WRITE, entry_1 WRITE")
        readers = [threading.Thread(target=read, args=one) for one in clients]
        for reader in readers:
            reader.start()
        under_way = f"SELECT COUNT(*) FROM information_schema.processlist WHERE user = '{ACCOUNT}' AND command <> 'Sleep'"
        # They take turns: of each two at least one waits on the replica that dies.
        wait_until(
            lambda: dying.execute(f"{under_way} AND state LIKE '%lock%'")[0][0] >= 5, 20, "reads under way"
        )
        # It would do again what its binlog has and its engine has not written down.
        dying.execute("FLUSH LOCAL ENGINE LOGS")
        dying.kill()
        for reader in readers:
            reader.join(20)
        assert sorted(answers, key=str) == sorted(((one, questions[one]) for _, one in clients), key=str)
        for client, question in clients:
            assert ask(client, question) == questions[question], "the other replica is read"
            client.close()
        replication.restart("r1")
        wait_until(lambda: state(connection, "r1") == "in use", 30, "it is read again")
        ask(connection, "DROP TABLE entry")
    replication.caught_up()


def _has_entry(server: DatabaseServer) -> bool:
    tables = server.execute(f"SHOW TABLES FROM {SCHEMA} LIKE 'entry_1'")
    return bool(tables and server.execute(f"SELECT id FROM {SCHEMA}.entry_1"))


def _sleepers(replication: Replication) -> list[int]:
    question = "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'SELECT SLEEP%'"
    return [replication.servers[name].execute(question)[0][0] for name in ("r1", "r2")]


@pytest.mark.parametrize("ending", ["ROLLBACK", "COMMIT"])
def test_a_fixed_transaction_whose_replica_was_lost_goes_no_further(
    replication: Replication, mesh_over: MeshOf, ending: str
) -> None:
    mesh = mesh_over(replication, transactionalReadQueryStrategy="FIXED")
    with mesh.connect("bank") as connection, mesh.connect("bank") as other:
        ask(connection, "BEGIN")
        ((chosen,),) = ask(connection, WHERE)
        server = replication.servers["p" if chosen == 1 else f"r{chosen - 1}"]
        question = f"SELECT id FROM information_schema.processlist WHERE user = '{ACCOUNT}'"
        for (identifier,) in server.execute(question):
            server.execute(f"KILL {identifier}")
        with pytest.raises(pymysql.err.MySQLError, match="connection"):
            ask(connection, WHERE)
        with pytest.raises(pymysql.err.MySQLError, match="ROLLBACK"):
            ask(connection, "UPDATE account SET balance = 0 WHERE id = 1")
        if ending == "COMMIT":
            with pytest.raises(pymysql.err.MySQLError, match="ROLLBACK"):
                ask(connection, ending)
        else:
            ask(connection, ending)
        assert ask(connection, "SELECT balance FROM account WHERE id = 1") == [(100,)]
        assert ask(other, "SELECT balance FROM account WHERE id = 1") == [(100,)]


@pytest.mark.parametrize("parameters", ["?sslMode=REQUIRED", "?sslMode=VERIFY_CA&sslCa={certificate}"])
def test_links_to_replicas_are_encrypted_where_the_url_says_so(
    replication: Replication, mesh_over: MeshOf, parameters: str
) -> None:
    assert replication.certificate is not None
    written = parameters.format(certificate=replication.certificate[0])
    # The account is let in by TLS alone: so do reads, writes, and those who look after the servers.
    mesh = mesh_over(replication, account=TLS_ACCOUNT, parameters=written, causalReads="session")
    with mesh.connect("bank") as connection:
        assert {state(connection, name) for name in replication.servers} == {"in use"}
        ask(connection, "UPDATE account SET balance = 100 WHERE id = 1")
        assert {ask(connection, WHERE)[0][0] for _ in range(4)} == {2, 3}
        assert ask(connection, f"{WHERE} FOR UPDATE") == [(1,)]


def test_without_tls_no_server_of_the_group_lets_the_account_in(
    replication: Replication, mesh_over: MeshOf
) -> None:
    mesh = mesh_over(replication, account=TLS_ACCOUNT, parameters="?sslMode=DISABLED")
    with mesh.connect("bank") as connection:
        with pytest.raises(pymysql.err.MySQLError, match="Access denied"):
            ask(connection, WHERE)
        assert "Access denied" in state(connection, "r1")


def test_a_database_made_beside_a_group_has_its_replicas_and_goes_again(
    replication: Replication, mesh_over: MeshOf
) -> None:
    rules = "- !MESH\n  autoShard: {by: primaryKey, shards: 2}\n"
    mesh = mesh_over(replication, rules=rules, causalReads="session")
    with mesh.connect("bank") as connection:
        ask(connection, "CREATE DATABASE ledger")
        try:
            ask(connection, "CREATE TABLE ledger.entry (id INT PRIMARY KEY, word VARCHAR(9))")
            ask(connection, "INSERT INTO ledger.entry VALUES (1, 'one'), (2, 'two'), (3, 'three')")
            groups = {(row[0], row[1]) for row in ask(connection, "SHOW PROXY REPLICAS")}
            assert groups == {("bank", "ds"), ("ledger", "ds")}
            question = "SELECT id, word, @@server_id > 1 FROM ledger.entry ORDER BY id"
            wait_until(
                lambda: ask(connection, question) == [(1, "one", 1), (2, "two", 1), (3, "three", 1)],
                20,
                "its replicas are read",
            )
            ask(connection, "BEGIN", "UPDATE ledger.entry SET word = 'two' WHERE id = 2")
            ask(connection, "UPDATE account SET balance = 100 WHERE id = 1", "COMMIT")
        finally:
            ask(connection, "DROP DATABASE ledger")
        assert {row[0] for row in ask(connection, "SHOW PROXY REPLICAS")} == {"bank"}
        with pytest.raises(pymysql.err.MySQLError, match="ledger"):
            ask(connection, "SELECT * FROM ledger.entry")
        assert {ask(connection, WHERE)[0][0] for _ in range(4)} == {2, 3}
    for name, server in replication.servers.items():
        wait_until(
            lambda server=server: not server.execute("SHOW DATABASES LIKE 'ledger'"),
            20,
            f"{name} has followed",
        )


def test_a_branch_left_prepared_is_ended_by_the_next_primary_whoever_is_configured_then(
    own_server: ServerFactory, mesh_over: MeshOf
) -> None:
    replication = Replication(own_server, "renamed")
    former, promoted = replication.servers["p"], replication.servers["r1"]
    former.execute("CREATE DATABASE ledger", "CREATE TABLE ledger.entry (id INT PRIMARY KEY)")
    deciding, own = (Place(former.host, former.port, schema) for schema in (SCHEMA, "ledger"))

    def leave_prepared(server: DatabaseServer, number: int) -> None:
        gtrid = f"0123456789abcdef-{number}"
        xid = Xid(gtrid, deciding.sign, own.sign).sql
        server.execute(MAKE_TABLE, record(SCHEMA, gtrid, [own.sign]), database=SCHEMA)
        insert = f"INSERT INTO entry VALUES ({number})"
        server.execute(f"XA START {xid}", insert, f"XA END {xid}", f"XA PREPARE {xid}", database="ledger")

    def rows() -> list[tuple[Any, ...]]:
        return promoted.execute("SELECT id FROM ledger.entry ORDER BY id")

    leave_prepared(former, 1)
    wait_until(lambda: promoted.execute("XA RECOVER"), 20, "the branch to be replicated")
    former.kill()
    replication.promote("r1")
    replication.follow("r2", "r1")
    databases = {"bank": SCHEMA, "ledger": "ledger"}
    mesh = mesh_over(replication, databases=databases)
    wait_until(lambda: rows() == [(1,)], 40, "the branch to be committed")
    mesh.stop_cleanly()
    leave_prepared(promoted, 2)
    mesh_over(replication, databases=databases, primary="r1")
    wait_until(lambda: rows() == [(1,), (2,)], 40, "the branch that was named when p was the primary")
    assert promoted.execute("XA RECOVER") == []
