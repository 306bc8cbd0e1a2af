"""COM_SET_OPTION: multi-statements on or off."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbmesh.errors import UNKNOWN_COMMAND, MeshError
from dbmesh.wire.constants import Capability
from dbmesh.wire.framing import frame
from dbmesh.wire.packets import EofPacket, make_eof

if TYPE_CHECKING:
    from dbmesh.session.session import Session, Work

_ON, _OFF = 0, 1


def set_option(session: Session, payload: bytes, sequence: int) -> Work | None:
    """See the manual, COM_SET_OPTION. Answered by EOF, or OK for a client without EOF packets."""
    option = int.from_bytes(payload[1:3], "little") if len(payload) == 3 else -1
    if option not in (_ON, _OFF):
        raise MeshError(UNKNOWN_COMMAND)
    session.multi_statements = option == _ON
    if session.capabilities & Capability.DEPRECATE_EOF:
        session.ok(sequence=sequence)
    else:
        session.client.write(frame(make_eof(EofPacket(session.status, 0)), sequence))
    session.finish()
    return None
