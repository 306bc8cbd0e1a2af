"""Values of a result row as SQL literals, so that another statement can carry them.

Decides the literal of every column type such that the server reads back the same value (manual, "Literal Values").
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dbmesh.errors import not_supported
from dbmesh.sql.lexer import LexerFlags
from dbmesh.sql.literals import literal_text
from dbmesh.wire.constants import ColumnType
from dbmesh.wire.packets import ColumnDefinition

BINARY_CHARSET = 63

_NUMBERS = frozenset(
    (
        ColumnType.DECIMAL,
        ColumnType.NEWDECIMAL,
        ColumnType.TINY,
        ColumnType.SHORT,
        ColumnType.INT24,
        ColumnType.LONG,
        ColumnType.LONGLONG,
        ColumnType.YEAR,
    )
)
STRINGS_OF_BYTES = frozenset(
    (
        ColumnType.VARCHAR,
        ColumnType.VAR_STRING,
        ColumnType.STRING,
        ColumnType.TINY_BLOB,
        ColumnType.MEDIUM_BLOB,
        ColumnType.LONG_BLOB,
        ColumnType.BLOB,
    )
)
_BYTES = frozenset((ColumnType.BIT, ColumnType.GEOMETRY, ColumnType.VECTOR))

Writer = Callable[[bytes], str]


def literal_writers(columns: Sequence[ColumnDefinition], flags: LexerFlags) -> tuple[Writer, ...]:
    """For each column what turns its text-protocol value into a literal. Raises MeshError(NOT_SUPPORTED) for FLOAT, whose
    text has fewer digits than its value."""
    return tuple(_writer(column, flags) for column in columns)


def row_literals(writers: Sequence[Writer], row: Sequence[bytes | None]) -> tuple[str, ...]:
    """A row as literals."""
    return tuple(
        ["NULL" if value is None else write(value) for write, value in zip(writers, row, strict=True)]
    )


def _writer(column: ColumnDefinition, flags: LexerFlags) -> Writer:
    kind = column.type
    if kind in _NUMBERS:
        return bytes.decode
    if kind == ColumnType.DOUBLE:
        return _double
    if kind == ColumnType.FLOAT:
        raise not_supported(
            f"FLOAT values ('{column.name.decode('utf-8', 'replace')}') carried from one data node to another",
            "write column + 0e0 in the query, or use DOUBLE",
        )
    if kind in _BYTES or (kind in STRINGS_OF_BYTES and column.character_set == BINARY_CHARSET):
        return literal_text
    plain = flags.no_backslash_escapes

    def text(value: bytes) -> str:
        return literal_text(value.decode("utf-8", "surrogateescape"), no_backslash_escapes=plain)

    return text


def _double(value: bytes) -> str:
    """An exponent makes it a DOUBLE; without one it would be a DECIMAL."""
    text = value.decode()
    return text if "e" in text else f"{text}e0"
