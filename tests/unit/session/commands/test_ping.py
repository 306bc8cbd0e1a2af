"""COM_PING: answered by the mesh alone."""

from __future__ import annotations

from dbmesh.wire.packets import parse_ok
from tests.plugins.canned import MODERN
from tests.plugins.session_world import SessionWorld


async def test_no_data_source_is_asked() -> None:
    world = SessionWorld()
    ((sequence, packet),) = await world.command(b"\x0e")
    assert sequence == 1
    assert parse_ok(packet, MODERN).status == 2
    assert world.sent == []
    assert not any(pool.size for pool in world.pools.values())


async def test_the_status_is_the_sessions() -> None:
    world = SessionWorld()
    world.session.transaction.begin("")
    ((_, packet),) = await world.command(b"\x0e")
    assert parse_ok(packet, MODERN).status == 3
