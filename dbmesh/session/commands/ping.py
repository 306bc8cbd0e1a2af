"""COM_PING: the mesh is alive; data sources are not asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dbmesh.session.session import Session, Work


def ping(session: Session, payload: bytes, sequence: int) -> Work | None:
    """See the manual, COM_PING."""
    del payload
    session.ok(sequence=sequence)
    session.finish()
    return None
