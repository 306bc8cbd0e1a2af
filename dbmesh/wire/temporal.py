"""Dates and times between MySQL's text form, its binary form and Python's values.

Decides digits and bytes. Values Python cannot hold (zero dates, a month of 0) stay text that knows it is a
date. Source: manual, "Binary Protocol Value".
"""

from __future__ import annotations

import datetime
import re
import struct
from collections.abc import Mapping

from dbmesh.errors import ProtocolError, not_supported
from dbmesh.model import IncompleteDate
from dbmesh.wire.primitives import truncated

_DATE = re.compile(rb"(\d{4})-(\d\d)-(\d\d)(?:[ T](\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?)?")
_TIME = re.compile(rb"(-?)(\d{1,3}):(\d\d):(\d\d)(?:\.(\d{1,6}))?")
_DATE_PART = struct.Struct("<HBB")
_DATETIME_PART = struct.Struct("<HBBBBB")
_DATETIME_FULL = struct.Struct("<HBBBBBI")
_TIME_PART = struct.Struct("<BIBBB")
_TIME_FULL = struct.Struct("<BIBBBI")


def _microseconds(digits: bytes | None) -> int:
    return int(digits.ljust(6, b"0")) if digits else 0


def datetime_text_to_binary(text: bytes) -> bytes:
    """A DATE, DATETIME or TIMESTAMP value with its length byte, in the shortest form, as servers send it."""
    match = _DATE.fullmatch(text)
    if match is None:
        raise ProtocolError(f"{text!r} is no date")
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups()[:6])
    microsecond = _microseconds(match[7])
    if microsecond:
        return b"\x0b" + _DATETIME_FULL.pack(year, month, day, hour, minute, second, microsecond)
    if hour or minute or second:
        return b"\x07" + _DATETIME_PART.pack(year, month, day, hour, minute, second)
    if year or month or day:
        return b"\x04" + _DATE_PART.pack(year, month, day)
    return b"\x00"


def time_text_to_binary(text: bytes) -> bytes:
    """A TIME value with its length byte, in the shortest form."""
    match = _TIME.fullmatch(text)
    if match is None:
        raise ProtocolError(f"{text!r} is no time")
    negative = 1 if match[1] else 0
    days, hour = divmod(int(match[2]), 24)
    minute, second, microsecond = int(match[3]), int(match[4]), _microseconds(match[5])
    if microsecond:
        return b"\x0c" + _TIME_FULL.pack(negative, days, hour, minute, second, microsecond)
    if days or hour or minute or second:
        return b"\x08" + _TIME_PART.pack(negative, days, hour, minute, second)
    return b"\x00"


def datetime_binary_to_text(value: bytes, fraction: int, *, date_only: bool) -> bytes:
    """The text of a DATE, DATETIME or TIMESTAMP in binary form (without its length byte), zero dates too, with `fraction`
    digits behind the second as the text protocol shows them."""
    parts = _unpacked(value, {0: None, 4: _DATE_PART, 7: _DATETIME_PART, 11: _DATETIME_FULL}, 7)
    year, month, day, hour, minute, second, microsecond = parts
    if date_only:
        return b"%04d-%02d-%02d" % (year, month, day)
    text = b"%04d-%02d-%02d %02d:%02d:%02d" % (year, month, day, hour, minute, second)
    return text + _fraction(microsecond, fraction)


def time_binary_to_text(value: bytes, fraction: int) -> bytes:
    """The text of a TIME in binary form (without its length byte), with `fraction` digits behind the second."""
    parts = _unpacked(value, {0: None, 8: _TIME_PART, 12: _TIME_FULL}, 6)
    negative, days, hour, minute, second, microsecond = parts
    text = b"%s%02d:%02d:%02d" % (b"-" if negative else b"", days * 24 + hour, minute, second)
    return text + _fraction(microsecond, fraction)


def _unpacked(value: bytes, forms: Mapping[int, struct.Struct | None], count: int) -> tuple[int, ...]:
    """The parts of a date or time; those a shorter form leaves out are 0."""
    if len(value) not in forms:
        raise ProtocolError(f"a date or time of {len(value)} bytes")
    form = forms[len(value)]
    parts: tuple[int, ...] = () if form is None else form.unpack(value)
    return parts + (0,) * (count - len(parts))


def _fraction(microsecond: int, digits: int) -> bytes:
    return (b".%06d" % microsecond)[: digits + 1] if digits else b""


def decode_datetime(
    buffer: bytes, position: int, *, date_only: bool
) -> tuple[datetime.date | IncompleteDate, int]:
    """A binary DATE (`date_only`), DATETIME or TIMESTAMP and the position behind it."""
    length, position = _length(buffer, position)
    end = position + length
    hour = minute = second = microsecond = 0
    if length == 0:
        year = month = day = 0
    elif length == 4:
        year, month, day = _DATE_PART.unpack_from(buffer, position)
    elif length == 7:
        year, month, day, hour, minute, second = _DATETIME_PART.unpack_from(buffer, position)
    elif length == 11:
        year, month, day, hour, minute, second, microsecond = _DATETIME_FULL.unpack_from(buffer, position)
    elif length == 13:
        raise not_supported(
            "a bound date with a time zone displacement", "send it in the session's time zone"
        )
    else:
        raise ProtocolError(f"a date of {length} bytes")
    try:
        if date_only and not (hour or minute or second or microsecond):
            return datetime.date(year, month, day), end
        return datetime.datetime(year, month, day, hour, minute, second, microsecond), end
    except ValueError:
        pass
    text = f"{year:04}-{month:02}-{day:02}"
    if not date_only or hour or minute or second or microsecond:
        text += f" {hour:02}:{minute:02}:{second:02}"
    return IncompleteDate(f"{text}.{microsecond:06}" if microsecond else text), end


def decode_time(buffer: bytes, position: int) -> tuple[datetime.timedelta, int]:
    """A binary TIME and the position behind it."""
    length, position = _length(buffer, position)
    end = position + length
    microsecond = 0
    if length == 0:
        return datetime.timedelta(), end
    if length == 8:
        negative, days, hour, minute, second = _TIME_PART.unpack_from(buffer, position)
    elif length == 12:
        negative, days, hour, minute, second, microsecond = _TIME_FULL.unpack_from(buffer, position)
    else:
        raise ProtocolError(f"a time of {length} bytes")
    try:
        value = datetime.timedelta(
            days=days, hours=hour, minutes=minute, seconds=second, microseconds=microsecond
        )
        return (-value if negative else value), end
    except OverflowError:
        raise ProtocolError(f"a time of {days} days") from None


def _length(buffer: bytes, position: int) -> tuple[int, int]:
    """The length byte, checked against what is there."""
    if position >= len(buffer) or position + 1 + buffer[position] > len(buffer):
        raise truncated("a date or time")
    return buffer[position], position + 1


def date_text(value: datetime.date) -> str:
    """How MySQL prints a date or datetime: a fraction only when there is one."""
    text = f"{value.year:04}-{value.month:02}-{value.day:02}"
    if isinstance(value, datetime.datetime):
        text += f" {value.hour:02}:{value.minute:02}:{value.second:02}"
        if value.microsecond:
            text += f".{value.microsecond:06}"
    return text


def time_text(value: datetime.timedelta) -> str:
    """How MySQL prints a TIME: hours may exceed 24."""
    sign = ""
    if value < datetime.timedelta():
        sign = "-"
        value = -value
    seconds = value.days * 86400 + value.seconds
    text = f"{sign}{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return f"{text}.{value.microseconds:06}" if value.microseconds else text
