"""Copies all rows of a logic table to its new data nodes, chunk by chunk, by several workers here and in other processes.

Decides how rows become chunks: who takes one cuts it off what is left of a data node, as long as it will be worked at for about
`CHUNK_SECONDS`; its rows are then locked and written in steps of `STEP_SECONDS`, since clients' writes to them wait that long. What is
done and who does it, the journal keeps; how a row gets there, `reconcile` decides; how fast, the pace.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

from dbmesh.governance.store import StoreError
from dbmesh.model import DataNode
from dbmesh.planner.images import Row
from dbmesh.reshard.rows.chunks import ChunkJournal, Claim, ClaimLost, Counts, Outlook
from dbmesh.reshard.rows.reconcile import Chunk
from dbmesh.reshard.rows.sizes import StepSize

STEP_SECONDS = 0.05
"""How long rows are locked."""

CHUNK_SECONDS = 2.0
"""How long a chunk is worked at, and how much of a killed one's work is done again."""

LOOK_AGAIN = 0.5
"""Seconds until one looks again whether others are through, or have left a chunk off."""


class Copier(Protocol):
    """Who copies rows: `Reconciler`."""

    async def chunk(self, node: DataNode, after: Row | None, most: int, upto: Row | None = None) -> Chunk:
        """See `Reconciler.chunk`."""
        ...

    async def key_behind(self, node: DataNode, after: Row | None, rows: int) -> Row | None:
        """See `Reconciler.key_behind`."""
        ...


class Pace(Protocol):
    """Says how fast rows may be copied."""

    async def keep(self, rows: int) -> None:
        """So many rows were copied just now; returns when the next may be."""
        ...


class TableCopy:
    """See the module's docstring. `nodes` are the table's old data nodes; `counts` is what was done here."""

    def __init__(self, nodes: Sequence[DataNode], copier: Copier, journal: ChunkJournal, pace: Pace) -> None:
        self._nodes = nodes
        self._copier = copier
        self._journal = journal
        self._pace = pace
        self._chunk_size = StepSize(CHUNK_SECONDS, 500, 1_000_000)
        self.counts = Counts()

    async def run(self, workers: int) -> None:
        """Copy until every row is there, whoever has copied it. Raises ShardError, MeshError and StoreError, the first one that a worker
        met: what is done is kept, and the rest is done by whoever runs this again."""
        await self._journal.begin(self._nodes)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(workers):
                    group.create_task(self._work())
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None

    async def _work(self) -> None:
        size = StepSize(STEP_SECONDS, 100, 10_000)
        while True:
            outlook = await self._journal.look()
            if outlook.through:
                return
            claim = await self._next(outlook)
            if claim is not None:
                await self._copy(claim, size)
            elif not outlook.abandoned and all(rest.exhausted for rest in outlook.rests):
                # Others are at it.
                await asyncio.sleep(LOOK_AGAIN)

    async def _next(self, outlook: Outlook) -> Claim | None:
        """A chunk that was left off, else a new one, where the fewest are being worked at."""
        for chunk in outlook.abandoned:
            claim = await self._journal.take(chunk)
            if claim is not None:
                return claim
        busy = Counter(node for node, _ in outlook.holders)
        rests = [rest for rest in outlook.rests if not rest.exhausted]
        if not rests:
            return None
        rest = min(rests, key=lambda one: busy[one.node])
        upto = await self._copier.key_behind(rest.node, rest.after, self._chunk_size.rows)
        return await self._journal.cut(rest, upto)

    async def _copy(self, claim: Claim, size: StepSize) -> None:
        try:
            await self._copy_chunk(claim, size)
        except ClaimLost:
            # Who has it now does it again.
            return
        except BaseException:
            # When even this cannot be said, the lease says it.
            with suppress(StoreError):
                await self._journal.release(claim)
            raise

    async def _copy_chunk(self, claim: Claim, size: StepSize) -> None:
        now = asyncio.get_running_loop().time
        chunk = claim.chunk
        after, done, began, worked, rows = chunk.after, Counts(), now(), 0.0, 0
        while True:
            step_began = now()
            step = await self._copier.chunk(chunk.node, after, size.rows, chunk.upto)
            seconds = now() - step_began
            counts = Counts(step.rows, step.size, step.written, step.removed)
            self.counts += counts
            done += counts
            worked += seconds
            rows += step.rows
            size.took(step.rows, seconds)
            await self._pace.keep(step.rows)
            if step.last is None:
                break
            after = step.last
            if now() - began > CHUNK_SECONDS:
                claim = await self._journal.advance(claim, after, done)
                done, began = Counts(), now()
        await self._journal.finish(claim, done)
        self._chunk_size.took(rows, worked)
