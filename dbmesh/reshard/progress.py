"""How far a reshard job is, in numbers, told to the store for whoever watches.

Decides which numbers, and how often they are told. Counts only; what they are of, the phases know.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from dbmesh.governance.store import Store, StoreError
from dbmesh.reshard.binlogs.catching_up import CatchingUp, CaughtUp
from dbmesh.reshard.binlogs.rechecking import BypassingWrites, Rechecked
from dbmesh.reshard.jobs.documents import read_progress, tell_progress
from dbmesh.reshard.jobs.job import Job, Phase
from dbmesh.reshard.rows.chunks import ChunkJournal, Counts
from dbmesh.reshard.rows.verifying import Verified
from dbmesh.reshard.write_counts import read_writes

EVERY = 0.5
"""Seconds between two tellings."""

MOST_STATEMENTS = 5
"""Statements that are told."""

_FORGETTING = frozenset((Phase.CLEAN_UP, Phase.CANCEL))
"""What was kept of chunks goes, one after another."""

WINDOW = 20
"""Tellings that the rate is taken over."""


class Progress:
    """Of the job that this sidecar carries out, from `of` on. `throttled` says why nothing is copied at the moment; `listening` how each
    source is followed."""

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self._forget(0)

    def of(self, job: int) -> None:
        """What was seen of another job is forgotten."""
        if job != self._job:
            self._forget(job)

    def _forget(self, job: int) -> None:
        self._job = job
        self._journals: dict[str, ChunkJournal] = {}
        self._verified: dict[str, Verified] = {}
        self._bypassing: list[BypassingWrites] = []
        self._catching_up: list[CatchingUp] = []
        self._remembered: tuple[str, ...] = ()
        self._seen: deque[tuple[float, int]] = deque(maxlen=WINDOW)
        self.throttled = ""
        self.listening: list[dict[str, Any]] = []

    def copies(self, table: str, journal: ChunkJournal) -> None:
        """A table is being copied."""
        self._journals[table] = journal

    def verifies_anew(self) -> None:
        """Every table is compared from its beginning, so that whatever came past the mesh before is found."""
        self._verified = {}
        self._remembered = ()
        for statements in self._followed():
            statements.clear()

    def verified(self, table: str, found: Verified) -> None:
        """A range of a table has been compared."""
        self._verified[table] = self._verified.get(table, Verified()) + found

    def looks_at(self, writes: BypassingWrites) -> None:
        """Binlogs are followed, from here on by this."""
        self._bypassing.append(writes)

    def catches_up_by(self, writes: CatchingUp) -> None:
        """Binlogs are followed, from here on by this."""
        self._catching_up.append(writes)

    def remembers(self, statements: Sequence[str]) -> None:
        """Whoever followed binlogs before has found these."""
        self._remembered = (*self._remembered, *(one for one in statements if one not in self.statements))

    @property
    def statements(self) -> list[str]:
        """What came past the mesh and names no rows, since all rows were compared: the first of it."""
        found = [*self._remembered, *(text for texts in self._followed() for text in texts)]
        return found[:MOST_STATEMENTS]

    def _followed(self) -> list[list[str]]:
        return [one.statements for one in self._bypassing] + [one.statements for one in self._catching_up]

    @asynccontextmanager
    async def told(self, job: Job) -> AsyncIterator[None]:
        """Tell again and again while the block runs, and at its end."""
        self._seen.clear()
        try:
            async with asyncio.TaskGroup() as group:
                telling = group.create_task(self._tell_on(job))
                try:
                    yield
                finally:
                    telling.cancel()
        except BaseExceptionGroup as failures:
            # Who carries the phase out goes by what the block raised.
            raise failures.exceptions[0] from None
        await self.tell(job)

    async def _tell_on(self, job: Job) -> None:
        while True:
            try:
                await self.tell(job)
            except StoreError:
                # Whoever watches sees what was told last.
                await asyncio.sleep(EVERY)
            await asyncio.sleep(EVERY)

    async def tell(self, job: Job) -> None:
        """Tell once. Raises StoreError."""
        before = await read_progress(self._store, job.number)
        await tell_progress(self._store, job.number, await self._numbers(job, before))

    async def _numbers(self, job: Job, before: dict[str, Any]) -> dict[str, Any]:
        estimates = dict(job.estimates)
        # What was told by whoever carried it out before stays.
        tables: dict[str, dict[str, Any]] = before.get("tables", {})
        # Another table may begin to be copied meanwhile.
        journals = () if job.phase in _FORGETTING else tuple(self._journals.items())
        counts = {table: (await journal.look()).counts for table, journal in journals}
        for table in estimates:
            shown = tables.setdefault(table, {"rows": estimates[table]})
            found = counts.get(table, Counts())
            if table in counts and (found.rows or job.phase is Phase.COPY):
                shown.update(copied=found.rows, bytes=found.size, written=found.written)
            compared = self._verified.get(table)
            if compared is not None:
                shown.update(
                    verified=compared.rows,
                    repaired=compared.repaired,
                    differing=[_shown(key) for key in compared.keys],
                )
        done = sum(
            (one.get("verified", 0) if job.phase is Phase.VERIFY else one.get("copied", 0))
            for one in tables.values()
        )
        rate = self._rate(done)
        looked_at = sum((found for one in self._bypassing for found in one.counts.values()), Rechecked())
        caught_up = sum((one.counts for one in self._catching_up), CaughtUp())
        left = max(0, sum(estimates.values()) - done)
        return {
            "phase": job.phase.value,
            "tables": tables,
            "rows_per_second": round(rate),
            "seconds_left": round(left / rate) if rate else None,
            "throttled": self.throttled,
            "sources": self.listening,
            "statements": self.statements,
            "caught_up": {"keys": caught_up.keys, "written": caught_up.written},
            "writes": await read_writes(self._store, job.number),
            "bypassed": {"keys": looked_at.keys, "repaired": looked_at.repaired},
        }

    def _rate(self, done: int) -> float:
        self._seen.append((self._clock(), done))
        (began, first), (ended, last) = self._seen[0], self._seen[-1]
        return max(0.0, (last - first) / (ended - began)) if ended > began else 0.0


async def read_backlog(store: Store, number: int) -> dict[str, float]:
    """By how many seconds bringing rows over is behind the binlog of each source, as whoever follows them has told last. Raises StoreError."""
    told = await read_progress(store, number)
    return {one["data_source"]: one["lag"] for one in told.get("sources", ())}


def _shown(key: tuple[bytes | None, ...]) -> str:
    return ", ".join("NULL" if value is None else value.decode("utf-8", "replace") for value in key)
