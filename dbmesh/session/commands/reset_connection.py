"""COM_RESET_CONNECTION: as after connecting, without authenticating again."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dbmesh.session.session import Session, Work


def reset_connection(session: Session, payload: bytes, sequence: int) -> Work | None:
    """See the manual, COM_RESET_CONNECTION. The current database stays."""
    del payload
    return _reset(session, sequence)


async def _reset(session: Session, sequence: int) -> None:
    await session.give_up_connections()
    session.reset()
    session.ok(sequence=sequence)
