"""COM_STMT_BULK_EXECUTE of MariaDB: many rows of values at once, over shards and on one server."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest

from tests.plugins.fix_mesh import Shop
from tests.plugins.raw_client import (
    BASIC,
    COM_STMT_BULK_EXECUTE,
    DEFAULT,
    IGNORE,
    LONG_PASSWORD,
    MARIADB_BULK,
    Failure,
    Ok,
    RawClient,
    Reply,
    ResultSet,
)

pytestmark = pytest.mark.integration

Rows = list[list[bytes | int | str | None]]


@pytest.fixture
def both(shop: Shop) -> Iterator[list[RawClient]]:
    """A connection to the mesh and one to a server with all rows; neither for servers that know no bulk execution."""
    with ExitStack() as stack:
        made = []
        for place in (shop.target, shop.plain):
            client = stack.enter_context(RawClient(place.host, place.port, BASIC & ~LONG_PASSWORD))
            assert isinstance(client.log_in(place.user, place.password, place.database), Ok)
            made.append(client)
        is_mariadb = [b"MariaDB" in client.greeting for client in made]
        assert [bool(client.mariadb_capabilities & MARIADB_BULK) for client in made] == is_mariadb
        yield made if all(is_mariadb) else []


def _comparable(reply: Reply) -> Reply:
    """Without what differs between any two servers."""
    if isinstance(reply, Failure):
        return replace(reply, text="")
    return replace(reply, status=0)


def _all(client: RawClient, statement: str, rows: Rows, check: str) -> list[Reply]:
    assert isinstance(client.query("BEGIN"), Ok)
    prepared = client.prepare(statement)
    assert not isinstance(prepared, Failure), prepared
    replies = [client.execute_bulk(prepared[0], rows)]
    replies.append(client.query("SHOW WARNINGS"))
    replies.append(client.query(check))
    assert isinstance(client.query("ROLLBACK"), Ok)
    return [_comparable(reply) for reply in replies]


_TYPES = "SELECT id, number, word FROM t_types WHERE id >= 7000 ORDER BY id"
_ORDERS = "SELECT order_id, status, qty FROM t_order WHERE order_id < 12 ORDER BY order_id"


@pytest.mark.parametrize(
    ("statement", "rows", "check"),
    [
        (
            "INSERT INTO t_types (id, number, word) VALUES (?, ?, ?)",
            [[7000 + n, n, b"w%d" % n] for n in range(50)],
            _TYPES,
        ),
        (
            "insert ignore into t_types (id, number, word) value (?, ? + 1, concat(?, ')')) -- behind",
            [[7001, 1, b"a?"], [7002, None, None], [7001, 3, b"twice"]],
            _TYPES,
        ),
        (
            "INSERT INTO t_types (id, number, word) VALUES (?, ?, ?)",
            [[7001, DEFAULT, b"'"], [7002, 5, IGNORE], [7003, IGNORE, DEFAULT]],
            _TYPES,
        ),
        (
            "INSERT INTO t_types (id, number, word) VALUES (?, ?, ?)",
            [[7001, 1, b"a"], [7002, 2, b"b"], [7001, 3, b"c"]],
            _TYPES,
        ),
        (
            "INSERT INTO t_types (id, number, word) VALUES (?, ?, ?) ON DUPLICATE KEY UPDATE number = 9",
            [[7001, 1, b"a"], [7002, 2, b"b"], [7001, 3, b"c"]],
            _TYPES,
        ),
        (
            "INSERT INTO t_types (id, number) VALUES (?, ?) ON DUPLICATE KEY UPDATE number = ?",
            [[7001, 1, 5], [7002, 2, 6], [7001, 3, 7]],
            _TYPES,
        ),
        (
            "REPLACE INTO t_types (id, number, word) VALUES (?, ?, ?)",
            [[7001, 1, b"a"], [7002, 2, b"b"], [7001, 3, b"c"]],
            _TYPES,
        ),
        (
            "INSERT INTO t_types (id, word) VALUES (?, ?) RETURNING id, word",
            [[7004, b"d"], [7001, b"a"], [7003, None]],
            _TYPES,
        ),
        (
            "INSERT INTO t_types (id, number) SELECT ?, COUNT(*) FROM t_country WHERE code < ?",
            [[7001, b"E"], [7002, b"Z"]],
            _TYPES,
        ),
        ("UPDATE t_order SET qty = ? WHERE order_id = ?", [[n * 3, n] for n in range(1, 12)], _ORDERS),
        (
            "UPDATE t_order SET status = ?, t_order.qty = ? WHERE order_id < ?",
            [[b"X", DEFAULT, 5], [IGNORE, 8, 3]],
            _ORDERS,
        ),
        ("DELETE FROM t_order WHERE order_id = ?", [[1], [3], [1], [9999]], _ORDERS),
        ("DELETE FROM t_order WHERE order_id = ? RETURNING order_id, status", [[4], [3], [9999]], _ORDERS),
    ],
)
def test_rows_are_written_as_on_one_server(
    both: list[RawClient], statement: str, rows: Rows, check: str
) -> None:
    answers = [_all(client, statement, rows, check) for client in both]
    for one, other in zip(*answers, strict=True) if answers else ():
        assert one == other


@pytest.mark.parametrize(
    ("statement", "rows"),
    [
        ("INSERT INTO t_types (id, number) VALUES (?, ?)", [[7001, 1], [7002, 2], [7001, 3]]),
        (
            "INSERT INTO t_types (id, utiny) VALUES (?, 1) ON DUPLICATE KEY UPDATE utiny = ?",
            [[7001, 1], [7002, 2], [7001, 1000]],
        ),
    ],
)
def test_an_insert_is_all_or_nothing(both: list[RawClient], statement: str, rows: Rows) -> None:
    for client in both[:1]:
        prepared = client.prepare(statement)
        assert not isinstance(prepared, Failure)
        for begin, expected in (("DO 0", b"0"), ("BEGIN", b"1")):
            assert isinstance(client.query(begin), Ok)
            if begin == "BEGIN":
                assert isinstance(client.query("INSERT INTO t_types (id) VALUES (7010)"), Ok)
            assert isinstance(client.execute_bulk(prepared[0], rows), Failure)
            left = client.query("SELECT COUNT(*) FROM t_types WHERE id >= 7000")
            assert isinstance(left, ResultSet)
            assert left.text() == [[expected]]
        assert isinstance(client.query("ROLLBACK"), Ok)


@pytest.mark.parametrize(
    ("statement", "rows"),
    [
        ("INSERT INTO t_types (id, number) VALUES (?, ?)", [[7001, 1], [7002, 2]]),
        ("INSERT INTO t_types SET id = ?, number = ?", [[7001, 1], [7002, 2]]),
        ("UPDATE t_order SET qty = ? WHERE order_id = ?", [[5, 1], [6, 2], [7, 1]]),
        ("DELETE FROM t_order WHERE order_id = ?", [[1], [3], [1]]),
    ],
)
def test_row_count_after_it(both: list[RawClient], statement: str, rows: Rows) -> None:
    counts = []
    for client in both:
        assert isinstance(client.query("BEGIN"), Ok)
        prepared = client.prepare(statement)
        assert not isinstance(prepared, Failure)
        client.execute_bulk(prepared[0], rows)
        counts.append(client.query("SELECT ROW_COUNT()"))
        assert isinstance(client.query("ROLLBACK"), Ok)
    assert counts[:1] == counts[1:]


@pytest.mark.parametrize("statement", ["SELECT ?", "SET @a = ?", "CREATE TABLE t_config AS SELECT ?"])
def test_what_writes_no_rows_is_refused(both: list[RawClient], statement: str) -> None:
    numbers = []
    for client in both:
        prepared = client.prepare(statement)
        if isinstance(prepared, Failure):
            numbers.append(prepared.number)
            continue
        reply = client.execute_bulk(prepared[0], [[1], [2]])
        assert isinstance(reply, Failure)
        numbers.append(reply.number)
    assert numbers[:1] == numbers[1:]


def test_wrong_packets_are_errors_and_leave_the_connection(both: list[RawClient]) -> None:
    for client in both[:1]:
        prepared = client.prepare("INSERT INTO t_config VALUES (?, ?)")
        assert not isinstance(prepared, Failure)
        number = struct.pack("<I", prepared[0])
        for body in (b"", b"\x00\x00", b"\x80\x00", b"\x80\x00\xfd", b"\x80\x00\xfd\x00\xfd\x00\x07"):
            client.command(COM_STMT_BULK_EXECUTE, number + body)
            reply = client.read_reply()
            assert isinstance(reply, Failure), body
            assert reply.number == 1835
        unknown = client.execute_bulk(4711, [[1]])
        assert isinstance(unknown, Failure)
        assert unknown.number == 1243
        assert isinstance(client.ping(), Ok)
