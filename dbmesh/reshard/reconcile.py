"""Makes rows of the new tables equal to those of the old ones: copying, catching up and repairing are this one operation.

Decides the order of locks: the old rows first, always, and held until the new ones are committed, so that nobody changes a row in between
and whoever writes to both sides never waits crosswise. May be run again at any time, in any order. Knows no job: which rows, it is told.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from dbmesh.backend.connection import Connection, Flavour, Product
from dbmesh.backend.pool import Pool
from dbmesh.backend.state import ISOLATION
from dbmesh.engine.collect import collect
from dbmesh.engine.federation import LOAD_STATE
from dbmesh.errors import ShardError
from dbmesh.model import DataNode
from dbmesh.planner.images import ImageTable, Row
from dbmesh.reshard.differences import (
    Repair,
    in_key_order,
    keys_between,
    read,
    repair,
)
from dbmesh.session.inner import InnerClient

WRITER_STATE = LOAD_STATE.with_variable(ISOLATION, "ISOLATION LEVEL READ COMMITTED").with_variable(
    "innodb_lock_wait_timeout", "1"
)
"""What the session that writes the new tables has set: it locks rows and no gaps, and does not wait long for others."""

TRIES = 100
"""How often a chunk is tried that meets somebody else's locks."""

FIRST_PAUSE, LONGEST_PAUSE = 0.002, 0.1
"""Seconds between two tries."""

_LOCKED = frozenset((1205, 1213, 3572))
_DUPLICATE = 1062


@dataclass(frozen=True, slots=True)
class Chunk:
    """What was done with rows of one data node up to the key `last`, None at its end. `rows` were read, `written` and `removed` in the
    new tables."""

    last: Row | None
    rows: int
    written: int
    removed: int


class Reconciler:
    """One logic table. `table` describes its rows and has its logic name, `sources` are the pools of its old data nodes, `target` runs
    statements by the new rules."""

    def __init__(self, table: ImageTable, sources: Mapping[DataNode, Pool], target: InnerClient) -> None:
        self._table = table
        self._sources = sources
        self._target = target

    async def chunk(self, node: DataNode, after: Row | None, most: int) -> Chunk:
        """The next `most` rows of a data node behind a key. Raises ShardError and MeshError: 1062 where a unique key of the new tables
        already is another row's. What was written before stays, which does no harm."""
        return await _persevering(lambda: self._chunk(node, after, most))

    async def keys(self, keys: Sequence[Row]) -> Chunk:
        """The rows of these keys, wherever they are or are no more. Raises as `chunk`."""
        return await _persevering(lambda: self._keys(keys))

    async def _chunk(self, node: DataNode, after: Row | None, most: int) -> Chunk:
        own = self._table.named(node.table)
        async with _locking(self._sources[node], gaps=False) as connection:
            query = in_key_order(own, keys_between(own, after, None), most)
            rows = await _rows(connection, f"{query} {_without_waiting(connection)}")
            last = self._table.key_of(rows[-1]) if len(rows) == most else None
            try:
                await self._write(Repair((), tuple(rows)))
            except ShardError as error:
                if error.number != _DUPLICATE:
                    raise
            else:
                return Chunk(last, len(rows), len(rows), 0)
            # Some are there: written to both sides since, or by an earlier try.
            todo = repair(self._table, rows, await self._there([self._table.key_of(row) for row in rows]))
            await self._write(todo)
            return Chunk(last, len(rows), len(todo.written), len(todo.gone))

    async def _keys(self, keys: Sequence[Row]) -> Chunk:
        async with AsyncExitStack() as locks:
            rows: list[Row] = []
            for node, pool in self._sources.items():
                # Where there is no row, the gap is locked: none comes until the new side is committed.
                connection = await locks.enter_async_context(_locking(pool, gaps=True))
                own = self._table.named(node.table)
                query = read(own, own.condition(keys))
                rows += await _rows(connection, f"{query} {_without_waiting(connection)}")
            todo = repair(self._table, rows, await self._there(keys))
            await self._write(todo)
            return Chunk(None, len(rows), len(todo.written), len(todo.gone))

    async def _there(self, keys: Sequence[Row]) -> list[Row]:
        found = await self._target.run(read(self._table, self._table.condition(keys)))
        return list(map(tuple, found.rows))

    async def _write(self, todo: Repair) -> None:
        if not (todo.gone or todo.written):
            return
        await self._target.run("BEGIN")
        try:
            if todo.gone:
                await self._target.run(self._table.delete(todo.gone))
            for statement in self._table.inserts(todo.written):
                await self._target.run(statement)
        except ShardError:
            await self._target.run("ROLLBACK")
            raise
        await self._target.run("COMMIT")


async def _persevering(work: Callable[[], Awaitable[Chunk]]) -> Chunk:
    """Try again what has met somebody else's locks: who holds some himself never waits for more, so that no client's statement is
    part of a deadlock with him."""
    pause = FIRST_PAUSE
    for _ in range(TRIES - 1):
        try:
            return await work()
        except ShardError as error:
            if error.number not in _LOCKED:
                raise
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)
    return await work()


def _without_waiting(connection: Connection) -> str:
    """The clause that locks rows against changes or fails at once."""
    return "LOCK IN SHARE MODE NOWAIT" if connection.product is Product.MARIADB else "FOR SHARE NOWAIT"


@asynccontextmanager
async def _locking(pool: Pool, *, gaps: bool) -> AsyncIterator[Connection]:
    """A connection in a transaction whose locks hold until the end: those of rows, and of `gaps` between them."""
    now = asyncio.get_running_loop().time
    connection = await pool.acquire(Flavour())
    try:
        await connection.bring_to(LOAD_STATE)
        level = "REPEATABLE READ" if gaps else "READ COMMITTED"
        await collect(connection, f"SET TRANSACTION ISOLATION LEVEL {level}".encode())
        await collect(connection, b"START TRANSACTION")
        yield connection
        await collect(connection, b"COMMIT")
    except ShardError:
        await collect(connection, b"ROLLBACK")
        raise
    except BaseException:
        connection.abort()
        raise
    finally:
        pool.release(connection, now())


async def _rows(connection: Connection, query: str) -> list[Row]:
    return list(map(tuple, (await collect(connection, query.encode("utf-8", "surrogateescape"))).rows))
