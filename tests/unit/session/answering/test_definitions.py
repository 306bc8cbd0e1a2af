"""The client's own statement is asked for its columns once per plan, and merged answers are told with them."""

from __future__ import annotations

from dataclasses import replace

from dbmesh.wire.constants import ColumnType
from dbmesh.wire.packets import parse_column_definition
from tests.plugins import canned
from tests.plugins.scripted import column
from tests.plugins.session_world import SessionWorld

DISTINCT = b"\x03SELECT DISTINCT user_id FROM t_order"
OWN = "SELECT DISTINCT user_id FROM t_order_0 AS t_order LIMIT ROWS EXAMINED 0"
SEEN = replace(column("user_id", ColumnType.LONGLONG, "t_order_0"), flags=16384)
TOLD = replace(SEEN, flags=8)


def _world(own: bytes) -> SessionWorld:
    world = SessionWorld()
    world.server_version = "10.11.6-MariaDB"
    world.reply = lambda name, payload: (
        own if b"ROWS EXAMINED" in payload else canned.result_set([SEEN], [[b"1"]])
    )
    return world


async def _flags(world: SessionWorld, text: bytes = DISTINCT) -> int:
    packets = await world.command(text)
    return parse_column_definition(packets[1][1]).flags


async def test_the_own_statement_is_asked_once() -> None:
    world = _world(canned.result_set([TOLD], []))
    assert [await _flags(world) for _ in range(3)] == [8, 8, 8]
    assert [text for _, text in world.statements()].count(OWN) == 1


async def test_limit_0_is_asked_apart() -> None:
    world = _world(canned.result_set([TOLD], []))
    for limit in (1, 0, 2, 0):
        assert await _flags(world, DISTINCT + b" LIMIT %d" % limit) == 8
    asked = [text for _, text in world.statements() if "ROWS EXAMINED" in text]
    assert [text.rpartition(" LIMIT ")[2] for text in asked] == ["1 ROWS EXAMINED 0", "0 ROWS EXAMINED 0"]


async def test_what_one_server_says_against_the_statement_is_told() -> None:
    world = _world(canned.failure(1054, "Unknown column"))
    packets = await world.command(DISTINCT)
    assert b"Unknown column" in packets[0][1]
    assert world.lent == 0


async def test_a_server_without_the_limit_is_given_a_moment() -> None:
    world = SessionWorld()
    world.server_version = "9.1.0"
    late = canned.failure(3024, "maximum statement execution time exceeded")
    answers = iter([late, canned.result_set([TOLD], [])])
    own = OWN.removesuffix(" LIMIT ROWS EXAMINED 0")
    ordinary = canned.result_set([SEEN], [[b"1"]])
    world.reply = lambda name, payload: next(answers, ordinary) if own.encode() in payload else ordinary
    flags = [await _flags(world) for _ in range(2)]
    texts = [text for _, text in world.statements()]
    assert flags == [8, 8], texts
