"""What is out of service lies in the store, and every process learns of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dbmesh.backend.tasks import TaskOwner
from dbmesh.governance.embedded import EmbeddedStore
from dbmesh.governance.switches import (
    Switches,
    follow_switches,
    read_switches,
    switch_data_source,
    switch_instance,
)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[EmbeddedStore]:
    made = await EmbeddedStore.open(tmp_path / "store.db", time.time)
    yield made
    await made.close()


async def test_out_of_service_and_back(store: EmbeddedStore) -> None:
    assert await read_switches(store) == Switches()
    await switch_instance(store, "a1", on=False)
    await switch_data_source(store, "Shop.ds_0", on=False)
    assert await read_switches(store) == Switches(frozenset({"a1"}), frozenset({"shop.ds_0"}))
    await switch_instance(store, "a1", on=True)
    await switch_data_source(store, "shop.DS_0", on=True)
    assert await read_switches(store) == Switches()


async def test_everybody_is_told(store: EmbeddedStore) -> None:
    told: asyncio.Queue[Switches] = asyncio.Queue()
    tasks = TaskOwner(lambda error: None)
    tasks.start(follow_switches(store, told.put), "switches")
    assert await asyncio.wait_for(told.get(), 20) == Switches()
    await switch_data_source(store, "shop.ds_0", on=False)
    assert await asyncio.wait_for(told.get(), 20) == Switches(data_sources=frozenset({"shop.ds_0"}))
    await tasks.close()
