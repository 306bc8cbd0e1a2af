"""Follows the binlogs of a job's sources while the old side is read: for writes that came past the mesh, or for all writes, where they reach the new
side no other way.

Decides from where each is followed and when that stops: before the new side is read, since what differs then is no longer for the old side
to say. What is found is compared and repaired by `rechecking`, or brought over by `catching_up`; reading binlogs is `listening`'s.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

from dbmesh.backend.tasks import TaskOwner
from dbmesh.errors import MeshError, ProtocolError, ShardError
from dbmesh.governance import layout
from dbmesh.governance.store import Store, StoreError, Write
from dbmesh.reshard.binlogs.catching_up import CatchingUp
from dbmesh.reshard.binlogs.changes import FollowedTable, Position, followed_table
from dbmesh.reshard.binlogs.listening import (
    Batch,
    Bookmark,
    Handle,
    Listener,
    Source,
    bookmark_now,
    replica_ids,
    sources_of,
)
from dbmesh.reshard.binlogs.rechecking import BypassingWrites, Rechecker
from dbmesh.reshard.jobs.job import Job
from dbmesh.reshard.progress import Progress
from dbmesh.reshard.rows.moved_tables import MovedTable
from dbmesh.rules.ruleset import DataSourceConfig
from dbmesh.session.mesh import Mesh

_log = logging.getLogger(__name__)

CATCH_UP = 10.0
"""Seconds that a cutover waits for what is in the binlogs."""

CLOSE = 1.0
"""Seconds that catching up takes when little is left."""


@dataclass(frozen=True, slots=True)
class _Followed:
    """A running listener, what it belongs to, whether it brings rows over (`catches_up`), how it deals with what it finds, and the task it
    runs in."""

    job: int
    catches_up: bool
    listener: Listener
    handling: _Handling
    task: asyncio.Task[None]

    @property
    def lost(self) -> bool:
        """Whether it cannot be followed any more from where it was left."""
        return self.task.done() and not self.handling.failed


class _Handling:
    """Deals with batches as another does. `error` is what it raised last; `failed`: that has ended the listener."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle
        self.error: Exception | None = None
        self.failed = False

    async def handle(self, batch: Batch) -> None:
        """See `listening.Handle`."""
        try:
            await self._handle(batch)
        except (MeshError, ShardError) as error:
            self.error = error
            raise


class _Kept(NamedTuple):
    """What whoever follows next has to know: up to where each source was looked at, and what named no rows before."""

    marks: Mapping[str, Bookmark]
    statements: tuple[str, ...]


