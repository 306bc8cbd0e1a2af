"""COM_INIT_DB: a known database becomes the current one; an unknown one changes nothing."""

from __future__ import annotations

from dbmesh.rules.privileges import OF_DATABASE, Privileges, Target, grant
from dbmesh.wire.constants import Capability
from dbmesh.wire.packets import parse_err, parse_ok
from tests.plugins.canned import MODERN
from tests.plugins.session_world import SessionWorld

TRACKING = MODERN | int(Capability.SESSION_TRACK)


async def test_a_known_database_is_told_to_clients_that_track() -> None:
    world = SessionWorld(TRACKING)
    world.session.database = None
    ((sequence, packet),) = await world.command(b"\x02SHOP")
    assert sequence == 1
    assert world.session.database == "shop"
    assert parse_ok(packet, TRACKING).session_state == b"\x01\x05\x04shop"


async def test_others_are_not_told() -> None:
    ((_, packet),) = await SessionWorld().command(b"\x02shop")
    assert packet == b"\x00\x00\x00\x02\x00\x00\x00"


async def test_an_unknown_database_changes_nothing() -> None:
    world = SessionWorld()
    ((sequence, packet),) = await world.command(b"\x02nowhere")
    error = parse_err(packet)
    assert (sequence, error.number, error.sqlstate) == (1, 1049, "42000")
    assert world.session.database == "shop"


async def test_one_the_account_may_not_use_is_denied() -> None:
    world = SessionWorld()
    world.session.privileges = Privileges(grant(Target("other"), OF_DATABASE))
    ((_, packet),) = await world.command(b"\x02shop")
    assert parse_err(packet).number == 1044
