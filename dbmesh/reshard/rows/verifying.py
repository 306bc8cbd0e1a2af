"""Compares both sides of a table while clients write to it: by checksums of ranges of the primary key, each over all data nodes of a side.

Decides ranges, and what is a difference: what differs is looked at more closely until single rows are left, and these are made equal under
locks; a row that others were just writing proves to be equal then. Knows no job.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from dbmesh.backend.connection import Flavour
from dbmesh.backend.pool import Pool
from dbmesh.backend.state import ISOLATION
from dbmesh.engine.collect import all_of, collect
from dbmesh.engine.federation import LOAD_STATE
from dbmesh.model import DataNode
from dbmesh.planner.images import ImageTable, Row
from dbmesh.planner.template import quote_name
from dbmesh.reshard.blame import errors_of
from dbmesh.reshard.rows.differences import keys_between
from dbmesh.reshard.rows.moved_rows import MovedRows
from dbmesh.reshard.rows.reconcile import Chunk

STEP = 2_000
"""Rows of one data node in a range."""

NAMED = 5
"""Keys of differing rows that are told."""

_READER_STATE = LOAD_STATE.with_variable(ISOLATION, "ISOLATION LEVEL READ COMMITTED")

Reconcile = Callable[[Sequence[Row]], Awaitable[Chunk]]
"""Makes the rows of these keys equal."""


@dataclass(frozen=True, slots=True)
class Verified:
    """A range that has been compared: `rows` of the old side, how many of either were `repaired` on the new side since they differed,
    and the first of their keys."""

    rows: int = 0
    repaired: int = 0
    keys: tuple[Row, ...] = ()

    def __add__(self, other: Verified) -> Verified:
        return Verified(
            self.rows + other.rows,
            self.repaired + other.repaired,
            (*self.keys, *other.keys)[:NAMED],
        )


class Verifier:
    """One logic table. `sources` are the pools of its old data nodes, `targets` those of its new ones; of a broadcast table each new one
    holds all rows."""

    def __init__(
        self,
        moved: MovedRows,
        sources: Mapping[DataNode, Pool],
        targets: Mapping[DataNode, Pool],
        reconcile: Reconcile,
        *,
        copies: bool,
    ) -> None:
        self._moved = moved
        self._sources = sources
        # What is to have the same rows as the sources together.
        self._sides = [{node: pool} for node, pool in targets.items()] if copies else [dict(targets)]
        self._reconcile = reconcile

    async def ranges(self) -> AsyncIterator[Verified]:
        """Compare the whole table, range after range. Raises ShardError and MeshError."""
        after: Row | None = None
        for node, pool in self._sources.items():
            while True:
                upto = await self._key_behind(node, pool, after, None, STEP)
                if upto is None:
                    break
                yield await self._range(after, upto)
                after = upto
        yield await self._range(after, None)

    async def _range(self, after: Row | None, upto: Row | None) -> Verified:
        """Compare the rows behind one key up to another. O(rows), by halves where they differ."""
        counted = await self._sums(self._sources, after, upto)
        others = [await self._sums(side, after, upto) for side in self._sides]
        total = _total(counted.values())
        if all(_total(one.values()) == total for one in others):
            return Verified(total.rows)
        sides = [(self._sources, counted), *zip(self._sides, others, strict=True)]
        most, node, pool = max(
            ((found.rows, node, side[node]) for side, sums in sides for node, found in sums.items()),
            key=lambda one: one[0],
        )
        if most > STEP:
            middle = await self._key_behind(node, pool, after, upto, most // 2)
            if middle is not None:
                return await self._range(after, middle) + await self._range(middle, upto)
        return Verified(total.rows) + await self._rows(after, upto)

    async def _rows(self, after: Row | None, upto: Row | None) -> Verified:
        """Find the rows that differ, and make them equal."""
        here = await self._digests(self._sources, after, upto)
        differing: dict[Row, None] = {}
        for side in self._sides:
            there = await self._digests(side, after, upto)
            for key in here.keys() | there.keys():
                if here.get(key) != there.get(key):
                    differing[key] = None
        if not differing:
            return Verified()
        done = await self._reconcile(list(differing))
        wrong = tuple(key for key in differing if key in done.wrong)
        return Verified(0, len(wrong), wrong[:NAMED])

    async def _key_behind(
        self, node: DataNode, pool: Pool, after: Row | None, upto: Row | None, count: int
    ) -> Row | None:
        """The key of the `count`th row of a range of a data node, None if it has fewer."""
        own = self._moved.walked.named(node.table)
        names = [quote_name(own.columns[index].name, quoted=True) for index in own.key]
        items = ", ".join(own.columns[index].item for index in own.key)
        query = (
            f"SELECT {items} FROM {quote_name(own.name, quoted=True)} WHERE {keys_between(own, after, upto)} "
            f"ORDER BY {', '.join(names)} LIMIT {count - 1}, 1"
        )
        rows = await read_rows(pool, query)
        return rows[0] if rows else None

    async def _sums(
        self, nodes: Mapping[DataNode, Pool], after: Row | None, upto: Row | None
    ) -> dict[DataNode, _Sum]:
        async def one(node: DataNode, pool: Pool) -> _Sum:
            own = self._moved.walked.named(node.table)
            query = (
                f"SELECT COUNT(*), COALESCE(BIT_XOR({_digest(own, pool)}), 0) FROM {quote_name(own.name, quoted=True)} "
                f"WHERE {keys_between(own, after, upto)}"
            )
            ((rows, digest),) = await read_rows(pool, query)
            return _Sum(int(rows or 0), int(digest or 0))

        found = await all_of(one(node, pool) for node, pool in nodes.items())
        return dict(zip(nodes, found, strict=True))

    async def _digests(
        self, nodes: Mapping[DataNode, Pool], after: Row | None, upto: Row | None
    ) -> dict[Row, Counter[bytes | None]]:
        """Each row's checksum, by what tells rows of all data nodes apart."""
        found: dict[Row, Counter[bytes | None]] = {}
        for node, pool in nodes.items():
            own = self._moved.identity.named(node.table)
            items = ", ".join(own.columns[index].item for index in own.key)
            query = (
                f"SELECT {_digest(own, pool)}, {items} FROM {quote_name(own.name, quoted=True)} "
                f"WHERE {keys_between(self._moved.walked, after, upto)}"
            )
            for digest, *key in await read_rows(pool, query):
                found.setdefault(tuple(key), Counter())[digest] += 1
        return found


