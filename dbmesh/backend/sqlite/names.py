"""Quoting of names and values in SQLite's dialect."""

from __future__ import annotations

from dbmesh.backend.transpile.coerce import Stored
from dbmesh.backend.transpile.names import name as name


def literal(value: Stored) -> str:
    """A value as SQLite text. A text with a NUL character would end there, so it goes as bytes."""
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f"x'{value.hex()}'"
    if isinstance(value, str):
        if "\0" in value:
            return f"CAST(x'{value.encode().hex()}' AS TEXT)"
        return "'" + value.replace("'", "''") + "'"
    return repr(value)
