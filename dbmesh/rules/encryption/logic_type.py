"""The type a client sees of an encrypted column, and the text its values are encrypted as.

Decides which values such a column takes: those that are written as the column would tell them, or can be without a doubt. What a
server would round, cut or guess at is refused. Knows no algorithms.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Final

from dbmesh.model import ColumnFamily, SqlValue

DEFAULT_TYPE: Final = "VARCHAR(255)"
COLLATIONS: Final = ("utf8mb4_nopad_bin", "utf8mb4_0900_bin")
"""The collations whose equality is that of encrypted texts: MariaDB's and MySQL's. The first stands for both."""

_TYPE = re.compile(
    r"(?P<name>[a-z]+)\s*(?:\(\s*(?P<first>\d+)\s*(?:,\s*(?P<second>\d+)\s*)?\))?(?P<unsigned>\s+unsigned)?",
    re.ASCII,
)
_INTEGERS: Final = {"tinyint": 1, "smallint": 2, "mediumint": 3, "int": 4, "integer": 4, "bigint": 8}
_TEXTS: Final = {"tinytext": 255, "text": 65_535, "mediumtext": (1 << 24) - 1, "longtext": (1 << 32) - 1}
_MOST_CHARACTERS: Final = 16_383
_MOST_OF_CHAR: Final = 255
_BYTES_OF_CHARACTER: Final = 4
_INTEGER = re.compile(r"0|-?[1-9]\d*", re.ASCII)
_DECIMAL = re.compile(r"-?\d+(?:\.\d+)?", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_DATETIME = re.compile(r"(\d{4}-\d\d-\d\d)(?: (\d\d:\d\d:\d\d)(?:\.(\d{1,6}))?)?", re.ASCII)
_MOST_DIGITS: Final = 65
_MOST_SCALE: Final = 30


class Unstorable(ValueError):
    """A value that the column does not take; the text says what it takes, never the value."""


@dataclass(frozen=True, slots=True)
class LogicType:
    """`declared` as information_schema.COLUMN_TYPE would have it. `length`: most characters of a text (of a TEXT most bytes), digits of a
    DECIMAL; `scale`: its digits behind the point, or those of a DATETIME's seconds."""

    declared: str
    name: str
    family: ColumnFamily
    length: int = 0
    scale: int = 0
    unsigned: bool = False

    @property
    def most_bytes(self) -> int:
        """The longest text of a value, in bytes."""
        if self.counts_characters:
            return self.length * _BYTES_OF_CHARACTER
        return self.length if self.name in _TEXTS else _MOST_DIGITS + 3

    @property
    def counts_characters(self) -> bool:
        """Whether `length` is of characters."""
        return self.name in ("varchar", "char")

    @property
    def is_text(self) -> bool:
        """Whether values are texts."""
        return self.family is ColumnFamily.TEXT

    @property
    def equality_class(self) -> tuple[str, int]:
        """Types with the same one write equal values alike."""
        if self.family is ColumnFamily.TEMPORAL:
            return self.name, self.scale
        return self.family.value, self.scale

    def text_of(self, value: SqlValue) -> str:
        """The text of a value that is not NULL. Raises Unstorable."""
        return _READERS[self._kind](self, value)

    def holds(self, text: str) -> bool:
        """Whether a decrypted text is one of a value of this type."""
        try:
            return self.text_of(text) == text
        except Unstorable:
            return False

    @property
    def _kind(self) -> str:
        return self.name if self.name in ("date", "datetime") else self.family.value


def read_type(text: str) -> LogicType | None:
    """The type a declaration names; None for those that cannot be encrypted here."""
    found = _TYPE.fullmatch(" ".join(text.lower().split()))
    if found is None:
        return None
    name, first, second = found["name"], _int(found["first"]), _int(found["second"])
    unsigned = found["unsigned"] is not None
    made: LogicType | None = None
    if name in _INTEGERS:
        size = _INTEGERS[name]
        own = "int" if name == "integer" else name
        made = LogicType(own + " unsigned" * unsigned, own, ColumnFamily.INTEGER, size, unsigned=unsigned)
        return made if second is None else None
    if name in ("decimal", "numeric"):
        digits, scale = 10 if first is None else first, second or 0
        if not (0 < digits <= _MOST_DIGITS and scale <= min(digits, _MOST_SCALE)):
            return None
        declared = f"decimal({digits},{scale})" + " unsigned" * unsigned
        return LogicType(declared, "decimal", ColumnFamily.DECIMAL, digits, scale, unsigned)
    if unsigned or second is not None:
        return None
    if name == "char" and 0 < (1 if first is None else first) <= _MOST_OF_CHAR:
        length = 1 if first is None else first
        made = LogicType(f"char({length})", name, ColumnFamily.TEXT, length)
    elif name == "varchar" and first is not None and first <= _MOST_CHARACTERS:
        made = LogicType(f"varchar({first})", name, ColumnFamily.TEXT, first)
    elif name in _TEXTS and first is None:
        made = LogicType(name, name, ColumnFamily.TEXT, _TEXTS[name])
    elif name == "date" and first is None:
        made = LogicType(name, name, ColumnFamily.TEMPORAL)
    elif name == "datetime" and (first or 0) <= 6:
        made = LogicType(
            f"datetime({first})" if first else name, name, ColumnFamily.TEMPORAL, scale=first or 0
        )
    return made


