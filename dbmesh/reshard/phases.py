"""What each phase of a reshard job does.

Decides the order inside a phase, and that everything in it may be done again. What follows a phase, `job` decides; who carries it out,
`runner`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from dbmesh.backend.tasks import TaskOwner
from dbmesh.governance.counters import doubt
from dbmesh.governance.instances import Registration
from dbmesh.governance.revisions import carry_out, read_files, read_known
from dbmesh.governance.store import Guard, Store, StoreUnavailable
from dbmesh.reshard.jobs.documents import read_files_of
from dbmesh.reshard.jobs.files import JobFiles
from dbmesh.reshard.jobs.generation import scope_of_moving
from dbmesh.reshard.jobs.job import WAITING, Job, Mode, Phase
from dbmesh.reshard.jobs.scope import Scope
from dbmesh.reshard.progress import Progress, read_backlog
from dbmesh.reshard.rows.chunks import ChunkJournal
from dbmesh.reshard.rows.copying import TableCopy
from dbmesh.reshard.rows.moved_tables import MovedTable, moved_tables, servers_of
from dbmesh.reshard.rows.pacing import Pacing, read_load
from dbmesh.reshard.rows.throttle import Limits, Load, Throttle
from dbmesh.reshard.rows.verifying import Verifier
from dbmesh.reshard.runner import Failed
from dbmesh.reshard.steps import TRIES, roll_out, step_of
from dbmesh.reshard.tables.tables import drop_sources, drop_targets, make_targets
from dbmesh.reshard.watching import Watcher
from dbmesh.reshard.write_counts import WriteCounts
from dbmesh.rules.moving import MOVING_FILE, Moving, Side, decode_moving
from dbmesh.session.mesh import Database, Mesh

HOLD_BEFORE_NAMES = 2.0
"""Seconds that statements are held before tables get their names: then they wait for that too, and all of it has to end before
`session.gate.PATIENCE` does."""

WORKERS = 4
"""Chunks that one sidecar copies at a time."""


_WATCHED = frozenset((Phase.COPY, Phase.VERIFY, Phase.READY))
"""The old side is read, and the new one is to be like it."""

_READ_AFTER: Mapping[Phase, Side] = {Phase.CUTOVER: Side.AFTER, Phase.ROLLBACK: Side.BEFORE}
"""Which side is read when a switch holds."""


class Phases:
    """See `runner.Work`. `clock` gives monotonic seconds, `wall` seconds since 1970."""

    def __init__(
        self,
        store: Store,
        registration: Registration,
        mesh: Mesh,
        tasks: TaskOwner,
        clock: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        self._store = store
        self._registration = registration
        self._mesh = mesh
        self._clock = clock
        self._wall = wall
        self._pacing = Pacing(Throttle(Limits()), self._load)
        # What is copied or compared at its pace.
        self._paced: Job | None = None
        # By what this sidecar carries the job out.
        self._lead: Guard | None = None
        self._tables: list[MovedTable] = []
        self._write_counts = WriteCounts(store, mesh)
        self.progress = Progress(store, clock)
        self.watcher = Watcher(store, mesh, self.progress, tasks)
        self._works: Mapping[Phase, Callable[[Job], Awaitable[None]]] = {
            Phase.PREPARE: self._prepare,
            Phase.DOUBLE_WRITE: self._double_write,
            Phase.COPY: self._copy,
            Phase.CATCH_UP: self._catch_up,
            Phase.VERIFY: self._verify,
            Phase.CUTOVER: self._cut_over,
            Phase.ROLLBACK: self._roll_back,
            Phase.CLEAN_UP: self._clean_up,
            Phase.CANCEL: self._cancel,
        }

    def go_by(self, job: Job, sidecars: int) -> None:
        """See `Work`."""
        self.progress.of(job.number)
        limits = replace(self._pacing.throttle.limits, rate=job.rate / max(1, sidecars))
        if limits != self._pacing.throttle.limits:
            self._pacing.change(limits)

    async def tell(self, job: Job) -> None:
        """See `Work`."""
        await self._write_counts.tell(job.number)

    async def accompany(self, job: Job) -> None:
        """See `Work`."""
        if job.catches_up or job.phase in _WATCHED:
            if self._fills(job):
                await self.watcher.begin(job, self._moved(job.database))
        elif job.phase is not Phase.CUTOVER:
            await self.watcher.end()
        if job.phase in WAITING or (job.catches_up and not job.works):
            await self.progress.tell(job)

    async def leave(self) -> None:
        """See `Work`."""
        self.progress.throttled = ""
        await self.watcher.end()

    async def switched(self, job: Job) -> bool:
        """See `Work`."""
        files = await read_files_of(self._store, job.number)
        return await self._holds(files.moving(_READ_AFTER[job.phase], doubled=True))

    async def carry_out(self, job: Job, lead: Guard) -> None:
        """See `Work`."""
        self._lead = lead
        async with self.progress.told(job):
            try:
                await self._works[job.phase](job)
            finally:
                self.progress.throttled = ""

    async def help(self, job: Job) -> None:
        """Copy chunks of a job that another sidecar carries out, if this one serves both sides yet."""
        if job.phase is Phase.COPY and self._fills(job):
            await self._copied(job, self._moved(job.database))

    # ---------------------------------------------------------------------------------------- phases

    async def _prepare(self, job: Job) -> None:
        files = await read_files_of(self._store, job.number)
        if not await self._begun(files):
            known = await read_known(self._store)
            if known.active and await read_files(self._store, known.active) != files.base:
                raise Failed("the rules have changed since it was planned: cancel it, and begin another")
        # First of all, so that nobody takes the new tables for tables of their own; and what changes the old ones' definition has ended.
        await self._step(job, files.moving(Side.BEFORE, doubled=False), moves=True)
        await make_targets(self._scope())
        if job.mode is Mode.CDC:
            # What is written from here on is in the binlogs behind the marks, and copied rows are not older.
            await self._step(job, files.moving(Side.BEFORE, doubled=False, follows=True))
            await self.watcher.mark(job, self._moved(job.database))

    async def _double_write(self, job: Job) -> None:
        files = await read_files_of(self._store, job.number)
        equal = files.moving(Side.BEFORE, doubled=True)
        if job.mode is Mode.DOUBLE_WRITE:
            await self._step(job, equal, moves=True)
            await self.watcher.mark(job, self._moved(job.database))
        elif not await self._holds(equal):
            await self._step(job, files.moving(Side.BEFORE, doubled=True, follows=True), moves=True)
            await self._followed(job, self.watcher.arrive)
            # All that was written on one side is on both: from here on a row that is in the way of another is a mistake.
            await self._step(job, equal)

    async def _copy(self, job: Job) -> None:
        files = await read_files_of(self._store, job.number)
        if job.mode is Mode.DOUBLE_WRITE:
            await self._served(files.step(Side.BEFORE, doubled=True))
            await self._copied(job, self._moved(job.database))
            return
        await self._served(files.step(Side.BEFORE, doubled=False, follows=True))
        tables = self._moved(job.database)
        await self._followed(job, lambda: self._copied(job, tables))

    async def _catch_up(self, job: Job) -> None:
        files = await read_files_of(self._store, job.number)
        await self._served(files.step(Side.BEFORE, doubled=False, follows=True))
        await self._followed(job, self.watcher.come_close)

    async def _followed(self, job: Job, work: Callable[[], Awaitable[None]]) -> None:
        """Do something that needs the binlogs to be followed all the time. Raises Failed when they are not."""
        tables = self._moved(job.database)
        constrained = [table.move.name for table in tables if table.schema.unique_keys]
        if self.watcher.told_lost and not constrained:
            # Asked to go on, it leaves what was missed to verification.
            await self.watcher.mend(job, tables)
        await self.watcher.begin_again(job, tables)

        async def ended() -> None:
            reason = await self.watcher.until_ended()
            cure = "mend that, then resume it"
            if self.watcher.lost:
                cure = "cancel it, and begin another"
                if not constrained:
                    cure = f"resume it, and verification repairs what is missed; or {cure}"
            raise Failed(f"rows that are written are not brought over any more: {reason}: {cure}")

        try:
            async with asyncio.TaskGroup() as group:
                ending = group.create_task(ended())
                await work()
                ending.cancel()
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None

    async def _copied(self, job: Job, tables: list[MovedTable]) -> None:
        self._paced, self._tables = job, tables
        for table in tables:
            journal = self._journal(job, table)
            self.progress.copies(table.move.name, journal)
            copy = TableCopy(table.move.sources, table.reconciler, journal, self._pacing)
            await copy.run(WORKERS)

    def _journal(self, job: Job, table: MovedTable) -> ChunkJournal:
        registration = self._registration
        return ChunkJournal(
            self._store, str(job.number), table.move.name, registration.id, registration.lease
        )

    async def _verify(self, job: Job) -> None:
        files = await read_files_of(self._store, job.number)
        await self._served(files.step(Side.BEFORE, doubled=True))
        self._paced, self._tables = job, self._moved(job.database)
        tables = self._tables
        await self.watcher.mend(job, tables)
        # What was kept of statements that name no rows is known by then.
        await self.watcher.begin(job, tables)
        self.progress.verifies_anew()
        for table in tables:
            verifier = Verifier(
                table.rows, table.sources, table.targets, table.reconciler.keys, copies=table.copies
            )
            async for found in verifier.ranges():
                self.progress.verified(table.move.name, found)
                await self._pacing.keep(found.rows)

    async def _cut_over(self, job: Job) -> None:
        files = await read_files_of(self._store, job.number)
        if not await self.switched(job):
            # Copying and repairing go from the old side to the new one: nothing of it is left when the new one is read.
            await self._served(files.step(Side.BEFORE, doubled=True))
            await self.watcher.begin(job, self._moved(job.database))
            behind = await self.watcher.catch_up()
            if behind:
                raise Failed(behind)
            await self.watcher.end()
            if self.progress.statements:
                raise Failed(
                    f"statements that name no rows came past the mesh, as {self.progress.statements[0]!r}: verify again"
                )
            await self._doubt_numbers(job, files)
        await self._step(job, files.moving(Side.AFTER, doubled=True), moves=True, tries=1)

    async def _roll_back(self, job: Job) -> None:
        files = await read_files_of(self._store, job.number)
        if not await self.switched(job):
            await self._served(files.step(Side.AFTER, doubled=True))
            # Before the switch, so that whoever goes on after it, however late, misses nothing of what is written by then.
            await self.watcher.mark(job, self._moved(job.database), anew=True)
            await self._doubt_numbers(job, files)
        await self._step(job, files.moving(Side.BEFORE, doubled=True), moves=True, tries=1)

    async def _clean_up(self, job: Job) -> None:
        files = await read_files_of(self._store, job.number)
        # Rules that are not the job's: it has ended, and somebody may have applied others since.
        if await self._begun(files):
            named = files.moving(Side.AFTER, doubled=False, named=True)
            works = bool(files.step(Side.AFTER, doubled=False).renamed())
            await self._step(job, named, moves=True, works=works)
            await drop_sources(self._scope(), job.number, self._check_alive)
            await self._step(job, files.unmoved(Side.AFTER))
        await self._forget(job, files)

    async def _cancel(self, job: Job) -> None:
        files = await read_files_of(self._store, job.number)
        if await self._begun(files):
            await self.watcher.end()
            held = await self._held()
            moves = held is None or held.doubled
            await self._step(job, files.moving(Side.BEFORE, doubled=False), moves=moves)
            await drop_targets(self._scope(), self._check_alive)
            await self._step(job, files.unmoved(Side.BEFORE))
        await self._forget(job, files)

    async def _doubt_numbers(self, job: Job, files: JobFiles) -> None:
        """The other side numbers rows from here on, and has not counted those that this one has numbered."""
        for table in files.tables:
            await doubt(self._store, job.database, table.name)

    async def _forget(self, job: Job, files: JobFiles) -> None:
        """What was kept to go on is not needed any more."""
        for table in files.tables:
            await ChunkJournal(self._store, str(job.number), table.name, "", 0).forget()

    # ---------------------------------------------------------------------------------------- steps

    async def _step(
        self,
        job: Job,
        files: Mapping[str, str],
        *,
        moves: bool = False,
        works: bool = False,
        tries: int = TRIES,
    ) -> None:
        """Every sidecar goes by these files from here on, this one too."""
        hold = job.hold if moves else 0.0
        if works:
            hold = min(hold, HOLD_BEFORE_NAMES)
        step = replace(
            step_of(job.number, job.by, self._wall(), job.phase.value, files),
            moves=moves,
            hold=hold,
            works=works,
        )
        assert self._lead is not None
        await roll_out(self._store, step, files, self._clock, self._lead, tries=tries)
        await self._mesh.until_serving(lambda configuration: configuration.files == files)

    async def _begun(self, files: JobFiles) -> bool:
        """Whether a step of the job is what holds, when what is being rolled out has ended."""
        await self._settle()
        step = await self._held()
        return step is not None and step.job == files.job

    async def _settle(self) -> None:
        """What is being rolled out has ended, perhaps a step begun by somebody who is no more."""
        while (rolling := (await read_known(self._store)).rolling) is not None:
            await carry_out(self._store, rolling, self._clock)

    async def _held(self) -> Moving | None:
        """The step that holds."""
        known = await read_known(self._store)
        step = (await read_files(self._store, known.active)).get(MOVING_FILE) if known.active else None
        return None if step is None else decode_moving(step)

    async def _holds(self, files: Mapping[str, str]) -> bool:
        """Whether these are the rules already, when what is being rolled out has ended."""
        await self._settle()
        known = await read_known(self._store)
        return bool(known.active) and await read_files(self._store, known.active) == files

    async def _served(self, step: Moving) -> None:
        """Wait until this sidecar goes by a step: it may have started just now."""
        await self._mesh.until_serving(lambda configuration: configuration.moving == step)

    def _scope(self) -> Scope:
        """What moves, by the step that this sidecar runs."""
        configuration = self._mesh.configuration
        assert configuration.moving is not None
        assert configuration.other is not None
        read = configuration.databases[configuration.moving.database.lower()]
        return scope_of_moving(configuration.moving, read, configuration.other)

    def _moved(self, name: str) -> list[MovedTable]:
        database = self._database(name)
        moving = self._mesh.configuration.moving
        assert moving is not None
        return moved_tables(self._scope(), database, moving.reads, behind=moving.follows)

    def _fills(self, job: Job) -> bool:
        """Whether this sidecar serves both sides of the job, and reads the old one."""
        moving = self._mesh.configuration.moving
        if moving is None or moving.job != job.number or moving.reads is not Side.BEFORE:
            return False
        return moving.fills and (job.catches_up or not moving.follows)

    def _database(self, name: str) -> Database:
        return self._mesh.databases[name.lower()]

    def _check_alive(self) -> None:
        """Nothing is taken away by a process that others have given up. Raises StoreUnavailable."""
        if self._registration.alive_for <= 0:
            raise StoreUnavailable("the store has not heard of this sidecar for too long")

    async def _load(self) -> Load:
        """How the servers of both sides and their replicas are, and how far behind is what their changes are brought over by. Raises
        StoreError."""
        load = await read_load(*servers_of(self._tables, self._mesh.databases.values()))
        if self._paced is not None and self._paced.catches_up:
            load = replace(load, backlog=await read_backlog(self._store, self._paced.number))
        self.progress.throttled = self._pacing.throttle.reason
        return load
