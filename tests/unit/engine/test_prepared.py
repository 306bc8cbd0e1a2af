"""What is prepared for one statement's shots is there when they are executed, and is gone when they are not."""

from __future__ import annotations

import pytest

from dbmesh.backend.connection import Flavour
from dbmesh.backend.mysql import PREPARED_PER_CONNECTION
from dbmesh.engine.lane import Lane
from dbmesh.engine.prepared import EXACT_READING, close_statements, prepared_lanes
from dbmesh.errors import ShardError
from dbmesh.planner.plan import Shot
from tests.plugins import canned
from tests.plugins.session_world import SessionWorld, prepared


async def _lanes(world: SessionWorld, shots: int) -> list[Lane]:
    """A lane of so many shots on each data source."""
    return [
        Lane(
            await pool.acquire(Flavour()), tuple(Shot(name, b"SELECT %d" % number) for number in range(shots))
        )
        for name, pool in world.pools.items()
    ]


def _closed(world: SessionWorld) -> list[str]:
    return [name for name, payload in world.sent if payload[0] == 0x19]


async def test_all_shots_of_a_lane_can_be_executed_however_many_they_are() -> None:
    world = SessionWorld()
    world.reply = lambda name, payload: prepared([], [])
    shots = PREPARED_PER_CONNECTION + 20
    lanes = await prepared_lanes(await _lanes(world, shots), EXACT_READING, None, once=False)
    assert [len(lane.executes or ()) for lane in lanes] == [shots, shots]
    assert not _closed(world)
    close_statements(lanes)
    assert len(_closed(world)) == 2 * shots


@pytest.mark.parametrize("once", [True, False])
async def test_what_was_prepared_for_one_statement_alone_does_not_stay_where_another_cannot_be(
    once: bool,
) -> None:
    world = SessionWorld()

    def reply(name: str, payload: bytes) -> bytes:
        refused = name == "ds_1" and payload.endswith(b"SELECT 1")
        return canned.failure(1146, "no such table") if refused else prepared([], [])

    world.reply = reply
    with pytest.raises(ShardError):
        await prepared_lanes(await _lanes(world, 2), EXACT_READING, None, once=once)
    assert _closed(world) == (["ds_1", "ds_0", "ds_0"] if once else [])
