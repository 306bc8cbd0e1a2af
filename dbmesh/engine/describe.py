"""The columns of a statement on a data source that cannot prepare on a server.

Decides nothing; only statements that read come here.
"""

from __future__ import annotations

from dbmesh.backend.connection import Connection
from dbmesh.backend.sqlite.connection import SQLiteConnection
from dbmesh.errors import not_supported
from dbmesh.wire.packets import ColumnDefinition


async def describe(connection: Connection, sql: bytes) -> tuple[ColumnDefinition, ...]:
    """Column definitions of a SELECT, which is compiled and not run. Raises ShardError or MeshError."""
    if not isinstance(connection, SQLiteConnection):
        raise not_supported("PREPARE on this kind of data source", "send the statement as text")
    return await connection.describe(sql)
