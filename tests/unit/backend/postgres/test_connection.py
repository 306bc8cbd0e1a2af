"""What a client is told of a connection that PostgreSQL ends, or that cannot be opened."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress

import asyncpg
import pytest

from dbmesh.backend.connection import Flavour
from dbmesh.backend.postgres.connection import PostgresConnection
from dbmesh.backend.state import SessionState
from dbmesh.errors import DATA_SOURCE_LOST, DATA_SOURCE_UNREACHABLE, MeshError
from dbmesh.rules.ruleset import DataSourceConfig


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body


_LOGGED_IN = (
    _message(b"R", struct.pack("!i", 0))
    + _message(b"S", b"server_version\x0015.6\x00")
    + _message(b"K", struct.pack("!ii", 1, 2))
    + _message(b"Z", b"I")
)
_LAST_WORD = _message(b"E", b"SFATAL\x00VFATAL\x00C57P01\x00Mterminating connection\x00\x00")
# By it the test knows that what came before it has been read.
_NOTICE = _message(b"N", b"SLOG\x00VLOG\x00C00000\x00Mgone\x00\x00")


def _config(port: int) -> DataSourceConfig:
    return DataSourceConfig("ds_0", "postgresql", "127.0.0.1", port, "shop", "mesh")


async def _own(connection: PostgresConnection) -> None:
    await connection.own("SELECT 1")


async def _load_catalog(connection: PostgresConnection) -> None:
    await connection.load_catalog()


async def _bring_to(connection: PostgresConnection) -> None:
    await connection.bring_to(SessionState(variables=(("innodb_lock_wait_timeout", "5"),)))


async def _describe(connection: PostgresConnection) -> None:
    await connection.describe(b"SHOW TABLES")


@pytest.mark.parametrize("use", [_own, _load_catalog, _bring_to, _describe])
async def test_between_the_servers_last_word_and_the_end_of_its_connection(
    use: Callable[[PostgresConnection], Awaitable[None]],
) -> None:
    logged_in, heard, hung_up = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(_LOGGED_IN)
        await logged_in.wait()
        writer.write(_LAST_WORD + _NOTICE)
        # It is not closed yet.
        with suppress(ConnectionError):
            await reader.read()
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        hung_up.set()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        theirs = await asyncpg.connect(
            host="127.0.0.1", port=port, user="mesh", database="shop", ssl=False, statement_cache_size=0
        )
        theirs.add_log_listener(lambda *_: heard.set())
        logged_in.set()
        await heard.wait()
        connection = PostgresConnection(_config(port), Flavour(), theirs, 0.0)
        try:
            with pytest.raises(MeshError, match="ds_0") as raised:
                await use(connection)
            assert raised.value.kind is DATA_SOURCE_LOST
            assert not connection.usable
        finally:
            connection.abort()
            await connection.close()
            await hung_up.wait()


async def test_a_server_that_does_not_listen_cannot_be_reached() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        with pytest.raises(MeshError) as raised:
            await PostgresConnection.open(_config(nobody.getsockname()[1]), Flavour())
    assert raised.value.kind is DATA_SOURCE_UNREACHABLE
