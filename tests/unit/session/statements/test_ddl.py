"""A statement that defines tables is recorded as half done whatever ends it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from dbmesh.planner.plan import Shot
from dbmesh.rules.moving import Moving, MovingTable, Side
from dbmesh.session.mesh import DdlStatement
from dbmesh.wire.packets import parse_err
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
