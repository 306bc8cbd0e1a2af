"""COM_STMT_SEND_LONG_DATA: a piece of a parameter ahead of EXECUTE. It has no answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbmesh.wire.commands import parse_long_data

if TYPE_CHECKING:
    from dbmesh.session.session import Session, Work


def stmt_send_long_data(session: Session, payload: bytes, sequence: int) -> Work | None:
    """See the manual, COM_STMT_SEND_LONG_DATA. What exceeds max_allowed_packet is not kept: the value is then cut, and
    EXECUTE reports it, because the protocol has no answer here."""
    del sequence
    piece = parse_long_data(payload)
    prepared = session.statements.get(piece.statement_id)
    if prepared is not None and piece.parameter < prepared.parameter_count:
        known = prepared.long_data.get(piece.parameter, b"")
        if len(known) + len(piece.data) > session.mesh.max_allowed_packet:
            prepared.long_data_too_large = True
        else:
            prepared.long_data[piece.parameter] = known + piece.data
    session.finish()
    return None
