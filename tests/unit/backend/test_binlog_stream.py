"""The stream of a server's binlog: what comes waits its turn, and no more is read than is taken."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from dbmesh.backend import binlog_stream
from dbmesh.backend.binlog_stream import HELD, BinlogStream
from dbmesh.backend.mysql import MySQLConnection
from dbmesh.backend.tls import TlsChannel
from dbmesh.errors import MeshError, ShardError
from dbmesh.wire.framing import frame


class _Transport:
    """Keeps what is written, and what is said about reading."""

    def __init__(self) -> None:
        self.written = b""
        self.reading = True
        self.aborted = False

    def write(self, data: bytes) -> None:
        self.written += data

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def abort(self) -> None:
        self.aborted = True


class _Connection:
    """A connection that can be taken over."""

    data_source = "ds_0"

    def __init__(self, transport: _Transport) -> None:
        self.transport = transport

    def hand_over(self, protocol: asyncio.Protocol) -> tuple[asyncio.Transport, TlsChannel | None]:
        return cast("asyncio.Transport", self.transport), None


def _stream(transport: _Transport) -> BinlogStream:
    return BinlogStream(cast("MySQLConnection", _Connection(transport)), b"\x12dump")


def _packet(event: bytes) -> bytes:
    return frame(b"\0" + event, 1)


_ERROR = frame(b"\xff\xd4\x04#HY000gone", 1)


def test_events_come_one_by_one() -> None:
    async def work() -> None:
        transport = _Transport()
        stream = _stream(transport)
        assert transport.written == frame(b"\x12dump", 0)
        first, second = bytes(30), bytes(range(40))
        data = _packet(first) + _packet(second) + _ERROR
        for place in range(len(data)):
            stream.data_received(data[place : place + 1])
        assert await stream.arrives()
        assert stream.take() == first
        assert stream.ready
        assert stream.take() == second
        with pytest.raises(ShardError, match="gone") as raised:
            await stream.arrives()
        assert raised.value.number == 1236
        assert transport.aborted

    asyncio.run(work())


def test_no_more_is_read_than_is_taken() -> None:
    async def work() -> None:
        transport = _Transport()
        stream = _stream(transport)
        # Half an event is read on, however long it is.
        long = _packet(bytes(3 * HELD))
        stream.data_received(long[:-1])
        assert transport.reading
        stream.data_received(long[-1:])
        assert transport.reading
        for _ in range(HELD // 100 + 2):
            stream.data_received(_packet(bytes(100)))
        assert not transport.reading
        while stream.ready:
            stream.take()
        assert transport.reading

    asyncio.run(work())


def test_waiting_ends() -> None:
    async def work() -> None:
        stream = _stream(_Transport())
        assert not await stream.arrives(0.001)
        loop = asyncio.get_running_loop()
        loop.call_soon(stream.nudge)
        assert not await stream.arrives()
        loop.call_soon(stream.data_received, _packet(bytes(30)))
        assert await stream.arrives()
        stream.take()
        loop.call_soon(stream.connection_lost, None)
        with pytest.raises(MeshError, match="the server closed it"):
            await stream.arrives()

    asyncio.run(work())


def test_a_silent_server_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binlog_stream, "SILENCE", 0.01)

    async def work() -> None:
        transport = _Transport()
        with pytest.raises(MeshError, match="sent nothing"):
            await _stream(transport).arrives()
        assert transport.aborted

    asyncio.run(work())


@pytest.mark.parametrize("packet", [frame(b"\xfe\0\0\2\0", 1), frame(b"\0short", 1), frame(b"", 1)])
def test_what_is_no_event_ends_the_stream(packet: bytes) -> None:
    async def work() -> None:
        stream = _stream(_Transport())
        stream.data_received(packet)
        with pytest.raises(MeshError, match="ended the stream"):
            await stream.arrives()
        stream.close()

    asyncio.run(work())
