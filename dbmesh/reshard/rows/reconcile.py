"""Makes rows of the new tables equal to those of the old ones: copying, catching up and repairing are this one operation.

Decides the order of locks: the old rows first, always, and held until the new ones are committed, so that nobody changes a row in between
and whoever writes to both sides never waits crosswise. May be run again at any time, in any order: that is why each data source of the
new side is committed by itself. Knows no job: which rows, it is told.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import NamedTuple

from dbmesh.backend.connection import Connection, Flavour, OwnDialect, Product
from dbmesh.backend.pool import Pool
from dbmesh.backend.postgres.names import name as quoted_in_postgres
from dbmesh.backend.state import ISOLATION, SessionState
from dbmesh.engine.collect import all_of, collect, collect_within
from dbmesh.engine.federation import LOAD_STATE
from dbmesh.errors import ShardError
from dbmesh.model import DataNode
from dbmesh.planner.images import Row
from dbmesh.reshard.blame import errors_of
from dbmesh.reshard.rows.differences import Repair, in_key_order, key_at, keys_between, read, repair
from dbmesh.reshard.rows.moved_rows import MovedRows

TRIES = 100
"""How often rows are tried that meet somebody else's locks."""

FIRST_PAUSE, LONGEST_PAUSE = 0.002, 0.1
"""Seconds between two tries."""

MOST_BYTES = 8 << 20
"""Bytes of rows that are held at once; a longer one is held alone."""

LOCKED = frozenset((1205, 1213, 3572))
"""Errors of who meets somebody else's locks."""

_DUPLICATE = 1062

_READ_COMMITTED = LOAD_STATE.with_variable(ISOLATION, "ISOLATION LEVEL READ COMMITTED")
_REPEATABLE_READ = LOAD_STATE.with_variable(ISOLATION, "ISOLATION LEVEL REPEATABLE READ")

WRITER_STATE = _READ_COMMITTED.with_variable("innodb_lock_wait_timeout", "1")
"""What a session that writes the new tables has set: it locks rows and no gaps, and waits for others as briefly as its server can, since
clients may wait for the old rows meanwhile: a second."""

