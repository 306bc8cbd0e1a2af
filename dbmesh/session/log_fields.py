"""What a log record tells of a session beside its message, for logs that programs read.

Decides the names of these fields, which docs/OPERATIONS.md lists. Logs nothing itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dbmesh.session.session import Session


def fields_of(session: Session, **others: object) -> dict[str, object]:
    """For `extra` of a log call: whose event it is, and what else there is to tell."""
    return {"session": session.connection_id, **others}
