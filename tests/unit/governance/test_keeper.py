"""What statements change is kept, in the store and here, whoever else changes it at the same time."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dbmesh.backend.connection import Connection, Flavour, Receiver
from dbmesh.backend.pool import Pool
from dbmesh.backend.state import SessionState
from dbmesh.errors import MeshError
from dbmesh.governance import databases, ddl_journal, ddl_resume, layout
from dbmesh.governance.embedded import EmbeddedStore
from dbmesh.governance.keeper import Keeper, greatest_number
from dbmesh.governance.store import Entry, Guard, StoreUnavailable, Write
from dbmesh.model import DataNode
from dbmesh.planner.plan import Shot
from dbmesh.rules.keygen.auto_increment import AutoIncrement, KeysNeeded
from dbmesh.rules.ruleset import DataSourceConfig, RuleChange
from dbmesh.session.mesh import DdlStatement
from dbmesh.wire.values import encode_text_row
from tests.plugins.scripted import ScriptedConnection, column


async def test_the_greatest_number_is_asked_for_without_the_limits_of_another_session() -> None:
    asked_in: list[SessionState] = []

    def answer(connection: ScriptedConnection, sql: str, receiver: Receiver) -> None:
        asked_in.append(connection.state)
        connection.rows([column("n")], [encode_text_row([b"7"])])

    async def open_connection(flavour: Flavour) -> Connection:
        made = ScriptedConnection(answer=answer, flavour=flavour)
        made.opened_at = asyncio.get_running_loop().time()
        return made

    pool = Pool(DataSourceConfig("ds_0", "mysql", "h", 3306, "db", "u", "p"), open_connection)
    used = await pool.acquire(Flavour())
    await used.bring_to(SessionState().with_variable("sql_select_limit", "0"))
    pool.release(used, asyncio.get_running_loop().time())
    rule = SimpleNamespace(key_column="id", nodes=(DataNode("ds_0", "t_0"),))
    database: Any = SimpleNamespace(
        rule_set=SimpleNamespace(table=lambda name: rule), merge_pools={"ds_0": pool}
    )
    assert await greatest_number(database, "t") == 7
    assert asked_in == [SessionState()]
    await pool.close()


TRUNCATE = Shot("ds_0", b"TRUNCATE TABLE t_0")


@dataclass
class Table:
    """What a process knows of the numbered table t."""

    keeper: Keeper
    generator: AutoIncrement
    database: Any

    async def insert(self, many: int = 1) -> list[int | None]:
        """The numbers of so many rows."""
        while True:
            try:
                return self.generator.number((None,) * many)
            except KeysNeeded as needed:
                await self.keeper.lease(self.database, needed)

    async def begin(self, start: int = 1) -> str:
        """A statement begins after which it is numbered anew."""
        change = RuleChange(numbering=(("t", start),))
        return await self.keeper.begin(DdlStatement("app", "TRUNCATE TABLE t", (TRUNCATE,), change))


class Store(EmbeddedStore):
    """A store that can be away."""

    away = False

    async def get(self, key: str) -> Entry | None:
        if self.away:
            raise StoreUnavailable("away")
        return await super().get(key)

    async def commit(self, writes: Sequence[Write], guards: Sequence[Guard] = ()) -> int:
        if self.away:
            raise StoreUnavailable("away")
        return await super().commit(writes, guards)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    made = await Store.open(tmp_path / "store.db", time.time)
    assert isinstance(made, Store)
    yield made
    await made.close()


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers of rows that everybody sees."""
    found: list[int] = []

    async def greatest(database: object, table: str) -> int:
        return max(found, default=0)

    monkeypatch.setattr("dbmesh.governance.keeper.greatest_number", greatest)
    return found


def process(store: EmbeddedStore) -> Table:
    """One that numbers t."""
    generator = AutoIncrement("t")
    database = SimpleNamespace(name="app", key_generators={"t": generator})
    mesh = SimpleNamespace(databases={"app": database})
    return Table(
        Keeper(store, cast("Any", SimpleNamespace(mesh=mesh)), time.time, os.urandom), generator, database
    )


async def test_who_hears_that_a_table_was_numbered_anew_gives_away_none_of_its_former_numbers(
    store: Store, seen: list[int]
) -> None:
    one, two = process(store), process(store)
    assert await two.insert() == [1]
    # Another table gets its name, with its rows.
    await one.keeper.finish(await one.begin())
    seen += range(1, 6)
    snapshot = await store.range("/")
    two.keeper.hear_of_counters({one.key: one.value for one in snapshot.entries}, all_of_them=False)
    numbers = await two.insert(3)
    assert not {*numbers} & {*seen}


