"""Values on their way into a column: converted, rounded and checked as MySQL does it in strict mode.

Decides what is stored for a value and which values are refused (errors 1048, 1264, 1292, 1366, 1406). Non-strict modes
are not offered: a value that does not fit is an error. Source: manual, "Data Type Default Values", "Server SQL Modes".
"""

from __future__ import annotations

import datetime
import re
import struct
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation

from dbmesh.backend.transpile.types import Kind, SqlType
from dbmesh.errors import ShardError
from dbmesh.wire.constants import ColumnType

Stored = int | float | str | bytes | None

_EXACT = Context(prec=130)
_NUMBER = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)")
_MOMENT = re.compile(
    r"\s*(\d{4}|\d{2})-(\d{1,2})-(\d{1,2})(?:[T ]+(\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:\.(\d{0,9}))?)?)?\s*\Z"
)
_COMPACT = re.compile(r"\s*(\d{4})(\d\d)(\d\d)(?:(\d\d)(\d\d)(\d\d)(?:\.(\d{0,9}))?)?\s*\Z")
_CLOCK = re.compile(r"\s*(-?)(?:(\d+) )?(\d{1,3}):(\d{1,2})(?::(\d{1,2})(?:\.(\d{0,9}))?)?\s*\Z")


def number_prefix(text: str) -> Decimal:
    """The number a text starts with, 0 when it starts with none (manual, "Type Conversion in Expression Evaluation")."""
    found = _NUMBER.match(text)
    return Decimal(found[1]) if found else Decimal(0)


def to_number(value: Stored) -> int | float | Decimal | None:
    """A stored value as a number; texts by their leading digits."""
    if value is None or isinstance(value, int | float):
        return value
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return number_prefix(value)


def whole(number: float | Decimal) -> int:
    """Rounded half away from zero; floats half to even, as the C library does for MySQL."""
    if isinstance(number, int):
        return number
    if isinstance(number, float):
        return round(number)
    return int(number.to_integral_value(ROUND_HALF_UP, _EXACT))


def parse_moment(text: str) -> datetime.datetime | None:
    """The moment a text names, None when it names none. Two-digit years as in MySQL: 70 to 99 are 19xx."""
    found = _MOMENT.match(text) or _COMPACT.match(text)
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(part or 0) for part in found.groups()[:6])
    if len(found[1]) == 2:
        year += 1900 if year >= 70 else 2000
    fraction = (found[7] or "").ljust(7, "0")
    micros = int(fraction[:6])
    try:
        moment = datetime.datetime(year, month, day, hour, minute, second, micros)
    except ValueError:
        return None
    return moment + datetime.timedelta(microseconds=1) if fraction[6] >= "5" else moment


def moment_of(value: Stored) -> datetime.datetime | None:
    """The moment a stored value names."""
    return None if value is None else parse_moment(str(value))


def moment_text(moment: datetime.datetime, decimals: int) -> str:
    """A moment with `decimals` fractional digits, rounded half up."""
    if decimals < 6:
        unit = 10 ** (6 - decimals)
        rest = moment.microsecond % unit
        moment += datetime.timedelta(microseconds=(unit - rest) if rest * 2 >= unit else -rest)
    text = f"{moment:%Y-%m-%d %H:%M:%S}".rjust(19, "0")
    return f"{text}.{moment.microsecond:06d}"[: 20 + decimals] if decimals else text


def _as_text(value: Stored) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return repr(value) if isinstance(value, float) else str(value)


