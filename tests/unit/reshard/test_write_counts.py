"""What processes have written on both sides is summed up, also of those that have gone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dbmesh.governance.embedded import EmbeddedStore
from dbmesh.reshard.write_counts import WriteCounts, read_writes
from dbmesh.session.doubled_writes import DoubledWrites


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[EmbeddedStore]:
    made = await EmbeddedStore.open(tmp_path / "store.db", lambda: 0.0)
    yield made
    await made.close()


def _process(name: bytes, counts: DoubledWrites) -> Any:
    return SimpleNamespace(instance=name, doubled_writes={7: counts})


async def test_the_sum_of_all_processes(store: EmbeddedStore) -> None:
    assert (await read_writes(store, 7))["amplification"] is None
    first, second = DoubledWrites(2, 10, 3, 10), DoubledWrites(1, 5, 2, 15)
    mesh = _process(b"a", first)
    telling = WriteCounts(store, mesh)
    await telling.tell(7)
    await telling.tell(8)
    await WriteCounts(store, _process(b"b", second)).tell(7)
    first.rows += 5
    await telling.tell(7)
    assert await read_writes(store, 7) == {
        "statements": 3,
        "rows": 20,
        "other_statements": 5,
        "other_rows": 25,
        "amplification": 2.25,
    }
    assert (await read_writes(store, 8))["rows"] == 0


async def test_nothing_is_told_twice(store: EmbeddedStore) -> None:
    mesh = _process(b"a", DoubledWrites(1, 1, 1, 1))
    telling = WriteCounts(store, mesh)
    await telling.tell(7)
    before = (await store.range("/reshard_writes/")).revision
    await telling.tell(7)
    assert (await store.range("/reshard_writes/")).revision == before
    mesh.doubled_writes[7] = replace(mesh.doubled_writes[7], statements=2)
    await telling.tell(7)
    assert (await read_writes(store, 7))["statements"] == 2
