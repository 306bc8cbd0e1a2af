"""Looks at rows that somebody has changed: whether the new side has them as the old one does, and makes it so where not.

Decides what is a difference. A write to both sides may be seen on one of them first, so rows that differ are looked at again before they count;
what still differs came past the mesh. Most keys are those of writes to both sides: they cost a read on each.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from dbmesh.backend.connection import Connection, Flavour, Product
from dbmesh.backend.pool import Pool
from dbmesh.backend.state import ISOLATION
from dbmesh.engine.collect import all_of, collect
from dbmesh.engine.federation import LOAD_STATE
from dbmesh.errors import ShardError
from dbmesh.model import DataNode
from dbmesh.planner.images import ImageTable, Row
from dbmesh.reshard.binlogs.listening import Batch
from dbmesh.reshard.blame import errors_of
from dbmesh.reshard.rows.differences import read
from dbmesh.reshard.rows.moved_rows import MovedRows
from dbmesh.reshard.rows.reconcile import Reconciler

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 1.0
"""Seconds after which rows that differ, or that somebody has locked, are looked at again: a transaction commits on one server after the
other."""

_READER_STATE = LOAD_STATE.with_variable(ISOLATION, "ISOLATION LEVEL READ COMMITTED")
_LOCKED = frozenset((1205, 1213, 3572))

_Found = dict[Row, list[Row]]


@dataclass(frozen=True, slots=True)
class Rechecked:
    """What became of keys: how many were looked at, and the rows of how many were `repaired` on the new side."""

    keys: int = 0
    repaired: int = 0

    def __add__(self, other: Rechecked) -> Rechecked:
        return Rechecked(self.keys + other.keys, self.repaired + other.repaired)


class Rechecker:
    """One logic table. `sources` are the pools of its old data nodes, `targets` those of the data sources of its new ones, as
    `reconciler` has them."""

    def __init__(
        self,
        moved: MovedRows,
        sources: Mapping[DataNode, Pool],
        targets: Mapping[str, Pool],
        reconciler: Reconciler,
    ) -> None:
        self._moved = moved
        self._sources = sources
        self._targets = targets
        self._reconciler = reconciler
        self.table = moved.identity.name

    async def check(self, node: DataNode, keys: Sequence[Row]) -> Rechecked:
        """Keys (`MovedRows.identity`) of rows that were changed in a data node. Waits for those who have locked them. Raises
        ShardError and MeshError, as `Reconciler.keys`."""
        done = Rechecked(len(keys))
        pause, left, suspects = FIRST_PAUSE, list(keys), set[Row]()
        while left:
            other, busy = await self._look(node, left)
            certain = [key for key in other if key in suspects]
            repaired = await self._repaired(certain) if certain else None
            if repaired is None:
                suspects = other
            else:
                suspects = other.difference(certain)
                done += repaired
            left = [*busy, *suspects]
            if left:
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
        return done

    async def _repaired(self, keys: Sequence[Row]) -> Rechecked | None:
        """What became of keys whose rows differ; None where somebody had locked some of them all the time."""
        try:
            done = await self._reconciler.keys(keys)
        except ShardError as error:
            if error.number not in _LOCKED:
                raise
            return None
        return Rechecked(0, len(done.wrong))

    async def _look(self, node: DataNode, keys: Sequence[Row]) -> tuple[set[Row], set[Row]]:
        """The keys whose rows are not the same on both sides, and those that somebody has locked. O(keys)."""
        async with _reading(self._sources[node]) as connection:
            here, busy = await _committed(connection, self._moved.identity.named(node.table), keys)
        seen = [key for key in keys if key not in busy]
        by_source: defaultdict[str, dict[DataNode, list[Row]]] = defaultdict(dict)
        for where, rows in self._moved.by_node(list(map(self._moved.image_of, seen))).items():
            by_source[where.data_source][where] = list(map(self._moved.identity.key_of, rows))
        others = await all_of(self._other_there(here, source, nodes) for source, nodes in by_source.items())
        return set().union(*others), busy

    async def _other_there(
        self, here: _Found, source: str, wanted: Mapping[DataNode, Sequence[Row]]
    ) -> set[Row]:
        """The keys whose rows are others in data nodes of the new side."""
        other: set[Row] = set()
        async with _reading(self._targets[source]) as connection:
            for node, keys in wanted.items():
                table = self._moved.identity.named(node.table)
                found = _by_key(table, await _rows(connection, read(table, table.condition(keys))))
                other.update(key for key in keys if found.get(key) != here.get(key))
        return other


class BypassingWrites:
    """Deals with what a `Listener` hands over: every actual table has its `recheckers` entry. `counts` are by logic table, of all that was
    looked at; `statements` say nothing of rows, and all rows of the tables they name are in doubt."""

    def __init__(self, recheckers: Mapping[DataNode, Rechecker]) -> None:
        self._recheckers = recheckers
        self.counts: dict[str, Rechecked] = {}
        self.statements: list[str] = []

    async def handle(self, batch: Batch) -> None:
        """See `listening.Handle`. Raises as `Rechecker.check`."""
        for node, keys in batch.keys.items():
            rechecker = self._recheckers[node]
            done = await rechecker.check(node, keys)
            self.counts[rechecker.table] = self.counts.get(rechecker.table, Rechecked()) + done
        self.statements += batch.statements


async def _committed(
    connection: Connection, table: ImageTable, keys: Sequence[Row]
) -> tuple[_Found, set[Row]]:
    """The rows of keys, and the keys that somebody has locked. A server tells of a transaction in its binlog before everybody sees it: only
    who asks for locks knows that what he reads came after it. Nobody is waited for, so that no client is part of a deadlock; locks
    end with the statement."""
    clause = "LOCK IN SHARE MODE NOWAIT" if connection.product is Product.MARIADB else "FOR SHARE NOWAIT"
    try:
        rows = await _rows(connection, f"{read(table, table.condition(keys))} {clause}")
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
    return _by_key(table, rows), set()


def _by_key(table: ImageTable, rows: Sequence[Row]) -> _Found:
    found: _Found = {}
    for row in rows:
        found.setdefault(table.key_of(row), []).append(row)
    return found


async def _rows(connection: Connection, query: str) -> list[Row]:
    return list(map(tuple, (await collect(connection, query.encode("utf-8", "surrogateescape"))).rows))


@asynccontextmanager
async def _reading(pool: Pool) -> AsyncIterator[Connection]:
    """A connection on which each statement sees what is committed when it begins."""
    now = asyncio.get_running_loop().time
    connection = await pool.acquire(Flavour())
    try:
        with errors_of(pool.config.name):
            await connection.bring_to(_READER_STATE)
            yield connection
    finally:
        pool.release(connection, now())
