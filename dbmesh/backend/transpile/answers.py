"""Answers of a data source that runs MySQL statements."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Done:
    """A statement without rows."""

    affected_rows: int = 0
    last_insert_id: int = 0
    info: str = ""
