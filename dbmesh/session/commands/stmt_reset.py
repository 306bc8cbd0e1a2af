"""COM_STMT_RESET: drop a statement's long data and close its cursor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbmesh.session.answering.cursors import close_cursor
from dbmesh.wire.commands import parse_statement_id

if TYPE_CHECKING:
    from dbmesh.session.session import Session, Work


def stmt_reset(session: Session, payload: bytes, sequence: int) -> Work | None:
    """See the manual, COM_STMT_RESET."""
    prepared = session.statements.find(parse_statement_id(payload), "mysqld_stmt_reset")
    prepared.long_data.clear()
    prepared.long_data_too_large = False
    close_cursor(session, prepared)
    session.ok(sequence=sequence)
    session.finish()
    return None
