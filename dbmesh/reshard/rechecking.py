"""Looks at rows that somebody has changed: whether the new side has them as the old one does, and makes it so where not.

Decides what is a difference. A write to both sides may be seen on one of them first, so rows that differ are looked at again before they count;
what still differs came past the mesh. Most keys are those of writes to both sides: they cost a read on each.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from dbmesh.backend.connection import Connection, Flavour, Product
from dbmesh.backend.pool import Pool
from dbmesh.backend.state import ISOLATION
from dbmesh.engine.collect import collect
from dbmesh.engine.federation import LOAD_STATE
from dbmesh.errors import ShardError
from dbmesh.model import DataNode
from dbmesh.planner.images import ImageTable, Row
from dbmesh.reshard.differences import read
from dbmesh.reshard.reconcile import Chunk

GRACE = 0.1
"""Seconds after which rows that differ are looked at again: a transaction commits on one server after the other."""

_READER_STATE = LOAD_STATE.with_variable(ISOLATION, "ISOLATION LEVEL READ COMMITTED")
_LOCKED = frozenset((1205, 1213, 3572))


@dataclass(frozen=True, slots=True)
class Rechecked:
    """What became of keys: of how many the rows differed (`differed`), and how many rows were written and removed on the new side."""

    keys: int = 0
    differed: int = 0
    written: int = 0
    removed: int = 0

    def __add__(self, other: Rechecked) -> Rechecked:
        return Rechecked(
            self.keys + other.keys,
            self.differed + other.differed,
            self.written + other.written,
            self.removed + other.removed,
        )


class Rechecker:
    """One logic table. `table` describes its rows and tells them apart; `sources` are the pools of its old data nodes; `there` reads rows of
    the new side, and `reconcile` makes them equal under locks, both by keys."""

    def __init__(
        self,
        table: ImageTable,
        sources: Mapping[DataNode, Pool],
        there: Callable[[Sequence[Row]], Awaitable[Iterable[Row]]],
        reconcile: Callable[[Sequence[Row]], Awaitable[Chunk]],
    ) -> None:
        self._table = table
        self._sources = sources
        self._there = there
        self._reconcile = reconcile

    async def check(self, node: DataNode, keys: Sequence[Row]) -> Rechecked:
        """Keys of rows that were changed in a data node. Raises ShardError and MeshError, as `Reconciler.keys`."""
        suspects = await self._differing(node, keys)
        if suspects:
            await asyncio.sleep(GRACE)
            suspects = await self._differing(node, suspects)
        if not suspects:
            return Rechecked(len(keys))
        done = await self._reconcile(suspects)
        return Rechecked(len(keys), len(suspects), done.written, done.removed)

    async def _differing(self, node: DataNode, keys: Sequence[Row]) -> Sequence[Row]:
        """Those whose rows are not the same on both sides, or are being changed by somebody. O(keys)."""
        own = self._table.named(node.table)
        pool = self._sources[node]
        now = asyncio.get_running_loop().time
        connection = await pool.acquire(Flavour())
        try:
            await connection.bring_to(_READER_STATE)
            here, busy = await _committed(connection, own, keys)
        finally:
            pool.release(connection, now())
        seen = [key for key in keys if key not in busy]
        there: dict[Row, list[Row]] = {key: [] for key in seen}
        if seen:
            for row in await self._there(seen):
                there.setdefault(own.key_of(row), []).append(row)
        return [*busy, *(key for key in seen if there[key] != here.get(key, []))]


async def _committed(
    connection: Connection, table: ImageTable, keys: Sequence[Row]
) -> tuple[dict[Row, list[Row]], set[Row]]:
    """The rows of keys, and the keys that somebody has locked. A server tells of a transaction in its binlog before everybody sees it: only
    who asks for locks knows that what he reads came after it. Nobody is waited for, so that no client is part of a deadlock; locks
    end with the statement."""
    clause = "LOCK IN SHARE MODE NOWAIT" if connection.product is Product.MARIADB else "FOR SHARE NOWAIT"
    query = f"{read(table, table.condition(keys))} {clause}"
    found: dict[Row, list[Row]] = {}
    try:
        for row in (await collect(connection, query.encode("utf-8", "surrogateescape"))).rows:
            image = tuple(row)
            found.setdefault(table.key_of(image), []).append(image)
    except ShardError as error:
        if error.number not in _LOCKED:
            raise
        if len(keys) == 1:
            return {}, set(keys)
        # Somewhere among them.
        half = len(keys) // 2
        found, busy = await _committed(connection, table, keys[:half])
        more, others = await _committed(connection, table, keys[half:])
        return found | more, busy | others
    return found, set()
