"""Record locks in a store: all or none are taken, who has one keeps it, and only its own are given back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dbmesh.backend.connection import Connection, Flavour
from dbmesh.backend.pool import Pool
from dbmesh.errors import MeshError
from dbmesh.governance import layout
from dbmesh.governance.embedded import EmbeddedStore
from dbmesh.governance.record_locks import StoredRecordLocks
from dbmesh.governance.store import Write
from dbmesh.rules.ruleset import DataSourceConfig
from dbmesh.transaction.compensator import Compensator
from dbmesh.transaction.coordinator import Coordinator
from dbmesh.transaction.record_locks import Holder
from dbmesh.transaction.undo_recovery import UndoRecovery
from dbmesh.transaction.xid import Place
from tests.plugins.scripted import ScriptedConnection, error

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
    for work in (locks.take(ONE, {"p/t/1"}), locks.release("aa-1", {"p/t/1"}), locks.held(), locks.alive()):
        with pytest.raises(MeshError, match="the store failed"):
            await work


async def _asked(flavour: Flavour) -> Connection:
    made = ScriptedConnection("ds_0", error(1146), flavour)
    made.opened_at = asyncio.get_running_loop().time()
    return made


async def test_locks_of_a_process_that_lives_stay_where_its_decider_is_not_known_yet(
    store: EmbeddedStore,
) -> None:
    """As by rules that this process has not gone on to, or cannot run."""
    living, dead = (Holder(f"{number:016x}-1", "f" * 16) for number in (1, 2))
    locks = StoredRecordLocks(store)
    await locks.take(living, {"p/t/1"})
    await locks.take(dead, {"p/t/2"})
    await store.commit([Write(layout.instance(f"{1:016x}"), b"{}")])
    pool = Pool(DataSourceConfig("ds", "mysql", "h", 3306, "ds_0", "u", "p"), _asked)
    compensator = Compensator(Coordinator(lambda: {Place("a", 3306, "db"): pool}, bytes(8)))
    compensator.locks = locks
    await UndoRecovery(compensator).unlock()
    assert (await locks.held()).keys() == {living}