def _int(digits: str | None) -> int | None:
    return None if digits is None else int(digits)


def _text(kind: LogicType, value: SqlValue) -> str:
    if type(value) is not str:
        raise Unstorable("a text in quotes")
    try:
        size = len(value.encode("utf-8"))
    except UnicodeEncodeError:
        raise Unstorable("a text in UTF-8") from None
    if (len(value) if kind.counts_characters else size) > kind.length:
        raise Unstorable(f"at most {kind.length} {'characters' if kind.counts_characters else 'bytes'}")
    if kind.name == "char" and value.endswith(" "):
        # A server takes them off where it stores a value, and keeps them where it compares one.
        raise Unstorable("a text without spaces at its end")
    return value


def _integer(kind: LogicType, value: SqlValue) -> str:
    if isinstance(value, str) and _INTEGER.fullmatch(value) and len(value) <= _MOST_DIGITS:
        value = int(value)
    bits = 8 * kind.length
    least, most = (0, (1 << bits) - 1) if kind.unsigned else (-(1 << bits - 1), (1 << bits - 1) - 1)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise Unstorable(f"an integer from {least} to {most}")
    return str(int(value))


def _decimal(kind: LogicType, value: SqlValue) -> str:
    wanted = f"a number of {kind.length} digits, {kind.scale} of them behind the point"
    if isinstance(value, str) and _DECIMAL.fullmatch(value) and len(value) <= 2 * _MOST_DIGITS:
        value = Decimal(value)
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise Unstorable(wanted)
    number = Decimal(int(value)) if isinstance(value, int) else value
    try:
        text = format(number, "f")
    except InvalidOperation:
        raise Unstorable(wanted) from None
    if not number.is_finite():
        raise Unstorable(wanted)
    sign, digits = ("-" if text.startswith("-") else ""), text.lstrip("-")
    whole, _, fraction = digits.partition(".")
    whole, fraction = whole.lstrip("0") or "0", fraction.rstrip("0")
    if len(fraction) > kind.scale or (whole != "0" and len(whole) > kind.length - kind.scale):
        raise Unstorable(wanted)
    written = whole + (f".{fraction.ljust(kind.scale, '0')}" if kind.scale else "")
    if not written.strip("0."):
        return written
    if sign and kind.unsigned:
        raise Unstorable(f"{wanted}, and no sign")
    return sign + written


def _date(kind: LogicType, value: SqlValue) -> str:
    if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
        return value.isoformat()
    if isinstance(value, str) and _DATE.fullmatch(value) and _is_day(value):
        return value
    raise Unstorable("a day as '2024-01-31'")


def _datetime(kind: LogicType, value: SqlValue) -> str:
    wanted = "a time as '2024-01-31 12:30:00'"
    if isinstance(value, datetime.datetime):
        value = value.isoformat(sep=" ")
    elif isinstance(value, datetime.date):
        value = value.isoformat()
    found = _DATETIME.fullmatch(value) if isinstance(value, str) else None
    if found is None or not _is_day(found[1]):
        raise Unstorable(wanted)
    time, fraction = found[2] or "00:00:00", (found[3] or "").rstrip("0")
    hours, minutes, seconds = map(int, time.split(":"))
    if hours > 23 or minutes > 59 or seconds > 59:
        raise Unstorable(wanted)
    if len(fraction) > kind.scale:
        raise Unstorable(f"{wanted} with {kind.scale} digits behind the seconds")
    return f"{found[1]} {time}" + (f".{fraction.ljust(kind.scale, '0')}" if kind.scale else "")


def _is_day(text: str) -> bool:
    try:
        datetime.date.fromisoformat(text)
    except ValueError:
        return False
    return True


_READERS: Final[dict[str, Callable[[LogicType, SqlValue], str]]] = {
    "text": _text,
    "integer": _integer,
    "decimal": _decimal,
    "date": _date,
    "datetime": _datetime,
}
