"""Java's date patterns, as far as INTERVAL needs them: `yyyy-MM-dd HH:mm:ss`, `yyyyMM`, `yyyyQQ` …

Decides which letters are understood; a letter that is not is an error, never a literal. Source: the Java SE API
documentation of `java.time.format.DateTimeFormatter`.
"""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass
from typing import Final

_TOKEN = re.compile(r"'((?:[^']|'')*)'|([A-Za-z])\2*|(.)", re.DOTALL)
_FIELDS: Final = {
    # letter: longest run, field, rank from coarse to fine
    "y": (4, "year", 0),
    "u": (4, "year", 0),
    "Q": (2, "quarter", 1),
    "M": (2, "month", 1),
    "D": (3, "day_of_year", 2),
    "d": (2, "day", 2),
    "H": (2, "hour", 3),
    "m": (2, "minute", 4),
    "s": (2, "second", 5),
    "S": (6, "fraction", 6),
}
_UNPARSED = frozenset({"quarter", "day_of_year"})


class PatternError(Exception):
    """A pattern has letters without meaning here."""


@dataclass(frozen=True, slots=True)
class DatetimePattern:
    """A parsed pattern: literal texts and (field, digits) pairs. `rank` is the finest field's: 0 year … 6 fraction."""

    parts: tuple[str | tuple[str, int], ...]
    rank: int
    length: int

    @property
    def fields(self) -> frozenset[str]:
        """Names of the fields in the pattern."""
        return frozenset(part[0] for part in self.parts if isinstance(part, tuple))

    def format(self, moment: datetime.datetime) -> str:
        """The moment as this pattern writes it."""
        return "".join(part if isinstance(part, str) else _digits(moment, *part) for part in self.parts)

    def parse(self, text: str) -> datetime.datetime | None:
        """The moment at the beginning of a text, missing fields at their least; None when it does not match."""
        position = 0
        found: dict[str, int] = {}
        for part in self.parts:
            if isinstance(part, str):
                if not text.startswith(part, position):
                    return None
                position += len(part)
                continue
            name, width = part
            match = re.compile(rf"\d{{{width if width > 1 else '1,4'}}}", re.ASCII).match(text, position)
            if match is None:
                return None
            position = match.end()
            found[name] = int(match.group().ljust(6, "0")) if name == "fraction" else int(match.group())
            if name == "year" and width == 2:
                found[name] += 2000
        try:
            return datetime.datetime(
                found.get("year", 1),
                found.get("month", 1),
                found.get("day", 1),
                found.get("hour", 0),
                found.get("minute", 0),
                found.get("second", 0),
                found.get("fraction", 0),
            )
        except ValueError:
            return None

    def truncate(self, moment: datetime.datetime) -> datetime.datetime:
        """The moment without what the pattern cannot express."""
        month = moment.month if self.rank >= 1 else 1
        day = moment.day if self.rank >= 2 else 1
        hour = moment.hour if self.rank >= 3 else 0
        minute = moment.minute if self.rank >= 4 else 0
        second = moment.second if self.rank >= 5 else 0
        return datetime.datetime(
            moment.year, month, day, hour, minute, second, moment.microsecond if self.rank >= 6 else 0
        )


def _digits(moment: datetime.datetime, name: str, width: int) -> str:
    if name == "fraction":
        return f"{moment.microsecond:06d}"[:width]
    if name == "quarter":
        number = (moment.month + 2) // 3
    elif name == "day_of_year":
        number = moment.timetuple().tm_yday
    else:
        number = int(getattr(moment, name))
    if name == "year" and width == 2:
        number %= 100
    return str(number).rjust(width, "0")


def parse_pattern(text: str, to_read: bool = False) -> DatetimePattern:
    """A pattern's parts. With `to_read` only letters that can be parsed back. Raises PatternError."""
    parts: list[str | tuple[str, int]] = []
    rank = -1
    for match in _TOKEN.finditer(text):
        quoted, letter, other = match.groups()
        if letter is None:
            literal = (
                "'" if match.group() == "''" else quoted.replace("''", "'") if quoted is not None else other
            )
            if literal in ("'", "[", "]", "{", "}", "#") and match.group() == literal:
                raise PatternError(f"'{literal}' has a special meaning in a pattern and is not supported")
            parts.append(literal)
            continue
        width = len(match.group())
        known = _FIELDS.get(letter)
        if known is None or width > known[0] or (to_read and known[1] in _UNPARSED):
            raise PatternError(f"'{match.group()}' is not supported in this pattern")
        if letter in "yu" and width == 3:
            raise PatternError(f"'{match.group()}' is not supported in this pattern")
        parts.append((known[1], width))
        rank = max(rank, known[2])
    if not any(isinstance(part, tuple) for part in parts):
        raise PatternError("the pattern has no date field")
    return DatetimePattern(tuple(parts), rank, len(text.replace("'", "")))
