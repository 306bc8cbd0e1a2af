"""COM_FIELD_LIST: the data node's definitions and defaults under logic names."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dbmesh.wire.framing import frame
from dbmesh.wire.packets import make_column_definition, make_end_of_rows, parse_err
from tests.plugins import canned
from tests.plugins.canned import MODERN, OLD
from tests.plugins.scripted import column
from tests.plugins.session_world import SessionWorld

SHARD = [replace(column(name, table="t_order_0"), schema=b"shard") for name in ("order_id", "user_id")]
LOGIC = [column("order_id", table="t_order"), column("user_id", table="t_order")]


@pytest.mark.parametrize("capabilities", [MODERN, OLD])
async def test_columns_of_one_node_under_logic_names(capabilities: int) -> None:
    world = SessionWorld(capabilities)
    told = [
        make_column_definition(one) + default for one, default in zip(SHARD, (b"\xfb", b"\x017"), strict=True)
    ]
    told.append(make_end_of_rows(2, 0, capabilities))
    answer = b"".join(frame(payload, place + 1) for place, payload in enumerate(told))
    world.reply = lambda name, payload: answer
    *definitions, end = await world.command(b"\x04t_order\x00%")
    expected = [make_column_definition(replace(one, schema=b"shop")) for one in LOGIC]
    assert definitions == [(1, expected[0] + b"\xfb"), (2, expected[1] + b"\x017")]
    assert (end[0], end[1][0]) == (3, 0xFE)
    assert [payload for _, payload in world.sent if payload[:1] == b"\x04"] == [b"\x04t_order_0\0%"]
    assert world.lent == 0


async def test_a_name_without_its_end_is_malformed() -> None:
    world = SessionWorld()
    ((_, packet),) = await world.command(b"\x04t_order")
    assert parse_err(packet).number == 1835
    assert world.sent == []


async def test_an_error_of_the_shard_names_the_logic_table() -> None:
    world = SessionWorld()
    world.reply = lambda name, payload: canned.failure(1142, "SELECT denied for table 't_order_0'")
    ((_, packet),) = await world.command(b"\x04t_order\x00")
    error = parse_err(packet)
    assert (error.number, error.message) == (1142, b"SELECT denied for table 't_order'")
    assert world.lent == 0


async def test_an_unknown_table_is_an_error() -> None:
    ((_, packet),) = await SessionWorld().command(b"\x04nothing\x00")
    assert parse_err(packet).number == 1146
