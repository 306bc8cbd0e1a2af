"""COM_STMT_CLOSE: the statement is forgotten and its cursor closed, in silence."""

from __future__ import annotations

import struct

import pytest

from dbmesh.backend.mysql import MySQLConnection
from dbmesh.planner.plan import PinReason
from dbmesh.session.prepared import Cursor, PreparedStatement
from tests.plugins.session_world import SHARD_STATEMENT, SessionWorld

CLOSE = b"\x19" + struct.pack("<I", 1)


async def test_it_is_forgotten_without_an_answer() -> None:
    world = SessionWorld()
    world.session.statements[1] = PreparedStatement(1, b"SELECT 1", "SELECT 1", 0)
    assert await world.command(CLOSE) == []
    assert world.session.statements == {}
    assert await world.command(CLOSE) == [], "closing what is not there is no error"


@pytest.mark.parametrize("reason", [PinReason.CURSOR, PinReason.USER_LOCK])
async def test_its_cursor_is_closed_on_the_shard_and_only_a_pin_of_its_own_goes(reason: PinReason) -> None:
    world = SessionWorld()
    session = world.session
    connection = await world.pools["ds_1"].acquire(session.flavour)
    assert isinstance(connection, MySQLConnection)
    session.pins["shop.ds_1"] = (connection, reason)
    cursor = Cursor(connection, SHARD_STATEMENT, "shop.ds_1")
    session.statements[1] = PreparedStatement(1, b"SELECT 1", "SELECT 1", 0, cursor=cursor)
    assert await world.command(CLOSE) == []
    assert world.sent == [("ds_1", b"\x19" + struct.pack("<I", SHARD_STATEMENT))]
    assert world.lent == (reason is PinReason.USER_LOCK)
    assert len(session.pins) == world.lent
