"""COM_STMT_CLOSE: forget a prepared statement. It has no answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbmesh.session.answering.cursors import close_cursor
from dbmesh.wire.commands import parse_statement_id

if TYPE_CHECKING:
    from dbmesh.session.session import Session, Work


def stmt_close(session: Session, payload: bytes, sequence: int) -> Work | None:
    """See the manual, COM_STMT_CLOSE. Statements prepared on shards stay for others until their cache is full."""
    del sequence
    prepared = session.statements.pop(parse_statement_id(payload), None)
    if prepared is not None:
        close_cursor(session, prepared)
    session.finish()
    return None
