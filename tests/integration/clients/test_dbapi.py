"""The blocking DB-API clients: each creates, reads, updates, deletes and pages through sharded tables."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import mysql.connector
import MySQLdb
import pymysql
import pytest

from tests.plugins.connector import c_extension_loads
from tests.plugins.fix_mesh import Shop, Target

pytestmark = pytest.mark.integration

Connect = Callable[..., Any]


def _pymysql(target: Target, **options: Any) -> Any:
    return pymysql.connect(
        host=target.host,
        port=target.port,
        user=target.user,
        password=target.password,
        database=target.database,
        **options,
    )


def _mysqlclient(target: Target, **options: Any) -> Any:
    return MySQLdb.connect(
        host=target.host,
        port=target.port,
        user=target.user,
        password=target.password,
        database=target.database,
        charset="utf8mb4",
        **options,
    )


def _connector(pure: bool) -> Connect:
    def connect(target: Target, **options: Any) -> Any:
        return mysql.connector.connect(
            host=target.host,
            port=target.port,
            user=target.user,
            password=target.password,
            database=target.database,
            use_pure=pure,
            **options,
        )

    return connect


CLIENTS: dict[str, tuple[Any, Connect]] = {
    "pymysql": (pymysql, _pymysql),
    "mysqlclient": (MySQLdb, _mysqlclient),
    "connector-pure": (mysql.connector, _connector(pure=True)),
}
if c_extension_loads():
    CLIENTS["connector-c"] = (mysql.connector, _connector(pure=False))


class Client:
    """One client library and how it connects."""

    def __init__(self, name: str, target: Target) -> None:
        self.module, self._connect = CLIENTS[name]
        self.target = target

    @contextlib.contextmanager
    def connection(self, **options: Any) -> Iterator[Any]:
        """A connection that is closed again."""
        connection = self._connect(self.target, **options)
        try:
            yield connection
        finally:
            connection.close()


@pytest.fixture(params=CLIENTS)
def client(request: pytest.FixtureRequest, target: Target) -> Client:
    """Each client in turn."""
    return Client(request.param, target)


def run(connection: Any, statement: str, *arguments: Any) -> list[tuple[Any, ...]]:
    """Rows of one statement, as tuples."""
    cursor = connection.cursor()
    try:
        cursor.execute(statement, arguments or None)
        return [tuple(row) for row in cursor.fetchall()] if cursor.description else []
    finally:
        cursor.close()


def test_create_read_update_delete_one_row(client: Client, fresh_shop: Shop) -> None:
    with client.connection(autocommit=True) as connection:
        cursor = connection.cursor()
        cursor.execute(
            "INSERT INTO t_user (user_id, name, email, country, balance, born) VALUES (%s, %s, %s, %s, %s, %s)",
            (1001, "Zoë", "zoe@example.org", "DE", Decimal("12.50"), datetime.date(1990, 5, 17)),
        )
        assert cursor.rowcount == 1
        cursor.execute("SELECT name, balance, born FROM t_user WHERE user_id = %s", (1001,))
        assert [tuple(row) for row in cursor.fetchall()] == [
            ("Zoë", Decimal("12.50"), datetime.date(1990, 5, 17))
        ]
        cursor.execute("UPDATE t_user SET balance = balance + %s WHERE user_id = %s", (Decimal("0.25"), 1001))
        assert cursor.rowcount == 1
        assert run(connection, "SELECT balance FROM t_user WHERE user_id = 1001") == [(Decimal("12.75"),)]
        cursor.execute("DELETE FROM t_user WHERE user_id = %s", (1001,))
        assert cursor.rowcount == 1
        assert run(connection, "SELECT * FROM t_user WHERE user_id = 1001") == []
        cursor.close()


def test_rows_land_on_the_shard_the_rules_name(client: Client, fresh_shop: Shop) -> None:
    with client.connection(autocommit=True) as connection:
        cursor = connection.cursor()
        cursor.executemany(
            "INSERT INTO t_auto (id, word, n) VALUES (%s, %s, %s)",
            [(n, f"w{n}", n) for n in range(2000, 2008)],
        )
        assert cursor.rowcount == 8
        cursor.close()
    if client.target is fresh_shop.plain:
        return
    placed = {row[0]: node for node, row in fresh_shop.on_shards("t_auto", "id >= 2000")}
    if fresh_shop.meshed:
        assert placed == {n: f"ds_{n % 2}.t_auto_{n % 4}" for n in range(2000, 2008)}


def test_many_rows_on_all_shards_are_changed_read_and_deleted(client: Client, fresh_shop: Shop) -> None:
    with client.connection(autocommit=True) as connection:
        cursor = connection.cursor()
        cursor.executemany(
            "INSERT INTO t_auto (id, word, n) VALUES (%s, %s, %s)",
            [(key, f"w{key}", key % 3) for key in range(2100, 2112)],
        )
        cursor.execute("UPDATE t_auto SET word = %s WHERE n = %s", ("changed", 1))
        assert cursor.rowcount == 4
        cursor.execute("DELETE FROM t_auto WHERE n = %s", (2,))
        assert cursor.rowcount == 4
        cursor.close()
        assert run(connection, "SELECT id, word FROM t_auto WHERE id >= %s ORDER BY id", 2100) == [
            (key, "changed" if key % 3 == 1 else f"w{key}") for key in range(2100, 2112) if key % 3 != 2
        ]


def test_pages_come_in_order_without_gap_or_repeat(client: Client) -> None:
    with client.connection() as connection:
        seen: list[int] = []
        while page := run(
            connection, "SELECT order_id FROM t_order ORDER BY order_id LIMIT %s OFFSET %s", 37, len(seen)
        ):
            seen.extend(row[0] for row in page)
    assert seen == list(range(1, 241))


def test_aggregates_and_joins_over_all_shards(client: Client, shop: Shop) -> None:
    questions = (
        "SELECT COUNT(*), SUM(amount), AVG(qty), MIN(created), MAX(note) FROM t_order",
        "SELECT status, COUNT(*) FROM t_order GROUP BY status ORDER BY status",
        (
            "SELECT o.order_id, i.product FROM t_order o JOIN t_order_item i ON o.order_id = i.order_id "
            "AND o.user_id = i.user_id WHERE o.user_id = 8 ORDER BY o.order_id, i.product"
        ),
        (
            "SELECT u.user_id, c.name FROM t_user u JOIN t_country c ON c.code = u.country "
            "WHERE u.user_id < 12 ORDER BY u.user_id"
        ),
    )
    with client.connection() as connection:
        for question in questions:
            expected = shop.plain_server.execute(f"USE {shop.plain.database}", question)
            assert run(connection, question) == expected, question


def test_a_transaction_on_one_data_source_commits_and_rolls_back(client: Client, fresh_shop: Shop) -> None:
    with client.connection(autocommit=False) as connection, client.connection(autocommit=True) as other:
        run(connection, "INSERT INTO t_auto (id, word) VALUES (3000, 'a')")
        run(connection, "INSERT INTO t_auto (id, word) VALUES (3004, 'b')")
        assert run(other, "SELECT COUNT(*) FROM t_auto WHERE id >= 3000") == [(0,)]
        connection.rollback()
        assert run(other, "SELECT COUNT(*) FROM t_auto WHERE id >= 3000") == [(0,)]
        run(connection, "INSERT INTO t_auto (id, word) VALUES (3008, 'c')")
        connection.commit()
        assert run(other, "SELECT id, word FROM t_auto WHERE id >= 3000") == [(3008, "c")]


def test_errors_arrive_as_the_classes_users_catch(client: Client, fresh_shop: Shop) -> None:
    errors = client.module
    with client.connection(autocommit=True) as connection:
        with pytest.raises(errors.IntegrityError) as duplicate:
            run(connection, "INSERT INTO t_user (user_id, name) VALUES (1, 'twice')")
        assert duplicate.value.args[0] == 1062
        with pytest.raises(errors.ProgrammingError) as missing:
            run(connection, "SELECT * FROM no_such_table")
        assert missing.value.args[0] == 1146
        with pytest.raises(errors.ProgrammingError) as unreadable:
            run(connection, "SELEKT 1")
        assert unreadable.value.args[0] == 1064
        with pytest.raises(errors.Error) as column:
            run(connection, "SELECT no_such_column FROM t_user WHERE user_id = 1")
        assert column.value.args[0] == 1054
        with pytest.raises(errors.IntegrityError) as null:
            run(connection, "INSERT INTO t_user (user_id, name) VALUES (9000, NULL)")
        assert null.value.args[0] == 1048
        assert run(connection, "SELECT 1") == [(1,)], "the session lives on"


def test_every_type_arrives_as_from_one_server(client: Client, shop: Shop) -> None:
    statement = "SELECT * FROM t_types ORDER BY id"
    with client.connection() as connection, Client.connection(_on(client, shop.plain)) as plain:
        assert run(connection, statement) == run(plain, statement)


def _on(client: Client, target: Target) -> Client:
    other = Client.__new__(Client)
    other.module, other._connect, other.target = client.module, client._connect, target
    return other


def test_generated_keys_reach_lastrowid(client: Client, fresh_shop: Shop) -> None:
    if not fresh_shop.meshed:
        pytest.skip("the plain table has no generated key")
    with client.connection(autocommit=True) as connection:
        cursor = connection.cursor()
        cursor.execute("INSERT INTO t_auto (word, n) VALUES ('generated', 1)")
        key = cursor.lastrowid
        cursor.close()
        assert key
        assert key > 2**40, "a snowflake key"
        assert run(connection, "SELECT word FROM t_auto WHERE id = %s", key) == [("generated",)]
        assert run(connection, "SELECT LAST_INSERT_ID()") == [(key,)]


def test_unicode_survives_both_ways(client: Client, fresh_shop: Shop) -> None:
    text = "naïve ☃ 😀 'quoted' \\ back % percent"
    with client.connection(autocommit=True) as connection:
        run(connection, "INSERT INTO t_auto (id, word, n) VALUES (%s, %s, 0)", 4001, text)
        assert run(connection, "SELECT word FROM t_auto WHERE id = 4001") == [(text,)]
        assert run(connection, "SELECT id FROM t_auto WHERE word = %s", text) == [(4001,)]


def test_wrong_password_is_refused(target: Target) -> None:
    wrong = Target(target.host, target.port, target.user, "wrong", target.database)
    for name in CLIENTS:
        client = Client(name, wrong)
        with pytest.raises(client.module.Error) as refused, client.connection():
            pass
        assert refused.value.args[0] == 1045, name
