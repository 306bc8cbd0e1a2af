"""One moment for a statement that several connections work on.

Decides what they are told: the variable `timestamp` is what NOW() and DEFAULT CURRENT_TIMESTAMP read (manual, "Server
System Variables").
"""

from __future__ import annotations

import time

from dbmesh.backend.state import SessionState


def at_one_moment(state: SessionState) -> SessionState:
    """The state with the present moment in it, unless the session has set one."""
    if state.variable("timestamp") is not None:
        return state
    seconds, microseconds = divmod(time.time_ns() // 1000, 1_000_000)
    return state.with_variable("timestamp", f"{seconds}.{microseconds:06}")
