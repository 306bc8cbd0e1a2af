"""COM_STATISTICS: one line of text about the process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbmesh.wire.framing import frame

if TYPE_CHECKING:
    from dbmesh.session.session import Session, Work


def statistics(session: Session, payload: bytes, sequence: int) -> Work | None:
    """See the manual, COM_STATISTICS."""
    del payload
    mesh = session.mesh
    open_connections = sum(
        pool.size for database in mesh.databases.values() for pool in database.pools.values()
    )
    uptime = int(session.now() - mesh.started_at)
    text = f"Uptime: {uptime}  Threads: {len(mesh.sessions)}  Backend connections: {open_connections}"
    session.client.write(frame(text.encode(), sequence))
    session.finish()
    return None
