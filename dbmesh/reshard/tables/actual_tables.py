"""What a job does with the actual tables of one schema, whatever server they are on.

Decides the contract, and which kind of server a connection is to. Knows no job.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from dbmesh.backend.connection import Connection, OwnDialect
from dbmesh.reshard.tables.mysql_tables import MySQLTables
from dbmesh.reshard.tables.postgres_tables import PostgresTables

MadeLike = Callable[[str], Sequence[str]]
"""The statements that make such a table under another name."""


class ActualTables(Protocol):
    """See the module's docstring. Every step may be done again after any part of it. All raise MeshError and ShardError."""

    async def names(self) -> frozenset[str]:
        """The tables there are."""
        ...

    async def like(self, name: str) -> MadeLike:
        """How tables like this one are made."""
        ...

    async def make(self, name: str, like: MadeLike) -> None:
        """Make a table, unless it is there."""
        ...

    async def rename(self, steps: Sequence[tuple[str, str]]) -> None:
        """Give tables other names, in this order, all or none of them. Does not wait long for somebody who uses one."""
        ...

    async def drop(self, name: str, alive: Callable[[], None]) -> None:
        """Drop a table if it is there; `alive` raises when this process may not do it any more."""
        ...

    async def take_turn(self, name: str, seconds: int) -> bool:
        """Wait until no other process is at what is called so on this server, and keep others from it while the connection lasts."""
        ...


def tables_of(connection: Connection) -> ActualTables:
    """Those of the schema that a connection is to."""
    return PostgresTables(connection) if isinstance(connection, OwnDialect) else MySQLTables(connection)
