"""A routine is on every data source it belongs on, or on none."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from dbmesh.planner.session_plan import DropRoutine
from dbmesh.session.statements.routines import _define
from dbmesh.wire.packets import parse_err
from tests.plugins.planner_world import SOURCES
from tests.plugins.session_world import SessionWorld


async def test_a_definition_that_is_killed_between_two_data_sources_is_on_neither() -> None:
    world = SessionWorld()
    session = world.session
    database = replace(world.mesh.databases["shop"], merge_pools=world.pools)
    taken = [await world.pools["ds_1"].acquire(session.flavour) for _ in range(SOURCES["ds_1"].max_pool_size)]
    world.client.answered.clear()
    undo = DropRoutine("FUNCTION", None, "f", True)
    definition = "CREATE FUNCTION f() RETURNS INT RETURN 1"
    session.run(_define(session, database, ["ds_0", "ds_1"], definition, undo))
    for _ in range(20):
        await asyncio.sleep(0)
    assert ("ds_0", definition) in world.statements()
    session.kill_query()
    await asyncio.wait_for(world.client.answered.wait(), 20)
    assert world.statements()[-1] == ("ds_0", "DROP FUNCTION IF EXISTS `f`")
    assert parse_err(world.client.packets()[-1][1]).number == 1317
    for connection in taken:
        world.pools["ds_1"].release(connection, session.now())
    await world.end()
