"""Who is let in, who is closed for silence, and how clients leave at the end."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dbmesh.backend.state import SessionState
from dbmesh.errors import NOT_SERVING, SERVER_SHUTDOWN, TOO_MANY_CONNECTIONS
from dbmesh.server.listener import LOGIN_TIMEOUT, Listener


class Connection:
    """A client's connection as the listener sees it."""

    def __init__(self, door: Listener, *, idle: bool = True, since: float | None = None) -> None:
        self._door = door
        self.idle = idle
        self._since = since
        self.ended = ""

    def logging_in_since(self) -> float | None:
        return self._since

    def shut_down(self) -> None:
        self._end("shut down")

    def abort(self) -> None:
        self._end("aborted")

    def _end(self, how: str) -> None:
        if not self.ended:
            self.ended = how
            self._door.leave(cast("Any", self))


def _listener(maximum: int = 0, idle_timeout: int = 100) -> Listener:
    properties = {"proxy-frontend-max-connections": maximum, "client-idle-timeout-seconds": idle_timeout}
    mesh = SimpleNamespace(
        configuration=SimpleNamespace(properties=properties), sessions={}, told_of_accounts=[]
    )
    return Listener(cast("Any", mesh), cast("Any", None), cast("Any", None), None, "8.0.0")


def _enter(listener: Listener, **settings: Any) -> Connection:
    connection = Connection(listener, **settings)
    assert listener.admit(cast("Any", connection)) is None
    return connection


async def test_one_too_many_is_told_so_until_somebody_leaves() -> None:
    listener = _listener(maximum=2)
    first, _ = _enter(listener), _enter(listener)
    third = Connection(listener)
    refusal = listener.admit(cast("Any", third))
    assert refusal is not None
    assert refusal.kind is TOO_MANY_CONNECTIONS
    listener.leave(cast("Any", third))
    first.shut_down()
    _enter(listener)


async def test_zero_is_no_limit() -> None:
    listener = _listener()
    for _ in range(500):
        _enter(listener)


async def test_draining_waits_for_the_busy_and_closes_the_idle() -> None:
    listener = _listener()
    idle, busy = _enter(listener), _enter(listener, idle=False)
    draining = asyncio.get_running_loop().create_task(listener.drain(5.0))
    await asyncio.sleep(0.01)
    assert (idle.ended, busy.ended) == ("shut down", "")
    late = listener.admit(cast("Any", Connection(listener)))
    assert late is not None
    assert late.kind is SERVER_SHUTDOWN
    busy.idle = True
    await draining
    assert busy.ended == "shut down"


async def test_draining_does_not_wait_for_ever() -> None:
    listener = _listener()
    busy = _enter(listener, idle=False)
    await listener.drain(0.01)
    assert busy.ended == "aborted"


@pytest.mark.parametrize(("since", "ended"), [(None, ""), (5.0, ""), (0.0, "aborted")])
async def test_a_login_that_takes_too_long_is_cut(since: float | None, ended: str) -> None:
    listener = _listener()
    connection = _enter(listener, since=since)
    listener.close_quiet(LOGIN_TIMEOUT + 1)
    assert connection.ended == ended


@pytest.mark.parametrize(
    ("text", "since", "own", "killed"),
    [
        ("", 0.0, None, True),
        ("", 50.0, None, False),
        ("", 50.0, "50", True),
        ("SELECT 1", 0.0, "10", False),
    ],
)
async def test_a_silent_session_is_closed_a_working_one_is_not(
    text: str, since: float, own: str | None, killed: bool
) -> None:
    listener = _listener()
    ends: list[bool] = []
    session = SimpleNamespace(
        command_text=text,
        command_since=since,
        state=SessionState().with_variable("wait_timeout", own),
        kill_connection=lambda: ends.append(True),
    )
    cast("Any", listener.mesh).sessions[1] = session
    listener.close_quiet(101.0)
    assert bool(ends) == killed


def test_nonces_hold_no_zero_byte() -> None:
    listener = _listener()
    nonces = [listener.make_nonce() for _ in range(50)]
    assert all(len(nonce) == 20 and 0 not in nonce for nonce in nonces)
    assert len(set(nonces)) == 50


async def test_refusing_closes_who_is_idle_and_says_why() -> None:
    listener = _listener()
    idle, busy = _enter(listener), _enter(listener, idle=False)
    listener.refuse("rules", "no rules")
    listener.refuse("operator", "it is disabled")
    assert (idle.ended, busy.ended) == ("shut down", "")
    refusal = listener.admit(cast("Any", Connection(listener)))
    assert refusal is not None
    assert refusal.kind is NOT_SERVING
    assert "no rules; it is disabled" in str(refusal)
    busy.idle = True
    listener.close_quiet(0.0)
    assert busy.ended == "shut down"
    listener.refuse("rules", "")
    assert listener.admit(cast("Any", Connection(listener))) is not None
    listener.refuse("operator", "")
    listener.refuse("operator", "")
    assert listener.admit(cast("Any", Connection(listener))) is None
