"""Values as SQL literals and as parameters of the prepared protocol, both from one source.

Decides how a value is written; knows neither columns nor statements.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from tests.plugins.raw_client import lenenc_string

_NULL, _DOUBLE, _LONGLONG, _DATE, _TIME, _DATETIME = 0x06, 0x05, 0x08, 0x0A, 0x0B, 0x0C
_DECIMAL, _BLOB, _VAR_STRING, _UNSIGNED = 0xF6, 0xFC, 0xFD, 0x8000


@dataclass(frozen=True)
class Value:
    """One value: its literal, and the type (with the flag of unsigned ones) and bytes of its parameter."""

    sql: str
    type: int
    wire: bytes

    @property
    def is_null(self) -> bool:
        """Whether this is NULL."""
        return self.type == _NULL


NULL = Value("NULL", _NULL, b"")


def integer(number: int) -> Value:
    """An integer of up to 64 bits; unsigned when it does not fit signed ones."""
    unsigned = number >= 1 << 63
    wire = struct.pack("<Q" if unsigned else "<q", number)
    return Value(str(number), _LONGLONG | (_UNSIGNED if unsigned else 0), wire)


def decimal(text: str) -> Value:
    """An exact number, written as given."""
    return Value(text, _DECIMAL, lenenc_string(text.encode()))


def double(number: float) -> Value:
    """A floating-point number; its literal has an exponent, so that it is one."""
    return Value(
        f"{number!r}e0" if "e" not in repr(number) else repr(number), _DOUBLE, struct.pack("<d", number)
    )


def text(content: str) -> Value:
    """A text in the connection's character set."""
    escaped = content.replace("\\", "\\\\").replace("'", "''")
    return Value(f"'{escaped}'", _VAR_STRING, lenenc_string(content.encode()))


def binary(content: bytes) -> Value:
    """Bytes, as a hexadecimal literal."""
    return Value(f"x'{content.hex()}'", _BLOB, lenenc_string(content))


def date(written: str) -> Value:
    """A date `2023-01-31`; the zero date too."""
    year, month, day = map(int, written.split("-"))
    return Value(f"'{written}'", _DATE, b"\x04" + struct.pack("<HBB", year, month, day))


def datetime(written: str) -> Value:
    """A date and time `2023-01-31 12:00:00.5`."""
    day, _, clock = written.partition(" ")
    year, month, day_of_month = map(int, day.split("-"))
    hours, minutes, rest = clock.split(":")
    seconds, _, fraction = rest.partition(".")
    wire = struct.pack("<HBBBBB", year, month, day_of_month, int(hours), int(minutes), int(seconds))
    if not fraction:
        return Value(f"'{written}'", _DATETIME, b"\x07" + wire)
    microseconds = struct.pack("<I", int(fraction.ljust(6, "0")))
    return Value(f"'{written}'", _DATETIME, b"\x0b" + wire + microseconds)


def time(written: str) -> Value:
    """A duration `-838:59:59`."""
    negative = written.startswith("-")
    hours, minutes, rest = written.lstrip("-").split(":")
    seconds, _, fraction = rest.partition(".")
    days, hour = divmod(int(hours), 24)
    wire = struct.pack("<BIBBB", negative, days, hour, int(minutes), int(seconds))
    if not fraction:
        return Value(f"'{written}'", _TIME, b"\x08" + wire)
    return Value(f"'{written}'", _TIME, b"\x0c" + wire + struct.pack("<I", int(fraction.ljust(6, "0"))))
