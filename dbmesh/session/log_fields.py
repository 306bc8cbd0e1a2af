"""What a log record tells of a session beside its message, for logs that programs read.

Decides the names of these fields, which docs/OPERATIONS.md lists. Logs nothing itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dbmesh.session.filtering import RunningStatement
    from dbmesh.session.session import Session


def fields_of(
    session: Session, statement: RunningStatement | None = None, **others: object
) -> dict[str, object]:
    """For `extra` of a log call: whose event it is, and what else there is to tell. `statement` is the one it is about, where that is
    over: else it is the one under way."""
    told = {"session": session.connection_id, **others}
    about = statement or session.running
    if about is not None and about.trace is not None:
        told["trace_id"] = about.trace.trace_id
    return told
