"""A statement a client prepared: its text, what is known of its parameters, and where its cursor is.

Decides nothing; `commands.stmt_*` act on it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from dbmesh.backend.mysql import MySQLConnection


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
