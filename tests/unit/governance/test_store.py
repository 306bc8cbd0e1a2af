"""The store port's contract, kept by every store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dbmesh.governance import embedded
from dbmesh.governance.embedded import EmbeddedStore
from dbmesh.governance.store import (
    ABSENT,
    Changes,
    Compacted,
    Conflict,
    Entry,
    Guard,
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


async def test_a_key_lives_from_its_first_write_to_its_deletion(store: EmbeddedStore) -> None:
    assert await store.get("/a") is None
    first = await store.commit([Write("/a", b"1", expected=ABSENT)])
    assert await store.get("/a") == Entry("/a", b"1", first)
    second = await store.commit([Write("/a", b"2", expected=first)])
    assert second > first
    assert await store.get("/a") == Entry("/a", b"2", second)
    await store.commit([Write("/a", None, expected=second)])
    assert await store.get("/a") is None


@pytest.mark.parametrize("expected", [ABSENT, 99])
async def test_a_commit_from_another_revision_changes_nothing(store: EmbeddedStore, expected: int) -> None:
    revision = await store.commit([Write("/a", b"1")])
    with pytest.raises(Conflict, match="/a is at revision"):
        await store.commit([Write("/b", b"x"), Write("/a", b"2", expected=expected)])
    assert (await store.range("/")).entries == (Entry("/a", b"1", revision),)


async def test_a_guard_decides_without_writing(store: EmbeddedStore) -> None:
    revision = await store.commit([Write("/gate", b"open")])
    await store.commit([Write("/a", b"1")], guards=[Guard("/gate", revision)])
    with pytest.raises(Conflict):
        await store.commit([Write("/a", b"2")], guards=[Guard("/gate", ABSENT)])
    entry = await store.get("/a")
    assert entry is not None
    assert entry.value == b"1"


async def test_of_many_writers_from_one_revision_one_wins(store: EmbeddedStore) -> None:
    results = await asyncio.gather(
        *(store.commit([Write("/a", str(n).encode(), expected=ABSENT)]) for n in range(20)),
        return_exceptions=True,
    )
    assert sum(isinstance(result, int) for result in results) == 1
    assert sum(isinstance(result, Conflict) for result in results) == 19


async def test_a_range_is_the_prefix_in_key_order_at_one_revision(store: EmbeddedStore) -> None:
    await store.commit([Write("/p/b", b"2"), Write("/p/a", b"1"), Write("/q", b"3"), Write("/p", b"0")])
    snapshot = await store.range("/p/")
    assert [entry.key for entry in snapshot.entries] == ["/p/a", "/p/b"]
    revision = await store.commit([Write("/z", b"9")])
    assert revision == snapshot.revision + 1


def test_after_prefix_bounds_a_prefix() -> None:
    assert after_prefix("/a") == "/b"
    assert "/a" < "/a\U0010fffe" < after_prefix("/a")


async def _next(changes: AsyncIterator[Changes]) -> Changes:
    return await asyncio.wait_for(anext(changes), 10)


async def test_a_watch_misses_nothing_after_its_snapshot(store: EmbeddedStore) -> None:
    snapshot = await store.range("/p/")
    await store.commit([Write("/p/a", b"1"), Write("/other", b"x")])
    await store.commit([Write("/p/a", None)])
    changes = store.watch("/p/", snapshot.revision)
    seen = await _next(changes)
    assert [(write.key, write.value) for write in seen.writes] == [("/p/a", b"1"), ("/p/a", None)]
    waiting = asyncio.ensure_future(anext(changes))  # noqa: TID251  the test awaits it below
    revision = await store.commit([Write("/p/b", b"2")])
    assert await asyncio.wait_for(waiting, 10) == Changes(revision, (Write("/p/b", b"2"),))


async def test_a_watch_sees_what_another_process_changes(
    store: EmbeddedStore, tmp_path: Path, clock: Clock
) -> None:
    other = await EmbeddedStore.open(tmp_path / "store.db", clock)
    changes = store.watch("/", 0)
    await other.commit([Write("/a", b"1")])
    assert (await _next(changes)).writes == (Write("/a", b"1"),)
    await other.close()


async def test_a_watch_from_too_long_ago_says_so(
    store: EmbeddedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "HISTORY_KEPT", 2)
    for number in range(5):
        await store.commit([Write("/a", str(number).encode())])
    with pytest.raises(Compacted):
        await _next(store.watch("/", 1))
    assert (await _next(store.watch("/", 4))).writes == (Write("/a", b"4"),)


async def test_closing_ends_watches(store: EmbeddedStore) -> None:
    changes = store.watch("/", 0)
    waiting = asyncio.ensure_future(anext(changes, None))  # noqa: TID251  the test awaits it below
    await asyncio.sleep(0)
    await store.close()
    assert await asyncio.wait_for(waiting, 10) is None
    with pytest.raises(StoreUnavailable):
        await store.get("/a")


async def test_a_lease_takes_its_keys_with_it(store: EmbeddedStore, clock: Clock) -> None:
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


async def test_a_revoked_lease_is_gone_at_once(store: EmbeddedStore) -> None:
    lease = await store.grant(10)
    await store.commit([Write("/alive", b"me", lease=lease)])
    await store.revoke(lease)
    await store.revoke(lease)
    assert await store.get("/alive") is None


async def test_a_key_written_anew_without_the_lease_outlives_it(store: EmbeddedStore) -> None:
    lease = await store.grant(10)
    await store.commit([Write("/a", b"1", lease=lease)])
    await store.commit([Write("/a", b"2")])
    await store.revoke(lease)
    assert await store.get("/a") is not None


async def test_what_was_written_is_there_after_a_restart(
    store: EmbeddedStore, tmp_path: Path, clock: Clock
) -> None:
    revision = await store.commit([Write("/a", b"1")])
    await store.close()
    again = await EmbeddedStore.open(tmp_path / "store.db", clock)
    assert await again.get("/a") == Entry("/a", b"1", revision)
    assert await again.commit([Write("/a", b"2")]) == revision + 1
    await again.close()


async def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path, clock: Clock) -> None:
    with pytest.raises(StoreUnavailable, match=r"nowhere/store\.db cannot be opened"):
        await EmbeddedStore.open(tmp_path / "nowhere" / "store.db", clock)
