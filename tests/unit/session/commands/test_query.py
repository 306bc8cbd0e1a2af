"""COM_QUERY: one statement or several, attributes read over, and nothing sent that was not planned."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dbmesh.wire.constants import Capability, ColumnType
from dbmesh.wire.packets import make_column_definition, parse_err, parse_ok
from tests.plugins import canned
from tests.plugins.canned import MODERN
from tests.plugins.scripted import column
from tests.plugins.session_world import SessionWorld

SHARD = [replace(column("status", ColumnType.VAR_STRING, "t_order_1"), schema=b"shard")]
POINT = b"SELECT status FROM t_order WHERE user_id = 5"
MULTI = MODERN | int(Capability.MULTI_STATEMENTS)
ATTRIBUTES = MODERN | int(Capability.QUERY_ATTRIBUTES)
MORE_RESULTS = 8


def _rows(name: str, payload: bytes) -> bytes:
    del name, payload
    return canned.result_set(SHARD, [[b"paid"]])


async def test_a_statement_of_one_shard_is_sent_there_and_its_rows_come_back() -> None:
    world = SessionWorld()
    world.reply = _rows
    count, definition, row, end = await world.command(b"\x03" + POINT)
    assert (count[1], row[1], end[1][0]) == (b"\x01", b"\x04paid", 0xFE)
    assert b"t_order_1" not in definition[1]
    assert b"t_order" in definition[1]
    ((name, sql),) = world.statements()
    assert name == "ds_0"
    assert sql == "SELECT status FROM t_order_1 AS t_order WHERE user_id = 5"
    assert world.lent == 0


async def test_an_ok_packet_is_the_shards() -> None:
    world = SessionWorld()
    world.reply = lambda name, payload: canned.ok(affected=3, insert_id=0)
    ((_, packet),) = await world.command(b"\x03UPDATE t_order SET status = 'x' WHERE user_id = 5")
    assert parse_ok(packet, MODERN).affected_rows == 3


@pytest.mark.parametrize(
    "attributes",
    [b"\x00\x01", b"\x01\x01\x00\x01\xfd\x00\x05trace\x03abc"],
    ids=["none", "one"],
)
async def test_query_attributes_are_no_part_of_the_statement(attributes: bytes) -> None:
    world = SessionWorld(ATTRIBUTES)
    world.reply = _rows
    assert len(await world.command(b"\x03" + attributes + POINT)) == 4
    assert world.statements()[0][1].endswith("WHERE user_id = 5")


async def test_several_statements_answer_one_after_another_and_the_last_says_so() -> None:
    world = SessionWorld(MULTI)
    packets = await world.command(b"\x03SET @a = 1; SET @b = 2; SET @c = 3")
    assert [number for number, _ in packets] == [1, 2, 3]
    assert [parse_ok(packet, MULTI).status & MORE_RESULTS for _, packet in packets] == [8, 8, 0]


async def test_the_first_error_ends_several_statements() -> None:
    world = SessionWorld(MULTI)
    packets = await world.command(b"\x03SET @a = 1; NONSENSE; SET @b = 2")
    assert [packet[0] for _, packet in packets] == [0x00, 0xFF]
    assert world.session.state.user_variable("b") is None


async def test_without_the_capability_a_semicolon_is_an_error_and_nothing_runs() -> None:
    world = SessionWorld()
    ((_, packet),) = await world.command(b"\x03SET @a = 1; SET @b = 2")
    assert parse_err(packet).number == 1064
    assert world.session.state.user_variable("a") is None
    assert world.sent == []


@pytest.mark.parametrize(
    ("text", "number"),
    [(b"", 1065), (b"SELEKT 1", 1064), (b"SELECT * FROM nothing", 1146), (b"SELECT ?", 1064)],
)
async def test_what_cannot_be_planned_is_an_error_and_is_not_sent(text: bytes, number: int) -> None:
    world = SessionWorld()
    ((sequence, packet),) = await world.command(b"\x03" + text)
    assert (sequence, parse_err(packet).number) == (1, number)
    assert world.sent == []
    assert world.reloaded == (number == 1146), "a table may have come behind the mesh's back"


@pytest.mark.parametrize("junk", [b"'\xff\xfe\xc3('", b"'\xed\xa0\x80'"])
async def test_bytes_that_are_no_utf8_reach_the_shard_as_they_are_or_not_at_all(junk: bytes) -> None:
    world = SessionWorld()
    world.reply = _rows
    packets = await world.command(b"\x03SELECT " + junk + b" FROM t_order WHERE user_id = 5")
    sent = [payload for _, payload in world.sent]
    assert (packets[-1][1][0] == 0xFF and not sent) or (len(sent) == 1 and junk in sent[0])


async def test_bytes_that_are_no_utf8_outside_a_string_are_told() -> None:
    world = SessionWorld()
    ((_, packet),) = await world.command(b"\x03SELECT status AS \xff FROM t_order WHERE user_id = 5")
    assert (parse_err(packet).number, world.sent) == (1300, [])


async def test_preview_tells_and_sends_nothing() -> None:
    world = SessionWorld()
    packets = await world.command(b"\x03PREVIEW " + POINT)
    assert any(b"t_order_1 AS t_order" in packet for _, packet in packets)
    assert world.sent == []


async def test_a_mistake_of_our_own_is_an_error_packet_and_the_session_goes_on() -> None:
    world = SessionWorld()
    plans = world.mesh.databases["shop"].plans
    plans.lookup = None  # type: ignore[assignment,method-assign]
    ((_, packet),) = await world.command(b"\x03" + POINT)
    assert parse_err(packet).number == 1105
    assert (await world.command(b"\x0e"))[0][1][0] == 0x00


async def test_definitions_are_one_servers() -> None:
    world = SessionWorld()
    world.reply = _rows
    _, (_, packet), *_ = await world.command(b"\x03" + POINT)
    assert packet == make_column_definition(
        replace(SHARD[0], schema=b"shop", org_table=b"t_order", table=b"t_order")
    )
