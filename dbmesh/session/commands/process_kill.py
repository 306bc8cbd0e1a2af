"""COM_PROCESS_KILL: close another session's connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbmesh.errors import MALFORMED_PACKET, MeshError
from dbmesh.session import local

if TYPE_CHECKING:
    from dbmesh.session.session import Session, Work


def process_kill(session: Session, payload: bytes, sequence: int) -> Work | None:
    """See the manual, COM_PROCESS_KILL."""
    if len(payload) != 5:
        raise MeshError(MALFORMED_PACKET)
    local.kill(session, int.from_bytes(payload[1:5], "little"), query=False)
    session.ok(sequence=sequence)
    session.finish()
    return None
