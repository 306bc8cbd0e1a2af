"""Prepared statements of the clients that have them: mysql-connector in Python and C, and PREPARE in text."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import mysql.connector
import pytest

from tests.plugins.connector import c_extension_loads
from tests.plugins.fix_mesh import Shop, Target

pytestmark = pytest.mark.integration


@contextlib.contextmanager
def connected(target: Target, pure: bool) -> Iterator[Any]:
    """A connection of mysql-connector, closed again."""
    connection = mysql.connector.connect(
        host=target.host,
        port=target.port,
        user=target.user,
        password=target.password,
        database=target.database,
        autocommit=True,
        use_pure=pure,
    )
    try:
        yield connection
    finally:
        connection.close()


# All columns of t_types but BIT and YEAR: the pure implementation cannot read them in binary rows of any server.
READABLE = (
    "id, tiny, utiny, small, medium, number, unumber, big, ubig, money, f, d, day, clock, moment, stamp, "
    "fixed, word, bin, body, data, doc, kind, tags, latin, exact"
)
IMPLEMENTATIONS = {"connector-pure": True}
if c_extension_loads():
    IMPLEMENTATIONS["connector-c"] = False


@pytest.fixture(params=IMPLEMENTATIONS.values(), ids=list(IMPLEMENTATIONS))
def connection(request: pytest.FixtureRequest, target: Target) -> Iterator[Any]:
    """A connection of each implementation."""
    with connected(target, request.param) as made:
        yield made


@pytest.fixture
def cursor(connection: Any) -> Iterator[Any]:
    """A cursor that prepares."""
    made = connection.cursor(prepared=True)
    yield made
    made.close()


def test_one_statement_runs_many_times_on_every_shard(cursor: Any, shop: Shop) -> None:
    for order in range(1, 41):
        cursor.execute("SELECT order_id, user_id FROM t_order WHERE order_id = ?", (order,))
        assert [tuple(row) for row in cursor.fetchall()] == [(order, order * 7 % 60 + 1)]


def test_a_merged_answer_in_binary_rows(cursor: Any, shop: Shop) -> None:
    cursor.execute(
        "SELECT order_id, amount, created FROM t_order WHERE amount > ? ORDER BY amount DESC, order_id", (40,)
    )
    rows = [tuple(row) for row in cursor.fetchall()]
    assert rows == shop.plain_server.execute(
        f"USE {shop.plain.database}",
        "SELECT order_id, amount, created FROM t_order WHERE amount > 40 ORDER BY amount DESC, order_id",
    )


def test_parameters_of_every_kind_are_written_and_read(cursor: Any, fresh_shop: Shop) -> None:
    values = (
        5001,
        -7,
        Decimal("123.4500000000"),
        1.5,
        datetime.date(2020, 2, 29),
        datetime.datetime(2020, 2, 29, 1, 2, 3, 4),
        "Grüße 😀",
        b"\x00\xff'\\",
        None,
    )
    cursor.execute(
        "INSERT INTO t_types (id, number, money, d, day, moment, word, bin, body) VALUES (?,?,?,?,?,?,?,?,?)",
        values,
    )
    assert cursor.rowcount == 1
    cursor.execute(
        "SELECT id, number, money, d, day, moment, word, bin, body FROM t_types WHERE id = ?", (5001,)
    )
    row = tuple(cursor.fetchone())
    assert cursor.fetchall() == []
    assert tuple(bytes(value) if isinstance(value, bytearray) else value for value in row) == values


@pytest.mark.parametrize("pure", IMPLEMENTATIONS.values(), ids=list(IMPLEMENTATIONS))
def test_all_types_in_binary_rows_equal_those_of_one_server(shop: Shop, pure: bool) -> None:
    answers = []
    for place in (shop.target, shop.plain):
        with connected(place, pure) as made:
            cursor = made.cursor(prepared=True)
            cursor.execute(f"SELECT {READABLE} FROM t_types WHERE id > ? ORDER BY id", (0,))
            answers.append([tuple(row) for row in cursor.fetchall()])
            cursor.close()
    assert answers[0] == answers[1]


@pytest.mark.parametrize("pure", IMPLEMENTATIONS.values(), ids=list(IMPLEMENTATIONS))
@pytest.mark.parametrize("encrypted", [False, True])
def test_a_compressed_connection_says_the_same(shop: Shop, pure: bool, encrypted: bool) -> None:
    place = shop.target
    with mysql.connector.connect(
        host=place.host,
        port=place.port,
        user=place.user,
        password=place.password,
        database=place.database,
        use_pure=pure,
        compress=True,
        ssl_disabled=not encrypted,
    ) as connection:
        cursor = connection.cursor()
        cursor.execute("SHOW STATUS LIKE 'Compression'")
        assert [tuple(row) for row in cursor.fetchall()] == [("Compression", "ON")]
        cursor.execute("SELECT order_id, REPEAT('long ', 20000) FROM t_order ORDER BY order_id")
        rows = [tuple(row) for row in cursor.fetchall()]
        assert [row[0] for row in rows] == list(range(1, 241))
        assert {row[1] for row in rows} == {"long " * 20000}
        cursor.execute("SELECT LENGTH(%s)", ("x" * 3_000_000,))
        assert [tuple(row) for row in cursor.fetchall()] == [(3_000_000,)]
        cursor.close()


def test_the_text_form_prepares_executes_and_deallocates(connection: Any, shop: Shop) -> None:
    cursor = connection.cursor()
    cursor.execute("PREPARE find FROM 'SELECT user_id FROM t_order WHERE order_id = ?'")
    cursor.execute("SET @wanted = 12")
    cursor.execute("EXECUTE find USING @wanted")
    assert [tuple(row) for row in cursor.fetchall()] == [(12 * 7 % 60 + 1,)]
    cursor.execute("DEALLOCATE PREPARE find")
    with pytest.raises(mysql.connector.Error) as gone:
        cursor.execute("EXECUTE find USING @wanted")
    assert gone.value.errno == 1243
    cursor.close()
