"""Who awaits a small answer of a MySQL server: one OK, or a block of definitions.

Decides how such an answer ends a future. Knows no connection.
"""

from __future__ import annotations

import asyncio

from dbmesh.errors import ShardError
from dbmesh.wire.packets import ErrPacket, OkPacket
from dbmesh.wire.progress import ANSWER_END, Progress
from dbmesh.wire.response import ResponseReader


class OkReceiver:
    """Awaits one OK."""

    def __init__(self) -> None:
        self.future: asyncio.Future[OkPacket] = asyncio.get_running_loop().create_future()

    def columns(self, columns: object) -> None:
        """Rows were not expected and are dropped."""

    def rows(self, rows: list[bytes]) -> None:
        """See `columns`."""

    def done(self, ok: OkPacket, *, more: bool) -> None:
        """The statement has been run."""
        if not more and not self.future.done():
            self.future.set_result(ok)

    def failed(self, error: Exception) -> None:
        """It was refused, or the connection lost."""
        if not self.future.done():
            self.future.set_exception(error)


class HeaderReceiver:
    """Awaits an answer of definitions alone (COM_STMT_PREPARE, COM_FIELD_LIST) as one header block."""

    def __init__(self) -> None:
        self.future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def advance(self, reader: ResponseReader, progress: Progress) -> None:
        """See `backend.mysql.RawReceiver`."""
        if progress is not ANSWER_END or self.future.done():
            return
        if reader.failed:
            self.future.set_exception(shard_error(reader.error()))
        else:
            self.future.set_result(reader.header)

    def failed(self, error: Exception) -> None:
        """It was refused, or the connection lost."""
        if not self.future.done():
            self.future.set_exception(error)


def shard_error(packet: ErrPacket) -> ShardError:
    """A server's ERR packet as an exception."""
    return ShardError(packet.number, packet.sqlstate, packet.message.decode("utf-8", "surrogateescape"))
