"""One value of the binary protocol: bytes to a Python value and back, by its type.

Decides the layout each ColumnType has in binary rows and in bound parameters. A kind is the 16-bit number parameters
are sent with: the type in its low byte, bit 15 for unsigned. Source: manual, "Binary Protocol Value".
"""

from __future__ import annotations

import datetime
import re
import struct
from collections.abc import Callable, Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Final

from dbmesh.errors import ProtocolError
from dbmesh.model import IncompleteDate, SqlValue, UnsignedInteger
from dbmesh.wire.constants import ColumnType
from dbmesh.wire.primitives import pack_lenenc_bytes, unpack_lenenc_bytes
from dbmesh.wire.temporal import (
    date_text,
    datetime_text_to_binary,
    decode_datetime,
    decode_time,
    time_text,
    time_text_to_binary,
)

UNSIGNED: Final = 0x8000
KIND_BITS: Final = 0x80FF


def _fixed_kinds() -> Mapping[int, struct.Struct]:
    formats = {
        ColumnType.TINY: "b",
        ColumnType.SHORT: "h",
        ColumnType.YEAR: "h",
        ColumnType.LONG: "i",
        ColumnType.INT24: "i",
        ColumnType.LONGLONG: "q",
    }
    kinds = {}
    for kind, letter in formats.items():
        kinds[kind.value] = struct.Struct("<" + letter)
        kinds[kind.value | UNSIGNED] = struct.Struct("<" + letter.upper())
    for kind, letter in ((ColumnType.FLOAT, "f"), (ColumnType.DOUBLE, "d")):
        kinds[kind.value] = kinds[kind.value | UNSIGNED] = struct.Struct("<" + letter)
    return MappingProxyType(kinds)


FIXED: Final = _fixed_kinds()
"""Kinds whose values have one size, each with its layout."""


class _UnsignedLayout(struct.Struct):
    """A layout whose values know that they are unsigned."""

    def unpack_from(self, buffer: bytes, offset: int = 0) -> tuple[UnsignedInteger]:  # type: ignore[override]
        return (UnsignedInteger(super().unpack_from(buffer, offset)[0]),)


_BOUND: Final = MappingProxyType(
    {
        kind: _UnsignedLayout(layout.format) if kind & UNSIGNED and layout.format[-1].isupper() else layout
        for kind, layout in FIXED.items()
    }
)

_DECIMALS: Final = frozenset((ColumnType.DECIMAL.value, ColumnType.NEWDECIMAL.value))
_TEXTS: Final = frozenset(
    kind.value
    for kind in (
        ColumnType.VARCHAR,
        ColumnType.VAR_STRING,
        ColumnType.STRING,
        ColumnType.ENUM,
        ColumnType.SET,
        ColumnType.JSON,
    )
)
_BYTES: Final = frozenset(
    kind.value
    for kind in (
        ColumnType.BIT,
        ColumnType.TINY_BLOB,
        ColumnType.MEDIUM_BLOB,
        ColumnType.LONG_BLOB,
        ColumnType.BLOB,
        ColumnType.GEOMETRY,
        ColumnType.VECTOR,
    )
)
_NUMBER: Final = re.compile(rb"\s*([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)")
_FLOATS: Final = frozenset((ColumnType.FLOAT.value, ColumnType.DOUBLE.value))
_DATES: Final = frozenset((ColumnType.DATE.value, ColumnType.NEWDATE.value))
_DATETIMES: Final = frozenset((ColumnType.DATETIME.value, ColumnType.TIMESTAMP.value))


def decode_value(buffer: bytes, position: int, kind: int, encoding: str) -> tuple[SqlValue, int]:
    """A value that is not NULL, and the position behind it.

    Text that is no text in `encoding` stays bytes: many clients bind binary data with a string type, and MySQL takes
    the bytes as they are. Raises ProtocolError, and MeshError for a date with a displacement."""
    kind &= KIND_BITS
    fixed = _BOUND.get(kind)
    if fixed is not None:
        try:
            value: int | float = fixed.unpack_from(buffer, position)[0]
        except struct.error:
            raise ProtocolError("packet ends inside a bound value") from None
        return value, position + fixed.size
    kind &= 0xFF
    if kind in _DATES or kind in _DATETIMES:
        return decode_datetime(buffer, position, date_only=kind in _DATES)
    if kind == ColumnType.TIME:
        return decode_time(buffer, position)
    if kind == ColumnType.NULL:
        return None, position
    text, position = unpack_lenenc_bytes(buffer, position)
    return decode_bytes(text, kind, encoding), position


