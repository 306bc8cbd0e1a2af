"""Writes in several steps that are killed, or lose a shard or their client, in the middle: all of it or nothing of it."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pymysql
import pytest

from tests.plugins.database_server import RENEWED, DatabaseServer
from tests.plugins.equivalence import Answer, ask
from tests.plugins.fix_mesh import Shop
from tests.plugins.processes import wait_until

pytestmark = pytest.mark.integration

ROWS = "1060, 'held', NULL, NULL, 0, NULL, NOW()"

# The statement, and what another session does on ds_0 so that the statement waits for it half-way.
WRITES = {
    "move": ("UPDATE t_user SET user_id = user_id + 1000", f"INSERT INTO t_user_0 VALUES ({ROWS})"),
    "insert select": (
        "INSERT INTO t_auto (id, word, n) SELECT order_id + 5000, status, qty FROM t_order",
        "INSERT INTO t_auto_0 VALUES (5240, 'held', 0)",
    ),
    "delete by keys": (
        "DELETE FROM t_user ORDER BY user_id LIMIT 60",
        "UPDATE t_user_0 SET name = 'held' WHERE user_id = 60",
    ),
    "load": (
        "LOAD DATA LOCAL INFILE '{file}' INTO TABLE t_auto (id, n)",
        "INSERT INTO t_auto_0 VALUES (8000, 'held', 0)",
    ),
}


class Holder:
    """A session on the first data source that lets a statement of the mesh wait."""

    def __init__(self, server: DatabaseServer, statement: str) -> None:
        self._server = server
        self._connection = server.connect("shop_ds_0", autocommit=False)
        with self._connection.cursor() as cursor:
            cursor.execute(statement)

    def wait_for_a_victim(self) -> None:
        """Until a statement waits for the lock."""
        wait_until(lambda: self._waiting() > 0, 20, "the statement waits for the lock", RENEWED)

    def wait_until_given_up(self) -> None:
        """Until no statement waits any more."""
        wait_until(lambda: self._waiting() == 0, 20, "the statement has been stopped", RENEWED)

    def _waiting(self) -> int:
        find = "SELECT COUNT(*) FROM information_schema.INNODB_TRX WHERE trx_state = 'LOCK WAIT'"
        return int(self._server.execute(find)[0][0])

    def let_go(self) -> None:
        self._connection.rollback()
        self._connection.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """10,000 rows for t_auto."""
    made = tmp_path / "rows.txt"
    made.write_text("".join(f"{number}\t{number % 7}\n" for number in range(1, 10_001)))
    return made


def _rows(shop: Shop) -> dict[str, list[str]]:
    return {name: sorted(map(repr, shop.on_shards(name))) for name in ("t_user", "t_auto")}


def _clean(shop: Shop) -> None:
    """No transaction is left open on any shard, and the mesh answers."""
    find = (
        "SELECT COUNT(*) FROM information_schema.INNODB_TRX t JOIN information_schema.PROCESSLIST p "
        "ON p.ID = t.trx_mysql_thread_id WHERE p.DB LIKE 'shop_ds%'"
    )
    for server in shop.sources:
        wait_until(
            lambda server=server: server.execute(find)[0][0] == 0, 10, "every transaction ends", RENEWED
        )  # type: ignore[misc]
    with shop.target.connect() as other:
        assert ask(other, "SELECT COUNT(*) FROM t_user").rows == ((60,),)


def _kill_query(shop: Shop, client: pymysql.Connection[Any]) -> None:
    with shop.target.connect() as killer:
        assert ask(killer, f"KILL QUERY {client.thread_id()}").error is None


def _kill_connection(shop: Shop, client: pymysql.Connection[Any]) -> None:
    with shop.target.connect() as killer:
        assert ask(killer, f"KILL {client.thread_id()}").error is None


def _vanish(shop: Shop, client: pymysql.Connection[Any]) -> None:
    del shop
    plain: socket.socket = client._sock  # type: ignore[attr-defined]
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    plain.shutdown(socket.SHUT_RDWR)


END = {"kill query": _kill_query, "kill connection": _kill_connection, "vanish": _vanish}


class Victim:
    """A statement under way in a thread."""

    def __init__(self, connection: pymysql.Connection[Any], statement: str) -> None:
        self.answer: Answer | None = None
        self._thread = threading.Thread(target=self._run, args=(connection, statement))
        self._thread.start()

    def _run(self, connection: pymysql.Connection[Any], statement: str) -> None:
        try:
            self.answer = ask(connection, statement)
        except (pymysql.err.MySQLError, OSError):
            self.answer = None

    def join(self) -> None:
        self._thread.join(30)
        assert not self._thread.is_alive()


@pytest.mark.parametrize("end", END)
@pytest.mark.parametrize("write", WRITES)
def test_a_write_that_is_stopped_leaves_nothing(fresh_shop: Shop, file: Path, write: str, end: str) -> None:
    before = _rows(fresh_shop)
    statement, hold = WRITES[write]
    holder = Holder(fresh_shop.sources[0], hold)
    client = fresh_shop.target.connect(local_infile=True)
    try:
        victim = Victim(client, statement.format(file=file))
        holder.wait_for_a_victim()
        END[end](fresh_shop, client)
        victim.join()
        holder.wait_until_given_up()
    finally:
        holder.let_go()
    if end == "kill query":
        assert victim.answer is not None
        assert victim.answer.error == 1317, victim.answer.text
        assert ask(client, "SELECT 1").rows == ((1,),), "the session lives on"
        client.close()
    _clean(fresh_shop)
    assert _rows(fresh_shop) == before


@pytest.mark.parametrize("write", [name for name in WRITES if name != "load"])
def test_a_write_killed_in_a_transaction_is_undone_alone(fresh_shop: Shop, write: str) -> None:
    statement, hold = WRITES[write]
    with fresh_shop.target.connect() as client:
        ask(client, "BEGIN")
        assert ask(client, "UPDATE t_country SET continent = 'kept'").affected == 4
        before = _rows(fresh_shop)
        holder = Holder(fresh_shop.sources[0], hold)
        try:
            victim = Victim(client, statement)
            holder.wait_for_a_victim()
            _kill_query(fresh_shop, client)
            victim.join()
        finally:
            holder.let_go()
        assert victim.answer is not None
        assert victim.answer.error == 1317
        assert ask(client, "COMMIT").error is None
    _clean(fresh_shop)
    assert _rows(fresh_shop) == before
    assert {row[2] for _, row in fresh_shop.on_shards("t_country")} == {"kept"}


@pytest.mark.parametrize("write", ["move", "insert select"])
def test_a_write_that_loses_a_shard_leaves_nothing(own_shop: Callable[..., Shop], write: str) -> None:
    shop = own_shop()
    before = _rows(shop)
    statement, hold = WRITES[write]
    holder = Holder(shop.sources[0], hold)
    try:
        with shop.target.connect() as client:
            victim = Victim(client, statement)
            holder.wait_for_a_victim()
            shop.links[0].cut()
            victim.join()
            assert victim.answer is not None
            assert victim.answer.error is not None
            assert ask(client, "SELECT COUNT(*) FROM t_user").rows == ((60,),), "the session lives on"
    finally:
        holder.let_go()
    _clean(shop)
    assert _rows(shop) == before
