"""Sharding keys: one canonical value for every way a client can write the same key.

Decides what `5`, `'5'`, `5.0` and a bound 5 have in common when a column holds integers, so that all of them reach the
same data node. Knows nothing of algorithms: they receive canonical values. A value that no row has as its key ('abc' or
5.5 for an integer column) becomes `UNKNOWN_KEY`; what a row stores instead of it is told by `stored_values`.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import Final

from dbmesh.errors import not_supported
from dbmesh.model import ColumnFamily, ColumnSchema, SqlValue
from dbmesh.rules.stored_values import as_stored
from dbmesh.rules.text_keys import is_binary, placed_as, stands_alone
from dbmesh.sql.literals import HexLiteral


class UnknownKey(Enum):
    """The type of `UNKNOWN_KEY`; an enumeration so that type checkers narrow on `is UNKNOWN_KEY`."""

    UNKNOWN_KEY = "unknown key"

    def __repr__(self) -> str:
        return "UNKNOWN_KEY"


UNKNOWN_KEY: Final = UnknownKey.UNKNOWN_KEY
"""A key that matches nothing or anything: reads go to every data node, INSERT is refused."""

Key = SqlValue | UnknownKey

_INTEGER_TEXT = re.compile(r"\s*[+-]?\d{1,65}\s*", re.ASCII)
_DATE_TEXT = re.compile(
    r"\s*(\d{4})-(\d{1,2})-(\d{1,2})(?:[ T](\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:\.(\d{1,6})\d*)?)?)?\s*",
    re.ASCII,
)
_MOST_DIGITS = 80
MOST_EXACT_DOUBLE: Final = 1 << 53
"""Up to here every integer has a DOUBLE of its own."""


def coerce_key(value: SqlValue, column: ColumnSchema | ColumnFamily | None) -> Key:
    """The canonical key for a value compared with, or stored in, a sharding column.

    Integer columns give int, decimal columns int or a Decimal without trailing zeros, text columns str, temporal
    columns date or datetime. With a `ColumnSchema` the declared type narrows further (DATE or DATETIME, digits after
    the point). With None ints stay ints, integral decimals become ints, and all else is left as it is. NULL stays None.
    """
    if value is None:
        return None
    if isinstance(column, ColumnSchema):
        key = _coerce_family(value, column.family)
        return key if key is UNKNOWN_KEY else _fit_declared_type(key, column.declared_type)
    return _coerce_family(value, column)


def compared_key(
    value: SqlValue, column: ColumnSchema | ColumnFamily | None, *, exact_text: bool = False
) -> Key:
    """The key of a value that a statement compares with a sharding column; `coerce_key` is for values it stores.

    They differ where rows equal to the value may have been placed by another spelling of it. MySQL compares a text
    with a number or a date by converting the text (manual: "Type Conversion in Expression Evaluation"), so 5 equals
    '5', '05' and '5 apples'; it compares texts by collation, so 'abc' may equal 'ABC'. With `exact_text` the operator
    promises that texts are always written and compared in one spelling. A text for a column nobody knows may be
    compared with anything.
    """
    if value is None:
        return None
    family = column.family if isinstance(column, ColumnSchema) else column
    if family in _TEXTUAL:
        return _compared_text(value, column, exact_text)
    if family is ColumnFamily.BINARY and _is_padded(column):
        return UNKNOWN_KEY
    if column is None and isinstance(value, str | bytes) and not exact_text:
        return UNKNOWN_KEY
    key = coerce_key(value, column)
    # A DOUBLE equals every integer that rounds to it.
    if isinstance(value, float) and not -MOST_EXACT_DOUBLE <= value <= MOST_EXACT_DOUBLE:
        return UNKNOWN_KEY
    return key


def _compared_text(value: SqlValue, column: ColumnSchema | ColumnFamily | None, exact_text: bool) -> Key:
    key = _coerce_text(value) if isinstance(value, str | bytes) else UNKNOWN_KEY
    if exact_text or not isinstance(key, str):
        return key
    # An ENUM's row may have been written by its number.
    if not isinstance(column, ColumnSchema) or column.family is not ColumnFamily.TEXT:
        return UNKNOWN_KEY
    return key if stands_alone(key, column.collation) else UNKNOWN_KEY


def stored_key(value: SqlValue, column: ColumnSchema | None, *, exact_text: bool = False) -> Key:
    """The key of a row that this value is written into: of what the server makes of it.

    Raises MeshError(NOT_SUPPORTED) for a text that comparisons would take for another text on another data node.
    """
    key = coerce_key(value if column is None else as_stored(value, column), column)
    if exact_text or not isinstance(key, str) or column is None or column.family is not ColumnFamily.TEXT:
        return key
    # CHAR(n) forgets trailing spaces, whatever its collation makes of them.
    text = key.rstrip(" ") if column.declared_type.startswith("char") else key
    placed = placed_as(text, column.collation)
    if placed is None:
        raise not_supported(
            f"the sharding key {key[:80]!r} of '{column.name}', which {column.collation} takes for another text",
            "write it without special forms of characters",
        )
    return placed


def places_equals_together(column: ColumnSchema | None, *, exact_text: bool = False) -> bool:
    """Whether rows whose keys the server holds for equal are always on one data node, so that they may be joined or
    grouped there. False for a column nobody knows."""
    if column is None:
        return False
    if column.family is ColumnFamily.TEXT:
        return exact_text or is_binary(column.collation)
    return column.family in _PLACED_TOGETHER and not _is_padded(column)


def _is_padded(column: ColumnSchema | ColumnFamily | None) -> bool:
    """BINARY(n) appends zero bytes to what was written."""
    return isinstance(column, ColumnSchema) and column.declared_type.startswith("binary")


_PLACED_TOGETHER: Final = frozenset(
    {ColumnFamily.INTEGER, ColumnFamily.DECIMAL, ColumnFamily.TEMPORAL, ColumnFamily.BINARY}
)
_TEXTUAL: Final = frozenset({ColumnFamily.TEXT, ColumnFamily.ENUM, ColumnFamily.SET})


def _coerce_family(value: SqlValue, family: ColumnFamily | None) -> Key:
    if family is None:
        return _integral(value) if isinstance(value, Decimal) else value
    coercion = _COERCIONS.get(family)
    return UNKNOWN_KEY if coercion is None else coercion(value)


def _integral(value: Decimal) -> SqlValue:
    """An int when the decimal is a whole number of sane size, else the decimal without trailing zeros."""
    if not value.is_finite() or value.adjusted() > _MOST_DIGITS:
        return value
    whole = int(value)
    if whole == value:
        return whole
    return value.normalize() if len(value.as_tuple().digits) <= 28 else value


def _to_decimal(value: SqlValue) -> Decimal | None:
    if isinstance(value, HexLiteral):
        return None
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    try:
        if isinstance(value, str):
            decimal = Decimal(value.strip())
        elif isinstance(value, float):
            decimal = Decimal(repr(value))
        elif isinstance(value, int | Decimal):
            decimal = Decimal(value)
        else:
            return None
    except InvalidOperation:
        return None
    return decimal if decimal.is_finite() and decimal.adjusted() <= _MOST_DIGITS else None


def _coerce_integer(value: SqlValue) -> Key:
    if type(value) is int:
        return value
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, str) and _INTEGER_TEXT.fullmatch(value):
        return int(value)
    decimal = _to_decimal(value)
    if decimal is None or decimal != (whole := int(decimal)):
        return UNKNOWN_KEY
    return whole


def _coerce_decimal(value: SqlValue) -> Key:
    decimal = _to_decimal(value)
    return UNKNOWN_KEY if decimal is None else _integral(decimal)


def _coerce_float(value: SqlValue) -> Key:
    """Only whole numbers a FLOAT can hold exactly: any other value may be stored as something else than was written."""
    key = _coerce_integer(value)
    return key if isinstance(key, int) and abs(key) <= 1 << 24 else UNKNOWN_KEY


def _coerce_text(value: SqlValue) -> Key:
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            return UNKNOWN_KEY
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, Decimal):
        return (
            format(value, "f") if value.is_finite() and abs(value.adjusted()) <= _MOST_DIGITS else UNKNOWN_KEY
        )
    if isinstance(value, datetime.date):
        return temporal_text(value)
    return UNKNOWN_KEY


def _coerce_temporal(value: SqlValue) -> Key:
    if isinstance(value, datetime.datetime):
        return value if value.tzinfo is None else UNKNOWN_KEY
    if isinstance(value, datetime.date):
        return value
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    return UNKNOWN_KEY if not isinstance(value, str) else parse_temporal(value) or UNKNOWN_KEY


def parse_temporal(text: str) -> datetime.date | None:
    """A date, or a datetime when a time is given, from MySQL's `yyyy-MM-dd[ HH:mm[:ss[.ffffff]]]`; else None."""
    match = _DATE_TEXT.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction = match.groups()
    try:
        if hour is None:
            return datetime.date(int(year), int(month), int(day))
        micros = int((fraction or "0").ljust(6, "0"))
        return datetime.datetime(
            int(year), int(month), int(day), int(hour), int(minute), int(second or 0), micros
        )
    except ValueError:
        return None