@pytest.mark.parametrize("whole", [False, True])
async def test_who_has_numbered_it_anew_itself_goes_on_with_what_it_leased_then(
    store: Store, seen: list[int], whole: bool
) -> None:
    one = process(store)
    assert await one.insert() == [1]
    before = await store.range("/")
    await one.keeper.finish(await one.begin())
    assert await one.insert() == [1]
    for snapshot in (before, await store.range("/")):
        values = {one.key: one.value for one in snapshot.entries}
        one.keeper.hear_of_counters(values, all_of_them=whole)
    assert await one.insert() == [2]


async def test_a_table_whose_rows_cannot_be_asked_for_keeps_no_other_waiting(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, answers = asyncio.Event(), asyncio.Event()

    async def greatest(database: object, table: str) -> int:
        if table == "t":
            asked.set()
            await answers.wait()
        return 0

    monkeypatch.setattr("dbmesh.governance.keeper.greatest_number", greatest)
    one = process(store)
    other = Table(one.keeper, AutoIncrement("u"), one.database)
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        waiting = group.create_task(one.insert())
        await asked.wait()
        assert await other.insert() == [1]
        assert not waiting.done()
        answers.set()


async def test_numbers_given_while_a_table_is_truncated_are_not_given_again(
    store: Store, seen: list[int]
) -> None:
    one = process(store)
    await one.insert(2)
    statement = await one.begin()
    # On one data node it is truncated already, and this row's transaction is open for long.
    assert await one.insert() == [3]
    await one.keeper.finish(statement)
    assert await one.insert(3) == [4, 5, 6]
    await one.keeper.finish(await one.begin())
    assert await one.insert() == [1]


async def test_of_what_somebody_else_finishes_this_process_hears(store: Store) -> None:
    one = process(store)
    stopped, failed, undone = [await one.begin() for _ in range(3)]
    assert await one.keeper.stopped(stopped, (), certain=False)
    assert not await one.keeper.stopped(undone, (), certain=True)
    store.away = True
    with pytest.raises(MeshError):
        await one.keeper.finish(failed)
    store.away = False
    for record in await ddl_journal.read_all(store):
        await ddl_resume.resume(store, record, _ran)
    assert not await ddl_journal.read_all(store)
    heard = [one.keeper.began(layout.ddl(record)) for record in (stopped, failed, undone)]
    assert heard == [False, False, True], "whether it was its own doing"


async def _ran(data_source: str, sql: str) -> None:
    assert (data_source, sql.encode()) == (TRUNCATE.data_source, TRUNCATE.sql)


async def test_what_somebody_else_has_finished_meanwhile_is_not_finished_again(store: Store) -> None:
    one = process(store)
    statement = await one.begin()
    [record] = await ddl_journal.read_all(store)
    await ddl_journal.finish(store, record, None)
    with pytest.raises(MeshError, match="somebody else"):
        await one.keeper.finish(statement)


async def test_a_store_that_is_away_keeps_nobody_from_ending(store: Store, seen: list[int]) -> None:
    one = process(store)
    await one.insert()
    store.away = True
    await one.keeper.close()
    store.away = False
    await one.keeper.close()
    assert await process(store).insert() == [2]


class Made:
    """The mesh of a process that serves the database `app`, and `more` beside it."""

    def __init__(self) -> None:
        rule_set = SimpleNamespace(data_sources={})
        configured = SimpleNamespace(name="app", rule_set=rule_set)
        known = {"app": configured, "more": SimpleNamespace(name="more", rule_set=rule_set)}
        self.mesh = SimpleNamespace(
            databases=known,
            database=known.get,
            configuration=SimpleNamespace(databases={"app": configured}),
        )

    async def remove(self, database: Any) -> None:
        del self.mesh.databases[database.name]


async def test_of_two_who_drop_a_database_the_second_is_told_that_there_is_none(store: Store) -> None:
    made = Made()
    keeper = Keeper(store, cast("Any", made), time.time, os.urandom)
    await databases.keep(store, databases.MadeDatabase("more", "app"))
    more = cast("Any", made.mesh.databases["more"])
    ends = await asyncio.gather(*(keeper.drop_database(more) for _ in range(2)), return_exceptions=True)
    assert [str(end) for end in ends] == ["None", "Can't drop database 'more'; database doesn't exist"]
    assert not await databases.read_databases(store)
