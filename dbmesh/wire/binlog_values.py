"""One value of a binlog's row: how long it is, and its text as a query of the mesh itself reads it.

Decides the layout each type has there. Texts are those of `planner.federation.values.scanned`: ENUM, SET and BIT as numbers, TIMESTAMP as
seconds since 1970, texts as the bytes of their own character set. Source: MySQL source documentation, Table_map_event and
`Field::pack`; decimals: `decimal2bin`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from dbmesh.errors import ProtocolError, not_supported
from dbmesh.wire.constants import ColumnType
from dbmesh.wire.primitives import unpack_fixed_bytes, unpack_fixed_int
from dbmesh.wire.values import double_text

TIMESTAMP2, DATETIME2, TIME2 = 17, 18, 19
_BLOB_COMPRESSED, _VARCHAR_COMPRESSED = 140, 141

_SIZES = {
    ColumnType.TINY: 1,
    ColumnType.SHORT: 2,
    ColumnType.INT24: 3,
    ColumnType.LONG: 4,
    ColumnType.LONGLONG: 8,
    ColumnType.YEAR: 1,
    ColumnType.DATE: 3,
    ColumnType.NEWDATE: 3,
    ColumnType.NULL: 0,
}
_FLOATS = {ColumnType.FLOAT: 4, ColumnType.DOUBLE: 8}
_MOMENTS = {TIMESTAMP2: 4, DATETIME2: 5, TIME2: 3}
_BLOBS = frozenset(
    (
        ColumnType.TINY_BLOB,
        ColumnType.MEDIUM_BLOB,
        ColumnType.LONG_BLOB,
        ColumnType.BLOB,
        ColumnType.GEOMETRY,
        ColumnType.JSON,
        ColumnType.VECTOR,
        _BLOB_COMPRESSED,
    )
)
_VARYING = frozenset((ColumnType.VARCHAR, ColumnType.VAR_STRING, _VARCHAR_COMPRESSED))
_OLD_MOMENTS = frozenset((ColumnType.TIMESTAMP, ColumnType.DATETIME, ColumnType.TIME))
_INTEGERS = frozenset(
    (ColumnType.TINY, ColumnType.SHORT, ColumnType.INT24, ColumnType.LONG, ColumnType.LONGLONG)
)
_TEXTS = frozenset((ColumnType.STRING, *_VARYING, *_BLOBS)) - {_BLOB_COMPRESSED, _VARCHAR_COMPRESSED}

_DIGITS = 9
_DIGIT_BYTES = (0, 1, 1, 2, 2, 3, 3, 4, 4, 4)
"""Bytes of so many decimal digits."""


@dataclass(frozen=True, slots=True)
class Layout:
    """A column's type. A value has `size` bytes, or as many as the `prefix` bytes before it say. `digits`: of a DECIMAL in all, of
    a moment behind the second, of a text its greatest length in bytes; `scale`: a DECIMAL's digits behind the point."""

    kind: int
    size: int
    prefix: int = 0
    digits: int = 0
    scale: int = 0


Text = Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True)
class KeyColumn:
    """A column whose values are wanted: its `index` in the table. `unsigned`: an integer without a sign; `width`: a number is shown with as
    many digits (ZEROFILL), 0: as it is; `padded`: a BINARY one, whose zeros at the end are not sent."""

    index: int
    unsigned: bool = False
    width: int = 0
    padded: bool = False


def layouts(kinds: bytes, metadata: bytes) -> tuple[Layout, ...]:
    """The columns of a table as TABLE_MAP describes them. Raises ProtocolError, and MeshError NOT_SUPPORTED for values that are not
    read. O(columns)."""
    found: list[Layout] = []
    position = 0
    for kind in kinds:
        layout, position = _layout(kind, metadata, position)
        found.append(layout)
    if position != len(metadata):
        raise ProtocolError("a table in the binlog has more metadata than columns")
    return tuple(found)


