"""Whoever carries jobs out writes down what became of a phase: what holds, and of the phase that was carried out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dbmesh.backend.tasks import TaskOwner
from dbmesh.governance.embedded import EmbeddedStore
from dbmesh.governance.store import ABSENT, Guard, Store, StoreUnavailable, Write
from dbmesh.reshard.jobs.documents import change_job, encode_job, layout, read_job
from dbmesh.reshard.jobs.job import Job, Phase, Wish, begun, wished
from dbmesh.reshard.runner import Failed, Runner

NUMBER = 7


class ScriptedWork:
    """Phases that raise what `errors` has for them, or else last until `go_on`. `holds` is what is said of switches; an exception is raised, once."""

    def __init__(self) -> None:
        self.begun: list[Phase] = []
        self.errors: dict[Phase, Exception] = {}
        self.holds: list[bool | Exception] = []
        self.go_on = asyncio.Event()
        self.changed = asyncio.Event()

    async def carry_out(self, job: Job, lead: Guard) -> None:
        """See `runner.Work`, as all of these."""
        self.begun.append(job.phase)
        self.changed.set()
        if job.phase in self.errors:
            raise self.errors[job.phase]
        await self.go_on.wait()

    async def switched(self, job: Job) -> bool:
        said = self.holds.pop(0)
        if isinstance(said, Exception):
            raise said
        return said

    def go_by(self, job: Job, sidecars: int) -> None:
        assert job.number == NUMBER

    async def tell(self, job: Job) -> None:
        assert job.number == NUMBER

    async def accompany(self, job: Job) -> None:
        assert job.number == NUMBER

    async def leave(self) -> None:
        assert not self.go_on.is_set()

    async def help(self, job: Job) -> None:
        raise AssertionError("it carries the job out by itself")


@asynccontextmanager
async def _carried_out(path: Path, job: Job, work: ScriptedWork) -> AsyncIterator[Store]:
    """With a runner for the block."""
    store = await EmbeddedStore.open(path / "store.db", lambda: 0.0)
    failures: list[BaseException] = []
    tasks = TaskOwner(failures.append)
    registration: Any = SimpleNamespace(lease=await store.grant(1000), alive_for=1000.0, id="me")
    await store.commit([Write(layout.reshard_job(NUMBER), encode_job(job), ABSENT)])
    runner = Runner(store, registration, work, tasks, lambda: 9.0)
    try:
        serving = tasks.start(runner.serve(), "runner")
        yield store
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        assert not failures
    finally:
        await tasks.close()
        await store.close()


async def _left(store: Store, phase: Phase) -> Job:
    """The job when it is no more in a phase."""
    async with asyncio.timeout(10):
        async for _ in _looks(store):
            job = await read_job(store, NUMBER)
            if job.phase is not phase:
                return job
    raise AssertionError("the store was closed")


async def _looks(store: Store) -> AsyncIterator[None]:
    """Now, and after each change of a job."""
    snapshot = await store.range(layout.reshard_jobs_prefix())
    yield None
    async for _ in store.watch(layout.reshard_jobs_prefix(), snapshot.revision):
        yield None


@pytest.mark.parametrize(
    ("phase", "holds", "expected", "reason"),
    [
        (Phase.CUTOVER, [True], Phase.REVERSE, ""),
        (Phase.ROLLBACK, [True], Phase.READY, ""),
        (Phase.CUTOVER, [False], Phase.READY, "a server is away"),
        (Phase.ROLLBACK, [False], Phase.REVERSE, "a server is away"),
        # What holds cannot be asked for: nothing is said before it can.
        (Phase.ROLLBACK, [StoreUnavailable("away"), True], Phase.READY, ""),
    ],
)
async def test_a_switch_that_fails_is_what_holds(
    tmp_path: Path, phase: Phase, holds: list[bool | Exception], expected: Phase, reason: str
) -> None:
    work = ScriptedWork()
    work.errors[phase], work.holds = Failed("a server is away"), holds
    async with _carried_out(tmp_path, begun(Job(NUMBER, "shop", "me", 1.0, phase=phase)), work) as store:
        job = await _left(store, phase)
    assert (job.phase, job.stopped) == (expected, reason)
    assert not work.holds


async def test_a_phase_is_not_taken_for_another_in_a_journal_that_has_become_long(tmp_path: Path) -> None:
    job = begun(Job(NUMBER, "shop", "me", 1.0, phase=Phase.READY))
    for now in range(500):
        job = replace(job, phase=Phase.READY)
        job = wished(job, Wish.VERIFY, float(now))
    work = ScriptedWork()
    async with _carried_out(tmp_path, job, work) as store, asyncio.timeout(10):
        await work.changed.wait()
        work.changed.clear()
        asked = await change_job(store, NUMBER, lambda one: wished(one, Wish.CANCEL, 600.0))
        assert len(asked.journal) == len(job.journal)
        await work.changed.wait()
        work.go_on.set()
        assert (await _left(store, Phase.CANCEL)).phase is Phase.CANCELLED
        work.go_on.clear()
    assert work.begun == [Phase.VERIFY, Phase.CANCEL]


async def test_who_carries_a_job_out_no_more_does_not_say_what_became_of_a_switch(tmp_path: Path) -> None:
    """A process that stood still between asking which rules hold and writing that down, while another one made the switch."""
    store = await EmbeddedStore.open(tmp_path / "store.db", lambda: 0.0)
    tasks = TaskOwner(lambda error: None)
    job = begun(Job(NUMBER, "shop", "me", 1.0, phase=Phase.CUTOVER))
    await store.commit([Write(layout.reshard_job(NUMBER), encode_job(job), ABSENT)])
    former, following = Freezing(), ScriptedWork()
    former.errors[Phase.CUTOVER], former.holds = Failed("a transaction has not ended"), [False]

    async def begin(name: str, work: ScriptedWork) -> int:
        lease = await store.grant(1000)
        registration: Any = SimpleNamespace(lease=lease, alive_for=1000.0, id=name)
        tasks.start(Runner(store, registration, work, tasks, lambda: 9.0).serve(), f"runner {name}")
        await work.changed.wait()
        return lease

    async with asyncio.timeout(20):
        lease = await begin("a", former)
        await former.asked.wait()
        [carrying_out] = [one for one in asyncio.all_tasks() if one.get_name() == f"reshard job {NUMBER}"]
        await store.revoke(lease)
        await begin("b", following)
        former.thawed.set()
        await carrying_out
        assert await read_job(store, NUMBER) == job
        following.go_on.set()
        assert (await _left(store, Phase.CUTOVER)).phase is Phase.REVERSE
        following.go_on.clear()
    await tasks.close()
    await store.close()


class Freezing(ScriptedWork):
    """Stands still when it has found which rules hold (`asked`) until it is `thawed`, and looks at no job after that."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()
        self.thawed = asyncio.Event()

    async def switched(self, job: Job) -> bool:
        self.asked.set()
        await self.thawed.wait()
        return await super().switched(job)

    async def tell(self, job: Job) -> None:
        if self.asked.is_set():
            await asyncio.get_running_loop().create_future()
