"""COM_REFRESH: FLUSH in an older form."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbmesh.errors import MALFORMED_PACKET, MeshError
from dbmesh.planner.session_plan import Flush
from dbmesh.session.statements import administration

if TYPE_CHECKING:
    from dbmesh.session.session import Session, Work

_PARTS = ((1, "PRIVILEGES"), (2, "LOGS"), (4, "TABLES"), (8, "HOSTS"), (16, "STATUS"))
_THREAD_CACHE = 32


def refresh(session: Session, payload: bytes, sequence: int) -> Work | None:
    """See the manual, COM_REFRESH. Idle threads are kept: servers have them for the mesh's own connections."""
    if len(payload) != 2:
        raise MeshError(MALFORMED_PACKET)
    parts = [f"FLUSH {name}" for bit, name in _PARTS if payload[1] & bit]
    if not parts and payload[1] != _THREAD_CACHE:
        raise MeshError(MALFORMED_PACKET)
    if not parts:
        session.ok(sequence=sequence)
        session.finish()
        return None
    return administration.flush(session, Flush(tuple(parts)), session.sink(sequence=sequence), 0)
