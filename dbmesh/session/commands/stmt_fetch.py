"""COM_STMT_FETCH: rows of an open cursor, from the shard that holds it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbmesh.errors import NO_CURSOR, UNKNOWN_STATEMENT, MeshError
from dbmesh.wire.commands import make_fetch, parse_fetch
from dbmesh.wire.framing import frame

if TYPE_CHECKING:
    from dbmesh.session.session import Session, Work


def stmt_fetch(session: Session, payload: bytes, sequence: int) -> Work | None:
    """See the manual, COM_STMT_FETCH."""
    del sequence
    statement_id, rows = parse_fetch(payload)
    prepared = session.statements.get(statement_id)
    if prepared is None:
        raise MeshError(UNKNOWN_STATEMENT, id=statement_id, command="mysqld_stmt_fetch")
    cursor = prepared.cursor
    if cursor is None or not cursor.connection.usable:
        raise MeshError(NO_CURSOR, id=statement_id)
    session.relay.start_fetch(cursor.connection, frame(make_fetch(cursor.statement_id, rows), 0))
    return None
