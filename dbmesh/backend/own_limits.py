"""Errors that a session has asked for: a statement that took longer than the session itself allows says nothing about its server.

Decides which variables and hints set such limits.
"""

from __future__ import annotations

from collections.abc import Mapping

from dbmesh.backend.state import SessionState
from dbmesh.errors import ShardError

_LIMITS: Mapping[int, tuple[str, ...]] = {
    1205: ("innodb_lock_wait_timeout", "lock_wait_timeout"),
    1969: ("max_statement_time",),
    3024: ("max_execution_time",),
}


def is_own_limit(error: Exception | None, state: SessionState, text: bytes) -> bool:
    """Whether an error is that of a limit which the session, or the statement with this text, has set."""
    names = _LIMITS.get(error.number, ()) if isinstance(error, ShardError) else ()
    if not names:
        return False
    written = text.lower()
    return any(state.variable(name) is not None or name.encode() in written for name in names)
