"""Writes in several steps against real servers: a statement that fails on one shard is undone on all."""

from __future__ import annotations

import pymysql
import pytest

from tests.plugins.fix_mesh import Shop

pytestmark = pytest.mark.integration


def _count(cursor: pymysql.cursors.Cursor, name: str) -> int:
    cursor.execute("SELECT COUNT(*) FROM t_user WHERE name = %s", (name,))
    row = cursor.fetchone()
    assert row is not None
    return int(row[0])


def _users(shop: Shop) -> tuple[int, list[int]]:
    """A user that is there, and new ones, so that an INSERT of all reaches every shard."""
    rows = shop.on_shards("t_user")
    return int(rows[0][1][0]), list(range(900_000, 900_008))


def test_inside_a_transaction_the_rest_of_it_stays(fresh_shop: Shop) -> None:
    present, new = _users(fresh_shop)
    connection = fresh_shop.target.connect(autocommit=False)
    try:
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO t_user (user_id, name) VALUES (%s, 'kept')", (899_999,))
            values = ", ".join(f"({key}, 'gone')" for key in (*new, present))
            with pytest.raises(pymysql.err.IntegrityError):
                cursor.execute(f"INSERT INTO t_user (user_id, name) VALUES {values}")
            assert _count(cursor, "gone") == 0
            assert _count(cursor, "kept") == 1
        connection.commit()
        with connection.cursor() as cursor:
            assert (_count(cursor, "kept"), _count(cursor, "gone")) == (1, 0)
    finally:
        connection.close()


def test_outside_a_transaction_the_error_says_what_is_done_already(fresh_shop: Shop) -> None:
    present, new = _users(fresh_shop)
    connection = fresh_shop.target.connect()
    try:
        with connection.cursor() as cursor:
            values = ", ".join(f"({key}, 'half')" for key in (*new, present))
            with pytest.raises(pymysql.err.MySQLError) as caught:
                cursor.execute(f"INSERT INTO t_user (user_id, name) VALUES {values}")
            assert caught.value.args[0] == 1062
            assert ("already done on ds_" in caught.value.args[1]) == (_count(cursor, "half") > 0)
    finally:
        connection.close()
