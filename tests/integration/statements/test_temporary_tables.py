"""Temporary tables: a session's own, kept through statements, transactions and other sessions' work."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pymysql
import pytest

from tests.plugins.database_server import chosen_product
from tests.plugins.fix_mesh import Shop, Target

pytestmark = pytest.mark.integration


@pytest.fixture
def connection(target: Target) -> Iterator[pymysql.Connection[Any]]:
    """A session with two temporary tables, one of them made of a table's rows."""
    with target.connect() as made:
        run(made, "CREATE TEMPORARY TABLE mine (id INT PRIMARY KEY, word VARCHAR(10), KEY (word))")
        run(made, "INSERT INTO mine VALUES (1, 'one'), (2, 'two'), (3, 'three')")
        yield made


def run(connection: pymysql.Connection[Any], statement: str, arguments: Any = None) -> list[tuple[Any, ...]]:
    """The rows of a statement."""
    with connection.cursor() as cursor:
        cursor.execute(statement, arguments)
        return list(cursor.fetchall())


def error_of(connection: pymysql.Connection[Any], statement: str) -> int:
    """The number of the error a statement ends with."""
    with pytest.raises(pymysql.err.MySQLError) as found:
        run(connection, statement)
    return int(found.value.args[0])


def test_rows_are_read_and_changed(connection: pymysql.Connection[Any]) -> None:
    run(connection, "UPDATE mine SET word = 'TWO' WHERE id = 2")
    run(connection, "DELETE FROM mine WHERE id = 3")
    run(connection, "ALTER TABLE mine ADD COLUMN more INT DEFAULT 7")
    assert run(connection, "SELECT * FROM mine ORDER BY id") == [(1, "one", 7), (2, "TWO", 7)]
    assert run(connection, "SELECT COUNT(*), MAX(m.word) FROM mine AS m WHERE id > %s", (0,)) == [(2, "TWO")]
    assert [row[0] for row in run(connection, "SHOW COLUMNS FROM mine")] == ["id", "word", "more"]
    assert "CREATE TEMPORARY TABLE `mine`" in run(connection, "SHOW CREATE TABLE mine")[0][1]
    assert ("mine",) not in run(connection, "SHOW TABLES")


def test_it_lives_through_transactions_and_changed_variables(connection: pymysql.Connection[Any]) -> None:
    connection.begin()
    run(connection, "INSERT INTO mine VALUES (4, 'four')")
    run(connection, "CREATE TEMPORARY TABLE more AS SELECT id * 10 AS id FROM mine")
    connection.rollback()
    run(connection, "SET SESSION sql_mode = 'ANSI_QUOTES', @x = 5")
    assert run(connection, "SELECT COUNT(*), @x FROM mine") == [(3, 5)]
    # MySQL takes rows back that the statement itself put into the table.
    left = None if chosen_product() == "MySQL" else 40
    assert run(connection, 'SELECT MAX("id") FROM more') == [(left,)]
    run(connection, "SET SESSION sql_mode = DEFAULT")


@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
def test_it_is_used_in_a_transaction_over_data_sources(
    connection: pymysql.Connection[Any], fresh_shop: Shop, end: str
) -> None:
    """Also where its data source is not the first: there the transaction is an XA branch."""
    names = "SELECT name FROM t_user WHERE user_id IN (4, 5)"
    before = run(connection, names)
    for first, second in ((4, 5), (5, 4)):
        connection.begin()
        run(connection, f"UPDATE t_user SET name = 'changed' WHERE user_id = {first}")
        run(connection, f"INSERT INTO mine VALUES ({first}, 'more')")
        run(connection, f"UPDATE t_user SET name = 'changed' WHERE user_id = {second}")
        run(connection, end)
        kept = end == "COMMIT"
        assert run(connection, names) == ([("changed",)] * 2 if kept else before)
        assert run(connection, f"SELECT word FROM mine WHERE id = {first}") == ([("more",)] if kept else [])


def test_it_meets_rows_of_several_data_nodes(connection: pymysql.Connection[Any], fresh_shop: Shop) -> None:
    """In joins, subqueries and writes both ways, inside a transaction too; also after it was changed."""
    joined = "SELECT u.user_id, m.word FROM t_user u JOIN mine m ON u.user_id = m.id WHERE u.user_id < %s ORDER BY 1"
    assert run(connection, joined, (9,)) == [(1, "one"), (2, "two"), (3, "three")]
    assert run(connection, "SELECT COUNT(*) FROM t_user WHERE user_id IN (SELECT id FROM mine)") == [(3,)]
    run(connection, "ALTER TABLE mine MODIFY word VARCHAR(80) COLLATE utf8mb4_bin, ADD COLUMN name CHAR(60)")
    connection.begin()
    run(connection, "UPDATE t_user u JOIN mine m ON u.user_id = m.id SET u.name = CONCAT(m.word, '!')")
    run(connection, "INSERT INTO mine SELECT user_id + 100, name, 'made' FROM t_user WHERE user_id < 3")
    run(connection, "DELETE FROM t_user WHERE user_id IN (SELECT id FROM mine WHERE word = 'three')")
    connection.commit()
    assert run(connection, "SELECT * FROM mine WHERE id > 100 ORDER BY id") == [
        (101, "one!", "made"),
        (102, "two!", "made"),
    ]
    assert run(connection, "SELECT user_id, name FROM t_user WHERE user_id < 4 ORDER BY 1") == [
        (1, "one!"),
        (2, "two!"),
    ]
    run(connection, "CREATE TEMPORARY TABLE other (id INT)")
    run(connection, "SET @s = (SELECT MAX(m.word) FROM mine m LEFT JOIN other o ON m.id = o.id, t_user u)")
    assert run(connection, "SELECT @s, COLLATION(@s)") == [("two!", "utf8mb4_bin")]


def test_nobody_else_sees_it(connection: pymysql.Connection[Any], target: Target) -> None:
    with target.connect() as other:
        assert error_of(other, "SELECT * FROM mine") == 1146
        run(other, "CREATE TEMPORARY TABLE mine (a INT)")
        assert run(other, "SELECT COUNT(*) FROM mine") == [(0,)]
    assert run(connection, "SELECT COUNT(*) FROM mine") == [(3,)]


def test_it_is_dropped(connection: pymysql.Connection[Any]) -> None:
    run(connection, "DROP TEMPORARY TABLE mine")
    assert error_of(connection, "SELECT * FROM mine") == 1146
    run(connection, "CREATE TEMPORARY TABLE mine (a INT)")
    run(connection, "DROP TABLE mine")
    assert error_of(connection, "SELECT * FROM mine") == 1146
    run(connection, "DROP TEMPORARY TABLE IF EXISTS mine")


def test_the_name_of_another_table_is_refused(shop: Shop, target: Target) -> None:
    if not shop.meshed:
        return
    with target.connect() as made:
        assert error_of(made, "CREATE TEMPORARY TABLE t_order (id INT)") == 1235


def test_a_lost_connection_takes_it_along(connection: pymysql.Connection[Any], shop: Shop) -> None:
    if not shop.meshed:
        return
    ids = run(connection, "SELECT CONNECTION_ID() FROM mine LIMIT 1")
    assert len(ids) == 1
    for server in shop.sources:
        for row in server.execute("SHOW PROCESSLIST"):
            if row[4] == "Sleep" and row[3] is not None:
                server.execute(f"KILL {row[0]}")
    with pytest.raises(pymysql.err.MySQLError):
        run(connection, "SELECT * FROM mine")
    assert error_of(connection, "SELECT * FROM mine") == 1146
