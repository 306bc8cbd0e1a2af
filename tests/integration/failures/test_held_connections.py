"""What a session holds on a data source (transactions, locks, cursors) is its own and is never lost in silence."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest

from tests.plugins import shop as shop_data
from tests.plugins.fix_mesh import MeshFactory, Shop
from tests.plugins.raw_client import (
    COM_STMT_CLOSE,
    COM_STMT_EXECUTE,
    COM_STMT_FETCH,
    Failure,
    Ok,
    RawClient,
    ResultSet,
    execute_payload,
)

pytestmark = pytest.mark.integration

TEXT = "SELECT order_id FROM t_order_item WHERE order_id = ? AND user_id = ? ORDER BY item_id"
ORDERS = [row for row in shop_data.ROWS["t_order"] if row[0] % 10 and row[0] % 3 and not row[1] % 2][:2]
"""Two orders of one data source, each with several items."""


@pytest.fixture
def client(fresh_shop: Shop) -> Iterator[RawClient]:
    target = fresh_shop.target
    with RawClient(target.host, target.port) as made:
        made.log_in(target.user, target.password)
        yield made


def _prepare(client: RawClient) -> int:
    made = client.prepare(TEXT)
    assert not isinstance(made, Failure)
    return made[0]


def _open(client: RawClient, statement: int, order: shop_data.Row) -> None:
    client.command(COM_STMT_EXECUTE, execute_payload(statement, [order[0], order[1]], flags=1))
    assert client.receive() == b"\x01"
    client.receive()
    assert client.receive()[0] == 0xFE


def _fetch(client: RawClient, statement: int, count: int) -> list[int]:
    client.command(COM_STMT_FETCH, struct.pack("<II", statement, count))
    reply = client.read_rows(["order_id"])
    assert isinstance(reply, ResultSet), reply
    return [struct.unpack_from("<q", row, 2)[0] for row in reply.rows]


def _items(order: shop_data.Row) -> list[int]:
    return [row[0] for row in shop_data.ROWS["t_order_item"] if row[0] == order[0]]


@pytest.mark.parametrize("transaction", [False, True])
def test_cursors_of_one_text_do_not_disturb_each_other(client: RawClient, transaction: bool) -> None:
    first, second = ORDERS
    assert len(_items(first)) > 1 < len(_items(second))
    if transaction:
        assert isinstance(client.query("BEGIN"), Ok)
    one, other, plain = (_prepare(client) for _ in range(3))
    _open(client, one, first)
    assert _fetch(client, one, 1) == _items(first)[:1]
    _open(client, other, second)
    reply = client.execute(plain, [second[0], second[1]])
    assert isinstance(reply, ResultSet)
    assert len(reply.rows) == len(_items(second))
    assert _fetch(client, one, 10) == _items(first)[1:]
    client.command(COM_STMT_CLOSE, struct.pack("<I", one))
    assert _fetch(client, other, 10) == _items(second)
    _open(client, plain, first)
    assert _fetch(client, plain, 10) == _items(first)


def test_a_default_isolation_level_in_a_transaction_keeps_what_it_wrote(client: RawClient) -> None:
    for statement in (
        "BEGIN",
        "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
        "UPDATE t_user SET name = 'kept' WHERE user_id = 2",
        "SET SESSION transaction_isolation = DEFAULT",
        "UPDATE t_user SET name = 'kept' WHERE user_id = 4",
        "COMMIT",
    ):
        assert isinstance(client.query(statement), Ok), statement
    reply = client.query("SELECT COUNT(*) FROM t_user WHERE name = 'kept'")
    assert isinstance(reply, ResultSet)
    assert reply.text() == [[b"2"]]


def test_a_default_isolation_level_is_refused_while_a_lock_is_held(client: RawClient) -> None:
    point = "SELECT name FROM t_config WHERE name = 'theme'"
    assert isinstance(client.query("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"), Ok)
    assert isinstance(client.query("SELECT GET_LOCK('held', 1)"), ResultSet)
    assert isinstance(client.query("SET SESSION transaction_isolation = DEFAULT"), Ok)
    reply = client.query(point)
    assert isinstance(reply, Failure)
    assert reply.number == 1235
    assert isinstance(client.query("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ"), Ok)
    assert isinstance(client.query(point), ResultSet)
    released = client.query("SELECT RELEASE_LOCK('held')")
    assert isinstance(released, ResultSet)
    assert released.text() == [[b"1"]]


@pytest.mark.usefixtures("fresh_shop")
def test_a_write_that_asks_for_a_cursor_keeps_no_connection(mesh_with: MeshFactory) -> None:
    mesh = mesh_with(pool=1)
    with RawClient(mesh.host, mesh.port) as first, RawClient(mesh.host, mesh.port) as second:
        for client in (first, second):
            client.log_in()
            made = client.prepare("UPDATE t_user SET balance = balance + 1 WHERE user_id = ?")
            assert not isinstance(made, Failure)
            reply = client.execute(made[0], [2], flags=1)
            assert isinstance(reply, Ok), reply
            assert reply.affected == 1


def test_a_cursor_goes_on_after_a_write_of_several_shards_elsewhere(
    fresh_shop: Shop, client: RawClient
) -> None:
    """The savepoint of the write is set on the cursor's connection too, where nothing else of it runs."""
    users = [row[0] for row in shop_data.ROWS["t_user"] if row[0] % 4 == 2][:4]
    assert isinstance(client.query("BEGIN"), Ok)
    made = client.prepare(
        f"SELECT user_id FROM t_user WHERE user_id IN ({', '.join(map(str, users))}) AND user_id > ? ORDER BY user_id"
    )
    assert not isinstance(made, Failure)
    client.command(COM_STMT_EXECUTE, execute_payload(made[0], [0], flags=1))
    assert client.receive() == b"\x01"
    client.receive()
    assert client.receive()[0] == 0xFE
    assert _fetch_users(client, made[0], 1) == users[:1]
    # Two actual tables of the other data source.
    assert isinstance(client.query("INSERT INTO t_user (user_id, name) VALUES (1001, 'a'), (1003, 'b')"), Ok)
    assert _fetch_users(client, made[0], 10) == users[1:]
    assert isinstance(client.query("COMMIT"), Ok)
    assert len(fresh_shop.on_shards("t_user", "user_id IN (1001, 1003)")) == 2


def _fetch_users(client: RawClient, statement: int, count: int) -> list[int]:
    client.command(COM_STMT_FETCH, struct.pack("<II", statement, count))
    reply = client.read_rows(["user_id"])
    assert isinstance(reply, ResultSet), reply
    return [struct.unpack_from("<q", row, 2)[0] for row in reply.rows]
