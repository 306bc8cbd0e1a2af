"""Opening a connection: what a server that refuses, hangs up or says nothing becomes, and what is asked of one."""

from __future__ import annotations

import asyncio
import gc
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dbmesh.backend.connection import Flavour
from dbmesh.backend.mysql_connect import kill_query, open_mysql, tls_context, tls_mode
from dbmesh.errors import DATA_SOURCE_UNREACHABLE, MeshError
from dbmesh.rules.ruleset import DataSourceConfig
from dbmesh.wire.auth import Secret
from dbmesh.wire.constants import Capability
from dbmesh.wire.framing import PacketReader, frame
from dbmesh.wire.handshake import Authenticated, LookUpSecret, Send, ServerHandshake
from dbmesh.wire.packets import ErrPacket, OkPacket, make_err, make_ok
from tests.plugins.certificates import make_certificate

CONFIG = DataSourceConfig("ds_0", "mysql", "127.0.0.1", 0, "shop", "ann", "secret")

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def far_end(serve: Serve) -> AsyncIterator[DataSourceConfig]:
    """A server on a free port that does as told with each connection, and how to reach it."""

    served: set[asyncio.Task[object]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        served.add(task)
        try:
            await serve(reader, writer)
        except ConnectionError:
            return
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield replace(CONFIG, port=server.sockets[0].getsockname()[1])
    finally:
        server.close()
        if served:
            _, late = await asyncio.wait(served, timeout=5)
            assert not late, "a connection was left open"


class Server:
    """A server that lets `ann` in, notes who came and what they sent then, and answers each with `answer`."""

    def __init__(self, answer: bytes = b"") -> None:
        self.logins: list[Authenticated] = []
        self.commands: list[bytes] = []
        self._answer = answer or make_ok(OkPacket(status=2), Capability.PROTOCOL_41)

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        machine = ServerHandshake(
            nonce=bytes(range(1, 21)), connection_id=77, server_version="8.0.9", collation=45, host="h"
        )
        writer.write(machine.greeting())
        packets = PacketReader(1 << 20)
        while data := await reader.read(1 << 16):
            packets.feed(data)
            while (packet := packets.next_packet()) is not None:
                if self.logins and machine is self._logged_in:
                    self.commands.append(packet[1])
                    if packet[1] != b"\x01":
                        writer.write(frame(self._answer, 1))
                    continue
                events = list(machine.receive_packet(*packet))
                for event in events:
                    if isinstance(event, LookUpSecret):
                        events += machine.use_secret(Secret(plain=b"secret"))
                    elif isinstance(event, Send):
                        writer.write(event.data)
                    elif isinstance(event, Authenticated):
                        self.logins.append(event)
                        self._logged_in = machine
                        writer.write(frame(make_ok(OkPacket(status=2), event.capabilities), event.sequence))

    _logged_in: ServerHandshake | None = None


async def _refusal(config: DataSourceConfig) -> str:
    with pytest.raises(MeshError) as caught:
        await open_mysql(config, Flavour())
    assert caught.value.kind is DATA_SOURCE_UNREACHABLE
    assert "'ds_0' cannot be reached: " in str(caught.value)
    return str(caught.value)


async def test_a_login_is_a_connection_that_knows_its_server() -> None:
    server = Server()
    async with far_end(server) as config:
        connection = await open_mysql(config, Flavour())
        assert (connection.data_source, connection.schema, connection.server_version) == (
            "ds_0",
            "shop",
            "8.0.9",
        )
        assert connection.usable
        await connection.close()
    (login,) = server.logins
    assert (login.user, login.database) == ("ann", "shop")
    assert ("program_name", "dbmesh") in login.attributes


@pytest.mark.parametrize(
    ("flavour", "flag", "asked"),
    [
        (Flavour(), Capability.DEPRECATE_EOF, True),
        (Flavour(deprecate_eof=False), Capability.DEPRECATE_EOF, False),
        (Flavour(), Capability.FOUND_ROWS, False),
        (Flavour(found_rows=True), Capability.FOUND_ROWS, True),
        (Flavour(), Capability.IGNORE_SPACE, False),
        (Flavour(ignore_space=True), Capability.IGNORE_SPACE, True),
        (Flavour(), Capability.MULTI_STATEMENTS, False),
    ],
)
async def test_what_the_client_has_is_asked_of_the_server(
    flavour: Flavour, flag: Capability, asked: bool
) -> None:
    server = Server()
    async with far_end(server) as config:
        await (await open_mysql(config, flavour)).close()
    assert bool(server.logins[0].capabilities & flag) is asked


async def test_nobody_listens() -> None:
    async with far_end(Server()) as config:
        pass
    await _refusal(config)


async def test_a_wrong_password_is_told_in_the_servers_words() -> None:
    async with far_end(Server()) as config:
        said = await _refusal(replace(config, password="wrong"))
    assert "Access denied for user 'ann'@'h' (using password: YES)" in said


async def test_a_server_that_is_full_says_so_instead_of_greeting() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(frame(make_err(ErrPacket(1040, "08004", b"Too many connections")), 0))
        await reader.read()

    async with far_end(serve) as config:
        assert "Too many connections" in await _refusal(config)


async def test_a_refusal_that_nobody_waits_for_any_more_is_not_logged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(frame(make_err(ErrPacket(1040, "08004", b"Too many connections")), 0))
        await reader.read()

    loop = asyncio.get_running_loop()
    connect = loop.create_connection

    async def cancelled_late(make: Callable[[], Any], host: str, port: int) -> Any:
        transport, protocol = await connect(make, host, port)
        await asyncio.wait([protocol.connection])
        transport.close()
        raise asyncio.CancelledError

    logged: list[object] = []
    loop.set_exception_handler(lambda _, context: logged.append(context))
    monkeypatch.setattr(loop, "create_connection", cancelled_late)
    async with far_end(serve) as config:
        with pytest.raises(asyncio.CancelledError):
            await open_mysql(config, Flavour())
    gc.collect()
    assert not logged


async def test_a_server_that_hangs_up() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\x4a\x00")

    async with far_end(serve) as config:
        assert "closed the connection at login" in await _refusal(config)


async def test_a_server_that_says_nothing_is_waited_for_no_longer_than_configured() -> None:
    gone = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        gone.set()

    async with far_end(serve) as config:
        async with asyncio.timeout(5):
            said = await _refusal(replace(config, connection_timeout=0.05))
        assert "no answer within 0.05 s" in said
        await asyncio.wait_for(gone.wait(), 5)


async def test_something_else_listens_there() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await reader.read()

    async with far_end(serve) as config:
        await _refusal(replace(config, connection_timeout=0.5))


async def test_a_kill_comes_by_a_connection_of_its_own() -> None:
    server = Server()
    async with far_end(server) as config:
        assert await kill_query(config, 4711)
    assert server.commands == [b"\x03KILL QUERY 4711", b"\x01"]


async def test_a_kill_too_late_or_of_a_server_that_is_away_harms_nobody() -> None:
    server = Server(make_err(ErrPacket(1094, "HY000", b"Unknown thread id: 5")))
    async with far_end(server) as config:
        assert await kill_query(config, 5)
    assert server.commands == [b"\x03KILL QUERY 5", b"\x01"]
    assert not await kill_query(config, 5)


@pytest.mark.parametrize(
    ("properties", "mode"),
    [
        ({}, "DISABLED"),
        ({"sslMode": "verify-ca"}, "VERIFY_CA"),
        ({"sslMode": "PREFERRED", "useSSL": "false"}, "PREFERRED"),
        ({"useSSL": "true"}, "REQUIRED"),
        ({"useSSL": "TRUE", "verifyServerCertificate": "true"}, "VERIFY_CA"),
        ({"verifyServerCertificate": "true"}, "DISABLED"),
    ],
)
def test_the_mode_of_tls(properties: dict[str, str], mode: str) -> None:
    assert tls_mode(replace(CONFIG, properties=properties)) == mode


@pytest.mark.parametrize(
    ("mode", "certificate", "name"),
    [
        ("PREFERRED", ssl.CERT_NONE, False),
        ("REQUIRED", ssl.CERT_NONE, False),
        ("VERIFY_CA", ssl.CERT_REQUIRED, False),
        ("VERIFY_IDENTITY", ssl.CERT_REQUIRED, True),
    ],
)
def test_what_each_mode_verifies(mode: str, certificate: ssl.VerifyMode, name: bool) -> None:
    context = tls_context(replace(CONFIG, properties={"sslMode": mode}))
    assert context is not None
    assert (context.verify_mode, context.check_hostname) == (certificate, name)


@pytest.mark.parametrize(
    ("mode", "read"), [("PREFERRED", 0), ("REQUIRED", 0), ("VERIFY_CA", 1), ("VERIFY_IDENTITY", 1)]
)
def test_what_the_system_trusts_is_read_where_it_counts(
    mode: str, read: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, _ = make_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = tls_context(replace(CONFIG, properties={"sslMode": mode}))
    assert context is not None
    assert context.cert_store_stats()["x509"] == read


async def test_tls_that_cannot_be_had_or_set_up_is_told() -> None:
    assert tls_context(CONFIG) is None
    async with far_end(Server()) as config:
        assert "TLS" in await _refusal(replace(config, properties={"sslMode": "REQUIRED"}))
        for mode in ("REQUIRED", "VERIFY_CA"):
            missing = {"sslMode": mode, "sslCa": "/nowhere/ca.pem"}
            assert "No such file" in await _refusal(replace(config, properties=missing))
