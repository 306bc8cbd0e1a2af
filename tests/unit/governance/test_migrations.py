"""Which files are left to run, which contradict what was run, and who runs them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dbmesh.governance import migrations
from dbmesh.governance.embedded import EmbeddedStore
from dbmesh.governance.migrations import (
    TURN_SECONDS,
    Applied,
    MigrationError,
    Pending,
    checksum,
    keep_turn,
    left_to_apply,
    read_applied,
    remember,
    take_turn,
)


def _applied(*statements: str, complete: bool = True) -> Applied:
    return Applied(tuple(map(checksum, statements)), complete)


def test_files_are_run_in_the_order_of_their_names() -> None:
    left = left_to_apply({"2.sql": "B", "1.sql": "A; C"}, {})
    assert left == [Pending("1.sql", ("A", "C"), 0), Pending("2.sql", ("B",), 0)]


def test_a_file_that_failed_goes_on_where_it_failed() -> None:
    left = left_to_apply({"1.sql": "A; better"}, {"1.sql": _applied("A", complete=False)})
    assert left == [Pending("1.sql", ("A", "better"), 1)]


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"1.sql": "A; B", "2.sql": "C"}, "'1.sql' was changed"),
        ({"1.sql": "B", "2.sql": "C"}, "'1.sql' was changed"),
        ({"2.sql": "C"}, "'1.sql' was applied and is not there"),
        ({"0.sql": "Z", "1.sql": "A"}, "'0.sql' comes before '1.sql'"),
    ],
)
def test_files_that_contradict_what_was_run(files: dict[str, str], told: str) -> None:
    with pytest.raises(MigrationError, match=told):
        left_to_apply(files, {"1.sql": _applied("A")})


class Clock:
    """Seconds a test moves by hand."""

    now = 1_000.0

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


MIGRATION = Pending("1.sql", ("A", "B"), 0)


async def test_one_runs_them_at_a_time(store: EmbeddedStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrations, "LOOK", 0)
    turn = await take_turn(store, "app", "first", pytest.fail)
    waiting, order = asyncio.Event(), list[str]()

    def waits_for(who: str) -> None:
        order.append(f"after {who}")
        waiting.set()

    async def second() -> None:
        following = await take_turn(store, "app", "second", waits_for)
        order.append("second")
        assert (await read_applied(store, "app"))["1.sql"].complete
        await store.revoke(following.lease)

    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        group.create_task(second())
        await waiting.wait()
        await remember(store, "app", MIGRATION, 2, turn)
        order.append("first")
        await store.revoke(turn.lease)
    assert order == ["after first", "first", "second"]
    assert await take_turn(store, "app", "third", pytest.fail)


async def test_who_was_not_heard_of_remembers_nothing(store: EmbeddedStore, clock: Clock) -> None:
    turn = await take_turn(store, "app", "first", pytest.fail)
    await remember(store, "app", MIGRATION, 1, turn)
    clock.now += TURN_SECONDS + 1
    await take_turn(store, "app", "second", pytest.fail)
    with pytest.raises(MigrationError, match=r"2 of 2 statements of '1.sql' were run here"):
        await remember(store, "app", MIGRATION, 2, turn)
    assert not (await read_applied(store, "app"))["1.sql"].complete


async def test_a_turn_is_kept_as_long_as_it_is_heard_of(
    store: EmbeddedStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    turn = await take_turn(store, "app", "first", pytest.fail)
    kept = asyncio.Event()
    keep_alive = store.keep_alive

    async def told(lease: int) -> None:
        begun = clock.now
        await keep_alive(lease)
        # One that had begun before the time passed may have kept it from then.
        if begun == clock.now:
            kept.set()

    monkeypatch.setattr(store, "keep_alive", told)
    monkeypatch.setattr(migrations, "TURN_SECONDS", 0)
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        keeping = group.create_task(keep_turn(store, turn))
        for _ in range(3):
            clock.now += TURN_SECONDS - 1
            kept.clear()
            await kept.wait()
        await remember(store, "app", MIGRATION, 2, turn)
        clock.now += TURN_SECONDS + 1
        # It ends by itself.
        await keeping