class Watcher:
    """See the module's docstring. Of one job at a time."""

    def __init__(self, store: Store, mesh: Mesh, progress: Progress, tasks: TaskOwner) -> None:
        self._store = store
        self._mesh = mesh
        self._progress = progress
        self._tasks = tasks
        self._followed: _Followed | None = None
        # Of which it has been told that it has ended.
        self._told: _Followed | None = None
        self._beginning = asyncio.Lock()

    async def mark(self, job: Job, tables: Sequence[MovedTable], *, anew: bool = False) -> None:
        """From here on what is written is looked at, if that has not been said before. A source without a binlog is not followed, which
        `plan` has said; one that cannot be asked now, from where it was left. In the mode cdc all have to be. Raises StoreError, and where a source
        has never been followed MeshError and ShardError."""
        former = (await self._kept(job.number)).marks
        if former and not anew:
            return
        marks: dict[str, Bookmark] = {}
        for source in self._sources(tables):
            name = source.config.name
            try:
                marks[name] = await bookmark_now(source.config)
            except (MeshError, ShardError) as error:
                if job.catches_up or (
                    name not in former and isinstance(error, MeshError) and error.kind.unhealthy
                ):
                    raise
                if name in former:
                    marks[name] = former[name]
                else:
                    _log.info("reshard job %d: data source '%s' is not followed: %s", job.number, name, error)
        await self._keep(job.number, _Kept(marks, tuple(self._progress.statements)))

    async def mend(self, job: Job, tables: Sequence[MovedTable]) -> None:
        """All rows will be compared: who cannot be followed from where he was left is followed from here on. Raises StoreError, MeshError and
        ShardError."""
        running = self._followed
        if running is not None and running.task.done():
            await self.mark(job, tables, anew=True)
            self._followed = None

    async def begin(self, job: Job, tables: Sequence[MovedTable]) -> None:
        """Follow from where it was left, unless it runs. Raises StoreError."""
        async with self._beginning:
            running = self._followed
            if running is None or (running.job, running.catches_up) != (job.number, job.catches_up):
                await self._begin(job, tables)
                return
            self._tell(running)
            if not running.task.done():
                await self._keep_marks(running)

    async def _begin(self, job: Job, tables: Sequence[MovedTable]) -> None:
        await self.end()
        marks, statements = await self._kept(job.number)
        self._progress.remembers(statements)
        sources = [source for source in self._sources(tables) if source.config.name in marks]
        if not sources:
            return
        handling = _Handling(self._catching_up(tables) if job.catches_up else self._rechecking(tables))
        starts = [marks[source.config.name] for source in sources]
        listener = Listener(sources, starts, replica_ids(len(sources)), handling.handle)
        task = self._tasks.start(self._run(listener, handling), f"binlogs of reshard job {job.number}")
        self._followed = _Followed(job.number, job.catches_up, listener, handling, task)

    def _rechecking(self, tables: Sequence[MovedTable]) -> Handle:
        writes = BypassingWrites({node: _rechecker(table) for table in tables for node in table.sources})
        self._progress.looks_at(writes)
        return writes.handle

    def _catching_up(self, tables: Sequence[MovedTable]) -> Handle:
        writes = CatchingUp({node: table.reconciler for table in tables for node in table.sources})
        self._progress.catches_up_by(writes)
        return writes.handle

    async def come_close(self) -> None:
        """Wait until little is left in the binlogs that has not been dealt with, however long that takes. Raises ShardError and MeshError."""
        now = asyncio.get_running_loop().time
        while True:
            began = now()
            await self.arrive()
            if now() - began < CLOSE:
                return

    async def arrive(self) -> None:
        """Wait until what is in the binlogs now has been dealt with, however long that takes. Raises ShardError and MeshError."""
        if self._followed is not None:
            await self._followed.listener.catch_up()

    @property
    def lost(self) -> bool:
        """Whether the binlogs cannot be followed any more from where they were left."""
        return self._followed is not None and self._followed.lost

    @property
    def told_lost(self) -> bool:
        """Whether that is so and has been told: whoever goes on knows what is missed. A sidecar that begins finds it out by itself, and nobody
        has asked it to go on then."""
        return self.lost and self._told is self._followed

    async def begin_again(self, job: Job, tables: Sequence[MovedTable]) -> None:
        """As `begin`; what could not be dealt with is tried again. Raises StoreError."""
        running = self._followed
        if running is not None and running.task.done() and not running.lost:
            await self.end()
        await self.begin(job, tables)

    async def until_ended(self) -> str:
        """Wait until the binlogs are followed no longer; why, source by source."""
        running = self._followed
        if running is None:
            return "no binlog is followed"
        await asyncio.wait([running.task])
        self._told = running
        return "; ".join(
            f"data source '{one.data_source}': {one.problem}"
            for one in running.listener.progress()
            if one.problem
        )

    async def catch_up(self) -> str:
        """Wait until what is in the binlogs now has been dealt with. What keeps that from being so, '' for nothing."""
        running = self._followed
        if running is None:
            return ""
        try:
            async with asyncio.timeout(CATCH_UP):
                await running.listener.catch_up()
        except TimeoutError:
            return (
                f"the binlogs were not followed up to their ends within {CATCH_UP:g} s: try again, or verify"
            )
        except (MeshError, ShardError) as error:
            return f"{error}: try again, or verify"
        return ""

    async def end(self) -> None:
        """Follow nothing any more."""
        running, self._followed = self._followed, None
        if running is not None:
            running.task.cancel()
            await asyncio.gather(running.task, return_exceptions=True)
            with suppress(StoreError):
                await self._keep_marks(running)

    async def _run(self, listener: Listener, handling: _Handling) -> None:
        try:
            await listener.run()
        except (MeshError, ShardError, ProtocolError) as error:
            _log.warning("binlogs are followed no longer: %s", error)
            handling.failed = error is handling.error

    def _sources(self, tables: Sequence[MovedTable]) -> tuple[Source, ...]:
        followed: list[tuple[DataSourceConfig, FollowedTable]] = []
        for table in tables:
            # What has been written alike on both sides by one transaction need not be looked at. Of rows that every node has, one tells nothing;
            # and a side that is behind is written by who reads this.
            targets = {} if table.copies or table.behind else table.targets
            for new, nodes in ((False, table.sources), (True, targets)):
                for node, pool in nodes.items():
                    if pool.config.kind != "mysql":
                        continue
                    try:
                        one = followed_table(node, table.schema, table.rows.identity, new=new)
                        followed.append((pool.config, one))
                    except MeshError as error:
                        _log.info("'%s' is not followed: %s", table.move.name, error)
        return sources_of(followed)

    def _tell(self, running: _Followed) -> None:
        self._progress.listening = [
            {
                "data_source": one.data_source,
                "lag": round(one.lag, 1),
                "keys": one.keys,
                "problem": one.problem
                or ("another one is followed no longer" if running.task.done() else ""),
            }
            for one in running.listener.progress()
        ]

    async def _keep_marks(self, running: _Followed) -> None:
        known = await self._kept(running.job)
        marks = {one.data_source: one.bookmark for one in running.listener.progress()}
        following = _Kept({**known.marks, **marks}, tuple(self._progress.statements))
        if following != known:
            await self._keep(running.job, following)

    async def _kept(self, number: int) -> _Kept:
        entry = await self._store.get(layout.reshard_bookmarks(number))
        if entry is None:
            return _Kept({}, ())
        found = json.loads(entry.value)
        marks = {
            name: Bookmark(server, Position(file, offset))
            for name, (server, file, offset) in found["marks"].items()
        }
        return _Kept(marks, tuple(found["statements"]))

    async def _keep(self, number: int, kept: _Kept) -> None:
        marks = {name: [mark.server, *mark.position] for name, mark in kept.marks.items()}
        value = {"marks": marks, "statements": kept.statements}
        await self._store.commit([Write(layout.reshard_bookmarks(number), json.dumps(value).encode())])


def _rechecker(table: MovedTable) -> Rechecker:
    return Rechecker(table.rows, table.sources, table.target_pools, table.reconciler)