def is_text(kind: int) -> bool:
    """Whether a value of this type is text of the session's character set."""
    return kind in _TEXTS


def decode_bytes(text: bytes, kind: int, encoding: str) -> SqlValue:
    """The value of a type that is sent as a string (long data too)."""
    kind &= 0xFF
    if kind in _BYTES:
        return text
    if kind in _TEXTS:
        try:
            return text.decode(encoding)
        except UnicodeDecodeError:
            return text
    if kind in _DECIMALS:
        # Servers read a number as far as it goes, and take what is none for 0: clients that bind a whole buffer send what
        # was in it behind the number, or before there was one.
        number = _NUMBER.match(text)
        return Decimal(0 if number is None else number[1].decode("ascii"))
    raise ProtocolError(f"0x{kind:02x} is no type of a bound value")


def encode_value(value: SqlValue, encoding: str) -> tuple[int, bytes]:
    """The kind a client would bind a Python value with, and its bytes (none for NULL)."""
    if value is None:
        return ColumnType.NULL, b""
    if isinstance(value, int):
        unsigned = value > 0x7FFFFFFFFFFFFFFF or isinstance(value, UnsignedInteger)
        kind = ColumnType.LONGLONG | UNSIGNED if unsigned else ColumnType.LONGLONG
        return kind, FIXED[kind].pack(value)
    if isinstance(value, float):
        return ColumnType.DOUBLE, FIXED[ColumnType.DOUBLE].pack(value)
    if isinstance(value, Decimal):
        return ColumnType.NEWDECIMAL, pack_lenenc_bytes(format(value, "f").encode("ascii"))
    if isinstance(value, datetime.datetime):
        return ColumnType.DATETIME, datetime_text_to_binary(date_text(value).encode("ascii"))
    if isinstance(value, datetime.date):
        return ColumnType.DATE, datetime_text_to_binary(date_text(value).encode("ascii"))
    if isinstance(value, datetime.timedelta):
        return ColumnType.TIME, time_text_to_binary(time_text(value).encode("ascii"))
    if isinstance(value, IncompleteDate):
        return ColumnType.DATETIME if " " in value else ColumnType.DATE, datetime_text_to_binary(
            value.encode("ascii")
        )
    if isinstance(value, str):
        return ColumnType.VAR_STRING, pack_lenenc_bytes(value.encode(encoding))
    return ColumnType.BLOB, pack_lenenc_bytes(value)


Converter = Callable[[bytes], bytes]


def text_converter(kind: int) -> Converter | None:
    """What turns a value of a text row into the layout of its type; None where that is the length-encoded text itself.

    FLOAT's text has six digits, so its binary form is the number those digits name, which need not be the stored one.
    A converter raises ProtocolError when the text is no such value."""
    kind &= KIND_BITS
    fixed = FIXED.get(kind)
    kind &= 0xFF
    if fixed is not None:
        return _number_converter(fixed.pack, float if kind in _FLOATS else int, kind)
    if kind in _DATES or kind in _DATETIMES:
        return datetime_text_to_binary
    if kind == ColumnType.TIME:
        return time_text_to_binary
    return None


def _number_converter(pack: Callable[[int | float], bytes], read: type[int | float], kind: int) -> Converter:
    def convert(text: bytes) -> bytes:
        try:
            return pack(read(text))
        except (ValueError, OverflowError, struct.error):
            raise ProtocolError(f"{text[:80]!r} is no value of type 0x{kind:02x}") from None

    return convert


def text_to_binary(text: bytes, kind: int) -> bytes:
    """A value of a text row in the layout of its type. Raises ProtocolError, see `text_converter`."""
    convert = text_converter(kind)
    return pack_lenenc_bytes(text) if convert is None else convert(text)
