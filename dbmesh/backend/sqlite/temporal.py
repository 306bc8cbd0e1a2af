"""MySQL's date and time functions over texts in MySQL's printed form.

Decides calendar arithmetic and formats. The clock is an argument of those that need it; time zone is UTC, as the
embedded data source reports. Source: manual, "Date and Time Functions".
"""

from __future__ import annotations

import calendar
import datetime
import re
from collections.abc import Callable, Mapping

from dbmesh.backend.transpile.coerce import Stored, moment_of, moment_text, to_number

_OFFSET = re.compile(r"([+-])(\d{1,2}):(\d{2})\Z")
_WIDEST_OFFSET = datetime.timedelta(hours=14)
_EPOCH = datetime.datetime(1970, 1, 1)
_UNIT_SECONDS = {"MICROSECOND": 1e-6, "SECOND": 1, "MINUTE": 60, "HOUR": 3600, "DAY": 86400, "WEEK": 604800}
_UNIT_MONTHS = {"MONTH": 1, "QUARTER": 3, "YEAR": 12}
UNITS = frozenset(_UNIT_SECONDS) | frozenset(_UNIT_MONTHS)


def moment_key(value: Stored) -> str | None:
    """Equal and ordered as moments are: without trailing zeros of the fraction."""
    moment = moment_of(value)
    if moment is None:
        return None
    text = moment_text(moment, 6)
    return text.rstrip("0").rstrip(".") if "." in text and moment.microsecond else text[:19]


def date_of(value: Stored) -> str | None:
    """DATE()."""
    moment = moment_of(value)
    return None if moment is None else moment_text(moment, 0)[:10]


def part(name: str) -> Callable[[Stored], int | None]:
    """YEAR(), MONTH() … of a moment."""
    read = _PARTS[name]

    def function(value: Stored) -> int | None:
        moment = moment_of(value)
        return None if moment is None else read(moment)

    return function


_PARTS: Mapping[str, Callable[[datetime.datetime], int]] = {
    "YEAR": lambda moment: moment.year,
    "QUARTER": lambda moment: (moment.month + 2) // 3,
    "MONTH": lambda moment: moment.month,
    "DAY": lambda moment: moment.day,
    "HOUR": lambda moment: moment.hour,
    "MINUTE": lambda moment: moment.minute,
    "SECOND": lambda moment: moment.second,
    "MICROSECOND": lambda moment: moment.microsecond,
    "DAYOFWEEK": lambda moment: moment.isoweekday() % 7 + 1,
    "WEEKDAY": lambda moment: moment.weekday(),
    "DAYOFYEAR": lambda moment: moment.timetuple().tm_yday,
}
PARTS = tuple(_PARTS)


def days_between(left: Stored, right: Stored) -> int | None:
    """DATEDIFF()."""
    first, second = moment_of(left), moment_of(right)
    return None if first is None or second is None else (first.date() - second.date()).days


def shift(value: Stored, amount: Stored, unit: str) -> str | None:
    """DATE_ADD(): a date stays a date for units of days and more. `unit` is one of UNITS."""
    moment, number = moment_of(value), to_number(amount)
    if moment is None or number is None:
        return None
    try:
        if unit in _UNIT_MONTHS:
            moment = _shift_months(moment, int(number) * _UNIT_MONTHS[unit])
        elif unit == "SECOND":
            moment += datetime.timedelta(microseconds=round(number * 1_000_000))
        else:
            moment += datetime.timedelta(microseconds=round(int(number) * _UNIT_SECONDS[unit] * 1_000_000))
    except (OverflowError, ValueError):
        return None
    is_date = len(str(value).strip()) <= 10 and (unit in _UNIT_MONTHS or unit in ("DAY", "WEEK"))
    if is_date:
        return moment_text(moment, 0)[:10]
    return moment_text(moment, 6 if moment.microsecond else 0)


def _shift_months(moment: datetime.datetime, months: int) -> datetime.datetime:
    year, month = divmod(moment.year * 12 + moment.month - 1 + months, 12)
    return moment.replace(
        year=year, month=month + 1, day=min(moment.day, calendar.monthrange(year, month + 1)[1])
    )


