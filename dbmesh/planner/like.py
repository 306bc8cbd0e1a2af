"""LIKE patterns over names the mesh lists itself (manual, "LIKE"): without case, `\\` escapes
whatever sql_mode says, and stands for itself as the last character."""

from __future__ import annotations

import re


def matches_like(name: str, pattern: str) -> bool:
    """Whether `name` matches the pattern."""
    parts: list[str] = []
    escaped = False
    for character in pattern:
        if escaped:
            parts.append(re.escape(character))
            escaped = False
        elif character == "\\":
            escaped = True
        else:
            parts.append({"%": ".*", "_": "."}.get(character) or re.escape(character))
    if escaped:
        parts.append(re.escape("\\"))
    return re.fullmatch("".join(parts), name, re.IGNORECASE | re.DOTALL) is not None
