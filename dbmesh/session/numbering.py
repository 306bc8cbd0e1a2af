"""How AUTO_INCREMENT counts in a session, by the variables it has set (manual, "AUTO_INCREMENT Handling").

Decides nothing about numbers themselves.
"""

from __future__ import annotations

from dbmesh.backend.state import SessionState


def numbers_zero(state: SessionState) -> bool:
    """Whether 0 asks for a number."""
    return "NO_AUTO_VALUE_ON_ZERO" not in (state.variable("sql_mode") or "").upper()


def numbering(state: SessionState) -> tuple[int, int]:
    """Step and first number; an offset behind the first step is ignored, as servers do."""
    if not state.variables:
        return 1, 1
    step, first = (
        max(1, int(text)) if (text := state.variable(name) or "1").isdecimal() else 1
        for name in ("auto_increment_increment", "auto_increment_offset")
    )
    return step, first if first <= step else 1
