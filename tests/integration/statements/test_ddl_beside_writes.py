"""What is written while a table's columns get another order is found where its key says, whoever comes first."""

from __future__ import annotations

import time
from threading import Thread

import pymysql
import pytest

from tests.plugins import shop as shop_data
from tests.plugins.database_server import DatabaseServer
from tests.plugins.fix_mesh import Shop, ShopFactory

pytestmark = pytest.mark.integration

PATIENCE = 20.0


def _until_waiting(server: DatabaseServer, beginning: str) -> None:
    """Until a statement that begins so waits for a lock of its table."""
    ends = time.monotonic() + PATIENCE
    connection = server.connect(None, autocommit=True)
    with connection, connection.cursor() as cursor:
        while time.monotonic() < ends:
            cursor.execute(
                "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE STATE LIKE '%%metadata lock%%' AND INFO LIKE %s",
                (f"{beginning}%",),
            )
            if cursor.fetchall() == ((1,),):
                return
            time.sleep(0.02)
    raise AssertionError(f"{beginning} does not wait")


def _run(shop: Shop, statement: str, answers: list[object]) -> Thread:
    def work() -> None:
        with shop.mesh.connect() as connection, connection.cursor() as cursor:
            try:
                answers.append(cursor.execute(statement))
            except pymysql.err.Error as error:
                answers.append(error)

    thread = Thread(target=work)
    thread.start()
    return thread


def test_rows_without_a_column_list_that_wait_for_another_order_of_the_columns(own_shop: ShopFactory) -> None:
    shop, answers = own_shop(), list[object]()
    server = shop.sources[1]
    reader = server.connect(shop_data.shard_schema(1), autocommit=False)
    with reader, reader.cursor() as cursor:
        cursor.execute("SELECT * FROM t_auto_1")
        cursor.fetchall()
        altering = _run(shop, "ALTER TABLE t_auto MODIFY COLUMN id BIGINT NOT NULL AFTER word", answers)
        _until_waiting(server, "ALTER TABLE")
        # By the columns as they are the key is 910001, on this data node; by the next order it would be 6.
        writing = _run(shop, "INSERT INTO t_auto VALUES (910001, '6', 3)", answers)
        _until_waiting(server, "INSERT INTO")
        reader.commit()
        altering.join()
        writing.join()
    assert not [one for one in answers if isinstance(one, Exception)]
    with shop.mesh.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT id, word, n FROM t_auto")
        for key, word, n in cursor.fetchall():
            assert cursor.execute("SELECT 1 FROM t_auto WHERE id = %s", (key,)) == 1, (key, word, n)
        assert cursor.execute("SELECT 1 FROM t_auto WHERE id = 910001 AND word = '6'") == 1
