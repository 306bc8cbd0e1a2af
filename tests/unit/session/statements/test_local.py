"""KILL and the list of sessions, as far as accounts may look, what a session holds and why, and what COMMIT and USE tell."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from dbmesh.errors import MeshError
from dbmesh.session.peers import kill
from dbmesh.wire.packets import parse_ok
from tests.plugins import canned
from tests.plugins.canned import MODERN
from tests.plugins.scripted import column
from tests.plugins.session_world import SessionWorld

ENDING = (b"COMMIT", b"ROLLBACK")


def _session(account: str, sessions: dict[int, object], *, administrator: bool = False) -> SimpleNamespace:
    killed: list[str] = []
    made = SimpleNamespace(
        account=account,
        administrator=administrator,
        mesh=SimpleNamespace(sessions=sessions),
        killed=killed,
        kill_query=lambda: killed.append("query"),
        kill_connection=lambda: killed.append("connection"),
    )
    sessions[len(sessions) + 1] = made
    return made


def test_an_account_kills_its_own_sessions_and_an_administrator_any() -> None:
    sessions: dict[int, object] = {}
    root = _session("root@%", sessions, administrator=True)
    app = _session("app@%", sessions)
    other = _session("app@%", sessions)
    kill(app.mesh, app, 3, query=True)
    kill(app.mesh, root, 3, query=False)
    assert other.killed == ["query", "connection"]
    with pytest.raises(MeshError) as caught:
        kill(app.mesh, app, 1, query=True)
    assert (caught.value.number, root.killed) == (1095, [])
    with pytest.raises(MeshError) as caught:
        kill(app.mesh, root, 99, query=True)
    assert caught.value.number == 1094


async def _pins(world: SessionWorld) -> bytes:
    """The last column of the one row of SHOW PROXY SESSIONS."""
    packets = await world.command(b"\x03SHOW PROXY SESSIONS")
    return packets[-2][1].rpartition(b"\x04shop")[2][1:]


async def test_sessions_say_what_they_hold_and_why() -> None:
    world = SessionWorld()
    assert await _pins(world) == b""
    await world.command(b"\x03BEGIN")
    world.reply = lambda name, payload: canned.ok(status=3)
    await world.command(b"\x03UPDATE t_order SET status = 'x' WHERE user_id = 1")
    assert await _pins(world) == b"shop.ds_0: transaction"
    world.reply = lambda name, payload: canned.ok()
    await world.command(b"\x03ROLLBACK")
    assert await _pins(world) == b""
    world.reply = lambda name, payload: canned.result_set([column("1")], [[b"1"]])
    await world.command(b"\x03SELECT GET_LOCK('l', 1) FROM t_order WHERE user_id = 1")
    assert await _pins(world) == b"shop.ds_0: user lock"
    assert world.lent == 1
    world.reply = lambda name, payload: canned.ok()
    await world.end()


@pytest.mark.parametrize(
    "end", ["COMMIT", "COMMIT AND CHAIN", "BEGIN", "SET autocommit = 1", "TRUNCATE t_order"]
)
async def test_a_commit_on_several_data_sources_says_that_it_was_not_atomic(end: str) -> None:
    world = SessionWorld()
    world.reply = lambda name, payload: canned.ok(status=2 if payload[1:] in ENDING else 3)
    for statement, warnings in (("WHERE user_id = 1", 0), ("", 1)):
        await world.command(b"\x03ROLLBACK")
        await world.command(b"\x03SET autocommit = 0")
        await world.command(f"\x03UPDATE t_order SET status = 'x' {statement}".encode())
        ((_, packet),) = await world.command(b"\x03" + end.encode())
        assert parse_ok(packet, MODERN).warnings == warnings
    packets = await world.command(b"\x03SHOW WARNINGS")
    assert b"not atomic" in packets[-2][1]
    assert b"1196" in packets[-2][1]


async def test_use_changes_the_database_and_an_unknown_one_does_not() -> None:
    world = SessionWorld()
    world.session.database = None
    assert (await world.command(b"\x03USE nowhere"))[0][1][0] == 0xFF
    assert world.session.database is None
    assert (await world.command(b"\x03USE shop"))[0][1][0] == 0x00
    assert world.session.database == "shop"
