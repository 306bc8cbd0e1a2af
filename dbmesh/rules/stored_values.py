"""What a server makes of a value that it stores in a column: rounded, clamped to the column's range, cut to its length.

Decides that for the types a row can be placed by, so that a row lies where its stored key belongs. Whether such a value is
an error (strict mode) or a warning is the server's to say: it gets the value as it was written. Knows no algorithms.
Source: MySQL manual, "Out-of-Range and Overflow Handling", "Date and Time Literals", "Precision Math".
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Final

from dbmesh.model import ColumnFamily, ColumnSchema, SqlValue
from dbmesh.sql.literals import HexLiteral
from dbmesh.wire.collations import encoding

_DECLARED: Final = re.compile(r"(\w+)(?:\((\d+)(?:,(\d+))?\))?")
_BYTES_OF_INTEGER: Final = {"tinyint": 1, "smallint": 2, "mediumint": 3, "int": 4, "bigint": 8}
_NUMBER: Final = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,9})?)?", re.ASCII)
_DELIMITED: Final = re.compile(
    r"\s*(\d{1,4})[^\w\s](\d{1,2})[^\w\s](\d{1,2})"
    r"(?:(?:T|\s+)(\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:\.(\d{1,6})\d*)?)?)?\s*",
    re.ASCII,
)
_DIGITS: Final = re.compile(r"\d{6}|\d{8}|\d{12}|\d{14}", re.ASCII)
_DAY: Final = re.compile(r"\d{4}-\d{1,2}-\d{1,2}|\d{8}", re.ASCII)
_HALF: Final = 0.5
_EXACT: Final = Context(prec=400, rounding=ROUND_HALF_UP)
_MOST_EXPONENT: Final = 100


def most_integer(column: ColumnSchema) -> int | None:
    """The greatest number an integer column holds; None where its type has no such range."""
    return None if (bounds := _bounds(column)) is None else bounds[1]


def as_stored(value: SqlValue, column: ColumnSchema) -> SqlValue:
    """The value that the column holds once this one is written; the value itself where nothing is known to happen to it."""
    convert = _CONVERSIONS.get(column.family)
    if value is None or convert is None or isinstance(value, HexLiteral):
        return value
    return convert(value, column)


def holds_already(value: SqlValue, held: SqlValue, column: ColumnSchema) -> bool:
    """Whether a column that holds `held` stays as it is, without a word of the server's, when this value is written to it."""
    if isinstance(value, HexLiteral):
        return False
    if column.family is ColumnFamily.TEXT:
        name, length, _ = _declared(column)
        texts = (
            isinstance(value, str)
            and isinstance(held, str)
            and name == "char"
            and len(value) <= (length or 0)
        )
        return texts and str(value).rstrip(" ") == str(held).rstrip(" ")
    if value is None or as_stored(value, column) != as_stored(held, column):
        return False
    if column.family is ColumnFamily.INTEGER:
        # A fraction is rounded silently; what is out of range or no number at all is not.
        return (
            isinstance(held, int)
            and isinstance(value, int | float | Decimal)
            and abs(float(value) - held) < _HALF
        )
    if column.family is ColumnFamily.TEMPORAL:
        return isinstance(value, int) or (isinstance(value, str) and _DAY.fullmatch(value) is not None)
    return False


def _bounds(column: ColumnSchema) -> tuple[int, int] | None:
    size = _BYTES_OF_INTEGER.get(_declared(column)[0])
    if size is None:
        return None
    bits = 8 * size
    return (0, (1 << bits) - 1) if column.unsigned else (-(1 << bits - 1), (1 << bits - 1) - 1)


def _declared(column: ColumnSchema) -> tuple[str, int | None, int]:
    match = _DECLARED.match(column.declared_type)
    if match is None:
        return "", None, 0
    name, first, second = match.groups()
    return name, None if first is None else int(first), int(second or 0)


def _number(value: SqlValue) -> Decimal | None:
    """The number a server reads; of a text what it begins with, 0 where that is none."""
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    if isinstance(value, str):
        match = _NUMBER.match(value)
        return Decimal(0) if match is None or match[1] is None else Decimal(match[1])
    if isinstance(value, float):
        return Decimal(repr(value))
    return Decimal(value) if isinstance(value, int | Decimal) else None


