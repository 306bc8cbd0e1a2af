"""aiomysql and asyncmy: each creates, reads, updates, deletes and pages, alone and from a pool."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from decimal import Decimal
from types import ModuleType
from typing import Any

import aiomysql
import asyncmy
import asyncmy.cursors
import asyncmy.errors
import pytest

from tests.plugins.fix_mesh import Shop, Target

pytestmark = pytest.mark.integration

ERRORS: dict[str, Any] = {"aiomysql": aiomysql, "asyncmy": asyncmy.errors}
CURSORS = {"aiomysql": aiomysql.SSCursor, "asyncmy": asyncmy.cursors.SSCursor}


@pytest.fixture(params=[aiomysql, asyncmy], ids=["aiomysql", "asyncmy"])
def client(request: pytest.FixtureRequest) -> ModuleType:
    """Each client in turn."""
    module: ModuleType = request.param
    return module


def _settings(target: Target) -> dict[str, Any]:
    return {
        "host": target.host,
        "port": target.port,
        "user": target.user,
        "password": target.password,
        "db": target.database,
        "charset": "utf8mb4",
        "autocommit": True,
    }


@contextlib.asynccontextmanager
async def connected(client: ModuleType, target: Target, **options: Any) -> AsyncIterator[Any]:
    """A connection, closed with a COM_QUIT and awaited."""
    connection = await client.connect(**{**_settings(target), **options})
    try:
        yield connection
    finally:
        await connection.ensure_closed()


async def run(connection: Any, statement: str, *arguments: Any) -> list[tuple[Any, ...]]:
    """Rows of one statement."""
    async with connection.cursor() as cursor:
        await cursor.execute(statement, arguments or None)
        return list(await cursor.fetchall()) if cursor.description else []


async def test_create_read_update_delete(client: ModuleType, target: Target, fresh_shop: Shop) -> None:
    async with connected(client, target) as connection:
        await run(
            connection, "INSERT INTO t_user (user_id, name, balance) VALUES (%s, %s, %s)", 1101, "Ann", 5
        )
        await run(connection, "UPDATE t_user SET name = %s WHERE user_id = %s", "Anna", 1101)
        rows = await run(connection, "SELECT name, balance FROM t_user WHERE user_id = %s", 1101)
        assert rows == [("Anna", Decimal("5.00"))]
        await run(connection, "DELETE FROM t_user WHERE user_id = %s", 1101)
        assert await run(connection, "SELECT 1 FROM t_user WHERE user_id = 1101") == []


# aiomysql raises the warnings of every statement as Python's; the write is promised to bring this one.
@pytest.mark.filterwarnings("ignore:dbmesh. committed one after another:Warning")
async def test_many_rows_on_all_shards_are_created_changed_and_deleted(
    client: ModuleType, target: Target, fresh_shop: Shop
) -> None:
    async with connected(client, target) as connection:
        async with connection.cursor() as cursor:
            await cursor.executemany(
                "INSERT INTO t_auto (id, word, n) VALUES (%s, %s, %s)",
                [(key, f"w{key}", key % 3) for key in range(2100, 2112)],
            )
            assert cursor.rowcount == 12
            assert await cursor.execute("UPDATE t_auto SET word = %s WHERE n = %s", ("changed", 1)) == 4
            assert await cursor.execute("DELETE FROM t_auto WHERE n = %s", (2,)) == 4
        assert await run(connection, "SELECT id, word FROM t_auto WHERE id >= 2100 ORDER BY id") == [
            (key, "changed" if key % 3 == 1 else f"w{key}") for key in range(2100, 2112) if key % 3 != 2
        ]


async def test_pages_come_in_order(client: ModuleType, target: Target, shop: Shop) -> None:
    async with connected(client, target) as connection:
        seen: list[int] = []
        while page := await run(
            connection, "SELECT order_id FROM t_order ORDER BY order_id DESC LIMIT %s, %s", len(seen), 50
        ):
            seen.extend(row[0] for row in page)
    assert seen == list(range(240, 0, -1))


async def test_a_streaming_cursor_reads_a_merged_answer(
    client: ModuleType, target: Target, shop: Shop
) -> None:
    async with connected(client, target) as connection, connection.cursor(CURSORS[client.__name__]) as cursor:
        await cursor.execute("SELECT order_id, amount FROM t_order ORDER BY order_id")
        rows = []
        while part := await cursor.fetchmany(7):
            rows.extend(part)
    assert [row[0] for row in rows] == list(range(1, 241))


async def test_transactions_commit_and_roll_back(
    client: ModuleType, target: Target, fresh_shop: Shop
) -> None:
    async with connected(client, target, autocommit=False) as one, connected(client, target) as other:
        await one.begin()
        await run(one, "INSERT INTO t_auto (id, word) VALUES (3101, 'x')")
        await one.rollback()
        assert await run(other, "SELECT id FROM t_auto WHERE id = 3101") == []
        await one.begin()
        await run(one, "INSERT INTO t_auto (id, word) VALUES (3101, 'x')")
        await one.commit()
        assert await run(other, "SELECT word FROM t_auto WHERE id = 3101") == [("x",)]


async def test_many_statements_at_once_through_a_pool(client: ModuleType, target: Target, shop: Shop) -> None:
    pool = await client.create_pool(minsize=1, maxsize=8, **_settings(target))

    async def ask(order: int) -> int:
        async with pool.acquire() as connection:
            rows = await run(connection, "SELECT order_id FROM t_order WHERE order_id = %s", order)
        return int(rows[0][0])

    try:
        assert await asyncio.gather(*(ask(n) for n in range(1, 101))) == list(range(1, 101))
    finally:
        pool.close()
        await pool.wait_closed()


async def test_errors_arrive_as_the_classes_users_catch(
    client: ModuleType, target: Target, fresh_shop: Shop
) -> None:
    errors = ERRORS[client.__name__]
    async with connected(client, target) as connection:
        with pytest.raises(errors.IntegrityError):
            await run(connection, "INSERT INTO t_user (user_id, name) VALUES (2, 'twice')")
        with pytest.raises(errors.ProgrammingError):
            await run(connection, "SELECT * FROM no_such_table")
        assert await run(connection, "SELECT 1") == [(1,)]


async def test_a_cancelled_client_leaves_no_transaction(
    client: ModuleType, target: Target, fresh_shop: Shop
) -> None:
    connection = await client.connect(**{**_settings(target), "autocommit": False})
    await run(connection, "INSERT INTO t_auto (id, word) VALUES (3200, 'lost')")
    connection.close()  # without COMMIT
    async with connected(client, target) as other:
        # The lock of the lost row must go: an insert of the same key waits for the roll-back and then succeeds.
        await run(other, "INSERT INTO t_auto (id, word) VALUES (3200, 'kept')")
        assert await run(other, "SELECT word FROM t_auto WHERE id = 3200") == [("kept",)]
