"""The end of a cursor that a data source keeps for a session.

Decides what is free again with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbmesh.planner.plan import PinReason
from dbmesh.session.prepared import Cursor, PreparedStatement
from dbmesh.wire.commands import make_statement_command
from dbmesh.wire.constants import Command

if TYPE_CHECKING:
    from dbmesh.session.session import Session


def close_cursor(session: Session, prepared: PreparedStatement) -> None:
    """Close a statement's cursor on its shard, and with it the shard's statement, which was the cursor's alone; the
    connection is free again unless something else holds it."""
    cursor, prepared.cursor = prepared.cursor, None
    if not isinstance(cursor, Cursor):
        return
    connection = cursor.connection
    if connection.usable:
        connection.send_only(make_statement_command(Command.STMT_CLOSE, cursor.statement_id))
    pinned = session.pins.get(cursor.key)
    if pinned is not None and pinned[1] is PinReason.CURSOR:
        others = (found.cursor for found in session.statements.values())
        if any(isinstance(other, Cursor) and other.key == cursor.key for other in others):
            return
        del session.pins[cursor.key]
        if not any(held is connection for held in session.held_connections()):
            connection.home.release(connection, session.now())