_PATIENCE = {Product.MARIADB: "0", Product.OTHER: "0.1"}
"""Where that can be less: not at all (manual, "innodb_lock_wait_timeout"), or a tenth of one, long before PostgreSQL looks for deadlocks."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """What was done with rows of one data node up to the key `last`, None at the end of what was asked for. `rows`, which have `size`
    bytes, were read, `written` and `removed` in the new tables: a row that was another there is both. `wrong` are the keys
    (`MovedRows.identity`) of rows that were not there, were others or should not have been there; `Reconciler.keys` alone tells them."""

    last: Row | None
    rows: int
    written: int
    removed: int
    size: int = 0
    wrong: frozenset[Row] = frozenset()


class Reconciler:
    """One logic table. `sources` are the pools of its old data nodes, `targets` those of the data sources of its new ones. While the new side
    is `behind`, a row of it that has a unique value of one that is written has lost that on the old side: it is taken away, and comes back
    as it is by then."""

    def __init__(
        self,
        moved: MovedRows,
        sources: Mapping[DataNode, Pool],
        targets: Mapping[str, Pool],
        *,
        behind: bool = False,
    ) -> None:
        self._behind = behind
        self._moved = moved
        self._sources = sources
        self._targets = targets

    async def chunk(self, node: DataNode, after: Row | None, most: int, upto: Row | None = None) -> Chunk:
        """The next rows of a data node behind one primary key, and not behind another: `most`, or fewer where these are long or locked
        by others. Raises ShardError and MeshError: 1062 where a unique key of the new tables already is another row's. What was written
        before stays, which does no harm."""

        async def once(tries: int) -> Chunk:
            # Of many rows somebody always has one.
            return await self._chunk(node, after, upto, max(1, most >> tries))

        return await _persevering(once)

    async def key_behind(self, node: DataNode, after: Row | None, rows: int) -> Row | None:
        """The primary key of the last of so many rows of a data node behind another key; None where there are not so many. Raises
        ShardError and MeshError."""
        own = self._moved.walked.named(node.table)
        query = key_at(own, keys_between(own, after, None), rows)
        async with _transaction(self._sources[node], _READ_COMMITTED) as connection:
            found = (await collect(connection, _encoded(query))).rows
        return tuple(found[0]) if found else None

    async def keys(self, keys: Sequence[Row]) -> Chunk:
        """The rows of these keys (`MovedRows.identity`), wherever they are or are no more. Raises as `chunk`."""
        return await _persevering(lambda _: self._keys(keys))

    async def changed(self, node: DataNode, keys: Sequence[Row]) -> Chunk:
        """The rows of these keys (`MovedRows.identity`), which somebody has changed in this data node: as it has them, or has them no
        more. Tries once. Raises as `chunk`; 1205, 1213 or 3572 where somebody has locked some of them."""
        done, left = await self._brought(node, keys, _READ_COMMITTED)
        if left:
            # There the gaps are locked, as in `keys`: at the end of a table everybody who adds rows waits for that, so for these alone.
            more, _ = await self._brought(node, left, _REPEATABLE_READ)
            done = Chunk(None, done.rows + more.rows, done.written + more.written, more.removed)
        return done

    async def _brought(
        self, node: DataNode, keys: Sequence[Row], state: SessionState
    ) -> tuple[Chunk, Sequence[Row]]:
        """As `changed`, and the keys that have no row: where gaps are locked, these are removed."""
        own = self._moved.identity.named(node.table)
        async with _transaction(self._sources[node], state) as connection:
            rows, size, _ = await _locked_rows(connection, read(own, own.condition(keys)), None)
            there = set(map(own.key_of, rows))
            left = [key for key in keys if key not in there]
            gone = self._moved.by_node(
                list(map(self._moved.image_of, left if state is _REPEATABLE_READ else ()))
            )
            wanted = self._moved.by_node(rows)
            repairs: defaultdict[str, dict[DataNode, Repair]] = defaultdict(dict)
            for target in {**wanted, **gone}:
                removed = tuple(map(own.key_of, gone.get(target, ())))
                repairs[target.data_source][target] = Repair(removed, tuple(wanted.get(target, ())))
            done = await all_of(self._make(source, nodes) for source, nodes in repairs.items())
        return _chunk(None, len(rows), size, done), left

    async def _chunk(self, node: DataNode, after: Row | None, upto: Row | None, most: int) -> Chunk:
        own = self._moved.walked.named(node.table)
        query = in_key_order(own, keys_between(own, after, upto), most)
        async with _transaction(self._sources[node], _READ_COMMITTED) as connection:
            rows, size, whole = await _locked_rows(connection, query, MOST_BYTES)
            wanted = self._moved.by_node(rows)
            done = await all_of(self._fill(source, nodes) for source, nodes in _by_source(wanted).items())
        last = own.key_of(rows[-1]) if len(rows) == most or not whole else None
        return _chunk(last, len(rows), size, done)

    async def _keys(self, keys: Sequence[Row]) -> Chunk:
        async with AsyncExitStack() as locks:
            rows: list[Row] = []
            size = 0
            for node, pool in self._sources.items():
                # Where there is no row, the gap is locked: none comes until the new side is committed.
                connection = await locks.enter_async_context(_transaction(pool, _gap_locking(pool)))
                if isinstance(connection, OwnDialect):
                    await _lock_against_writes(connection, node.table)
                own = self._moved.identity.named(node.table)
                found, more, _ = await _locked_rows(connection, read(own, own.condition(keys)), None)
                rows += found
                size += more
            placed = self._moved.by_node(rows)
            # One that was misplaced is looked for too.
            wanted = {node: placed.get(node, ()) for node in self._moved.nodes}
            done = await all_of(
                self._repair(source, nodes, keys) for source, nodes in _by_source(wanted).items()
            )
        wrong = frozenset[Row]().union(*(one.wrong for one in done))
        return replace(_chunk(None, len(rows), size, done), wrong=wrong)

    async def _fill(self, source: str, wanted: Mapping[DataNode, Sequence[Row]]) -> _Repaired:
        """Rows that are probably missing."""
        try:
            async with _transaction(self._targets[source], WRITER_STATE) as connection:
                for node, rows in wanted.items():
                    await self._write(connection, node, Repair((), tuple(rows)))
        except ShardError as error:
            if error.number != _DUPLICATE:
                raise
        else:
            return _Repaired(sum(map(len, wanted.values())), 0, ())
        # Some are there: written to both sides since, or by an earlier try.
        return await self._repair(source, wanted)

    async def _make(self, source: str, repairs: Mapping[DataNode, Repair]) -> _Repaired:
        """What is written and taken away, whatever is there."""
        async with _transaction(self._targets[source], WRITER_STATE) as connection:
            for node, todo in repairs.items():
                await self._write(connection, node, todo)
        written = sum(len(one.written) for one in repairs.values())
        removed = sum(len(one.gone) for one in repairs.values())
        return _Repaired(written, removed, ())

    async def _repair(
        self, source: str, wanted: Mapping[DataNode, Sequence[Row]], keys: Sequence[Row] | None = None
    ) -> _Repaired:
        """Make the rows of these keys, which are those of the wanted rows unless they are given, what is wanted."""
        written = removed = 0
        wrong: list[Row] = []
        async with _transaction(self._targets[source], WRITER_STATE) as connection:
            for node, rows in wanted.items():
                table = self._moved.identity.named(node.table)
                looked_for = list(map(table.key_of, rows)) if keys is None else keys
                there = await collect(connection, _encoded(read(table, table.condition(looked_for))))
                todo = repair(table, rows, map(tuple, there.rows))
                await self._write(connection, node, todo)
                written += len(todo.written)
                removed += len(todo.gone)
                wrong += (*todo.gone, *map(table.key_of, todo.written))
        return _Repaired(written, removed, wrong)

    async def _write(self, connection: Connection, node: DataNode, todo: Repair) -> None:
        table = self._moved.identity.named(node.table)
        if todo.gone:
            await collect(connection, _encoded(table.delete(todo.gone)))
        for statement in table.inserts(todo.written, ousting=self._behind):
            await collect(connection, _encoded(statement))


class _Repaired(NamedTuple):
    """Rows written and removed, and their keys: of one that was another, twice."""

    written: int
    removed: int
    wrong: Sequence[Row]


def _chunk(last: Row | None, rows: int, size: int, done: Sequence[_Repaired]) -> Chunk:
    return Chunk(last, rows, sum(one.written for one in done), sum(one.removed for one in done), size)


def _by_source(wanted: Mapping[DataNode, Sequence[Row]]) -> Mapping[str, Mapping[DataNode, Sequence[Row]]]:
    found: defaultdict[str, dict[DataNode, Sequence[Row]]] = defaultdict(dict)
    for node, rows in wanted.items():
        found[node.data_source][node] = rows
    return found


async def _persevering(work: Callable[[int], Awaitable[Chunk]]) -> Chunk:
    """Try again what has met somebody else's locks: who holds some himself never waits for more, so that no client's statement is
    part of a deadlock with him. The work is told how often it was tried."""
    pause = FIRST_PAUSE
    for tries in range(TRIES - 1):
        try:
            return await work(tries)
        except ShardError as error:
            if error.number not in LOCKED:
                raise
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)
    return await work(TRIES - 1)


@asynccontextmanager
async def _transaction(pool: Pool, state: SessionState) -> AsyncIterator[Connection]:
    """A connection in a transaction, which is committed at the end."""
    now = asyncio.get_running_loop().time
    connection = await pool.acquire(Flavour())
    try:
        if connection.product in _PATIENCE and (state is WRITER_STATE or connection.product is Product.OTHER):
            state = state.with_variable("innodb_lock_wait_timeout", _PATIENCE[connection.product])
        with errors_of(pool.config.name):
            await connection.bring_to(state)
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


def _gap_locking(pool: Pool) -> SessionState:
    """The level at which a server locks where no row is. PostgreSQL has none, and sees changes at this one only."""
    return _READ_COMMITTED if pool.config.kind == "postgresql" else _REPEATABLE_READ


async def _lock_against_writes(connection: OwnDialect, table: str) -> None:
    """Nobody changes rows of a table of PostgreSQL while the transaction lasts, and nobody has a change under way, a prepared one included.
    It locks no gaps: nothing less keeps a row from coming whose key has none. Waits for others as briefly as `WRITER_STATE`."""
    await connection.own(f"LOCK TABLE {quoted_in_postgres(table)} IN SHARE MODE")


async def _locked_rows(
    connection: Connection, query: str, most_bytes: int | None
) -> tuple[list[Row], int, bool]:
    """Rows locked against changes, or an error at once where others have changed them; see `collect_within`."""
    clause = "LOCK IN SHARE MODE NOWAIT" if connection.product is Product.MARIADB else "FOR SHARE NOWAIT"
    found = await collect_within(connection, _encoded(f"{query} {clause}"), most_bytes)
    return list(map(tuple, found.rows)), found.size, found.whole


def _encoded(statement: str) -> bytes:
    return statement.encode("utf-8", "surrogateescape")
