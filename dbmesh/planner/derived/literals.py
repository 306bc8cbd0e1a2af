"""Values of a result row as SQL literals, so that another statement can carry them.

Decides the literal of every column type such that the server reads back the same value (manual, "Literal Values"). Dates and
times are texts where they go to columns of their own type, which servers read so; elsewhere they keep their type.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Sequence
from dataclasses import replace
from functools import partial
from types import MappingProxyType

from dbmesh.errors import not_supported
from dbmesh.model import ColumnFamily, ColumnSchema
from dbmesh.sql.lexer import LexerFlags
from dbmesh.sql.literals import literal_text
from dbmesh.wire.collations import charset_of_collation, encoding
from dbmesh.wire.constants import ColumnFlag, ColumnType
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
_TEMPORAL = MappingProxyType(
    {
        ColumnType.DATE: "DATE",
        ColumnType.NEWDATE: "DATE",
        ColumnType.TIME: "TIME",
        ColumnType.DATETIME: "TIMESTAMP",
        ColumnType.TIMESTAMP: "TIMESTAMP",
    }
)
_AS_IT_IS = ("", "")
_AS_NUMBER = ("", " + 0")
_AS_BYTES = ("CAST(", " AS BINARY)")
_LONG = re.compile(r"(?:tiny|medium|long)?(?:text|blob)|json", re.IGNORECASE)
_UTF8 = frozenset(("utf8mb4", "utf8mb3", "utf8", "ascii", "binary"))
_BY_NUMBER = frozenset((ColumnFamily.ENUM, ColumnFamily.SET))
_NUMBER_FAMILIES = frozenset(
    (ColumnFamily.INTEGER, ColumnFamily.DECIMAL, ColumnFamily.FLOAT, ColumnFamily.BIT)
)
_NUMBERED = ColumnFlag.ENUM | ColumnFlag.SET
_NO_MOMENT = re.compile(rb"\d{4}-(?:00|\d\d-00)|0000-")
"""Dates that are values of columns, but no literals under NO_ZERO_DATE and NO_ZERO_IN_DATE."""

Writer = Callable[[bytes], str]


def literal_writers(
    columns: Sequence[ColumnDefinition], flags: LexerFlags, typed: Container[int] = ()
) -> tuple[Writer, ...]:
    """For each column what turns its text-protocol value into a literal; those of the columns `typed` (indexes) have a type.
    Raises MeshError(NOT_SUPPORTED) for FLOAT, whose text has fewer digits than its value."""
    return tuple(_writer(column, flags, typed=at in typed) for at, column in enumerate(columns))


def unrounded(columns: Sequence[ColumnDefinition]) -> list[ColumnDefinition]:
    """Columns whose values have all their digits: a FLOAT is a DOUBLE as well."""
    return [
        replace(column, type=ColumnType.DOUBLE) if column.type == ColumnType.FLOAT else column
        for column in columns
    ]


def needs_type(column: ColumnDefinition, target: ColumnSchema | None) -> bool:
    """Whether a value stored in this column would be another one as text."""
    if target is None:
        return False
    if column.type == ColumnType.BIT:
        return target.family is not ColumnFamily.BIT and not _keeps_text(target)
    if target.family in (ColumnFamily.TEXT, ColumnFamily.BINARY):
        return False
    if column.type == ColumnType.TIME:
        return re.match(r"time\b", target.declared_type) is None
    return column.type in _TEMPORAL and re.match(r"date|timestamp", target.declared_type) is None


def carried_as(source: ColumnSchema | None, target: ColumnSchema | None) -> tuple[str, str]:
    """What a query writes before and behind a column whose values another statement carries to a column: the text of a FLOAT
    has fewer digits than its value, which TEXT and BLOB take all the same; numbers take an ENUM or SET by its number; a BIT
    is a number but in TEXT and BLOB, which take its bytes; and binary columns take a text's bytes, not those of the answer."""
    if source is None:
        return _AS_IT_IS
    if source.family is ColumnFamily.FLOAT and source.declared_type.startswith("float"):
        return ("CONCAT(", ")") if _keeps_text(target) else ("", " + 0e0")
    if source.family is ColumnFamily.BIT and target is not None and target.family is not ColumnFamily.BIT:
        return _AS_BYTES if _keeps_text(target) else _AS_NUMBER
    if in_another_charset(source, target):
        return _AS_BYTES
    return _AS_NUMBER if source.family in _BY_NUMBER and _is_number(target) else _AS_IT_IS


