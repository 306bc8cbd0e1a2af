"""What is out of service lies in the store, and every process learns of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import pytest

from dbmesh.backend.tasks import TaskOwner
from dbmesh.governance import layout
from dbmesh.governance.embedded import EmbeddedStore
from dbmesh.governance.store import Changes, Snapshot, Write
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


class ChangingStore:
    """An empty store in which these keys change one after another; `reads`: how often it was read before each of them and at the end."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys = keys
        self._read = 0
        self.reads: list[int] = []

    async def range(self, prefix: str) -> Snapshot:
        assert prefix == layout.nodes_prefix()
        self._read += 1
        return Snapshot(1, ())

    async def watch(self, prefix: str, after: int) -> AsyncIterator[Changes]:
        assert prefix == layout.nodes_prefix()
        for number, key in enumerate(self._keys):
            self.reads.append(self._read)
            yield Changes(after + number, (Write(key, b""),))
        self.reads.append(self._read)


async def test_how_sidecars_do_is_not_looked_at() -> None:
    keys = [
        layout.instance("a"),
        layout.disabled_instance("a"),
        layout.member("b"),
        layout.disabled_source("s"),
    ]
    store = ChangingStore(keys)

    async def take_over(switches: Switches) -> None:
        assert switches == Switches()

    await follow_switches(cast("Any", store), take_over)
    assert [after - before for before, after in pairwise(store.reads)] == [0, 1, 0, 1]
