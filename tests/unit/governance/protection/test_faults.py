"""Faults made on purpose: whom they hit, how often, and until when."""

from __future__ import annotations

import asyncio

import pytest

from dbmesh.errors import BREAKER_OPEN, DATA_SOURCE_UNREACHABLE
from dbmesh.rules.protection.selection import Selection
from dbmesh.rules.protection.values import BreakerPolicy, DataSourceBreakers, Fault, Protection
from dbmesh.wire.packets import parse_err
from tests.plugins.protected_world import ProtectedWorld

POINT = b"\x03UPDATE t_order SET status = 'x' WHERE user_id = 5"
ELSEWHERE = POINT.replace(b"5", b"7")
FOREVER = 1e12
WRITES = Selection(verbs=frozenset({"UPDATE"}))


async def test_an_error_hits_so_many_until_its_time_is_over() -> None:
    fault = Fault("half", 2000.0, WRITES, percent=50, number=1213, sqlstate="40001", message="made up")
    world = ProtectedWorld(Protection(faults=(fault,)))
    world.draw = 0.49
    [(_, packet)] = await world.command(POINT)
    found = parse_err(packet)
    assert (found.number, found.sqlstate, found.message) == (1213, "40001", b"made up")
    assert not world.sent
    world.draw = 0.51
    assert await world.numbers(POINT) == [0]
    world.draw = 0.0
    assert await world.numbers(b"\x03COMMIT") == [0]
    assert await world.numbers(POINT.replace(b"UPDATE t_order SET status = 'x'", b"DELETE FROM t_order")) == [
        0
    ]
    world.wall = 2000.0
    assert await world.numbers(POINT) == [0]
    await world.end()


async def test_a_delay_comes_before_the_statement_and_kill_ends_it() -> None:
    world = ProtectedWorld(Protection(faults=(Fault("slow", FOREVER, WRITES, delay=0.05),)))
    began = asyncio.get_running_loop().time()
    assert await world.numbers(POINT) == [0]
    assert asyncio.get_running_loop().time() - began >= 0.05
    world.sent.clear()
    world.client.answered.clear()
    world.client.data = b""
    world.session.handle(POINT, 1)
    await asyncio.sleep(0)
    world.session.kill_query()
    await world.client.answered.wait()
    assert parse_err(world.client.packets()[0][1]).number == 1317
    assert not world.sent
    await world.end()


async def test_a_client_loses_its_connection() -> None:
    world = ProtectedWorld(Protection(faults=(Fault("lost", FOREVER, WRITES, disconnects=True),)))
    await world.command(POINT)
    assert world.client.aborted
    assert not world.sent
    await world.end()


@pytest.mark.parametrize(
    ("fault", "number"),
    [
        (Fault("down", FOREVER, data_sources=("ds_0",), disconnects=True), DATA_SOURCE_UNREACHABLE.number),
        (Fault("full", FOREVER, data_sources=("ds_0",), number=1040, sqlstate="08004"), 1040),
        (Fault("slow", FOREVER, data_sources=("ds_0",), delay=0.03), 0),
    ],
    ids=["unreachable", "error", "slow"],
)
async def test_a_data_source_does_badly_and_its_breaker_opens(fault: Fault, number: int) -> None:
    policy = BreakerPolicy(
        window_calls=20, minimum_calls=3, failure_percent=40, slow_seconds=0.02, slow_percent=40
    )
    protection = Protection(faults=(fault,), data_source_breakers=(DataSourceBreakers("all", policy),))
    world = ProtectedWorld(protection)
    assert await world.numbers(POINT, 2) == [number] * 2
    found = await world.numbers(POINT, 3)
    assert found[-1] == BREAKER_OPEN.number
    assert await world.numbers(ELSEWHERE) == [0]
    world.wall = 2 * FOREVER
    world.passed += 60.0
    assert await world.numbers(POINT, 3) == [0, 0, 0]
    await world.end()
