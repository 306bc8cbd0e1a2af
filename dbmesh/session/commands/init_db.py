"""COM_INIT_DB: change the current logic database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbmesh.session.answering.session_track import schema_changed
from dbmesh.session.statements import local

if TYPE_CHECKING:
    from dbmesh.session.session import Session, Work


def init_db(session: Session, payload: bytes, sequence: int) -> Work | None:
    """See the manual, COM_INIT_DB."""
    session.refuse_in_broken_transaction()
    local.use(session, payload[1:].decode("utf-8", "surrogateescape"))
    session.ok(sequence=sequence, session_state=schema_changed(session.database or ""))
    session.finish()
    return None