def convert_time_zone(value: Stored, source: Stored, target: Stored) -> str | None:
    """CONVERT_TZ() between offsets. A name gives NULL, as on a server whose time zone tables are empty (manual,
    "MySQL Server Time Zone Support")."""
    moment, first, second = moment_of(value), _offset(source), _offset(target)
    if moment is None or first is None or second is None:
        return None
    try:
        moved = moment - first + second
    except OverflowError:
        return None
    return moment_text(moved, 6 if moment.microsecond else 0)


def _offset(zone: Stored) -> datetime.timedelta | None:
    found = _OFFSET.match(str(zone))
    if found is None:
        return None
    offset = datetime.timedelta(hours=int(found[2]), minutes=int(found[3]))
    if offset > _WIDEST_OFFSET:
        return None
    return -offset if found[1] == "-" else offset


def last_day(value: Stored) -> str | None:
    """LAST_DAY()."""
    moment = moment_of(value)
    if moment is None:
        return None
    return f"{moment:%Y-%m}-{calendar.monthrange(moment.year, moment.month)[1]:02d}"


def unix_timestamp(value: Stored) -> int | None:
    """UNIX_TIMESTAMP(x) in whole seconds."""
    moment = moment_of(value)
    return None if moment is None else int((moment - _EPOCH).total_seconds())


def from_unixtime(value: Stored) -> str | None:
    """FROM_UNIXTIME(x)."""
    number = to_number(value)
    if number is None or number < 0:
        return None
    return moment_text(_EPOCH + datetime.timedelta(microseconds=round(number * 1_000_000)), 0)


_ORDINALS = {1: "st", 2: "nd", 3: "rd"}
_FORMATS: Mapping[str, Callable[[datetime.datetime], str]] = {
    "a": lambda m: calendar.day_abbr[m.weekday()],
    "b": lambda m: calendar.month_abbr[m.month],
    "c": lambda m: str(m.month),
    "D": lambda m: f"{m.day}{'th' if 10 < m.day < 14 else _ORDINALS.get(m.day % 10, 'th')}",
    "d": lambda m: f"{m.day:02d}",
    "e": lambda m: str(m.day),
    "f": lambda m: f"{m.microsecond:06d}",
    "H": lambda m: f"{m.hour:02d}",
    "h": lambda m: f"{(m.hour + 11) % 12 + 1:02d}",
    "I": lambda m: f"{(m.hour + 11) % 12 + 1:02d}",
    "i": lambda m: f"{m.minute:02d}",
    "j": lambda m: f"{m.timetuple().tm_yday:03d}",
    "k": lambda m: str(m.hour),
    "l": lambda m: str((m.hour + 11) % 12 + 1),
    "M": lambda m: calendar.month_name[m.month],
    "m": lambda m: f"{m.month:02d}",
    "p": lambda m: "AM" if m.hour < 12 else "PM",
    "r": lambda m: (
        f"{(m.hour + 11) % 12 + 1:02d}:{m.minute:02d}:{m.second:02d} {'AM' if m.hour < 12 else 'PM'}"
    ),
    "S": lambda m: f"{m.second:02d}",
    "s": lambda m: f"{m.second:02d}",
    "T": lambda m: f"{m.hour:02d}:{m.minute:02d}:{m.second:02d}",
    "v": lambda m: f"{m.isocalendar().week:02d}",
    "W": lambda m: calendar.day_name[m.weekday()],
    "w": lambda m: str(m.isoweekday() % 7),
    "x": lambda m: f"{m.isocalendar().year:04d}",
    "Y": lambda m: f"{m.year:04d}",
    "y": lambda m: f"{m.year % 100:02d}",
}
FORMAT_LETTERS = frozenset(_FORMATS) | {"%"}


def date_format(value: Stored, pattern: Stored) -> str | None:
    """DATE_FORMAT() with the letters of FORMAT_LETTERS."""
    moment = moment_of(value)
    if moment is None or pattern is None:
        return None
    out, letters = [], iter(str(pattern))
    for letter in letters:
        if letter != "%":
            out.append(letter)
            continue
        code = next(letters, "%")
        printer = _FORMATS.get(code)
        out.append(code if printer is None else printer(moment))
    return "".join(out)
