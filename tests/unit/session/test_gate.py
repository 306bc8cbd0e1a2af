"""While it is not known which rules hold, commands wait; what is under way ends, or is ended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from dbmesh.session import gate
from dbmesh.wire.constants import Command
from tests.plugins.session_world import SessionWorld

_PING = bytes([Command.PING])


@pytest.fixture
async def world() -> AsyncIterator[SessionWorld]:
    made = SessionWorld()
    yield made
    await made.session.end()
    await made.tasks.close()


def _query(sql: str) -> bytes:
    return bytes([Command.QUERY]) + sql.encode()


async def test_an_open_gate_is_not_asked(world: SessionWorld) -> None:
    assert world.mesh.newest is world.mesh.databases
    world.mesh.gate.close("why")
    assert world.mesh.newest is not world.mesh.databases
    world.mesh.gate.open()
    assert world.mesh.newest is world.mesh.databases


async def test_commands_wait_and_go_on(world: SessionWorld) -> None:
    session = world.session
    world.mesh.gate.close("why")
    session.handle(_query("BEGIN"), 1)
    await asyncio.sleep(0)
    assert not world.client.answered.is_set()
    assert not session.at_rest
    assert await world.mesh.gate.drained(by_force=False), "who waits has begun nothing"
    world.mesh.gate.open()
    await asyncio.wait_for(world.client.answered.wait(), 20)
    assert session.transaction.open


async def test_who_waits_begins_nothing_when_it_is_closed_again_at_once(world: SessionWorld) -> None:
    held, session = world.mesh.gate, world.session
    held.close("why")
    session.handle(_query("BEGIN"), 1)
    await asyncio.sleep(0)
    held.open()
    held.close("another reason")
    held.open()
    held.watch(lambda: "the promise")
    assert await held.drained(by_force=False)
    for _ in range(5):
        await asyncio.sleep(0)
    assert not session.transaction.open
    assert not world.client.answered.is_set()
    held.open()
    await asyncio.wait_for(world.client.answered.wait(), 20)
    assert session.transaction.open


async def test_what_plans_nothing_does_not_wait(world: SessionWorld) -> None:
    world.mesh.gate.shut("why")
    assert (await world.command(_PING))[0][1][0] == 0


async def test_waiting_has_an_end(world: SessionWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "PATIENCE", 0.01)
    world.mesh.gate.close("rows are being moved")
    [(_, answer)] = await world.command(_query("SELECT 1"))
    assert b"08S01dbmesh: this sidecar serves no clients: rows are being moved" in answer


async def test_a_transaction_ends_by_itself_or_is_ended(world: SessionWorld) -> None:
    held = world.mesh.gate
    await world.command(_query("BEGIN"))
    held.close("rows are being moved")
    assert not await held.drained(by_force=False)
    assert (await world.command(_query("DO 1")))[0][1][0] == 0, "it may go on"
    await held.drained(by_force=True)
    assert await held.drained(by_force=False)
    assert not world.session.transaction.open
    held.open()
    [(_, answer)] = await world.command(_query("COMMIT"))
    assert b"rows are being moved" in answer


async def test_when_shut_a_transaction_waits_too(world: SessionWorld) -> None:
    await world.command(_query("BEGIN"))
    world.mesh.gate.shut("why")
    world.client.answered.clear()
    world.session.handle(_query("COMMIT"), 1)
    await asyncio.sleep(0)
    assert not world.client.answered.is_set()
    world.mesh.gate.open()
    await asyncio.wait_for(world.client.answered.wait(), 20)


async def test_a_watched_gate_shuts_with_the_first_command_that_is_too_late(world: SessionWorld) -> None:
    late = [""]
    world.mesh.gate.watch(lambda: late[0])
    assert (await world.command(_query("DO 1")))[0][1][0] == 0
    late[0] = "why"
    world.client.answered.clear()
    world.session.handle(_query("DO 2"), 1)
    await asyncio.sleep(0)
    assert not world.client.answered.is_set()
    world.mesh.gate.open()
    await asyncio.wait_for(world.client.answered.wait(), 20)


async def test_a_transaction_that_may_go_on_is_watched_too(world: SessionWorld) -> None:
    late = [""]
    world.mesh.gate.watch(lambda: late[0])
    await world.command(_query("BEGIN"))
    world.mesh.gate.close("rows are being moved")
    assert (await world.command(_query("DO 1")))[0][1][0] == 0
    late[0] = "why"
    world.client.answered.clear()
    world.session.handle(_query("DO 2"), 1)
    await asyncio.sleep(0)
    assert not world.client.answered.is_set()
    world.mesh.gate.open()
    await asyncio.wait_for(world.client.answered.wait(), 20)


async def test_a_client_that_has_gone_is_waited_for(world: SessionWorld) -> None:
    with world.mesh.gate.until_left(world.session):
        assert not await world.mesh.gate.drained(by_force=False)
    assert await world.mesh.gate.drained(by_force=False)


async def _write_in_transaction(world: SessionWorld) -> None:
    await world.command(_query("BEGIN"))
    await world.command(_query("UPDATE t_order SET status = 'x' WHERE user_id = 5"))


async def _begin(world: SessionWorld, sql: str) -> None:
    world.client.answered.clear()
    world.session.handle(_query(sql), 1)
    await asyncio.sleep(0)
    assert not world.client.answered.is_set()


async def test_a_transaction_whose_statement_waits_is_under_way(world: SessionWorld) -> None:
    held = world.mesh.gate
    await _write_in_transaction(world)
    held.shut("why")
    await _begin(world, "COMMIT")
    assert not await held.drained(by_force=False), "what it has written is not committed"
    await held.drained(by_force=True)
    assert await held.drained(by_force=False)
    assert not world.session.transaction.open
    held.open()
    await asyncio.wait_for(world.client.answered.wait(), 20)
    assert ("ds_0", "COMMIT") not in world.statements()
    [(_, answer)] = await world.command(_query("COMMIT"))
    assert b"why" in answer


async def test_a_transaction_that_has_waited_goes_on_when_others_are_waited_for(world: SessionWorld) -> None:
    held = world.mesh.gate
    await _write_in_transaction(world)
    held.shut("why")
    await _begin(world, "COMMIT")
    held.close("rows are being moved")
    await asyncio.wait_for(world.client.answered.wait(), 20)
    assert world.statements()[-1] == ("ds_0", "COMMIT")
    assert await held.drained(by_force=False)
    held.open()
