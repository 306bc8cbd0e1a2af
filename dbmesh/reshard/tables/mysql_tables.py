"""`ActualTables` of MySQL and MariaDB."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from dbmesh.backend.connection import Connection
from dbmesh.engine.collect import collect
from dbmesh.errors import ShardError
from dbmesh.planner.template import quote_name

STEP = 5_000
"""Rows of a redundant table that are deleted at once: a table that is dropped with all its rows makes its server busy."""

_PATIENCE = b"SET SESSION lock_wait_timeout = 1"
"""Renaming waits no longer for somebody who uses the table behind the mesh's back: clients wait meanwhile."""

_NO_ROOM = frozenset((1021, 1114))

_COUNTER = re.compile(r" AUTO_INCREMENT=\d+")
_CHECK = re.compile(r"CONSTRAINT `(?:[^`]|``)+` CHECK")


class MySQLTables:
    """See the module's docstring."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def names(self) -> frozenset[str]:
        """See `ActualTables`."""
        rows = (await collect(self._connection, b"SHOW FULL TABLES WHERE Table_type = 'BASE TABLE'")).rows
        return frozenset((row[0] or b"").decode("utf-8", "surrogateescape") for row in rows)

    async def like(self, name: str) -> Callable[[str], Sequence[str]]:
        """See `ActualTables`."""
        shown = await collect(self._connection, f"SHOW CREATE TABLE {_quoted(name)}".encode())
        definition = str((shown.rows[0][1] or b"").decode("utf-8", "surrogateescape"))
        return lambda new: (made_like(definition, name, new),)

    async def make(self, name: str, like: Callable[[str], Sequence[str]]) -> None:
        """See `ActualTables`."""
        for statement in like(name):
            await collect(self._connection, statement.encode("utf-8", "surrogateescape"))

    async def rename(self, steps: Sequence[tuple[str, str]]) -> None:
        """See `ActualTables`."""
        await collect(self._connection, _PATIENCE)
        if steps:
            pairs = ", ".join(f"{_quoted(old)} TO {_quoted(new)}" for old, new in steps)
            await collect(self._connection, f"RENAME TABLE {pairs}".encode())

    async def drop(self, name: str, alive: Callable[[], None]) -> None:
        """See `ActualTables`."""
        if name not in await self.names():
            return
        try:
            await self._empty(name, alive)
        except ShardError as error:
            # What undoes a deletion takes room.
            if error.number not in _NO_ROOM:
                raise
        alive()
        await collect(self._connection, f"DROP TABLE IF EXISTS {_quoted(name)}".encode())

    async def _empty(self, name: str, alive: Callable[[], None]) -> None:
        """Nothing refers to its rows: no trigger and no foreign key was there when the job began."""
        delete = f"DELETE FROM {_quoted(name)} LIMIT {STEP}".encode()
        while True:
            alive()
            ok = (await collect(self._connection, delete)).ok
            if ok is None or not ok.affected_rows:
                return

    async def take_turn(self, name: str, seconds: int) -> bool:
        """See `ActualTables`."""
        rows = (await collect(self._connection, f"SELECT GET_LOCK('{name}', {seconds})".encode())).rows
        return rows == [[b"1"]]


def made_like(definition: str, name: str, new: str) -> str:
    """The statement that makes a table of another name, from what SHOW CREATE TABLE says. Names of checks, which are a schema's, are
    left to the server, and counting begins anew: the mesh gives numbers to tables in several places."""
    begin = f"CREATE TABLE {_quoted(name)}"
    if not definition.startswith(begin):
        raise ValueError(f"not the definition of {name}: {definition[:60]}")
    columns, _, options = definition[len(begin) :].rpartition("\n)")
    columns = _CHECK.sub("CHECK", columns)
    return f"CREATE TABLE IF NOT EXISTS {_quoted(new)}{columns}\n){_COUNTER.sub('', options)}"


def _quoted(name: str) -> str:
    return quote_name(name, quoted=True)