def in_another_charset(source: ColumnSchema, target: ColumnSchema | None) -> bool:
    """Whether an answer has other bytes of a text than a binary column would store."""
    if target is None or target.family not in (ColumnFamily.BINARY, ColumnFamily.BIT) or not source.collation:
        return False
    return source.family is ColumnFamily.TEXT and charset_of_collation(source.collation) not in _UTF8


def _keeps_text(target: ColumnSchema | None) -> bool:
    """Whether a column is TEXT, BLOB or JSON: servers store a value's text there, where CHAR and VARCHAR take its number."""
    return target is not None and _LONG.match(target.declared_type) is not None


def refuse_bits(column: ColumnDefinition) -> None:
    """Raise MeshError(NOT_SUPPORTED) for a BIT that is computed: servers send some as bytes and some as the text of a number."""
    if column.type == ColumnType.BIT and not column.org_name:
        raise not_supported(
            f"a computed BIT ('{column.name.decode('utf-8', 'replace')}') carried from one data node to another",
            "write expression + 0 in the query",
        )


def refuse_numbered(column: ColumnDefinition, target: ColumnSchema | None) -> None:
    """Raise MeshError(NOT_SUPPORTED) for a text that a server would have stored by its number."""
    if column.flags & _NUMBERED and _is_number(target):
        raise not_supported(
            f"ENUM or SET values ('{column.name.decode('utf-8', 'replace')}') carried to a column of numbers",
            "write column + 0 in the query",
        )


def _is_number(target: ColumnSchema | None) -> bool:
    return target is not None and (
        target.family in _NUMBER_FAMILIES or target.declared_type.lower().startswith("year")
    )


def typed_columns(
    columns: Sequence[ColumnDefinition], targets: Sequence[ColumnSchema | None]
) -> tuple[int, ...]:
    """Which columns (indexes) need a type where they go to these."""
    pairs = zip(columns, targets, strict=True)
    return tuple(at for at, (column, target) in enumerate(pairs) if needs_type(column, target))


def row_literals(writers: Sequence[Writer], row: Sequence[bytes | None]) -> tuple[str, ...]:
    """A row as literals."""
    return tuple(
        ["NULL" if value is None else write(value) for write, value in zip(writers, row, strict=True)]
    )


def _writer(column: ColumnDefinition, flags: LexerFlags, *, typed: bool) -> Writer:
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
    if typed and kind == ColumnType.BIT:
        return _bits
    if typed and kind in _TEMPORAL:
        return partial(_moment, _TEMPORAL[ColumnType(kind)])
    if kind in _BYTES or (kind in STRINGS_OF_BYTES and column.character_set == BINARY_CHARSET):
        return literal_text
    plain = flags.no_backslash_escapes
    codec = (flags.recoded and encoding(flags.recoded)) or "utf-8"

    def text(value: bytes) -> str:
        return literal_text(value.decode(codec, "surrogateescape"), no_backslash_escapes=plain)

    return text


def _bits(value: bytes) -> str:
    """A number: that is how servers store a BIT in columns of other types, see `carried_as`."""
    return str(int.from_bytes(value, "big"))


def _moment(type_name: str, value: bytes) -> str:
    return f"{'' if _NO_MOMENT.match(value) else type_name}'{value.decode()}'"


def _double(value: bytes) -> str:
    """An exponent makes it a DOUBLE; without one it would be a DECIMAL."""
    text = value.decode()
    return text if "e" in text else f"{text}e0"
