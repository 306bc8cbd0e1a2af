"""KILL QUERY on a data source, whenever it comes, ends a statement or lets it be: no client waits for ever, and nothing is left of what failed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from threading import Event, Thread

import pymysql
import pytest

from tests.plugins import shop as shop_data
from tests.plugins.database_server import DatabaseServer
from tests.plugins.fix_mesh import Shop, ShopFactory

pytestmark = pytest.mark.integration

SECONDS = 6.0
PATIENCE = 10
"""Seconds after which an answer of a statement that has nothing to wait for is not coming."""


@contextmanager
def _killing(server: DatabaseServer, schema: str) -> Iterator[None]:
    """KILL QUERY for every connection to the schema, again and again."""
    stop = Event()

    def work() -> None:
        connection = server.connect(None, autocommit=True)
        with connection, connection.cursor() as cursor:
            while not stop.is_set():
                cursor.execute("SELECT ID FROM information_schema.PROCESSLIST WHERE DB = %s", (schema,))
                for (thread,) in cursor.fetchall():
                    for _ in range(20):
                        try:
                            cursor.execute(f"KILL QUERY {thread}")
                        except pymysql.err.OperationalError as error:
                            if error.args[0] != 1094:
                                raise
                            break

    thread = Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _write(shop: Shop) -> tuple[set[int], set[int]]:
    """Rows of statements that were answered OK, and of those that were answered with an error."""
    done: set[int] = set()
    undone: set[int] = set()
    connection = shop.mesh.connect(read_timeout=PATIENCE)
    ends = time.monotonic() + SECONDS
    with connection, connection.cursor() as cursor:
        for number in count(1):
            if time.monotonic() > ends:
                return done, undone
            rows = range(4 * number, 4 * number + 4)
            try:
                cursor.execute("INSERT INTO t_auto VALUES " + ", ".join(f"({row}, 'a', 1)" for row in rows))
            except pymysql.err.Error as error:
                if error.args[0] == 2013:
                    raise
                undone.update(rows)
            else:
                done.update(rows)
    raise AssertionError


def test_a_kill_at_any_moment_leaves_nobody_waiting_and_no_half(own_shop: ShopFactory) -> None:
    shop = own_shop()
    with _killing(shop.sources[0], shop_data.shard_schema(0)):
        done, undone = _write(shop)
    there = {row[0] for _, row in shop.on_shards("t_auto")}
    assert done
    assert undone
    assert there == done