def temporal_text(value: datetime.date) -> str:
    """MySQL's text of a date or datetime, the fraction only when there is one."""
    if not isinstance(value, datetime.datetime):
        return value.isoformat()
    return value.isoformat(sep=" ")


def _coerce_binary(value: SqlValue) -> Key:
    if isinstance(value, bytes):
        return value
    return value.encode("utf-8") if isinstance(value, str) else UNKNOWN_KEY


_COERCIONS: Final[dict[ColumnFamily, Callable[[SqlValue], Key]]] = {
    ColumnFamily.INTEGER: _coerce_integer,
    ColumnFamily.DECIMAL: _coerce_decimal,
    ColumnFamily.FLOAT: _coerce_float,
    ColumnFamily.TEXT: _coerce_text,
    ColumnFamily.ENUM: _coerce_text,
    ColumnFamily.BINARY: _coerce_binary,
    ColumnFamily.TEMPORAL: _coerce_temporal,
}

_DECLARED = re.compile(r"(\w+)(?:\((\d+)(?:,(\d+))?\))?")


def _fit_declared_type(key: SqlValue | UnknownKey, declared: str) -> Key:
    """Refuses what the column would round, and gives DATE and DATETIME columns one form each."""
    match = _DECLARED.match(declared)
    if match is None:
        return key
    name, first, second = match.groups()
    if isinstance(key, Decimal) and name in ("decimal", "numeric"):
        exponent = key.as_tuple().exponent
        return key if isinstance(exponent, int) and -exponent <= int(second or 0) else UNKNOWN_KEY
    if name == "date" and isinstance(key, datetime.datetime):
        return key.date() if key.time() == datetime.time() else UNKNOWN_KEY
    if name in ("datetime", "timestamp") and isinstance(key, datetime.date):
        if not isinstance(key, datetime.datetime):
            return datetime.datetime.combine(key, datetime.time())
        return UNKNOWN_KEY if key.microsecond % 10 ** (6 - min(int(first or 0), 6)) else key
    if name in ("time", "year") and isinstance(key, datetime.date):
        return UNKNOWN_KEY
    return key
