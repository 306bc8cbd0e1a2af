"""COM_STMT_PREPARE: definitions of parameters and columns as a shard knows them, under logic names."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest

from dbmesh.session.commands.stmt_prepare import MAX_STATEMENTS
from dbmesh.wire.blocks import make_prepare_answer, parse_prepare_answer
from dbmesh.wire.constants import Capability, ColumnType
from dbmesh.wire.framing import frame
from dbmesh.wire.packets import PrepareOk, parse_err
from tests.plugins import canned
from tests.plugins.canned import MODERN, OLD
from tests.plugins.scripted import column
from tests.plugins.session_world import SessionWorld, prepared

PARAMETER = column("?", ColumnType.LONGLONG)
AMOUNT = replace(
    column("amount", ColumnType.NEWDECIMAL, "t_order_0"),
    schema=b"shard",
    decimals=2,
    flags=1,
    length=12,
    character_set=63,
)
STATEMENT = b"\x16SELECT amount FROM t_order WHERE user_id = ?"


@pytest.mark.parametrize("capabilities", [MODERN, OLD])
async def test_a_shards_definitions_under_logic_names(capabilities: int) -> None:
    world = SessionWorld(capabilities)
    world.reply = lambda name, payload: prepared([PARAMETER], [AMOUNT], capabilities)
    await world.command(STATEMENT)
    logic = replace(AMOUNT, table=b"t_order", org_table=b"t_order", schema=b"shop")
    assert world.client.data == make_prepare_answer(
        PrepareOk(1, 1, 1, 0),
        [PARAMETER],
        [logic],
        deprecate_eof=bool(capabilities & Capability.DEPRECATE_EOF),
        status=2,
    )
    ((name, payload),) = world.sent
    assert name == "ds_0"
    assert payload == b"\x16SELECT amount FROM t_order_0 AS t_order WHERE user_id = ?"
    assert world.lent == 0


async def test_ids_count_up_and_the_text_is_kept() -> None:
    world = SessionWorld()
    world.reply = lambda name, payload: prepared([PARAMETER], [AMOUNT])
    for number in (1, 2, 3):
        ((_, first), *_) = await world.command(STATEMENT)
        assert struct.unpack_from("<I", first, 1) == (number,)
    assert world.session.statements[3].text == STATEMENT[1:].decode()
    assert world.session.statements[3].parameter_count == 1
    assert len(world.sent) == 1, "prepared once on the shard's connection"


async def test_what_the_session_answers_itself_asks_no_shard() -> None:
    world = SessionWorld()
    await world.command(b"\x16SHOW TABLES")
    data = world.client.data
    ok, parameters, columns = parse_prepare_answer(data, deprecate_eof=True)
    assert (ok.parameters, parameters, len(columns)) == (0, (), 1)
    assert world.sent == []


async def test_an_error_of_the_shard_names_the_logic_table() -> None:
    world = SessionWorld()
    world.reply = lambda name, payload: canned.failure(1054, "Unknown column 't_order_0.amount'")
    ((_, packet),) = await world.command(STATEMENT)
    assert parse_err(packet).message == b"Unknown column 't_order.amount'"
    assert world.session.statements == {}
    assert world.lent == 0


@pytest.mark.parametrize(
    ("text", "number"), [(b"SELEKT ?", 1064), (b"SELECT * FROM nothing WHERE a = ?", 1146)]
)
async def test_what_cannot_be_planned_is_not_prepared(text: bytes, number: int) -> None:
    world = SessionWorld()
    ((_, packet),) = await world.command(b"\x16" + text)
    assert parse_err(packet).number == number
    assert world.sent == []


async def test_statements_are_bounded() -> None:
    world = SessionWorld()
    world.reply = lambda name, payload: prepared([PARAMETER], [AMOUNT])
    await world.command(STATEMENT)
    known = world.session.statements[1]
    world.session.statements.update(dict.fromkeys(range(2, MAX_STATEMENTS + 1), known))
    ((_, packet),) = await world.command(STATEMENT)
    assert parse_err(packet).number == 1461
    await world.command(b"\x19" + struct.pack("<I", 1))
    assert (await world.command(STATEMENT))[0][1][0] == 0x00


async def test_a_broken_answer_is_an_error_and_the_connection_is_not_lent_again() -> None:
    world = SessionWorld()
    world.reply = lambda name, payload: frame(b"\x00\x01", 1)
    ((_, packet),) = await world.command(STATEMENT)
    assert packet[0] == 0xFF
    assert world.lent == 0
    assert sum(pool.size for pool in world.pools.values()) == 0
