"""KILL QUERY by a client, whenever it comes: a statement of several steps in a transaction is done as a whole, or not at all."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

import pymysql
import pytest

from tests.plugins.fix_mesh import Shop, ShopFactory

pytestmark = pytest.mark.integration

SECONDS = 6.0
FIRST = 910_000
KILLED = 1317


@contextmanager
def _killing(shop: Shop, thread: int) -> Iterator[None]:
    stop = Event()
    chance = random.Random(7)

    def work() -> None:
        with shop.mesh.connect() as connection, connection.cursor() as cursor:
            while not stop.is_set():
                time.sleep(chance.random() * 0.02)
                cursor.execute(f"KILL QUERY {thread}")

    killer = Thread(target=work)
    killer.start()
    try:
        yield
    finally:
        stop.set()
        killer.join()


def _end(cursor: pymysql.cursors.Cursor, how: str) -> None:
    """COMMIT or ROLLBACK, again when it is killed. Raises the error of a transaction that could not be committed."""
    while True:
        try:
            cursor.execute(how)
            return
        except pymysql.err.Error as error:
            if error.args[0] != KILLED:
                raise


def _move(cursor: pymysql.cursors.Cursor, where: int, to: int) -> tuple[bool, bool]:
    """Move the row in a transaction that is committed whatever becomes of the statement. Whether it was moved, and whether it was killed."""
    moved = killed = False
    try:
        cursor.execute("BEGIN")
        try:
            cursor.execute(f"UPDATE t_auto SET id = {to} WHERE id = {where}")
            moved = True
        except pymysql.err.Error as error:
            killed = error.args[0] == KILLED
        _end(cursor, "COMMIT")
    except pymysql.err.Error:
        # BEGIN was killed, or a connection was lost with the statement and the transaction with it.
        moved = False
        _end(cursor, "ROLLBACK")
    return moved, killed


def test_a_row_that_moves_is_somewhere_whenever_its_statement_is_killed(own_shop: ShopFactory) -> None:
    shop = own_shop()
    with shop.mesh.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO t_auto VALUES ({FIRST}, 'moves', 1)")
    where = FIRST
    moves: Counter[tuple[bool, bool]] = Counter()
    connection = shop.mesh.connect(read_timeout=20)
    with connection, connection.cursor() as cursor, _killing(shop, connection.thread_id()):
        ends = time.monotonic() + SECONDS
        while time.monotonic() < ends:
            to = FIRST + (where - FIRST + 1) % 8
            moved, killed = _move(cursor, where, to)
            moves[moved, killed] += 1
            where = to if moved else where
            there = [int(row[0]) for _, row in shop.on_shards("t_auto") if int(row[0]) >= FIRST]
            assert there == [where]
    assert moves[True, False]
    assert moves[False, True]
