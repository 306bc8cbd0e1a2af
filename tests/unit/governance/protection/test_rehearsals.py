"""Faults that are added while the mesh runs reach every process, and end by themselves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from dbmesh.backend.tasks import TaskOwner
from dbmesh.governance import layout
from dbmesh.governance.embedded import EmbeddedStore
from dbmesh.governance.protection.rehearsals import add_fault, follow_faults, read_faults, remove_fault
from dbmesh.governance.store import Write
from dbmesh.rules.mistakes import ConfigurationError
from dbmesh.rules.protection.values import Fault, Protection
from tests.plugins.protected_world import ProtectedWorld

POINT = b"\x03UPDATE t_order SET status = 'x' WHERE user_id = 5"


class Clock:
    """Seconds since 1970, as the store sees them."""

    now = 1000.0

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


async def test_a_fault_lies_in_the_store_until_its_time_is_over(store: EmbeddedStore, clock: Clock) -> None:
    section = {"percent": 50.0, "error": 1213, "users": ["app"]}
    fault = await add_fault(store, "late", section, 1060.0, clock.now)
    assert (fault.percent, fault.number, fault.until, fault.selection.users) == (50.0, 1213, 1060.0, ("app",))
    await add_fault(store, "other", {"dataSources": ["ds_1"], "disconnect": True}, 1060.0, clock.now)
    assert await read_faults(store) == [fault, await _named(store, "other")]
    await remove_fault(store, "other")
    assert await read_faults(store) == [fault]
    clock.now = 1061.0
    assert await read_faults(store) == []


async def _named(store: EmbeddedStore, name: str) -> Fault:
    return next(one for one in await read_faults(store) if one.name == name)


@pytest.mark.parametrize(
    "section", [{}, {"percent": 0, "error": 1}, {"delay": 5}, {"error": 1, "users": [""] * 0, "x": 1}]
)
async def test_what_is_none_is_refused(
    store: EmbeddedStore, clock: Clock, section: dict[str, object]
) -> None:
    with pytest.raises(ConfigurationError):
        await add_fault(store, "wrong", section, 1060.0, clock.now)
    assert await read_faults(store) == []


async def test_what_a_newer_version_has_written_is_passed_over(store: EmbeddedStore) -> None:
    await store.commit([Write(layout.fault("newer"), b'{"until": "2999-01-01T00:00:00Z", "explode": true}')])
    await store.commit([Write(layout.fault("broken"), b"{")])
    assert await read_faults(store) == []


async def test_everybody_is_told(store: EmbeddedStore, clock: Clock) -> None:
    told: asyncio.Queue[Sequence[Fault]] = asyncio.Queue()
    tasks = TaskOwner(lambda error: None)
    tasks.start(follow_faults(store, told.put_nowait), "faults")
    assert await asyncio.wait_for(told.get(), 20) == []
    fault = await add_fault(store, "late", {"error": 1213}, 1060.0, clock.now)
    assert await asyncio.wait_for(told.get(), 20) == [fault]
    await tasks.close()


async def test_faults_come_and_go_beside_those_of_the_configuration() -> None:
    own = Fault("own", 2000.0, number=1205, percent=10)
    world = ProtectedWorld(Protection(faults=(own,)))
    world.draw = 0.2
    assert await world.numbers(POINT) == [0]
    world.protector.rehearse([Fault("added", 2000.0, number=1213)])
    assert await world.numbers(POINT) == [1213]
    world.draw = 0.05
    assert await world.numbers(POINT) == [1205]
    world.protector.rehearse([])
    world.draw = 0.2
    assert await world.numbers(POINT) == [0]
    await world.end()


async def test_faults_of_data_sources_come_and_go() -> None:
    world = ProtectedWorld(Protection())
    before = world.mesh.filters
    world.protector.rehearse([Fault("gone", 2000.0, data_sources=("ds_0",), disconnects=True)])
    assert world.mesh.filters == before
    assert await world.numbers(POINT) != [0]
    world.protector.rehearse([])
    assert {pool.guard for pool in world.pools.values()} == {None}
    assert await world.numbers(POINT) == [0]
    await world.end()
