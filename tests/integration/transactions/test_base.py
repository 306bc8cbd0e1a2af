"""BASE transactions: every write is committed at once, and what is rolled back, or left by a process that died, is undone."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from threading import Thread
from typing import Any

import mysql.connector
import pymysql
import pytest

from dbmesh.transaction.decisions import MAKE_TABLE
from tests.plugins import shop as shop_data
from tests.plugins.database_server import RENEWED, DatabaseServer
from tests.plugins.equivalence import ask
from tests.plugins.fix_mesh import MeshFactory, Shop, ShopFactory
from tests.plugins.mysql import MySql
from tests.plugins.processes import wait_until

pytestmark = pytest.mark.integration

TYPES = "id, tiny, big, ubig, money, f, d, flag, day, clock, moment, stamp, y, fixed, word, bin, body, data, doc, kind, tags, latin, exact"

WRITES = {
    "insert over shards": "INSERT INTO t_auto VALUES (11, 'a', 1), (12, 'b', 2), (13, 'c', 3)",
    "insert set": "INSERT INTO t_auto SET id = 14, word = 'd', n = 4",
    "insert ignore": "INSERT IGNORE INTO t_auto VALUES (1, 'kept', 9), (15, 'new', 9)",
    "on duplicate key update": "INSERT INTO t_auto VALUES (1, 'x', 5), (16, 'x', 5) ON DUPLICATE KEY UPDATE n = n + VALUES(n)",
    "replace": "REPLACE INTO t_auto VALUES (2, 'replaced', 0), (17, 'replaced', 0)",
    "update by key": "UPDATE t_auto SET n = n + 1 WHERE id = 1",
    "update over shards": "UPDATE t_auto SET n = n * 2, word = CONCAT(word, '!') WHERE id BETWEEN 1 AND 6",
    "update that changes nothing": "UPDATE t_auto SET n = n WHERE id < 9",
    "update of a moved row": "UPDATE t_auto SET id = id + 101 WHERE id = 3",
    "update with limit": "UPDATE t_auto SET n = 0 WHERE id > 0 ORDER BY id DESC LIMIT 3",
    "update of one node with limit": "UPDATE t_auto SET n = 0 WHERE id = 4 LIMIT 1",
    "update of a join": "UPDATE t_auto a JOIN t_country c ON c.code = 'DE' SET a.word = c.name WHERE a.id IN (1, 2)",
    "update with another condition each time": "UPDATE t_auto SET n = n + 1 WHERE n > RAND() * 40",
    "delete with rows that come back": "DELETE FROM t_config WHERE name = 'theme' RETURNING value",
    "delete by a subquery": "DELETE FROM t_auto WHERE id = 4 AND n IN (SELECT qty * 10 + 40 - qty * 10 FROM t_order)",
    "update by a subquery": "UPDATE t_auto SET n = 5 WHERE id = 6 AND EXISTS (SELECT 1 FROM t_country WHERE code = 'FR')",
    "update from a subquery": "UPDATE t_auto SET n = (SELECT COUNT(*) FROM t_user) WHERE id IN (4, 5)",
    "delete by key": "DELETE FROM t_auto WHERE id = 5",
    "delete over shards": "DELETE FROM t_auto WHERE n > 20",
    "insert of a query": "INSERT INTO t_auto SELECT user_id + 1000, name, 1 FROM t_user WHERE user_id < 9",
    "broadcast table": "UPDATE t_country SET name = UPPER(name) WHERE code IN ('DE', 'FR')",
    "single table": "REPLACE INTO t_config VALUES ('theme', 'light'), ('other', NULL)",
    "every type": "UPDATE t_types SET tiny = 1, big = 0, money = 1, f = 2.5, d = 1, flag = 3, day = NULL, clock = '01:02:03', "
    "moment = NOW(6), stamp = '2001-01-01 00:00:00', y = 1999, fixed = 'o''x', word = '\\\\', bin = x'00ff', body = NULL, "
    "data = '', doc = '[1]', kind = 'large', tags = '', latin = 'é', exact = '日' WHERE id < 30",
    "every type deleted": "DELETE FROM t_types WHERE id < 40",
    "composite key": "UPDATE t_order_item SET price = price + 1 WHERE order_id < 9",
}


@pytest.fixture(autouse=True)
def _no_old_decisions(fresh_shop: Shop) -> Iterator[None]:
    """Rows that say "rolled back" stay two days; other tests count rows."""
    yield
    shop_data.forget_decisions(fresh_shop.sources)


@pytest.fixture
def client(fresh_shop: Shop) -> Iterator[pymysql.Connection[Any]]:
    with fresh_shop.target.connect(local_infile=True) as connection:
        rows = ", ".join(f"({n}, 'w{n}', {n * 10})" for n in range(1, 9))
        assert ask(connection, f"INSERT INTO t_auto VALUES {rows}").error is None
        assert ask(connection, "SET dbmesh_transaction_type = 'BASE'").error is None
        yield connection


NO_CHANGE = {"update that changes nothing"}


def _writes(shop: Shop) -> dict[str, str]:
    """Those the product knows."""
    on_mysql = shop.plain_server.product == MySql.product
    return {name: write for name, write in WRITES.items() if not (on_mysql and "RETURNING" in write)}


def _all(client: pymysql.Connection[Any]) -> list[Any]:
    return [
        ask(client, f"SELECT * FROM {table} ORDER BY {key}").rows
        for table, key in (
            ("t_auto", "id"),
            ("t_country", "code"),
            ("t_config", "name"),
            ("t_types", "id"),
            ("t_order_item", "order_id, item_id"),
        )
    ]


def _undo_rows(shop: Shop) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    for number, server in enumerate(shop.sources):
        schema = shop_data.shard_schema(number)
        if server.execute(f"SHOW TABLES FROM {schema} LIKE 'dbmesh_undo'"):
            rows += server.execute(f"SELECT gtrid, sequence, dirty FROM {schema}.dbmesh_undo")
    return rows


def _ok(client: pymysql.Connection[Any], *statements: str) -> None:
    for statement in statements:
        answer = ask(client, statement)
        assert answer.error is None, f"{statement}: {answer.text}"


def _command(configuration: Any, *arguments: str) -> subprocess.CompletedProcess[str]:
    code = "from dbmesh.cli.main import main; main()"
    command = [sys.executable, "-c", code, "transactions", *arguments, "--config", str(configuration)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_what_is_written_is_seen_at_once_and_undone_by_rollback(
    fresh_shop: Shop, client: pymysql.Connection[Any]
) -> None:
    before = _all(client)
    with fresh_shop.target.connect() as other:
        for name, write in _writes(fresh_shop).items():
            _ok(client, "BEGIN", write)
            during = _all(client)
            assert (during != before) is (name not in NO_CHANGE), name
            assert _all(other) == during, f"{name}: committed at once"
            answer = ask(client, "ROLLBACK")
            assert (answer.error, answer.warnings) == (None, 0), name
            assert _all(client) == before, name
            assert _undo_rows(fresh_shop) == [], name


def test_what_is_committed_stays_and_its_images_go(fresh_shop: Shop, client: pymysql.Connection[Any]) -> None:
    _ok(client, "BEGIN", *_writes(fresh_shop).values())
    during = _all(client)
    _ok(client, "COMMIT")
    assert _all(client) == during
    wait_until(lambda: not _undo_rows(fresh_shop), 10, "what would undo it to be deleted")
    _ok(client, "ROLLBACK")
    assert _all(client) == during


def test_all_writes_of_a_transaction_are_undone_last_one_first(
    fresh_shop: Shop, client: pymysql.Connection[Any]
) -> None:
    before = _all(client)
    writes = _writes(fresh_shop).values()
    _ok(client, "BEGIN", *writes, "ROLLBACK")
    assert _all(client) == before
    _ok(client, "SET autocommit = 0", *writes, "ROLLBACK", "SET autocommit = 1")
    assert _all(client) == before


def test_a_savepoint_undoes_what_came_after_it(fresh_shop: Shop, client: pymysql.Connection[Any]) -> None:
    _ok(client, "BEGIN", "UPDATE t_auto SET n = 1 WHERE id IN (1, 2)", "SAVEPOINT a")
    _ok(client, "UPDATE t_auto SET n = 2 WHERE id IN (1, 2)", "DELETE FROM t_auto WHERE id = 3")
    _ok(client, "ROLLBACK TO a", "UPDATE t_auto SET n = n + 5 WHERE id = 2", "COMMIT")
    assert ask(client, "SELECT id, n FROM t_auto WHERE id < 4 ORDER BY id").rows == ((1, 1), (2, 6), (3, 30))


def test_a_statement_that_fails_leaves_nothing_and_its_transaction_goes_on(
    fresh_shop: Shop, client: pymysql.Connection[Any]
) -> None:
    _ok(client, "BEGIN", "UPDATE t_auto SET n = 1 WHERE id IN (1, 2)")
    assert ask(client, "INSERT INTO t_auto VALUES (21, 'x', 1), (22, 'x', 1), (1, 'x', 1)").error == 1062
    assert ask(client, "SELECT COUNT(*) FROM t_auto WHERE id > 20").rows == ((0,),)
    _ok(client, "COMMIT")
    assert ask(client, "SELECT n FROM t_auto WHERE id < 3").rows == ((1,), (1,))
    assert ask(client, "INSERT INTO t_auto VALUES (21, 'x', 1), (22, 'x', 1), (1, 'x', 1)").error == 1062
    assert ask(client, "SELECT COUNT(*) FROM t_auto WHERE id > 20").rows == ((0,),), "under autocommit too"


def test_a_prepared_write_is_undone_as_well(fresh_shop: Shop) -> None:
    with fresh_shop.target.connect() as client:
        _ok(client, "SET dbmesh_transaction_type = 'BASE'", "INSERT INTO t_auto VALUES (1, 'a', 1)", "BEGIN")
        _ok(client, "PREPARE s FROM 'UPDATE t_auto SET n = n + ? WHERE id = ?'", "SET @a = 5, @b = 1")
        _ok(client, "EXECUTE s USING @a, @b")
        assert ask(client, "SELECT n FROM t_auto").rows == ((6,),)
        _ok(client, "ROLLBACK")
        assert ask(client, "SELECT n FROM t_auto").rows == ((1,),)


def test_rows_that_a_server_numbers_are_found_by_their_numbers(
    fresh_shop: Shop, mesh_with: MeshFactory
) -> None:
    mesh = mesh_with(start=False)
    file = mesh.configuration / "database-shop.yaml"
    file.write_text(file.read_text().replace('"ds_0.t_config"', '"ds_0.t_config", "ds_0.t_numbered"'))
    mesh.start()
    with mesh.connect() as client:
        _ok(client, "CREATE TABLE t_numbered (id INT AUTO_INCREMENT PRIMARY KEY, v INT UNIQUE)")
        try:
            _ok(
                client,
                "INSERT INTO t_numbered (v) VALUES (1), (2)",
                "SET dbmesh_transaction_type = 'BASE'",
                "BEGIN",
            )
            _ok(
                client,
                "INSERT INTO t_numbered (v) VALUES (3), (4)",
                "INSERT IGNORE INTO t_numbered (v) VALUES (1)",
            )
            _ok(client, "UPDATE t_numbered SET v = v + 10 ORDER BY v DESC")
            _ok(client, "INSERT INTO t_numbered (v) VALUES (11) ON DUPLICATE KEY UPDATE v = 7")
            _ok(client, "REPLACE INTO t_numbered (v) VALUES (7)")
            assert ask(client, "SELECT v FROM t_numbered ORDER BY v").rows == ((7,), (12,), (13,), (14,))
            _ok(client, "ROLLBACK")
            assert ask(client, "SELECT * FROM t_numbered ORDER BY id").rows == ((1, 1), (2, 2))
        finally:
            _ok(client, "DROP TABLE t_numbered")


def test_a_write_that_cannot_commit_everywhere_ends_its_transaction(own_shop: ShopFactory) -> None:
    shop = own_shop()
    with shop.target.connect() as client:
        _ok(
            client,
            "SET dbmesh_transaction_type = 'BASE'",
            "INSERT INTO t_auto VALUES (1, 'a', 1), (2, 'b', 2)",
        )
        _ok(client, "BEGIN", "UPDATE t_auto SET n = 10 WHERE id = 2")
        with shop.sources[1].connect(shop_data.shard_schema(1), autocommit=False) as holder:
            with holder.cursor() as cursor:
                cursor.execute("SELECT * FROM t_auto_1 FOR UPDATE")
            answers: list[Any] = []
            write = "UPDATE t_auto SET n = 20"
            writing = Thread(target=lambda: answers.append(ask(client, write)))
            writing.start()
            wait_until(lambda: _waits(shop.sources[1]), 10, "the write to wait", RENEWED)
            shop.links[1].cut()
            writing.join()
        assert [answer.error for answer in answers] == [1105]
        assert ask(client, "SELECT 1").error == 1105, "only ROLLBACK may follow"
        _ok(client, "ROLLBACK")
        rows = ask(client, "SELECT id, n FROM t_auto ORDER BY id").rows
        assert rows == ((1, 1), (2, 2)), "the write before it is undone too"


def _waits(server: DatabaseServer) -> bool:
    return bool(server.execute("SELECT 1 FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'"))


def test_writes_that_are_prepared_on_shards_are_undone_as_well(fresh_shop: Shop) -> None:
    target = fresh_shop.target
    with target.connect() as plain:
        _ok(plain, "INSERT INTO t_auto VALUES (1, 'a', 1), (2, 'b', 2)")
    connection = mysql.connector.connect(
        host=target.host,
        port=target.port,
        user=target.user,
        password=target.password,
        database="shop",
        use_pure=True,
    )
    with contextlib.closing(connection), contextlib.closing(connection.cursor(prepared=True)) as cursor:
        cursor.execute("SET dbmesh_transaction_type = 'BASE'")
        for number in (1, 2, 1):
            cursor.execute("UPDATE t_auto SET n = n + %s WHERE id = %s", (5, number))
        cursor.execute("INSERT INTO t_auto VALUES (%s, %s, %s)", (3, "it's", 3))
        cursor.execute("SELECT n FROM t_auto ORDER BY id")
        assert cursor.fetchall() == [(11,), (7,), (3,)]
        connection.rollback()
        cursor.execute("SELECT n FROM t_auto ORDER BY id")
        assert cursor.fetchall() == [(1,), (2,)]


def test_a_row_that_others_changed_meanwhile_is_never_overwritten(
    fresh_shop: Shop, client: pymysql.Connection[Any]
) -> None:
    _ok(
        client,
        "BEGIN",
        "UPDATE t_auto SET n = 1 WHERE id IN (1, 2)",
        "UPDATE t_auto SET n = 2 WHERE id IN (1, 2)",
    )
    with fresh_shop.target.connect() as other:
        _ok(other, "UPDATE t_auto SET word = 'theirs' WHERE id = 1")
    answer = ask(client, "ROLLBACK")
    assert (answer.error, answer.warnings) == (None, 1)
    assert "id = 1 of t_auto_1 was changed by others" in str(ask(client, "SHOW WARNINGS").rows)
    rows = ask(client, "SELECT id, word, n FROM t_auto WHERE id < 3 ORDER BY id").rows
    assert rows == ((1, "theirs", 2), (2, "w2", 20)), "what is not dirty is undone"
    assert [row[1] for row in _undo_rows(fresh_shop)] == [1, 2]
    listed = json.loads(_command(fresh_shop.mesh.configuration, "list", "--json").stdout)
    assert "id = 1 of t_auto_1" in str(listed["left"])
    assert "id = 1 of t_auto_1" in _command(fresh_shop.mesh.configuration, "list").stdout
    with fresh_shop.target.connect() as other:
        _ok(other, "UPDATE t_auto SET word = 'w1' WHERE id = 1")
    assert _command(fresh_shop.mesh.configuration, "resolve", "--retry").returncode == 0
    assert ask(client, "SELECT n FROM t_auto WHERE id = 1").rows == ((10,),)
    assert _undo_rows(fresh_shop) == []


def test_dirty_rows_stay_as_they_are_when_that_is_asked_for(
    fresh_shop: Shop, client: pymysql.Connection[Any]
) -> None:
    _ok(client, "BEGIN", "UPDATE t_auto SET n = 1 WHERE id = 1", "UPDATE t_auto SET n = 2 WHERE id = 1")
    with fresh_shop.target.connect() as other:
        _ok(other, "UPDATE t_auto SET n = 77 WHERE id = 1")
    _ok(client, "ROLLBACK")
    result = _command(fresh_shop.mesh.configuration, "resolve", "--keep-current")
    assert result.returncode == 1, "the write before it is dirty now"
    assert _command(fresh_shop.mesh.configuration, "resolve", "--keep-current").returncode == 0
    assert ask(client, "SELECT n FROM t_auto WHERE id = 1").rows == ((77,),)
    assert _undo_rows(fresh_shop) == []


def test_what_a_killed_process_leaves_is_undone_by_another(fresh_shop: Shop, mesh_with: MeshFactory) -> None:
    mesh = mesh_with()
    with mesh.connect() as client:
        _ok(
            client,
            "INSERT INTO t_auto VALUES (1, 'a', 1), (2, 'b', 2)",
            "SET dbmesh_transaction_type = 'BASE'",
        )
        _ok(client, "BEGIN", "UPDATE t_auto SET n = 10", "INSERT INTO t_auto VALUES (3, 'c', 3)")
        _ok(client, "DELETE FROM t_auto WHERE id = 2")
        with fresh_shop.target.connect() as other:
            assert ask(other, "SELECT id, n FROM t_auto ORDER BY id").rows == ((1, 10), (3, 3))
            listed = json.loads(_command(fresh_shop.mesh.configuration, "list", "--json").stdout)
            assert listed["left"] == [], "its process lives"
            mesh.kill()
            wait_until(lambda: not _undo_rows(fresh_shop), 30, "the other sidecar to undo it")
            assert ask(other, "SELECT id, n FROM t_auto ORDER BY id").rows == ((1, 1), (2, 2))


def test_who_was_taken_for_dead_cannot_commit_any_more(
    fresh_shop: Shop, client: pymysql.Connection[Any]
) -> None:
    _ok(client, "BEGIN", "UPDATE t_auto SET n = 1 WHERE id IN (1, 2)")
    [name] = {row[0] for row in _undo_rows(fresh_shop)}
    for number, server in enumerate(fresh_shop.sources):
        server.execute(
            MAKE_TABLE,
            f"INSERT IGNORE INTO dbmesh_txn VALUES ('{name.decode()}', 0, '', UNIX_TIMESTAMP())",
            database=shop_data.shard_schema(number),
        )
    answer = ask(client, "COMMIT")
    assert answer.error == 1105
    assert "nothing was committed" in answer.text
    assert ask(client, "SELECT n FROM t_auto WHERE id < 3 ORDER BY id").rows == ((10,), (20,))


@pytest.fixture
def numbered(client: pymysql.Connection[Any]) -> Iterator[None]:
    """The table t_config, which is on the first data source alone, with a unique number for each row."""
    _ok(client, "ALTER TABLE t_config ADD COLUMN u INT UNIQUE")
    rows = enumerate(("empty", "limit", "theme"))
    _ok(client, *(f"UPDATE t_config SET u = {u} WHERE name = '{name}'" for u, name in rows))
    yield
    _ok(client, "ROLLBACK", "ALTER TABLE t_config DROP COLUMN u")


def _behind(shop: Shop, number: int, *statements: str) -> None:
    for statement in statements:
        shop.sources[number].execute(statement, database=shop_data.shard_schema(number))


def _config(client: pymysql.Connection[Any], columns: str = "name, u") -> Any:
    return ask(client, f"SELECT {columns} FROM t_config ORDER BY name").rows


@pytest.mark.usefixtures("numbered")
@pytest.mark.parametrize("write", ["u = u + 1 ORDER BY u DESC", "u = u - 1 ORDER BY u"])
def test_rows_that_hand_on_a_unique_value_get_theirs_back(
    client: pymysql.Connection[Any], write: str
) -> None:
    before = _config(client)
    _ok(client, "BEGIN", f"UPDATE t_config SET {write}")
    assert _config(client) != before
    answer = ask(client, "ROLLBACK")
    assert (answer.error, answer.warnings) == (None, 0)
    assert _config(client) == before


@pytest.mark.parametrize(
    "write",
    [
        "DELETE FROM t_config WHERE name = 'theme'",
        "UPDATE t_config SET extra = 8",
        "INSERT INTO t_config (name, value) VALUES ('theme', '') ON DUPLICATE KEY UPDATE extra = 8",
    ],
)
def test_a_column_that_others_have_added_is_not_forgotten(
    fresh_shop: Shop, client: pymysql.Connection[Any], write: str
) -> None:
    _behind(fresh_shop, 0, "ALTER TABLE t_config ADD COLUMN extra INT", "UPDATE t_config SET extra = 7")
    try:
        _ok(client, "BEGIN")
        answer = ask(client, write)
        assert (answer.error, "already done" in answer.text) == (1412, False)
        assert len(_config(client, "name")) == 3
        _ok(client, write, "UPDATE t_config SET extra = 0", "ROLLBACK")
        assert _config(client, "extra") == ((7,), (7,), (7,))
    finally:
        _ok(client, "ALTER TABLE t_config DROP COLUMN extra")


def test_what_does_not_fit_any_more_is_not_cut(fresh_shop: Shop, client: pymysql.Connection[Any]) -> None:
    before = _config(client, "name, value")
    [(_, made)] = fresh_shop.sources[0].execute(f"SHOW CREATE TABLE {shop_data.shard_schema(0)}.t_config")
    [as_it_was] = [line.strip(" ,") for line in made.splitlines() if line.strip().startswith("`value`")]
    _ok(client, "BEGIN", "UPDATE t_config SET value = 'x'")
    _behind(fresh_shop, 0, "ALTER TABLE t_config MODIFY value VARCHAR(2)")
    answer = ask(client, "ROLLBACK")
    assert (answer.error, answer.warnings) == (None, 1)
    assert _config(client, "value") == (("x",), ("x",), ("x",))
    _behind(fresh_shop, 0, f"ALTER TABLE t_config MODIFY {as_it_was}")
    assert _command(fresh_shop.mesh.configuration, "resolve", "--retry").returncode == 0
    assert _config(client, "name, value") == before


def test_spaces_that_are_not_stored_are_in_no_image(client: pymysql.Connection[Any]) -> None:
    before = ask(client, "SELECT * FROM t_types ORDER BY id").rows
    _ok(client, "SET sql_mode = 'PAD_CHAR_TO_FULL_LENGTH'", "BEGIN", "UPDATE t_types SET fixed = 'a'")
    assert ask(client, "ROLLBACK").warnings == 0
    _ok(client, "SET sql_mode = DEFAULT")
    assert ask(client, "SELECT * FROM t_types ORDER BY id").rows == before


def test_a_write_whose_undo_row_cannot_be_made_leaves_nothing(
    fresh_shop: Shop, client: pymysql.Connection[Any]
) -> None:
    before = _all(client)
    _ok(client, "BEGIN", "UPDATE t_auto SET n = 1")
    _behind(fresh_shop, 1, "RENAME TABLE dbmesh_undo TO away")
    assert ask(client, "UPDATE t_auto SET n = 2").error == 1146
    assert ask(client, "SELECT DISTINCT n FROM t_auto").rows == ((1,),)
    _behind(fresh_shop, 1, "RENAME TABLE away TO dbmesh_undo")
    _ok(client, "ROLLBACK")
    assert _all(client) == before


REFUSED = {
    "the primary key of a table without shards": "UPDATE t_config SET name = 'x' WHERE name = 'theme'",
    "an expression for a key": "INSERT INTO t_config VALUES (CONCAT('a', 'b'), 'x')",
    "rows that come back": "INSERT INTO t_config VALUES ('a', 'x') RETURNING value",
    "a key stored otherwise": "INSERT INTO t_order_item VALUES (900, 1, 1.4, 'x', 1)",
    "a file": "LOAD DATA LOCAL INFILE 'x' INTO TABLE t_auto",
}


def test_images_that_no_statement_can_hold_are_refused_before_anything_is_written(
    fresh_shop: Shop, mesh_with: MeshFactory
) -> None:
    before = fresh_shop.sources[0].execute("SELECT @@GLOBAL.max_allowed_packet")[0][0]
    try:
        for server in fresh_shop.sources:
            server.execute("SET GLOBAL max_allowed_packet = 1048576")
        with mesh_with().connect() as client:
            _ok(
                client,
                "SET dbmesh_transaction_type = 'BASE'",
                "BEGIN",
                "INSERT INTO t_auto VALUES (1, 'a', 1)",
            )
            rows = ", ".join(f"({n}, REPEAT('x', 60000))" for n in range(4001, 4041, 4))
            refused = ask(client, f"INSERT INTO t_types (id, body) VALUES {rows}")
            assert refused.error == 1235
            assert "max_allowed_packet" in refused.text
            _ok(client, "INSERT INTO t_types (id, body) VALUES (4001, REPEAT('x', 60000))", "ROLLBACK")
            assert ask(client, "SELECT COUNT(*) FROM t_types WHERE id > 4000").rows == ((0,),)
            assert ask(client, "SELECT COUNT(*) FROM t_auto").rows == ((0,),)
    finally:
        for server in fresh_shop.sources:
            server.execute(f"SET GLOBAL max_allowed_packet = {before}")


def test_what_could_not_be_undone_is_refused(fresh_shop: Shop, client: pymysql.Connection[Any]) -> None:
    before = _all(client)
    for reason, statement in REFUSED.items():
        _ok(client, "BEGIN")
        assert ask(client, statement).error == 1235, reason
        _ok(client, "COMMIT")
        assert _all(client) == before, reason


def test_a_snapshot_is_refused_and_a_read_only_transaction_holds_one(
    fresh_shop: Shop, client: pymysql.Connection[Any]
) -> None:
    assert ask(client, "START TRANSACTION WITH CONSISTENT SNAPSHOT").error == 1235
    _ok(client, "START TRANSACTION READ ONLY")
    assert ask(client, "SELECT n FROM t_auto WHERE id = 1").rows == ((10,),)
    with fresh_shop.target.connect() as other:
        _ok(other, "UPDATE t_auto SET n = 11 WHERE id = 1")
    assert ask(client, "SELECT n FROM t_auto WHERE id = 1").rows == ((10,),)
    _ok(client, "COMMIT")


def test_a_hint_makes_one_transaction_one_of_base(fresh_shop: Shop) -> None:
    with fresh_shop.target.connect() as client, fresh_shop.target.connect() as other:
        _ok(client, "INSERT INTO t_auto VALUES (1, 'a', 1)", "/* DBMESH_HINT: TRANSACTION_TYPE=BASE */ BEGIN")
        _ok(client, "UPDATE t_auto SET n = 2")
        assert ask(other, "SELECT n FROM t_auto").rows == ((2,),)
        _ok(client, "ROLLBACK", "BEGIN", "UPDATE t_auto SET n = 3")
        assert ask(other, "SELECT n FROM t_auto").rows == ((1,),)
        _ok(client, "ROLLBACK")
