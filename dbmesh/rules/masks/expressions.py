"""Pieces of SQL that masks are made of: a column's value as text, texts and replacement characters as literals.

Decides that what is generated reads the same in every session: no double quotes, no backslashes, nothing beyond ASCII. Knows no mask.
"""

from __future__ import annotations

from dbmesh.model import ColumnFamily, ColumnSchema

_ADDRESSES = frozenset(("uuid", "inet4", "inet6"))
"""Types of MariaDB's whose text is always text."""


def literal(text: str) -> str:
    """A text as a literal that needs no escapes and means the same under every character set."""
    if text.isascii() and text.isprintable() and not set(text) & set("'\"\\"):
        return f"'{text}'"
    return f"_utf8mb4 X'{text.encode().hex()}'"


def length_of(text: str, schema: ColumnSchema) -> int:
    """How long a text is for CHAR_LENGTH beside this column's values."""
    return len(text.encode()) if schema.family is ColumnFamily.BINARY else len(text)


def as_text(column: str, schema: ColumnSchema) -> str | None:
    """The value as the text that clients read, bytes as they are. None where a value has no text that can be cut without a
    warning that shows it."""
    match schema.family:
        case ColumnFamily.TEXT | ColumnFamily.BINARY:
            return column
        case ColumnFamily.BIT:
            return f"CAST({column} + 0 AS CHAR)"
        case ColumnFamily.OTHER if schema.declared_type not in _ADDRESSES:
            return None
        case _:
            return f"CAST({column} AS CHAR)"


def as_utf8(column: str, schema: ColumnSchema) -> str | None:
    """As `as_text`, in one character set: its bytes are the same whatever the column's is."""
    text = as_text(column, schema)
    if text is None or schema.family is ColumnFamily.BINARY:
        return text
    return f"CONVERT({text} USING utf8mb4)"
