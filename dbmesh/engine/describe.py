"""The columns of a statement on a data source that cannot prepare on a server.

Decides nothing; only statements that read come here.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from dbmesh.backend.connection import Connection
from dbmesh.errors import not_supported
from dbmesh.wire.packets import ColumnDefinition


@runtime_checkable
class Describing(Protocol):
    """A connection that can compile a statement without running it. (Asked for by what it can do: a mesh without such
    a data source need not load what one takes.)"""

    async def describe(self, sql: bytes) -> tuple[ColumnDefinition, ...]:
        """The columns of a statement that may hold `?`. Raises ShardError or MeshError."""
        ...


async def describe(connection: Connection, sql: bytes) -> tuple[ColumnDefinition, ...]:
    """Column definitions of a SELECT, which is compiled and not run. Raises ShardError or MeshError."""
    if not isinstance(connection, Describing):
        raise not_supported("PREPARE on this kind of data source", "send the statement as text")
    return await connection.describe(sql)
