"""Record locks in a store: all or none are taken, who has one keeps it, and only its own are given back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dbmesh.errors import MeshError
from dbmesh.governance.embedded import EmbeddedStore
from dbmesh.governance.record_locks import StoredRecordLocks
from dbmesh.transaction.record_locks import Holder

ONE, OTHER = Holder("aa-1", "0" * 16), Holder("bb-1", "1" * 16)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[EmbeddedStore]:
    made = await EmbeddedStore.open(tmp_path / "store.db", lambda: 0.0)
    yield made
    await made.close()


async def test_all_locks_are_taken_or_none(store: EmbeddedStore) -> None:
    locks = StoredRecordLocks(store)
    many = {f"place/t/{number:03}" for number in range(250)}
    assert await locks.take(ONE, many) == ""
    assert await locks.take(ONE, many | {"place/t/more"}) == "", "one's own are no obstacle"
    assert await locks.take(OTHER, {f"place/a/{number}" for number in range(150)} | {"place/t/007"}) == "aa-1"
    held = await locks.held()
    assert held.keys() == {ONE}
    assert len(held[ONE]) == 251


async def test_only_its_own_locks_are_given_back(store: EmbeddedStore) -> None:
    locks = StoredRecordLocks(store)
    await locks.take(ONE, {"p/t/1", "p/t/2"})
    await locks.release("bb-1", {"p/t/1"})
    assert await locks.take(OTHER, {"p/t/1"}) == "aa-1"
    await locks.release("aa-1", {"p/t/1", "p/t/9"})
    assert await locks.take(OTHER, {"p/t/1"}) == ""
    assert {holder: set(keys) for holder, keys in (await locks.held()).items()} == {
        ONE: {"p/t/2"},
        OTHER: {"p/t/1"},
    }


async def test_a_store_that_is_away_is_told(store: EmbeddedStore) -> None:
    locks = StoredRecordLocks(store)
    await store.close()
    for work in (locks.take(ONE, {"p/t/1"}), locks.release("aa-1", {"p/t/1"}), locks.held()):
        with pytest.raises(MeshError, match="the store failed"):
            await work