class Coercion:
    """Conversion into one column."""

    __slots__ = ("_column", "_convert", "_type")

    def __init__(self, column: str, kind: SqlType) -> None:
        self._column = column
        self._type = kind
        converters: dict[Kind, Callable[[Stored, int], Stored]] = {
            Kind.INTEGER: self._integer,
            Kind.DECIMAL: self._decimal,
            Kind.DOUBLE: self._double,
            Kind.TEXT: self._text,
            Kind.BINARY: self._binary,
            Kind.DATE: self._date,
            Kind.DATETIME: self._datetime,
            Kind.TIME: self._time,
        }
        self._convert = converters[kind.kind]

    @property
    def key(self) -> str:
        """The same for coercions that do the same."""
        return f"{self._column} {self._type}"

    def store(self, value: Stored, row: int = 1) -> Stored:
        """The value in storage form. Raises ShardError with MySQL's number and text."""
        if value is None:
            if self._type.not_null:
                raise ShardError(1048, "23000", f"Column '{self._column}' cannot be null")
            return None
        return self._convert(value, row)

    def _wrong(self, kind: str, value: Stored, row: int) -> ShardError:
        number, state = (
            (1292, "22007") if kind in ("date", "datetime", "time") else (1366, "22007" if kind else "HY000")
        )
        text = f"Incorrect {kind} value: '{_as_text(value)}' for column '{self._column}' at row {row}"
        return ShardError(number, state, text)

    def _range(self, row: int) -> ShardError:
        return ShardError(1264, "22003", f"Out of range value for column '{self._column}' at row {row}")

    def _number(self, value: Stored, row: int, kind: str) -> int | float | Decimal:
        if isinstance(value, int | float):
            return value
        text = _as_text(value)
        found = _NUMBER.match(text)
        if found is None or text[found.end() :].strip():
            raise self._wrong(kind, value, row)
        return Decimal(found[1])

    def _integer(self, value: Stored, row: int) -> int:
        number = whole(self._number(value, row, "integer"))
        if not self._type.lowest <= number <= self._type.highest:
            raise self._range(row)
        return number

    def _decimal(self, value: Stored, row: int) -> str:
        number = Decimal(str(self._number(value, row, "decimal")))
        unit = Decimal(1).scaleb(-self._type.decimals)
        try:
            number = number.quantize(unit, ROUND_HALF_UP, _EXACT)
        except InvalidOperation:
            raise self._range(row) from None
        if abs(number) >= Decimal(10) ** (self._type.length - self._type.decimals):
            raise self._range(row)
        if number < 0 and self._type.unsigned:
            raise self._range(row)
        return format(number if number else abs(number), "f")

    def _double(self, value: Stored, row: int) -> float:
        number = float(self._number(value, row, "double"))
        if self._type.code == ColumnType.FLOAT:
            try:
                return float(struct.unpack("<f", struct.pack("<f", number))[0])
            except OverflowError:
                raise self._range(row) from None
        return number

    def _text(self, value: Stored, row: int) -> str:
        text = _as_text(value)
        is_char = self._type.code == ColumnType.STRING
        if is_char:
            text = text.rstrip(" ")
        size = len(text.encode("utf-8", "surrogatepass")) if self._type.code == ColumnType.BLOB else len(text)
        if size > self._type.length:
            if self._type.code != ColumnType.BLOB and not text[self._type.length :].strip(" "):
                return text[: self._type.length]
            raise self._long(row)
        return text

    def _binary(self, value: Stored, row: int) -> bytes:
        content = value if isinstance(value, bytes) else _as_text(value).encode("utf-8", "surrogateescape")
        if len(content) > self._type.length:
            raise self._long(row)
        return content

    def _long(self, row: int) -> ShardError:
        return ShardError(1406, "22001", f"Data too long for column '{self._column}' at row {row}")

    def _moment(self, value: Stored, row: int, kind: str) -> datetime.datetime:
        moment = parse_moment(_as_text(value))
        if moment is None:
            raise self._wrong(kind, value, row)
        return moment

    def _date(self, value: Stored, row: int) -> str:
        return moment_text(self._moment(value, row, "date"), 0)[:10]

    def _datetime(self, value: Stored, row: int) -> str:
        return moment_text(self._moment(value, row, "datetime"), self._type.decimals)

    def _time(self, value: Stored, row: int) -> str:
        found = _CLOCK.match(_as_text(value))
        if found is None:
            raise self._wrong("time", value, row)
        hours = int(found[2] or 0) * 24 + int(found[3])
        minutes, seconds = int(found[4]), int(found[5] or 0)
        if minutes > 59 or seconds > 59 or hours > 838:
            raise self._wrong("time", value, row)
        text = f"{found[1]}{hours:02d}:{minutes:02d}:{seconds:02d}"
        decimals = self._type.decimals
        return f"{text}.{(found[6] or '').ljust(6, '0')[:decimals]}" if decimals else text
