"""COM_DEBUG: a line about the process into its log."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from dbmesh.rules.privileges import Privilege
from dbmesh.session.authority.rights import require
from dbmesh.wire.framing import frame
from dbmesh.wire.packets import EofPacket, make_eof

if TYPE_CHECKING:
    from dbmesh.session.session import Session, Work

_log = logging.getLogger(__name__)


def debug(session: Session, payload: bytes, sequence: int) -> Work | None:
    """See the manual, COM_DEBUG: answered by EOF, whatever the client knows."""
    del payload
    require(session, Privilege.SUPER)
    mesh = session.mesh
    lent = sum(
        pool.size - pool.idle for database in mesh.databases.values() for pool in database.pools.values()
    )
    _log.info("%d sessions, %d connections of data sources in use", len(mesh.sessions), lent)
    session.client.write(frame(make_eof(EofPacket(session.status, 0)), sequence))
    session.finish()
    return None