def _layout(kind: int, metadata: bytes, position: int) -> tuple[Layout, int]:
    """One column, and where the metadata of the next begins."""
    if kind in _SIZES:
        return Layout(kind, _SIZES[ColumnType(kind)]), position
    if kind in _OLD_MOMENTS:
        raise not_supported(
            "following a table with columns in the form TIME, DATETIME and TIMESTAMP had before 5.6",
            "ALTER TABLE … FORCE with mysql56_temporal_format=ON",
        )
    if kind in _FLOATS:
        _, position = unpack_fixed_int(metadata, position, 1)
        return Layout(kind, _FLOATS[ColumnType(kind)]), position
    if kind in _MOMENTS:
        digits, position = unpack_fixed_int(metadata, position, 1)
        if digits > 6:
            raise ProtocolError(f"a moment with {digits} digits behind the second")
        return Layout(kind, _MOMENTS[kind] + (digits + 1) // 2, digits=digits), position
    if kind in _BLOBS:
        prefix, position = unpack_fixed_int(metadata, position, 1)
        if not 1 <= prefix <= 4:
            raise ProtocolError(f"a length of {prefix} bytes in the binlog")
        return Layout(kind, 0, prefix), position
    first, position = unpack_fixed_int(metadata, position, 1)
    second, position = unpack_fixed_int(metadata, position, 1)
    if kind in _VARYING:
        most = first | second << 8
        return Layout(kind, 0, 1 if most < 256 else 2, most), position
    if kind == ColumnType.BIT:
        if first > 7 or second > 8:
            raise ProtocolError("a BIT of more than 64 bits in the binlog")
        return Layout(kind, second + (first > 0)), position
    if kind == ColumnType.NEWDECIMAL:
        return _decimal(first, second), position
    if kind == ColumnType.STRING:
        return _string(first, second), position
    raise ProtocolError(f"a column of the unknown type {kind} in the binlog")


def _decimal(digits: int, scale: int) -> Layout:
    if not (0 < digits <= 65 and scale <= min(digits, 38)):
        raise ProtocolError(f"a DECIMAL({digits},{scale}) in the binlog")
    size = sum(part // _DIGITS * 4 + _DIGIT_BYTES[part % _DIGITS] for part in (digits - scale, scale))
    return Layout(ColumnType.NEWDECIMAL, size, 0, digits, scale)


def _string(first: int, second: int) -> Layout:
    """CHAR, BINARY, ENUM and SET: two bits of a long CHAR's length are in the type, inverted."""
    if first in (ColumnType.ENUM, ColumnType.SET):
        if not 1 <= second <= 8:
            raise ProtocolError(f"an ENUM or SET of {second} bytes in the binlog")
        return Layout(first, second)
    most = second
    if first & 0x30 != 0x30:
        most |= (first & 0x30 ^ 0x30) << 4
        first |= 0x30
    if first != ColumnType.STRING:
        raise ProtocolError(f"a string of the unknown type {first} in the binlog")
    return Layout(first, 0, 1 if most < 256 else 2, most)


# ---------------------------------------------------------------------------------------------- texts


def text_of(layout: Layout, column: KeyColumn) -> Text:
    """What makes the text of a column's values from their bytes. Raises MeshError NOT_SUPPORTED for a type that no key may have."""
    kind, width = layout.kind, column.width
    if kind in _INTEGERS:
        signed = not column.unsigned
        return lambda value: b"%0*d" % (width, int.from_bytes(value, "little", signed=signed))
    if kind in (ColumnType.ENUM, ColumnType.SET):
        return lambda value: b"%d" % int.from_bytes(value, "little")
    if kind == ColumnType.BIT:
        return lambda value: b"%d" % int.from_bytes(value, "big")
    if kind == ColumnType.NEWDECIMAL:
        return lambda value: _decimal_text(value, layout).rjust(width, b"0")
    if kind in _FLOATS:
        unpack = struct.Struct("<f" if kind == ColumnType.FLOAT else "<d").unpack
        return lambda value: _float_text(unpack(value)[0])
    if kind in _TEXTS:
        most = layout.digits
        return (lambda value: value.ljust(most, b"\0")) if column.padded else bytes
    digits = layout.digits
    if kind == ColumnType.YEAR:
        return lambda value: b"%04d" % (value[0] and 1900 + value[0])
    if kind in (ColumnType.DATE, ColumnType.NEWDATE):
        return _date_text
    if kind == TIMESTAMP2:
        return lambda value: b"%d%s" % (int.from_bytes(value[:4], "big"), _fraction(value[4:], digits))
    if kind == DATETIME2:
        return lambda value: _datetime_text(value, digits)
    if kind == TIME2:
        return lambda value: _time_text(value, digits)
    raise not_supported(f"a key with a column of type {kind}", "use another type")


def _float_text(value: float) -> bytes:
    try:
        return double_text(value).encode()
    except ValueError as error:
        raise ProtocolError(str(error)) from None


def _fraction(value: bytes, digits: int) -> bytes:
    """What is behind the second; two digits a byte."""
    return _digits_behind(int.from_bytes(value, "big"), len(value), digits)


def _digits_behind(value: int, size: int, digits: int) -> bytes:
    return (b".%0*d" % (2 * size, value))[: digits + 1] if digits else b""


def _date_text(value: bytes) -> bytes:
    number = int.from_bytes(value, "little")
    return b"%04d-%02d-%02d" % (number >> 9, number >> 5 & 15, number & 31)


def _datetime_text(value: bytes, digits: int) -> bytes:
    """Five bytes: sign, year * 13 + month (17 bits), day (5), hour (5), minute (6), second (6)."""
    number = int.from_bytes(value[:5], "big") - (1 << 39)
    if number < 0:
        raise ProtocolError("a DATETIME before the year 0 in the binlog")
    year, month = divmod(number >> 22, 13)
    day, hour = number >> 17 & 31, number >> 12 & 31
    text = b"%04d-%02d-%02d %02d:%02d:%02d" % (year, month, day, hour, number >> 6 & 63, number & 63)
    return text + _fraction(value[5:], digits)


def _time_text(value: bytes, digits: int) -> bytes:
    """Three bytes: sign, hour (11 bits), minute (6), second (6); with the fraction behind them they are one number."""
    size = len(value) - 3
    number = int.from_bytes(value, "big") - (1 << 23 + 8 * size)
    whole, fraction = divmod(abs(number), 1 << 8 * size)
    sign = b"-" if number < 0 else b""
    text = b"%s%02d:%02d:%02d" % (sign, whole >> 12 & 1023, whole >> 6 & 63, whole & 63)
    return text + _digits_behind(fraction, size, digits)


def _decimal_text(value: bytes, layout: Layout) -> bytes:
    """Groups of nine digits in four bytes, those at the outer ends in fewer; the first bit is inverted, of a negative number all."""
    negative = not value[0] & 0x80
    raw = bytes((value[0] ^ 0x80,)) + value[1:]
    if negative:
        raw = bytes(byte ^ 0xFF for byte in raw)
    whole = layout.digits - layout.scale
    first, rest = whole % _DIGITS, layout.scale % _DIGITS
    groups = [first, *[_DIGITS] * (whole // _DIGITS), *[_DIGITS] * (layout.scale // _DIGITS), rest]
    digits = b"".join(_groups(raw, groups))
    before, behind = digits[:whole].lstrip(b"0") or b"0", digits[whole:]
    return b"%s%s%s" % (b"-" if negative else b"", before, b"." + behind if behind else b"")


def _groups(raw: bytes, groups: list[int]) -> Iterator[bytes]:
    position = 0
    for digits in groups:
        group, position = unpack_fixed_bytes(raw, position, _DIGIT_BYTES[digits])
        if digits:
            number = int.from_bytes(group, "big")
            if number >= 10**digits:
                raise ProtocolError("a DECIMAL in the binlog has more digits than it can have")
            yield b"%0*d" % (digits, number)
