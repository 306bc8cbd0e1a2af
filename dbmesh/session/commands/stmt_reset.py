"""COM_STMT_RESET: drop a statement's long data and close its cursor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbmesh.errors import UNKNOWN_STATEMENT, MeshError
from dbmesh.wire.commands import parse_statement_id

if TYPE_CHECKING:
    from dbmesh.session.session import Session, Work


def stmt_reset(session: Session, payload: bytes, sequence: int) -> Work | None:
    """See the manual, COM_STMT_RESET."""
    statement_id = parse_statement_id(payload)
    prepared = session.statements.get(statement_id)
    if prepared is None:
        raise MeshError(UNKNOWN_STATEMENT, id=statement_id, command="mysqld_stmt_reset")
    prepared.long_data.clear()
    prepared.long_data_too_large = False
    session.close_cursor(prepared)
    session.ok(sequence=sequence)
    session.finish()
    return None
