"""Commands one at a time, slow and impatient clients, logins that go nowhere, those that are remembered, and other users."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from typing import Any, cast

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from dbmesh.backend.connection import Product
from dbmesh.errors import MeshError
from dbmesh.rules.accounts import Authority, User
from dbmesh.rules.privileges import OF_DATABASE, PERMITTED, Target, grant
from dbmesh.server.accounts import Accounts
from dbmesh.server.client_connection import READ_AHEAD, ClientConnection, state_of
from dbmesh.server.listener import Listener
from dbmesh.wire.auth import make_sha2_stored
from dbmesh.wire.framing import PacketReader, frame
from dbmesh.wire.handshake import Failed, Ready
from dbmesh.wire.packets import parse_err
from dbmesh.wire.rsa import RsaKey
from tests.plugins import canned
from tests.plugins.canned import MemoryTransport
from tests.plugins.memory_client import MemoryClient
from tests.plugins.session_world import SessionWorld

PING = frame(b"\x0e", 0)
KEY = RsaKey(rsa.generate_private_key(65537, 1024))
USERS = (
    User("root", "%", "root", grants=PERMITTED),
    User("app", "%", "app", grants=grant(Target("shop"), OF_DATABASE)),
    User("guest", "%", "guest"),
    User("stored", "%", make_sha2_stored(b"secret", b"twenty-bytes-of-salt").decode(), grants=PERMITTED),
)
IN_TRANSACTION = 3
FAST_OK, FULL_NEEDED = b"\x01\x03", b"\x01\x04"


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


@pytest.mark.parametrize("at_once", [True, False])
async def test_the_configured_size_holds_after_login(behind: Behind, at_once: bool) -> None:
    world, listener = behind
    client = _logged_in(listener, "root", "root")
    packet = frame(b"\x03" + b"x" * world.mesh.max_allowed_packet, 0)
    client.connection.data_received(packet if at_once else packet[:10])
    ((sequence, answer),) = client.packets()
    assert (sequence, parse_err(answer).number) == (1, 1153)
    assert client.transport.closed


@pytest.mark.parametrize("sequence", [1, 255])
@pytest.mark.parametrize("before", [0, 2])
async def test_a_command_out_of_order_is_told_and_ends_the_connection(
    behind: Behind, before: int, sequence: int
) -> None:
    world, listener = behind
    client, other = _logged_in(listener, "root", "root"), _logged_in(listener, "root", "root")
    client.connection.data_received(PING * before + frame(b"\x03COMMIT", sequence))
    *pings, (_, answer) = client.packets()
    assert [payload[0] for _, payload in pings] == [0x00] * before
    assert (parse_err(answer).number, client.transport.closed, world.sent) == (1156, True, [])
    assert (await other.command(b"\x0e"))[0] == 0x00, "others go on"


async def test_a_login_out_of_order_is_told_and_ends_the_connection(behind: Behind) -> None:
    client = MemoryClient(behind[1])
    client.packets()
    client.connection.data_received(frame(b"\x00" * 40, 2))
    ((_, answer),) = client.packets()
    assert (parse_err(answer).number, client.transport.closed) == (1156, True)


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


@pytest.fixture
async def behind() -> AsyncIterator[tuple[SessionWorld, Listener]]:
    """A mesh of two scripted data sources and the door to it."""
    made = SessionWorld()
    made.reply = _reply
    settings = {"proxy-frontend-max-connections": 0, "client-idle-timeout-seconds": 100}
    cast("Any", made.mesh.configuration).properties = made.mesh.configuration.properties | settings
    made.mesh.authority = Authority(USERS)
    listener = Listener(made.mesh, Accounts(made.mesh.authority), made.tasks, None, "8.0.0")
    listener.rsa_key = KEY
    yield made, listener
    for connection in tuple(listener._connections):
        connection.connection_lost(None)
    running = asyncio.all_tasks() - {asyncio.current_task()}
    if running:
        await asyncio.wait(running)
    assert not made.failures


Behind = tuple[SessionWorld, Listener]


def _reply(name: str, payload: bytes) -> bytes:
    del name
    return canned.ok(status=2 if payload.startswith(b"\x03ROLLBACK") else IN_TRANSACTION)


def _logged_in(listener: Listener, *login: str) -> MemoryClient:
    client = MemoryClient(listener)
    assert isinstance(client.log_in(*login), Ready)
    return client


async def test_a_full_login_is_remembered_and_the_next_is_fast(behind: Behind) -> None:
    first = _logged_in(behind[1], "stored", "secret")
    assert FULL_NEEDED in first.received
    second = _logged_in(behind[1], "stored", "secret")
    assert FAST_OK in second.received
    assert FULL_NEEDED not in second.received


async def test_a_failed_full_login_is_not_remembered(behind: Behind) -> None:
    assert isinstance(MemoryClient(behind[1]).log_in("stored", "wrong"), Failed)
    assert FULL_NEEDED in _logged_in(behind[1], "stored", "secret").received


async def test_another_user_does_not_continue_the_transaction(behind: Behind) -> None:
    made, listener = behind
    client = _logged_in(listener, "root", "root")
    await client.command(b"\x03BEGIN")
    await client.command(b"\x03UPDATE t_order SET status = 'x' WHERE user_id = 1")
    assert made.lent == 1
    assert (await client.change_user("root", "root", "shop"))[0] == 0x00
    assert made.statements()[-1][1] == "ROLLBACK"
    assert made.lent == 0


async def test_a_refused_change_has_given_up_the_transaction_and_ends(behind: Behind) -> None:
    made, listener = behind
    client = _logged_in(listener, "root", "root")
    await client.command(b"\x03BEGIN")
    await client.command(b"\x03UPDATE t_order SET status = 'x' WHERE user_id = 1")
    assert parse_err(await client.change_user("root", "wrong", "shop")).number == 1045
    assert made.statements()[-1][1] == "ROLLBACK"
    assert made.lent == 0
    assert client.transport.closed


async def test_another_user_has_the_databases_of_their_own(behind: Behind) -> None:
    client = _logged_in(behind[1], "root", "root")
    assert (await client.change_user("app", "app", "shop"))[0] == 0x00
    refused = parse_err(await client.change_user("guest", "guest", "shop"))
    assert refused.number == 1044
    assert client.transport.closed


async def test_a_database_the_account_may_not_use_is_refused_at_login(behind: Behind) -> None:
    refused = MemoryClient(behind[1]).log_in("guest", "guest")
    assert isinstance(refused, Failed)
    assert refused.error.number == 1044


@pytest.mark.parametrize(
    ("collation", "product", "names"),
    [
        (45, Product.MARIADB, "utf8mb4"),
        (255, Product.MARIADB, "utf8mb4"),
        (45, Product.MYSQL, "utf8mb4 COLLATE utf8mb4_general_ci"),
        (255, Product.MYSQL, "utf8mb4"),
        (46, Product.MYSQL, "utf8mb4 COLLATE utf8mb4_bin"),
        (8, Product.MYSQL, "latin1"),
        (47, Product.MARIADB, "latin1 COLLATE latin1_bin"),
        (65535, Product.MYSQL, "utf8mb4"),
    ],
)
def test_a_collation_that_is_not_the_servers_default_is_asked_for(
    collation: int, product: Product, names: str
) -> None:
    assert state_of(collation, product).names == names
