"""COM_PROCESS_KILL: close another session's connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbmesh.errors import MALFORMED_PACKET, MeshError
from dbmesh.session.peers import kill, kill_anywhere

if TYPE_CHECKING:
    from dbmesh.session.session import Session, Work


def process_kill(session: Session, payload: bytes, sequence: int) -> Work | None:
    """See the manual, COM_PROCESS_KILL."""
    if len(payload) != 5:
        raise MeshError(MALFORMED_PACKET)
    id_ = int.from_bytes(payload[1:5], "little")
    if session.mesh.peers is not None and id_ not in session.mesh.sessions:
        return _elsewhere(session, id_, sequence)
    kill(session.mesh, session, id_, query=False)
    session.ok(sequence=sequence)
    session.finish()
    return None


async def _elsewhere(session: Session, id_: int, sequence: int) -> None:
    await kill_anywhere(session, id_, query=False)
    session.ok(sequence=sequence)