def _integer(value: SqlValue, column: ColumnSchema) -> SqlValue:
    bounds = _bounds(column)
    number = _number(value)
    if bounds is None or number is None or not number.is_finite():
        return value
    least, most = bounds
    if number.adjusted() > _MOST_EXPONENT:
        return most if number > 0 else least
    # A DOUBLE is rounded to the nearest even number, as the machine does; texts and decimals away from zero.
    whole = round(number) if isinstance(value, float) else int(number.to_integral_value(ROUND_HALF_UP))
    return min(max(whole, least), most)


def _decimal(value: SqlValue, column: ColumnSchema) -> SqlValue:
    number = _number(value)
    _, digits, scale = _declared(column)
    if digits is None or number is None or not number.is_finite():
        return value
    least_step = Decimal(1).scaleb(-scale)
    most = Decimal(10) ** (digits - scale) - least_step
    if number.adjusted() <= _MOST_EXPONENT:
        number = number.quantize(least_step, context=_EXACT)
    return min(max(number, Decimal(0) if column.unsigned else -most), most)


def _text(value: SqlValue, column: ColumnSchema) -> SqlValue:
    """Characters the column's set does not have become `?`; what is too long is cut."""
    name, length, _ = _declared(column)
    codec = None if column.collation is None else encoding(column.collation.partition("_")[0])
    if not isinstance(value, str) or name not in ("char", "varchar") or length is None:
        return value
    if codec is not None and not value.isascii():
        value = value.encode(codec, "replace").decode(codec, "replace")
    return value[:length]


def _binary(value: SqlValue, column: ColumnSchema) -> SqlValue:
    _, length, _ = _declared(column)
    return value if not isinstance(value, bytes) or length is None else value[:length]


def _temporal(value: SqlValue, column: ColumnSchema) -> SqlValue:
    name, _, _ = _declared(column)
    if name not in ("date", "datetime", "timestamp"):
        return value
    if isinstance(value, int):
        value = _moment_of_digits(_with_century(value)) or value
    elif isinstance(value, str):
        value = _moment(value) or value
    return value.date() if name == "date" and isinstance(value, datetime.datetime) else value


def _with_century(number: int) -> str:
    """A number of a date, or of a date and time, as 8 or 14 digits; no digits where it is neither."""
    for unit in (1, 1_000_000) if number > 0 else ():
        date = number // unit
        if date < 1_000_000:
            year = date // 10_000
            number += (20_000_000 if year < 70 else 19_000_000) * unit
            date = number // unit
        if 10_000_000 <= date < 100_000_000:
            return str(number)
    return ""


def _moment(text: str) -> datetime.date | None:
    if _DIGITS.fullmatch(text):
        return _moment_of_digits(text if len(text) in (8, 14) else _century(text[:2]) + text)
    match = _DELIMITED.fullmatch(text)
    if match is None or len(match[1]) == 3:
        return None
    year, month, day, hour, minute, second, fraction = match.groups()
    if len(year) < 3:
        year = _century(year.zfill(2)) + year.zfill(2)
    return _made(
        datetime.date if hour is None else datetime.datetime,
        *map(int, (year, month, day)),
        *([] if hour is None else map(int, (hour, minute, second or 0, (fraction or "0").ljust(6, "0")))),
    )


def _century(year: str) -> str:
    return "20" if int(year) < 70 else "19"


def _moment_of_digits(digits: str) -> datetime.date | None:
    parts = [int(digits[:4] or 0), *(int(digits[at : at + 2]) for at in range(4, len(digits), 2))]
    return _made(datetime.date if len(parts) == 3 else datetime.datetime, *parts)


def _made(kind: Callable[..., datetime.date], *parts: int) -> datetime.date | None:
    try:
        return kind(*parts)
    except (ValueError, TypeError):
        return None


_CONVERSIONS: Final[dict[ColumnFamily, Callable[[SqlValue, ColumnSchema], SqlValue]]] = {
    ColumnFamily.INTEGER: _integer,
    ColumnFamily.DECIMAL: _decimal,
    ColumnFamily.TEXT: _text,
    ColumnFamily.BINARY: _binary,
    ColumnFamily.TEMPORAL: _temporal,
}
