"""A DDL statement that was left half done is finished by one process, however many try."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dbmesh.governance import databases, ddl_journal, layout, made_rules
from dbmesh.governance.ddl_journal import DdlRecord
from dbmesh.governance.ddl_resume import resume
from dbmesh.governance.embedded import EmbeddedStore
from dbmesh.governance.store import MOST_CHANGES, Conflict
from dbmesh.planner.plan import Shot
from dbmesh.rules.ruleset import MadeTable, RuleChange

SHOTS = (Shot("ds_0", b"TRUNCATE TABLE t_0"), Shot("ds_1", b"TRUNCATE TABLE t_1"))
TABLE = MadeTable("t", {"actualDataSources": "ds_0"})


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[EmbeddedStore]:
    made = await EmbeddedStore.open(tmp_path / "store.db", time.time)
    yield made
    await made.close()


async def _half_done(store: EmbeddedStore, change: RuleChange) -> DdlRecord:
    await ddl_journal.begin(store, ddl_journal.make_record("r1", "app", "…", 5.0, SHOTS, change))
    [record] = await ddl_journal.read_all(store)
    return record


class _Nodes:
    """Data sources of which the first does not answer until it is `let`."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.asked = asyncio.Event()
        self.let = asyncio.Event()

    async def run_on(self, data_source: str, sql: str) -> None:
        self.ran.append(sql)
        self.asked.set()
        await self.let.wait()


async def test_who_has_read_it_before_another_went_on_does_nothing(store: EmbeddedStore) -> None:
    record = await _half_done(store, RuleChange(numbering=(("t", 1),)))
    first, second = _Nodes(), _Nodes()
    second.let.set()
    async with asyncio.TaskGroup() as group:
        group.create_task(resume(store, record, first.run_on))
        await first.asked.wait()
        with pytest.raises(Conflict):
            await resume(store, record, second.run_on)
        first.let.set()
    with pytest.raises(Conflict):
        await resume(store, record, second.run_on)
    # Rows that were written since would be gone.
    assert (second.ran, len(first.ran)) == ([], 2)
    assert not await ddl_journal.read_all(store)


async def test_who_goes_on_takes_it_from_who_did_before(store: EmbeddedStore) -> None:
    record = await _half_done(store, RuleChange())
    first, second = _Nodes(), _Nodes()
    second.let.set()

    async def stopped() -> None:
        with pytest.raises(Conflict):
            await resume(store, record, first.run_on)

    async with asyncio.TaskGroup() as group:
        group.create_task(stopped())
        await first.asked.wait()
        [taken] = await ddl_journal.read_all(store)
        assert await resume(store, taken, second.run_on) == 2
        first.let.set()
    assert len(first.ran) == 1
    assert not await ddl_journal.read_all(store)


async def test_what_was_made_since_is_not_taken_away_by_who_is_late(store: EmbeddedStore) -> None:
    await store.commit(made_rules.writes_of("app", (TABLE,)))
    record = await _half_done(store, RuleChange(gone=("t",)))
    await ddl_journal.finish(store, record, None)
    assert not await made_rules.read_made(store, "app")
    await store.commit(made_rules.writes_of("app", (TABLE,)))
    with pytest.raises(Conflict):
        await ddl_journal.finish(store, record, None)
    assert await made_rules.read_made(store, "app") == (TABLE,)


async def test_of_many_tables_all_are_gone_with_the_record(store: EmbeddedStore) -> None:
    names = [f"t{number}" for number in range(2 * MOST_CHANGES)]
    for name in names:
        await store.commit(made_rules.writes_of("app", (MadeTable(name, TABLE.section),)))
    change = RuleChange(gone=tuple(names), numbering=tuple((name, 1) for name in names))
    record = await _half_done(store, change)
    await ddl_journal.finish(store, record, None)
    assert not await made_rules.read_made(store, "app")
    assert not await ddl_journal.read_all(store)
    for name in names:
        assert await store.get(layout.counter("app", name)) is not None


async def test_a_database_of_many_tables_is_forgotten(store: EmbeddedStore) -> None:
    await databases.keep(store, databases.MadeDatabase("more", "app"))
    for number in range(MOST_CHANGES):
        await store.commit(made_rules.writes_of("more", (MadeTable(f"t{number}", TABLE.section),)))
    await databases.forget(store, "more")
    assert not (await store.range("/")).entries
