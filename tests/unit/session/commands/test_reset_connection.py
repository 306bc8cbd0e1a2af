"""COM_RESET_CONNECTION: everything the session set or holds goes, its database stays."""

from __future__ import annotations

import struct

from dbmesh.planner.plan import PinReason
from dbmesh.wire.packets import parse_err, parse_ok
from tests.plugins import canned
from tests.plugins.canned import MODERN
from tests.plugins.session_world import SessionWorld, prepared

IN_TRANSACTION = 3
UPDATE = b"\x03UPDATE t_order SET status = 'x' WHERE user_id = 1"


async def test_a_transaction_is_rolled_back_and_variables_are_forgotten() -> None:
    world = SessionWorld()
    world.reply = lambda name, payload: canned.ok(
        status=2 if payload.startswith(b"\x03ROLLBACK") else IN_TRANSACTION
    )
    await world.command(b"\x03SET autocommit = 0, @x = 5")
    await world.command(UPDATE)
    assert world.lent == 1
    ((sequence, packet),) = await world.command(b"\x1f")
    assert (sequence, parse_ok(packet, MODERN).status) == (1, 2)
    assert world.statements()[-1] == ("ds_0", "ROLLBACK")
    assert world.lent == 0
    session = world.session
    assert session.autocommit
    assert session.state.user_variable("x") is None
    assert session.database == "shop"


async def test_what_is_pinned_is_closed_and_prepared_statements_are_gone() -> None:
    world = SessionWorld()
    world.reply = lambda name, payload: prepared([], []) if payload[0] == 0x16 else canned.ok()
    await world.command(b"\x16UPDATE t_order SET status = 'x' WHERE user_id = 1")
    connection = await world.pools["ds_0"].acquire(world.session.flavour)
    world.session.pins["shop.ds_0"] = (connection, PinReason.USER_LOCK)
    await world.command(b"\x1f")
    assert not connection.usable
    assert world.session.pins == {}
    assert world.lent == 0
    ((_, packet),) = await world.command(b"\x17" + struct.pack("<IBI", 1, 0, 1))
    assert parse_err(packet).number == 1243
