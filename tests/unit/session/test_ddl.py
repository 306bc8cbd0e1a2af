"""A statement that defines tables is recorded as half done whatever ends it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from dbmesh.planner.plan import Shot
from dbmesh.session.mesh import DdlStatement
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
