"""COM_QUIT: the client says goodbye."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dbmesh.session.session import Session, Work


def quit_(session: Session, payload: bytes, sequence: int) -> Work | None:
    """See the manual, COM_QUIT. There is no answer; the listener ends the session when the connection closes."""
    del payload, sequence
    session.client.close()
    return None
