"""A session goes on to new rules between transactions, and what only former rules used is closed when nobody uses it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any, cast

import pytest

from dbmesh.backend.pool import Pool
from dbmesh.planner.plan import PinReason
from dbmesh.session.mesh import Database
from dbmesh.session.rule_view import follow_rules, give_up, retire
from dbmesh.transaction.transaction import Transaction
from dbmesh.wire.packets import parse_err
from tests.plugins import canned
from tests.plugins.session_world import SessionWorld


@pytest.fixture
async def world() -> AsyncIterator[SessionWorld]:
    made = SessionWorld()
    yield made
    await made.end()


def _query(text: str) -> bytes:
    return b"\x03" + text.encode()


async def _switch(world: SessionWorld) -> tuple[Mapping[str, Database], Database]:
    """The same database over other pools; what was served, and it."""
    old = world.mesh.databases["shop"]
    pools = {name: Pool(pool.config, world.opener(name)) for name, pool in old.pools.items()}
    new = replace(old, pools=pools)

    async def following() -> tuple[Any, Mapping[str, Database]]:
        return world.mesh.configuration, {"shop": new}

    return await world.mesh.switch(following), new


async def _retire(world: SessionWorld, former: Mapping[str, Database], patience: float) -> None:
    pools = list(former["shop"].pools.values())
    await asyncio.wait_for(retire(world.mesh, former, pools, patience, asyncio.get_running_loop().time), 20)


async def test_the_next_command_takes_the_new_rules(world: SessionWorld) -> None:
    former, new = await _switch(world)
    assert world.session.current_database() is former["shop"], "whatever is under way"
    await world.command(_query("SELECT 1"))
    assert world.session.current_database() is new
    await _retire(world, former, 60.0)
    assert not world.mesh._former


async def test_a_transaction_keeps_its_rules(world: SessionWorld) -> None:
    await world.command(_query("BEGIN"))
    former, new = await _switch(world)
    await world.command(_query("UPDATE t_order SET status = 'x' WHERE user_id = 5"))
    assert world.session.current_database() is former["shop"]
    assert world.session.transaction.branches
    retiring = world.tasks.start(_retire(world, former, 60.0), "former rules")
    await world.command(_query("COMMIT"))
    assert world.session.current_database() is new
    await retiring
    assert all(pool.size == 0 for pool in former["shop"].pools.values())


async def test_a_statement_that_ends_a_transaction_is_not_run_under_its_former_rules(
    world: SessionWorld,
) -> None:
    await world.command(_query("BEGIN"))
    await world.command(_query("UPDATE t_order SET status = 'x' WHERE user_id = 5"))
    _, new = await _switch(world)
    ((_, packet),) = await world.command(_query("TRUNCATE TABLE t_order"))
    assert parse_err(packet).number == 1412, "rows may be elsewhere by now"
    assert world.statements()[-1][1] == "COMMIT"
    assert world.session.current_database() is new
    await world.command(_query("TRUNCATE TABLE t_order"))
    assert world.statements()[-1][1].startswith("TRUNCATE")


async def test_patience_ends(world: SessionWorld) -> None:
    await world.command(_query("BEGIN"))
    await world.command(_query("UPDATE t_order SET status = 'x' WHERE user_id = 5"))
    former, new = await _switch(world)
    await _retire(world, former, 0.0)
    ((_, packet),) = await world.command(_query("SELECT 1"))
    assert "the rules it began with were replaced 0 s ago" in parse_err(packet).message.decode()
    await world.command(_query("ROLLBACK"))
    await world.command(_query("UPDATE t_order SET status = 'x' WHERE user_id = 5"))
    assert world.session.current_database() is new
    assert all(pool.size == 0 for pool in former["shop"].pools.values())


async def test_what_is_kept_on_a_data_source_that_stays_goes_on(world: SessionWorld) -> None:
    session, mesh = world.session, world.mesh
    shop = mesh.databases["shop"]
    name, pool = next(iter(shop.pools.items()))
    connection = await pool.acquire(session.flavour)
    session.pins[shop.connection_key(name)] = (connection, PinReason.USER_LOCK)
    follow_rules(session)
    assert session.databases is mesh.databases
    former, new = await _switch(world)
    follow_rules(session)
    assert session.databases is former, "its lock is on a connection that the new rules do not know"
    mesh.databases["shop"] = replace(new, pools=shop.pools)
    follow_rules(session)
    assert cast("object", session.databases) is mesh.databases


async def test_a_statement_that_runs_by_itself_is_left_alone(world: SessionWorld) -> None:
    await world.running(b"\x03SELECT * FROM t_order WHERE user_id = 5")
    former, _ = await _switch(world)
    await asyncio.wait_for(retire(world.mesh, former, (), 0.0, asyncio.get_running_loop().time), 20)
    assert world.session.broken_transaction is None
    assert world.session.databases is former


async def test_nothing_has_drained_while_a_session_goes_by_former_rules(world: SessionWorld) -> None:
    session, mesh = world.session, world.mesh
    shop = mesh.databases["shop"]
    name, pool = next(iter(shop.pools.items()))
    connection = await pool.acquire(session.flavour)
    session.pins[shop.connection_key(name)] = (connection, PinReason.TEMPORARY_TABLE)
    mesh.sessions[session.connection_id] = session
    assert await mesh.gate.drained(by_force=False)
    await _switch(world)
    assert not await mesh.gate.drained(by_force=False)
    assert "former rules" in mesh.gate.under_way()
    await mesh.gate.drained(by_force=True)
    assert await mesh.gate.drained(by_force=False)
    assert not connection.usable


async def test_a_write_that_is_a_transaction_of_its_own_is_told_why_it_is_ended(world: SessionWorld) -> None:
    session, mesh = world.session, world.mesh
    mesh.sessions[session.connection_id] = session
    await world.running(_query("UPDATE t_order SET status = 'x'"))
    mesh.gate.shut("rows are being moved")
    world.reply = lambda name, payload: canned.ok()
    await mesh.gate.drained(by_force=True)
    ((_, packet),) = world.client.packets()
    assert "rows are being moved" in parse_err(packet).message.decode()
    assert await mesh.gate.drained(by_force=False)


async def test_what_is_sent_while_a_transaction_is_given_up_is_no_transaction_of_its_own(
    world: SessionWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Undoing takes time: that of the writes of a BASE transaction, or the end of a transaction on a replica."""
    await world.command(_query("BEGIN"))
    await world.command(_query("UPDATE t_order SET status = 'x' WHERE user_id = 5"))
    undoing, undone = asyncio.Event(), asyncio.Event()
    roll_back = Transaction.roll_back

    async def slowly(transaction: Transaction) -> str | None:
        told = await roll_back(transaction)
        undoing.set()
        if not undone.is_set():
            await undone.wait()
        return told

    monkeypatch.setattr(Transaction, "roll_back", slowly)
    giving_up = asyncio.get_running_loop().create_task(give_up(world.session, "its rules are gone"))
    await undoing.wait()
    before = len(world.sent)
    ((_, packet),) = await world.command(_query("UPDATE t_order SET status = 'y' WHERE user_id = 5"))
    assert "its rules are gone" in parse_err(packet).message.decode()
    assert len(world.sent) == before
    undone.set()
    assert (await world.command(_query("ROLLBACK")))[0][1][0] == 0
    await giving_up
    assert world.session.broken_transaction is None, "its end has been told"