class _Sum(NamedTuple):
    """How many rows, and the checksums of all of them combined, in whatever order."""

    rows: int
    digest: int


def _total(sums: Iterable[_Sum]) -> _Sum:
    rows = digest = 0
    for one in sums:
        rows += one.rows
        digest ^= one.digest
    return _Sum(rows, digest)


def _digest(table: ImageTable, pool: Pool) -> str:
    """A quarter of a SHA-256 of a row's values, each exactly as an image has it; not every server has MD5() any more. On PostgreSQL as that
    writes them."""
    if pool.config.kind == "postgresql":
        return f"DBMESH_DIGEST({', '.join(column.item for column in table.columns)})"
    values = ", ".join(f"IFNULL(SHA2({column.item}, 256), '-')" for column in table.columns)
    return f"CAST(CONV(LEFT(SHA2(CONCAT_WS(',', {values}), 256), 16), 16, 10) AS UNSIGNED)"


async def read_rows(pool: Pool, query: str) -> list[Row]:
    """The rows of a query, as images have values. Raises ShardError and MeshError."""
    now = asyncio.get_running_loop().time
    connection = await pool.acquire(Flavour())
    try:
        with errors_of(pool.config.name):
            await connection.bring_to(_READER_STATE)
            rows = (await collect(connection, query.encode("utf-8", "surrogateescape"))).rows
        return list(map(tuple, rows))
    finally:
        pool.release(connection, now())
