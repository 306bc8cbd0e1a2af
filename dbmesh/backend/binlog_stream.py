"""Follows a server's binlog as a replica does: a connection of its own, on which events come without being asked for.

Decides how a server is told who follows, and that no more is read than is taken: what is not taken waits in the server's file. Knows
packets, not what events say.
"""

from __future__ import annotations

import asyncio

from dbmesh.backend.connection import Flavour
from dbmesh.backend.mysql import MySQLConnection
from dbmesh.backend.mysql_connect import open_mysql
from dbmesh.backend.receivers import shard_error
from dbmesh.errors import DATA_SOURCE_LOST, MeshError, ProtocolError
from dbmesh.rules.ruleset import DataSourceConfig
from dbmesh.wire.binlog import HEADER, LONGEST, dump_binlog, register_replica
from dbmesh.wire.constants import Command
from dbmesh.wire.framing import PacketReader, frame
from dbmesh.wire.packets import parse_err

BEAT = 1.0
"""Seconds after which a server that has nothing to send says so."""

SILENCE = 20.0
"""Seconds without a byte after which it is given up."""

HELD = 64 * 1024
"""Bytes that may wait here before no more are read."""

_ROOM = 1 << 20
_EVENT, _ERROR = 0x00, 0xFF


async def open_binlog(config: DataSourceConfig, server_id: int, file: str, position: int) -> BinlogStream:
    """The events of a server from a position on, for a replica of this id, which nobody else may use. Raises MeshError where the server
    cannot be reached, ShardError where it refuses."""
    connection = await open_mysql(config, Flavour())
    try:
        for statement in (
            # Newer servers know the other names.
            "SET @master_binlog_checksum = @@GLOBAL.binlog_checksum, @source_binlog_checksum = @@GLOBAL.binlog_checksum",
            f"SET @master_heartbeat_period = {BEAT * 1e9:.0f}, @source_heartbeat_period = {BEAT * 1e9:.0f}",
            # GTID events come as they are.
            "SET @mariadb_slave_capability = 4",
            # Who takes events slowly is not hung up on.
            "SET SESSION net_write_timeout = 600",
        ):
            await connection.simple(Command.QUERY.to_bytes(1, "little") + statement.encode())
        await connection.simple(register_replica(server_id))
        return BinlogStream(connection, dump_binlog(server_id, file, position))
    except BaseException:
        connection.abort()
        raise


class BinlogStream(asyncio.Protocol):
    """Events in their order, each as a packet's payload without its first byte. One at a time may wait for them."""

    def __init__(self, connection: MySQLConnection, command: bytes) -> None:
        """Takes the connection over and sends the command that makes it a stream."""
        self._data_source = connection.data_source
        self._packets = PacketReader(LONGEST + _ROOM)
        self._next: bytes | None = None
        self._error: Exception | None = None
        self._waiting: asyncio.Future[None] | None = None
        self._reading = True
        self._transport, self._tls = connection.hand_over(self)
        write = self._transport.write if self._tls is None else self._tls.write
        write(frame(command, 0))

    @property
    def ready(self) -> bool:
        """Whether an event is there."""
        return self._next is not None

    async def arrives(self, seconds: float | None = None) -> bool:
        """Wait until an event is there; whether one is, when that took so long or `nudge` was called. Raises ShardError with what the
        server ended the stream by, MeshError when it was lost. May be cancelled."""
        if self._next is not None:
            return True
        if self._error is not None:
            raise self._error
        self._waiting = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(SILENCE if seconds is None else seconds):
                await self._waiting
        except TimeoutError:
            if seconds is None:
                self._fail(self._lost(f"it has sent nothing for {SILENCE:g} s"))
        finally:
            self._waiting = None
        if self._next is None and self._error is not None:
            raise self._error
        return self._next is not None

    def take(self) -> bytes:
        """The event that is there."""
        event = self._next
        assert event is not None
        self._next = None
        self._advance()
        return event

    def nudge(self) -> None:
        """Whoever waits does so no longer."""
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def close(self) -> None:
        """End it; the server notices."""
        self._fail(self._lost("closed by the mesh"))

    # ------------------------------------------------------------------------------------------ asyncio.Protocol

    def data_received(self, data: bytes) -> None:
        """A part of the stream."""
        try:
            self._packets.feed(data if self._tls is None else self._tls.receive(data))
        except OSError as error:
            self._fail(self._lost(f"TLS failed: {error}"))
            return
        self._advance()

    def connection_lost(self, exc: Exception | None) -> None:
        """The server closed, or the network did."""
        self._fail(self._lost(str(exc) if exc is not None else "the server closed it"))

    # ------------------------------------------------------------------------------------------ inside

    def _advance(self) -> None:
        """Have the next event at hand, and read on unless enough is there."""
        if self._next is None and self._error is None:
            try:
                packet = self._packets.next_packet()
                if packet is not None:
                    self._next = self._event(packet[1])
            except (MeshError, ProtocolError) as error:
                self._fail(self._lost(str(error)))
                return
        if self._next is not None:
            self.nudge()
        full = self._next is not None and self._packets.buffered > HELD
        if full is self._reading and self._error is None:
            self._reading = not full
            (self._transport.pause_reading if full else self._transport.resume_reading)()

    def _event(self, payload: bytes) -> bytes | None:
        """The event in a packet; None for the end of the stream."""
        first = payload[0] if payload else None
        if first == _EVENT and len(payload) > HEADER:
            return payload[1:]
        self._fail(
            shard_error(parse_err(payload))
            if first == _ERROR
            else self._lost("the server ended the stream of its binlog")
        )
        return None

    def _fail(self, error: Exception) -> None:
        if self._error is None:
            self._error = error
            self._transport.abort()
            self.nudge()

    def _lost(self, reason: str) -> MeshError:
        return MeshError(DATA_SOURCE_LOST, data_source=self._data_source, reason=reason)
