"""COM_STMT_FETCH: rows of an open cursor, from the shard that holds it or from those the mesh holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbmesh.errors import NO_CURSOR, MeshError
from dbmesh.session.answering.result_sink import ResultSink
from dbmesh.session.prepared import HeldRows, PreparedStatement
from dbmesh.wire.commands import make_fetch, parse_fetch
from dbmesh.wire.constants import Status
from dbmesh.wire.framing import frame

if TYPE_CHECKING:
    from dbmesh.session.session import Session, Work


def stmt_fetch(session: Session, payload: bytes, sequence: int) -> Work | None:
    """See the manual, COM_STMT_FETCH."""
    statement_id, rows = parse_fetch(payload)
    prepared = session.statements.find(statement_id, "mysqld_stmt_fetch")
    cursor = prepared.cursor
    if isinstance(cursor, HeldRows):
        _send(session, prepared, cursor, rows, session.sink(sequence=sequence))
        session.finish()
        return None
    if cursor is None or not cursor.connection.usable:
        raise MeshError(NO_CURSOR, id=statement_id)
    # Until its rows have come the session is not at rest.
    session.command_text = prepared.sql
    session.relay.start_fetch(cursor.connection, frame(make_fetch(cursor.statement_id, rows), 0))
    return None


def _send(
    session: Session, prepared: PreparedStatement, cursor: HeldRows, count: int, sink: ResultSink
) -> None:
    """The next rows. As on one server a cursor ends when it is asked for more than there is, and is closed then."""
    ended = count > len(cursor.rows)
    sink.rows([cursor.rows.popleft() for _ in range(min(count, len(cursor.rows)))])
    if ended:
        prepared.cursor = None
    sink.end_rows(session.status | (Status.LAST_ROW_SENT if ended else Status.CURSOR_EXISTS).value, 0)
