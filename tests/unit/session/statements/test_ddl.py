"""A statement that defines tables is recorded as half done whatever ends it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, cast

from dbmesh.planner.plan import CountMerge, Names, Shot, Verb
from dbmesh.planner.text_plan import MadeWhole, TextPlan
from dbmesh.rules.moving import Moving, MovingTable, Side
from dbmesh.session.mesh import DdlStatement
from dbmesh.session.statements.ddl import _make_whole
from dbmesh.wire.packets import parse_err
from tests.plugins.planner_world import SOURCES
from tests.plugins.session_world import SessionWorld


class Keeper:
    """Keeps what it is told of records."""

    def __init__(self) -> None:
        self.told: list[tuple[str, list[str], bool]] = []

    async def begin(self, statement: DdlStatement) -> str:
        return statement.text

    async def stopped(self, record: str, done: Sequence[Shot], *, certain: bool) -> bool:
        self.told.append((record, [shot.data_source for shot in done], certain))
        return True


async def test_a_client_that_is_lost_leaves_a_record_that_is_known_to_have_stopped() -> None:
    world = SessionWorld()
    keeper = Keeper()
    world.mesh.keeper = cast("Any", keeper)
    await world.running(b"\x03TRUNCATE TABLE t_order", data_sources=2)
    await world.end()
    assert keeper.told == [("TRUNCATE TABLE t_order", [], False)]


async def test_a_table_of_a_job_is_not_altered_from_its_first_step_on() -> None:
    world = SessionWorld()
    moving = Moving(7, "shop", Side.BEFORE, doubled=False, other="", tables=(MovingTable("t_order", (), ()),))
    cast("Any", world.mesh.configuration).moving = moving
    ((_, packet),) = await world.command(b"\x03ALTER TABLE t_order ADD COLUMN more INT")
    assert parse_err(packet).number == 1235
    await world.end()


class Finishing(Keeper):
    """A keeper that takes a while to finish what has been done."""

    def __init__(self) -> None:
        super().__init__()
        self.finishing, self.finished = asyncio.Event(), asyncio.Event()

    async def finish(self, record: str) -> None:
        self.finishing.set()
        await self.finished.wait()


async def test_what_is_done_on_every_node_is_not_killed_before_it_is_known_here() -> None:
    world, keeper = SessionWorld(), Finishing()
    world.mesh.keeper = cast("Any", keeper)
    world.client.answered.clear()
    world.session.handle(b"\x03TRUNCATE TABLE t_order", 1)
    await keeper.finishing.wait()
    world.session.kill_query()
    await asyncio.sleep(0)
    keeper.finished.set()
    await world.client.answered.wait()
    assert world.client.packets()[-1][1][0] == 0
    assert world.reloaded == 1
    await world.end()


async def test_tables_that_a_statement_has_changed_are_read_though_its_client_is_gone() -> None:
    world, keeper = SessionWorld(), Finishing()
    world.mesh.keeper = cast("Any", keeper)
    world.session.handle(b"\x03TRUNCATE TABLE t_order", 1)
    await keeper.finishing.wait()
    ending = asyncio.get_running_loop().create_task(world.end())
    await asyncio.sleep(0)
    keeper.finished.set()
    await ending
    assert world.reloaded == 1


async def test_tables_are_read_again_when_nobody_knows_what_a_statement_has_done() -> None:
    world = SessionWorld()
    await world.running(b"\x03ALTER TABLE t_plain ADD COLUMN more INT")
    await world.end()
    assert world.reloaded == 1


async def test_no_guard_stays_where_a_change_is_killed_between_two_of_them() -> None:
    world = SessionWorld()
    session, database = world.session, world.mesh.databases["shop"]
    guards = tuple(
        Shot(name, f"ALTER TABLE t ADD CONSTRAINT on_{name}".encode()) for name in ("ds_0", "ds_1")
    )
    undo = tuple(Shot(name, f"ALTER TABLE t DROP CONSTRAINT on_{name}".encode()) for name in ("ds_0", "ds_1"))
    whole = MadeWhole("t_order", "why", guards, undo, guards[0])
    plan = TextPlan(Verb.DDL, (), (), CountMerge(), Names("shop", {}), opens_transaction=False)
    taken = [await world.pools["ds_1"].acquire(session.flavour) for _ in range(SOURCES["ds_1"].max_pool_size)]
    world.client.answered.clear()
    session.run(_make_whole(session, database, plan, whole))
    for _ in range(20):
        await asyncio.sleep(0)
    # It waits for a connection to the second.
    session.kill_query()
    await asyncio.wait_for(world.client.answered.wait(), 20)
    assert world.statements()[-1] == ("ds_0", "ALTER TABLE t DROP CONSTRAINT on_ds_0")
    assert parse_err(world.client.packets()[-1][1]).number == 1317
    for connection in taken:
        world.pools["ds_1"].release(connection, session.now())
    await world.end()
