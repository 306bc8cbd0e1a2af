"""Carries reshard jobs out: one sidecar of the mesh does, as long as it lives, then another.

Decides which phase's work runs and what becomes of it: done, failed with a reason, or to be tried again because the store is away. What
follows, `job` decides; what each phase does, `phases`. Everything may be cut off at any moment: the phase is begun again by whoever follows.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from dbmesh.backend.tasks import TaskOwner
from dbmesh.errors import MeshError, ShardError
from dbmesh.governance import layout
from dbmesh.governance.following import follow
from dbmesh.governance.instances import Registration
from dbmesh.governance.store import Guard, Store, StoreError
from dbmesh.reshard.jobs.documents import change_job, read_job, read_jobs
from dbmesh.reshard.jobs.job import Job, done, failed
from dbmesh.reshard.jobs.lead import take_lead
from dbmesh.reshard.steps import Refused

_log = logging.getLogger(__name__)

LOOK = 1.0
"""Seconds between two looks, also when nothing was written: a runner that has died has told nobody."""


class Failed(Exception):
    """A phase cannot go on by itself; the text says why."""


class Work(Protocol):
    """What phases do."""

    async def carry_out(self, job: Job, lead: Guard) -> None:
        """The work of the job's phase, from wherever it was left, as long as `lead` holds (`take_lead`). Raises Failed, Refused, MeshError,
        ShardError and StoreError."""
        ...

    def go_by(self, job: Job, sidecars: int) -> None:
        """What may be changed while it works is so now; so many share it."""
        ...

    async def tell(self, job: Job) -> None:
        """What only this sidecar knows of the job is told. Raises StoreError."""
        ...

    async def accompany(self, job: Job) -> None:
        """See to what goes on beside the phase, also where this one waits for the operator. Raises StoreError and MeshError."""
        ...

    async def switched(self, job: Job) -> bool:
        """Whether the switch of the job's phase holds, once what is being rolled out has ended. Raises StoreError."""
        ...

    async def leave(self) -> None:
        """That is somebody else's from here on."""
        ...

    async def help(self, job: Job) -> None:
        """Do a part of a phase that somebody else carries out. Raises as `carry_out`."""
        ...


_Work = tuple[int, tuple[tuple[str, float], ...], Guard | None]
"""The number and the journal of a job, and by what this sidecar carries it out, None where it helps: another journal is another phase, also where
it is not longer."""


class Runner:
    """See the module's docstring. `wall` gives seconds since 1970."""

    def __init__(
        self,
        store: Store,
        registration: Registration,
        work: Work,
        tasks: TaskOwner,
        wall: Callable[[], float],
    ) -> None:
        self._store = store
        self._registration = registration
        self._work = work
        self._tasks = tasks
        self._wall = wall
        self._changed = asyncio.Event()
        self._running: tuple[_Work, asyncio.Task[None]] | None = None

    async def serve(self) -> None:
        """Until cancelled. A store that cannot be read is asked again."""
        complained = False
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(self._watch())
            try:
                while not watching.done():
                    self._changed.clear()
                    try:
                        await self._look()
                        complained = False
                    except (StoreError, MeshError) as error:
                        await self._stop()
                        if not complained:
                            _log.warning("reshard jobs cannot be followed: %s", error)
                        complained = True
                    try:
                        async with asyncio.timeout(LOOK):
                            await self._changed.wait()
                    except TimeoutError:
                        continue
            finally:
                await self._stop()

    async def _watch(self) -> None:
        async def look() -> None:
            self._changed.set()

        await follow(self._store, layout.reshard_prefix(), look, "reshard jobs")
        self._changed.set()

    async def _look(self) -> None:
        jobs = await read_jobs(self._store)
        job = next((one for one in jobs if not one.ended), None)
        if job is None:
            await self._stop()
            return
        lead = await self._lead()
        self._work.go_by(job, len((await self._store.range(layout.instances_prefix())).entries))
        await self._work.tell(job)
        if lead is not None:
            await self._work.accompany(job)
        else:
            await self._work.leave()
        if not job.works:
            await self._stop_working()
            return
        key = job.number, job.journal, lead
        if self._running is not None:
            if self._running[0] == key and not self._running[1].done():
                return
            await self._stop_working()
        work = self._help(job) if lead is None else self._carry_out(job, lead)
        self._running = key, self._tasks.start(work, f"reshard job {job.number}")

    async def _stop(self) -> None:
        """Whatever runs is stopped where it is."""
        await self._stop_working()
        await self._work.leave()

    async def _stop_working(self) -> None:
        running, self._running = self._running, None
        if running is not None:
            running[1].cancel()
            await asyncio.gather(running[1], return_exceptions=True)

    async def _lead(self) -> Guard | None:
        """By what jobs are up to this sidecar, as long as the store takes it for alive."""
        registration = self._registration
        if not registration.lease or registration.alive_for <= 0:
            return None
        return await take_lead(self._store, registration.id, registration.lease)

    async def _help(self, job: Job) -> None:
        try:
            await self._work.help(job)
        except (MeshError, ShardError, StoreError) as error:
            # Who carries it out says what keeps it from going on.
            _log.warning("reshard job %d: cannot help: %s", job.number, error)

    async def _carry_out(self, job: Job, lead: Guard) -> None:
        try:
            if await read_job(self._store, job.number) != job:
                # What ran before this has ended since the job was looked at: the next look goes by what followed.
                return
            await self._work.carry_out(job, lead)
        except (Failed, Refused, MeshError, ShardError) as error:
            reason = str(error) or type(error).__name__
            _log.warning("reshard job %d does not go on: %s", job.number, reason)
            await self._ended(job, lead, reason)
        except StoreError as error:
            # The next look begins the phase again.
            _log.warning("reshard job %d waits for the store: %s", job.number, error)
        except Exception as error:
            _log.exception("reshard job %d: unexpected error", job.number)
            told = f"internal error ({type(error).__name__}); see the log of the sidecar"
            await self._ended(job, lead, told)
        else:
            await self._ended(job, lead, "")

    async def _ended(self, job: Job, lead: Guard, reason: str) -> None:
        """The phase has ended; somebody may have asked for another one meanwhile, or carry it out again."""

        def follow_on(present: Job) -> Job:
            if present.journal != job.journal:
                return present
            now = self._wall()
            return failed(present, reason, now) if reason else done(present, now)

        try:
            if reason and job.switches and await self._work.switched(job):
                # Whatever went wrong after it: the job says what holds.
                reason = ""
            following = await change_job(self._store, job.number, follow_on, lead)
            _log.info("reshard job %d: %s", job.number, following.phase)
        except StoreError as error:
            _log.warning("reshard job %d: what became of a phase is not known: %s", job.number, error)
