"""Rates of the whole mesh: what several processes let through together, and what happens without the store."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbmesh.backend.tasks import TaskOwner
from dbmesh.governance.embedded import EmbeddedStore
from dbmesh.governance.protection.budgets import KEPT_SECONDS, Budgets, Leases, lease
from dbmesh.governance.protection.limiter import Limiter
from dbmesh.governance.store import Conflict, Entry, Store, StoreUnavailable, Write
from dbmesh.rules.protection.values import Limit


class Memory:
    """A store of one key, in which others write between two calls."""

    def __init__(self) -> None:
        self.entry: Entry | None = None
        self.conflicts = 0
        self.commits = 0
        self.away = False

    async def get(self, key: str) -> Entry | None:
        if self.away:
            raise StoreUnavailable("away")
        assert self.entry is None or self.entry.key == key
        return self.entry

    async def grant(self, seconds: float) -> int:
        del seconds
        return 5

    async def commit(self, writes: list[Write]) -> int:
        [write] = writes
        if self.conflicts:
            self.conflicts -= 1
            raise Conflict("another was faster")
        revision = 0 if self.entry is None else self.entry.revision
        assert write.expected == revision
        assert write.value is not None
        self.commits += 1
        self.entry = Entry(write.key, write.value, revision + 1)
        return revision + 1


def as_store(memory: Memory) -> Store:
    return cast("Any", memory)


async def taken_from(
    memory: Memory, limit: Limit, key: str, wanted: int, wall: Callable[[], float]
) -> tuple[int, float]:
    leases = Leases(as_store(memory), lambda: 0.0)
    return await lease(as_store(memory), leases, limit, key, wanted, wall)


@given(
    rate=st.floats(0.5, 500),
    burst=st.integers(1, 100),
    steps=st.lists(st.tuples(st.floats(0, 1), st.integers(1, 50), st.booleans()), max_size=40),
)
def test_all_together_never_take_more_than_the_rate_and_the_burst(
    rate: float, burst: int, steps: list[tuple[float, int, bool]]
) -> None:
    async def play() -> None:
        limit = Limit("l", rate=rate, burst=burst, shared=True)
        memory, now, taken = Memory(), 1000.0, 0
        for step, wanted, conflict in steps:
            now += step
            memory.conflicts = int(conflict)
            clock = now
            tokens, seconds = await taken_from(memory, limit, "", wanted, lambda: clock)  # noqa: B023
            assert 0 <= tokens <= wanted
            assert bool(tokens) != bool(seconds)
            taken += tokens
            assert taken <= burst + rate * (now - 1000.0) + 1e-6

    asyncio.run(play())


async def test_a_clock_that_is_behind_takes_no_more_than_there_is() -> None:
    limit, memory = Limit("l", rate=10, burst=5, shared=True), Memory()
    assert await taken_from(memory, limit, "", 5, lambda: 2000.0) == (5, 0.0)
    assert (await taken_from(memory, limit, "", 5, lambda: 1990.0))[0] == 0
    assert await taken_from(memory, limit, "", 5, lambda: 2000.25) == (2, 0.0)


async def test_a_clock_that_was_set_back_stops_nobody() -> None:
    limit, memory = Limit("l", rate=10, burst=5, shared=True), Memory()
    assert await taken_from(memory, limit, "", 5, lambda: 9000.0) == (5, 0.0)
    assert (await taken_from(memory, limit, "", 5, lambda: 1000.0))[0] == 0
    assert await taken_from(memory, limit, "", 5, lambda: 1000.5) == (5, 0.0)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[EmbeddedStore]:
    made = await EmbeddedStore.open(tmp_path / "store.db", time.time)
    yield made
    await made.close()


async def test_two_processes_share_a_rate_and_ask_the_store_once_a_slice(store: EmbeddedStore) -> None:
    loop = asyncio.get_running_loop()
    limit = Limit("l", rate=200, burst=40, waiting=100, wait_seconds=10, shared=True)
    failures: list[BaseException] = []
    tasks = TaskOwner(failures.append)
    limiters = []
    for _ in range(2):
        budgets = Budgets(loop.time, time.time)
        tasks.start(budgets.serve(store), "budgets")
        limiters.append(Limiter(limit, budgets.bucket(limit, "")))
    began = loop.time()
    for _ in range(50):
        for limiter in limiters:
            assert limiter.enter() or await limiter.wait()
            limiter.leave()
    seconds = loop.time() - began
    assert seconds >= (100 - 40) / 200 - 0.05
    revision = (await store.range("/")).revision
    assert revision <= 15, "a slice has 20 tokens, or half as many"
    await tasks.close()
    assert not failures


async def test_without_the_store_each_goes_on_by_itself_and_comes_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    loop = asyncio.get_running_loop()
    now = [loop.time()]
    memory = Memory()
    memory.away = True
    limit = Limit("l", rate=1, burst=2, waiting=10, wait_seconds=5, shared=True)
    budgets = Budgets(lambda: now[0], lambda: 1000.0)
    bucket = budgets.bucket(limit, "")
    failures: list[BaseException] = []
    tasks = TaskOwner(failures.append)
    tasks.start(budgets.serve(as_store(memory)), "budgets")
    woken = asyncio.Event()
    bucket.wake = woken.set
    assert not bucket.take(now[0])
    await asyncio.wait_for(woken.wait(), 10)
    assert [bucket.take(now[0]) for _ in range(3)] == [True, True, False]
    assert sum("each process's own" in text for text in caplog.messages) == 1
    memory.away = False
    now[0] += 10.0
    woken.clear()
    assert bucket.take(now[0])
    await asyncio.wait_for(woken.wait(), 10)
    assert memory.commits == 1
    assert bucket.take(now[0])
    await tasks.close()
    assert not failures


async def test_what_nobody_asks_for_is_forgotten(store: EmbeddedStore) -> None:
    now = [0.0]
    leases = Leases(store, lambda: now[0])
    limit = Limit("l", rate=10, burst=5, shared=True)
    for user in ("ann", "bob"):
        await lease(store, leases, limit, user, 5, time.time)
    [first, second] = (await store.range("/protection/")).entries
    assert first.lease == second.lease != 0
    now[0] = KEPT_SECONDS
    await lease(store, leases, limit, "cid", 5, time.time)
    assert (await store.range("/protection/")).entries[2].lease != first.lease
    await store.revoke(first.lease)
    assert [entry.key for entry in (await store.range("/protection/")).entries] == [
        "/protection/budgets/l/cid"
    ]
    await store.revoke(await leases.of(limit))
    assert (await lease(store, leases, limit, "ann", 5, time.time))[0] == 5, (
        "a lease that was lost is replaced"
    )
