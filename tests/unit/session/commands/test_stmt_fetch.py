"""COM_STMT_FETCH: from the connection that holds the cursor, or an error."""

from __future__ import annotations

import struct

import pytest

from dbmesh.backend.mysql import MySQLConnection
from dbmesh.planner.plan import PinReason
from dbmesh.session.answering.cursors import close_cursor
from dbmesh.session.prepared import Cursor, PreparedStatement
from dbmesh.wire.commands import make_fetch
from dbmesh.wire.constants import Status
from dbmesh.wire.framing import frame
from dbmesh.wire.packets import make_end_of_rows, parse_err
from tests.plugins.canned import MODERN
from tests.plugins.session_world import SHARD_STATEMENT, SessionWorld

ROWS = frame(b"\x00\x00one", 1) + frame(b"\x00\x00two", 2)
LAST_ROW = frame(make_end_of_rows(2 | Status.LAST_ROW_SENT, 0, MODERN), 3)


@pytest.fixture
async def world() -> SessionWorld:
    """A session with an open cursor on ds_1."""
    made = SessionWorld()
    connection = await made.pools["ds_1"].acquire(made.session.flavour)
    assert isinstance(connection, MySQLConnection)
    cursor = Cursor(connection, SHARD_STATEMENT, "shop.ds_1")
    made.session.pins["shop.ds_1"] = (connection, PinReason.CURSOR)
    made.session.statements[1] = PreparedStatement(1, b"SELECT 1", "SELECT 1", 0, cursor=cursor)
    made.reply = lambda name, payload: ROWS + LAST_ROW
    return made


async def test_rows_come_from_the_cursors_connection(world: SessionWorld) -> None:
    await world.command(make_fetch(1, 2))
    assert world.client.data == ROWS + LAST_ROW
    assert world.sent == [("ds_1", make_fetch(SHARD_STATEMENT, 2))]
    assert world.lent == 1, "the cursor keeps its connection"


async def test_a_statement_without_cursor_is_an_error(world: SessionWorld) -> None:
    close_cursor(world.session, world.session.statements[1])
    ((_, packet),) = await world.command(make_fetch(1, 2))
    assert parse_err(packet).number == 1421


async def test_a_lost_cursor_is_an_error(world: SessionWorld) -> None:
    world.session.pins["shop.ds_1"][0].abort()
    ((_, packet),) = await world.command(make_fetch(1, 2))
    assert parse_err(packet).number == 1421


async def test_an_unknown_statement_and_half_a_packet_are_errors(world: SessionWorld) -> None:
    ((_, packet),) = await world.command(make_fetch(2, 2))
    assert parse_err(packet).number == 1243
    ((_, packet),) = await world.command(b"\x1c" + struct.pack("<I", 1))
    assert parse_err(packet).number == 1835
    assert world.sent == []
