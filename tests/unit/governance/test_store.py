"""The embedded store's own: its clock, its history, its file. The contract of all stores has a test with real ones."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dbmesh.governance import embedded
from dbmesh.governance.embedded import EmbeddedStore
from dbmesh.governance.store import (
    Changes,
    Compacted,
    Entry,
    LeaseLost,
    StoreUnavailable,
    Write,
    after_prefix,
)


class Clock:
    """Seconds a test moves by hand."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def store(tmp_path: Path, clock: Clock) -> AsyncIterator[EmbeddedStore]:
    made = await EmbeddedStore.open(tmp_path / "store.db", clock)
    yield made
    await made.close()


def test_after_prefix_bounds_a_prefix() -> None:
    assert after_prefix("/a") == "/b"
    assert "/a" < "/a\U0010fffe" < after_prefix("/a")


async def _next(changes: AsyncIterator[Changes]) -> Changes:
    return await asyncio.wait_for(anext(changes), 10)


async def test_a_watch_from_too_long_ago_says_so(
    store: EmbeddedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "HISTORY_KEPT", 2)
    for number in range(5):
        await store.commit([Write("/a", str(number).encode())])
    with pytest.raises(Compacted):
        await _next(store.watch("/", 1))
    assert (await _next(store.watch("/", 4))).writes == (Write("/a", b"4"),)


async def test_a_lease_runs_by_the_clock(store: EmbeddedStore, clock: Clock) -> None:
    lease = await store.grant(10)
    await store.commit([Write("/alive", b"me", lease=lease), Write("/stays", b"1")])
    clock.now += 9
    await store.keep_alive(lease)
    clock.now += 9
    assert await store.get("/alive") is not None
    clock.now += 2
    changes = store.watch("/", (await store.range("/")).revision - 1)
    assert (await _next(changes)).writes == (Write("/alive", None),)
    assert [entry.key for entry in (await store.range("/")).entries] == ["/stays"]
    with pytest.raises(LeaseLost):
        await store.keep_alive(lease)
    with pytest.raises(LeaseLost):
        await store.commit([Write("/alive", b"again", lease=lease)])


async def test_leases_end_with_the_life_of_the_machine(store: EmbeddedStore, clock: Clock) -> None:
    clock.now = 1_000_000.0
    lease = await store.grant(30)
    await store.commit([Write("/a", b"", lease=lease)])
    # The clock begins anew, or was another one when the lease was granted.
    clock.now = 50.0
    assert await store.get("/a") is None
    with pytest.raises(LeaseLost):
        await store.keep_alive(lease)


async def test_what_was_written_is_there_after_a_restart(
    store: EmbeddedStore, tmp_path: Path, clock: Clock
) -> None:
    revision = await store.commit([Write("/a", b"1")])
    await store.close()
    again = await EmbeddedStore.open(tmp_path / "store.db", clock)
    assert await again.get("/a") == Entry("/a", b"1", revision)
    assert await again.commit([Write("/a", b"2")]) == revision + 1
    await again.close()


async def test_the_file_is_its_owners_alone(tmp_path: Path, clock: Clock) -> None:
    store = await EmbeddedStore.open(tmp_path / "store.db", clock)
    await store.commit([Write("/a", b"1")])
    assert _modes(tmp_path) == {0o600}
    await store.close()


def _modes(directory: Path) -> set[int]:
    return {file.stat().st_mode & 0o777 for file in directory.iterdir()}


async def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path, clock: Clock) -> None:
    with pytest.raises(StoreUnavailable, match=r"nowhere/store\.db cannot be opened"):
        await EmbeddedStore.open(tmp_path / "nowhere" / "store.db", clock)
