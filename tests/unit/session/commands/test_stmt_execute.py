"""COM_STMT_EXECUTE: prepared once on the shard and passed on, or written into text where several shards answer."""

from __future__ import annotations

import struct

import pytest

from dbmesh.planner.plan import PinReason
from dbmesh.wire.commands import make_execute
from dbmesh.wire.constants import ColumnType, Status
from dbmesh.wire.framing import frame
from dbmesh.wire.packets import make_column_definition, make_end_of_rows, parse_err
from tests.plugins import canned
from tests.plugins.canned import MODERN
from tests.plugins.scripted import column
from tests.plugins.session_world import SHARD_STATEMENT, SessionWorld, prepared

PARAMETER = column("?", ColumnType.LONGLONG)
NUMBER = column("user_id", ColumnType.LONGLONG, "t_order_1")
POINT = b"SELECT user_id FROM t_order WHERE user_id = ?"
ALL = b"SELECT user_id FROM t_order WHERE user_id > ? ORDER BY user_id"
BINARY_ROW = b"\x00\x00" + struct.pack("<q", 5)


def _binary(rows: list[bytes], status: int = 2) -> bytes:
    """A binary result set of one number."""
    packets = [b"\x01", make_column_definition(NUMBER), *rows, make_end_of_rows(status, 0, MODERN)]
    return b"".join(frame(packet, number) for number, packet in enumerate(packets, 1))


def _shard(name: str, payload: bytes) -> bytes:
    if payload[0] == 0x16:
        return prepared([PARAMETER], [NUMBER])
    if payload[0] == 0x17:
        return _binary([BINARY_ROW])
    return canned.result_set([NUMBER], [[b"5"]] if name == "ds_0" else [[b"7"]])


async def _world(text: bytes) -> SessionWorld:
    world = SessionWorld()
    world.reply = _shard
    await world.command(b"\x16" + text)
    world.sent.clear()
    return world


async def test_one_shard_executes_what_it_has_prepared_once() -> None:
    world = await _world(POINT)
    for _ in range(3):
        packets = await world.command(make_execute(1, [5]))
        assert packets[2] == (3, BINARY_ROW)
        assert b"t_order_1" not in packets[1][1]
    assert [payload[0] for _, payload in world.sent] == [0x16, 0x17, 0x17, 0x17]
    assert world.sent[0] == ("ds_0", b"\x16SELECT user_id FROM t_order_1 AS t_order WHERE user_id = ?")
    assert world.sent[1] == ("ds_0", make_execute(SHARD_STATEMENT, [5]))
    assert world.lent == 0


async def test_types_are_remembered_from_the_last_execution() -> None:
    world = await _world(POINT)
    await world.command(make_execute(1, [5]))
    untyped = struct.pack("<BIBI", 0x17, 1, 0, 1) + b"\x00\x00" + struct.pack("<q", 5)
    assert (await world.command(untyped))[2] == (3, BINARY_ROW)
    assert world.sent[-1][1] == make_execute(SHARD_STATEMENT, [5])


@pytest.mark.parametrize("value", [5, "5", b"5"])
async def test_a_key_leads_to_the_same_shard_however_it_is_bound(value: int | str | bytes) -> None:
    world = await _world(POINT)
    await world.command(make_execute(1, [value]))
    assert world.sent[0][1].endswith(b"FROM t_order_1 AS t_order WHERE user_id = ?")


async def test_several_shards_execute_it_and_their_binary_rows_pass() -> None:
    world = await _world(ALL)
    packets = await world.command(make_execute(1, [3]))
    assert [packet for _, packet in packets[2:-1]] == [BINARY_ROW] * 4
    executed = [payload for _, payload in world.sent if payload[0] == 0x17]
    assert executed == [make_execute(SHARD_STATEMENT, [3])] * 4
    assert world.lent == 0


async def test_long_data_goes_with_the_text_and_is_used_once() -> None:
    world = await _world(b"SELECT user_id FROM t_order WHERE user_id = 5 AND status = ?")
    await world.command(b"\x18" + struct.pack("<IH", 1, 0) + b"pa")
    await world.command(b"\x18" + struct.pack("<IH", 1, 0) + b"id")
    assert world.client.data == b""
    head = struct.pack("<BIBI", 0x17, 1, 0, 1)
    await world.command(head + b"\x00\x01\xfd\x00")
    assert world.statements()[-1][1].endswith("status = 'paid'")
    assert world.session.statements[1].long_data == {}


async def test_too_much_long_data_is_told_by_execute_alone() -> None:
    world = await _world(POINT)
    await world.command(b"\x18" + struct.pack("<IH", 1, 0) + b"x" * 1001)
    ((_, packet),) = await world.command(make_execute(1, [5]))
    assert parse_err(packet).number == 1153
    assert (await world.command(make_execute(1, [5])))[2] == (3, BINARY_ROW)


@pytest.mark.parametrize("cut", range(1, 21))
async def test_a_cut_packet_is_an_error_and_nothing_runs(cut: int) -> None:
    world = await _world(POINT)
    ((_, packet),) = await world.command(make_execute(1, [5])[:-cut])
    assert packet[0] == 0xFF
    assert world.sent == []


async def test_an_unknown_statement_is_an_error() -> None:
    world = await _world(POINT)
    ((_, packet),) = await world.command(make_execute(2, [5]))
    assert parse_err(packet).number == 1243


async def test_an_error_of_the_shard_keeps_the_statement() -> None:
    world = await _world(POINT)
    world.reply = lambda name, payload: canned.failure(1142, "denied for table 't_order_1'")
    ((_, packet),) = await world.command(make_execute(1, [5]))
    assert parse_err(packet).message == b"denied for table 't_order'"
    world.reply = _shard
    assert (await world.command(make_execute(1, [5])))[2] == (3, BINARY_ROW)
    assert world.lent == 0


async def test_a_cursor_keeps_its_connection_and_its_own_statement() -> None:
    world = await _world(POINT)
    opened = frame(b"\x01", 1) + frame(make_column_definition(NUMBER), 2)
    opened += frame(make_end_of_rows(2 | Status.CURSOR_EXISTS, 0, MODERN), 3)
    world.reply = lambda name, payload: opened if payload[0] == 0x17 else _shard(name, payload)
    packets = await world.command(make_execute(1, [5], cursor_flags=1))
    assert len(packets) == 3
    assert world.lent == 1
    (reason,) = [reason for _, reason in world.session.pins.values()]
    assert reason is PinReason.CURSOR
    cursor = world.session.statements[1].cursor
    assert cursor is not None
    assert world.sent[0][1][1:] not in cursor.connection.prepared, (
        "nobody else may execute what the cursor reads"
    )
    await world.command(make_execute(1, [5]))
    assert world.session.pins == {}, "executing again closes the cursor"


async def test_a_write_gets_no_cursor() -> None:
    world = await _world(b"UPDATE t_order SET status = 'x' WHERE user_id = ?")
    world.reply = lambda name, payload: prepared([PARAMETER], []) if payload[0] == 0x16 else canned.ok(1)
    await world.command(make_execute(1, [5], cursor_flags=1))
    assert world.session.pins == {}
    assert world.lent == 0
