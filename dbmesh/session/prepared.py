"""A statement a client prepared: its text, what is known of its parameters, and where its cursor is.

Decides nothing; `commands.stmt_*` act on it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from dbmesh.backend.mysql import MySQLConnection
from dbmesh.errors import UNKNOWN_STATEMENT, MeshError

LAST_PREPARED = 0xFFFFFFFF
"""The id MariaDB's clients execute before they know that of the statement they are preparing."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """An open cursor of a data source: the connection that holds it, the statement's id there, and the key it is pinned by."""

    connection: MySQLConnection
    statement_id: int
    key: str


@dataclass(slots=True)
class HeldRows:
    """An open cursor of the mesh's own: the binary rows the client has not fetched yet."""

    rows: deque[bytes]


@dataclass(slots=True)
class PreparedStatement:
    """The plan is looked up by `text` at each execution, so that changed rules are seen.

    * `parameter_count`: number of `?`.
    * `parameter_types`: as sent with the last execution that sent types, two bytes each.
    * `long_data`: parameter index → bytes sent ahead (COM_STMT_SEND_LONG_DATA), bounded by max_allowed_packet.
    """

    statement_id: int
    sql: bytes
    text: str
    parameter_count: int
    parameter_types: bytes = b""
    long_data: dict[int, bytes] = field(default_factory=dict)
    long_data_too_large: bool = False
    cursor: Cursor | HeldRows | None = None


class Statements(dict[int, PreparedStatement]):
    """A session's prepared statements by their ids. `last` is that of the last PREPARE, 0 when it failed."""

    def __init__(self) -> None:
        super().__init__()
        self.last = 0
        self._next = 1

    def add(self, sql: bytes, text: str, parameter_count: int) -> PreparedStatement:
        """A new statement, with an id of its own."""
        self.last = self._next
        prepared = self[self._next] = PreparedStatement(self._next, sql, text, parameter_count)
        self._next = self._next % (LAST_PREPARED - 1) + 1
        return prepared

    def find(self, statement_id: int, command: str) -> PreparedStatement:
        """A statement by its id, or by `LAST_PREPARED`. Raises MeshError(UNKNOWN_STATEMENT)."""
        found = self.get(self.last if statement_id == LAST_PREPARED else statement_id)
        if found is None:
            raise MeshError(UNKNOWN_STATEMENT, id=statement_id, command=command)
        return found
