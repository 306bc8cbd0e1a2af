"""The columns of a statement on a data source that cannot prepare: run it and stop at its first row.

Decides nothing; only statements that read come here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from dbmesh.backend.connection import Connection
from dbmesh.wire.packets import ColumnDefinition, OkPacket


async def describe(connection: Connection, sql: bytes) -> tuple[ColumnDefinition, ...]:
    """Column definitions of a SELECT, its rows dropped. Raises ShardError or MeshError."""
    receiver = _Definitions()
    connection.query(sql, receiver)
    await receiver.ended
    return receiver.found


class _Definitions:
    def __init__(self) -> None:
        self.found: tuple[ColumnDefinition, ...] = ()
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def columns(self, columns: Sequence[ColumnDefinition]) -> None:
        self.found = tuple(columns)

    def rows(self, rows: list[bytes]) -> None:
        """Dropped."""

    def done(self, ok: OkPacket, *, more: bool) -> None:
        del ok
        if not more and not self.ended.done():
            self.ended.set_result(None)

    def failed(self, error: Exception) -> None:
        if not self.ended.done():
            self.ended.set_exception(error)
