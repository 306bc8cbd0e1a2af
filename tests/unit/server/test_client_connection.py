"""Commands one at a time, slow and impatient clients, and logins that go nowhere."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

import pytest

from dbmesh.errors import MeshError
from dbmesh.server.client_connection import READ_AHEAD, ClientConnection
from dbmesh.wire.framing import PacketReader, frame
from tests.plugins.canned import MemoryTransport

PING = frame(b"\x0e", 0)


class Door:
    """A door that admits everybody and keeps the tasks."""

    def __init__(self) -> None:
        self.tasks = self
        self.left: list[ClientConnection] = []
        self.started: list[str] = []

    def admit(self, connection: ClientConnection) -> MeshError | None:
        return None

    def leave(self, connection: ClientConnection) -> None:
        self.left.append(connection)

    def start(self, work: Coroutine[object, object, None], name: str) -> None:
        self.started.append(name)
        work.close()

    def make_handshake(self, host: str, *, secure: bool) -> tuple[int, object]:
        return 7, self

    def greeting(self) -> bytes:
        return b""


class Session:
    """A session that notes commands; `answers` says whether it answers at once."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.commands: list[bytes] = []
        self.client_paused = False
        self.answers = True

    def handle(self, payload: bytes, sequence: int) -> None:
        assert sequence == 1
        self.commands.append(payload)
        if self.answers:
            self.connection.next_command()

    def pause(self) -> None:
        self.client_paused = True

    def resume(self) -> None:
        self.client_paused = False

    async def end(self) -> None: ...


@pytest.fixture
async def world() -> tuple[ClientConnection, Session, MemoryTransport, Door]:
    door = Door()
    connection = ClientConnection(door)  # type: ignore[arg-type]
    transport = MemoryTransport()
    connection.connection_made(transport)
    session = Session(connection)
    connection._session = session  # type: ignore[assignment]
    connection._logging_in = False
    connection._reader = PacketReader(1 << 24)
    return connection, session, transport, door


World = tuple[ClientConnection, Session, MemoryTransport, Door]


@pytest.mark.parametrize("step", [1, 3, 5, 1000])
async def test_commands_come_whole_however_they_arrive(world: World, step: int) -> None:
    connection, session, _, _ = world
    data = PING + frame(b"\x03SELECT 1", 0) + PING
    for start in range(0, len(data), step):
        connection.data_received(data[start : start + step])
    assert session.commands == [b"\x0e", b"\x03SELECT 1", b"\x0e"]


async def test_what_is_sent_ahead_waits_and_is_bounded(world: World) -> None:
    connection, session, transport, _ = world
    session.answers = False
    connection.data_received(PING)
    connection.data_received(PING * 2)
    assert session.commands == [b"\x0e"]
    big = frame(b"\x03" + b"x" * (READ_AHEAD + 1), 0)
    connection.data_received(big)
    assert not transport.reading
    session.answers = True
    connection.next_command()
    assert len(session.commands) == 4
    assert transport.reading


async def test_a_client_that_does_not_read_gets_no_further_command(world: World) -> None:
    connection, session, transport, _ = world
    connection.pause_writing()
    connection.data_received(PING)
    connection.data_received(PING)
    assert session.commands == []
    connection.data_received(frame(b"\x03" + b"x" * READ_AHEAD, 0))
    assert not transport.reading
    connection.resume_writing()
    assert len(session.commands) == 3
    assert transport.reading


async def test_too_large_a_packet_is_refused_with_the_next_id(world: World) -> None:
    connection, session, transport, _ = world
    connection._reader = PacketReader(16)
    connection.data_received(frame(b"\x03" + b"x" * 40, 0)[:10])
    assert session.commands == []
    assert transport.written[3] == 1
    assert b"max_allowed_packet" in transport.written
    assert transport.closed


async def test_a_lost_client_ends_its_session_and_leaves(world: World) -> None:
    connection, _, _, door = world
    connection.connection_lost(None)
    connection.write(b"into the void")
    connection.next_command()
    assert door.started == ["end of session 7"]
    assert door.left == [connection]


async def test_a_login_under_way_has_an_age() -> None:
    connection = ClientConnection(Door())  # type: ignore[arg-type]
    began = connection.logging_in_since()
    assert began is not None
    assert asyncio.get_running_loop().time() - began < 1


async def test_after_login_there_is_none(world: World) -> None:
    assert world[0].logging_in_since() is None
