"""Quoting of names and values in PostgreSQL's dialect. Every value says its type, so that none is guessed."""

from __future__ import annotations

from dbmesh.backend.transpile.coerce import Stored
from dbmesh.backend.transpile.names import name as name
from dbmesh.backend.transpile.types import Kind
from dbmesh.errors import ShardError

_CASTS = {
    Kind.TEXT: "text",
    Kind.DATE: "date",
    Kind.DATETIME: "timestamp",
    Kind.TIME: "time",
    Kind.DECIMAL: "numeric",
    Kind.INTEGER: "bigint",
    Kind.DOUBLE: "float8",
}


def text(value: str) -> str:
    """A string constant without a type. Raises ShardError for a NUL character, which PostgreSQL cannot hold."""
    if "\0" in value:
        raise ShardError(
            1366, "HY000", "Incorrect string value: a NUL character, which PostgreSQL cannot hold"
        )
    # With the E a backslash means the same whatever standard_conforming_strings says.
    escape = "E" if "\\" in value else ""
    return f"{escape}'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def constant(value: Stored, kind: Kind) -> str:
    """A known value of a kind."""
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f"'\\x{value.hex()}'::bytea"
    if isinstance(value, float):
        return f"'{value!r}'::float8"
    if isinstance(value, int):
        return str(value) if value >= 0 else f"({value})"
    return f"{text(value)}::{_CASTS.get(kind, 'text')}"
