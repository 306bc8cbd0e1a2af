"""Rows of the text and the binary protocol, and how MySQL prints a value.

Decides the layout of rows. What a value means to a merge or a client is their business.
Source: manual, "Text Resultset Row", "Binary Protocol Resultset Row".
"""

from __future__ import annotations

import datetime
import math
import struct
from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from functools import partial

from dbmesh.errors import ProtocolError
from dbmesh.model import SqlValue
from dbmesh.wire.binary import FIXED, KIND_BITS, UNSIGNED, Converter, decode_value, text_converter
from dbmesh.wire.constants import ColumnFlag, ColumnType
from dbmesh.wire.packets import ColumnDefinition
from dbmesh.wire.primitives import pack_lenenc_bytes, truncated, unpack_lenenc_bytes, unpack_lenenc_int
from dbmesh.wire.temporal import date_text, datetime_binary_to_text, time_binary_to_text, time_text

_NULL = 0xFB
_PLACES = 15
_MOST_FRACTION = 6
_NOT_FIXED = 31
_FLOATS = frozenset((ColumnType.FLOAT, ColumnType.DOUBLE))
_UNSIGNED_COLUMN = ColumnFlag.UNSIGNED.value


def decode_text_row(payload: bytes) -> list[bytes | None]:
    """The values of a text row. Raises ProtocolError."""
    values: list[bytes | None] = []
    position = 0
    end = len(payload)
    while position < end:
        length = payload[position]
        if length < _NULL:
            position += 1
            stop = position + length
            if stop > end:
                raise truncated("a value of a row")
            values.append(payload[position:stop])
            position = stop
        elif length == _NULL:
            values.append(None)
            position += 1
        else:
            value, position = unpack_lenenc_bytes(payload, position)
            values.append(value)
    return values


def encode_text_row(values: Sequence[bytes | None]) -> bytes:
    """A text row."""
    return b"".join([b"\xfb" if value is None else pack_lenenc_bytes(value) for value in values])


def binary_rows_encoder(columns: Sequence[ColumnDefinition]) -> Callable[[Sequence[bytes]], list[bytes]]:
    """A function that makes binary rows of the text rows of these columns, many at a time.

    It raises ProtocolError when a row or a value does not fit its columns. FLOAT: see `binary.text_to_binary`.

    Strings are length-encoded in both protocols: a row of nothing but strings is the same bytes behind another head,
    unless it holds the byte that means NULL."""
    converters = tuple(map(text_converter, map(_kind, columns)))
    head = bytes(1 + (len(converters) + 9) // 8)
    only_strings = not any(converters)

    def encode(rows: Sequence[bytes]) -> list[bytes]:
        if only_strings:
            return [head + row if _NULL not in row else _binary_row(row, converters, head) for row in rows]
        return [_binary_row(row, converters, head) for row in rows]

    return encode


def _binary_row(row: bytes, converters: Sequence[Converter | None], head: bytes) -> bytes:
    bitmap = None
    pieces = [head]
    end = len(row)
    at = 0
    try:
        for index, convert in enumerate(converters, 2):
            size = row[at]
            start = at + 1
            if size > _NULL:
                size, start = unpack_lenenc_int(row, at)
            elif size == _NULL:
                bitmap = bitmap or bytearray(head)
                bitmap[1 + (index >> 3)] |= 1 << (index & 7)
                at = start
                continue
            stop = start + size
            pieces.append(row[at:stop] if convert is None else convert(row[start:stop]))
            at = stop
    except IndexError:
        raise truncated("a row") from None
    if at != end:
        raise ProtocolError(f"a row that is not {len(converters)} values long")
    if bitmap is not None:
        pieces[0] = bytes(bitmap)
    return b"".join(pieces)


def text_rows_encoder(columns: Sequence[ColumnDefinition]) -> Callable[[Sequence[bytes]], list[bytes]]:
    """A function that makes text rows of the binary rows of these columns, many at a time. Nothing is rounded: FLOAT and
    DOUBLE keep every digit they have, unlike in the text protocol, so that the way back gives the same bytes.

    It raises ProtocolError when a row does not fit its columns."""
    kinds = [_kind(column) for column in columns]
    layouts = [FIXED.get(kind & KIND_BITS) for kind in kinds]
    writers = [_text_writer(column) for column in columns]
    start = 1 + (len(columns) + 9) // 8
    nothing_null = bytes(start)
    only_strings = not any(layouts) and not any(writers)

    def one(row: bytes) -> bytes:
        pieces: list[bytes] = []
        at = start
        for index, (layout, write) in enumerate(zip(layouts, writers, strict=True), 2):
            if row[1 + (index >> 3)] >> (index & 7) & 1:
                pieces.append(b"\xfb")
            elif layout is not None:
                pieces.append(pack_lenenc_bytes(_number_text(layout.unpack_from(row, at)[0])))
                at += layout.size
            else:
                value, at = unpack_lenenc_bytes(row, at)
                pieces.append(pack_lenenc_bytes(value if write is None else write(value)))
        if at != len(row):
            raise ProtocolError(f"a row that is not {len(columns)} values long")
        return b"".join(pieces)

    def encode(rows: Sequence[bytes]) -> list[bytes]:
        try:
            if only_strings:
                return [row[start:] if row.startswith(nothing_null) else one(row) for row in rows]
            return [one(row) for row in rows]
        except (IndexError, struct.error):
            raise truncated("a row") from None

    return encode


def with_every_digit(columns: Sequence[ColumnDefinition]) -> tuple[ColumnDefinition, ...]:
    """The columns with FLOAT and DOUBLE of no fixed number of decimals."""
    return tuple(
        replace(column, decimals=_NOT_FIXED) if column.type in _FLOATS else column for column in columns
    )


def _number_text(value: float) -> bytes:
    return b"%d" % value if type(value) is int else double_text(value).encode("ascii")


def _text_writer(column: ColumnDefinition) -> Callable[[bytes], bytes] | None:
    """What prints a value that is sent with its length; None where it is its own text."""
    fraction = column.decimals if column.decimals <= _MOST_FRACTION else 0
    if column.type in (ColumnType.DATETIME, ColumnType.TIMESTAMP):
        return partial(datetime_binary_to_text, fraction=fraction, date_only=False)
    if column.type in (ColumnType.DATE, ColumnType.NEWDATE):
        return partial(datetime_binary_to_text, fraction=0, date_only=True)
    if column.type == ColumnType.TIME:
        return partial(time_binary_to_text, fraction=fraction)
    return None


def _kind(column: ColumnDefinition) -> int:
    return column.type | (UNSIGNED if column.flags & _UNSIGNED_COLUMN else 0)


def text_row_to_binary(payload: bytes, columns: Sequence[ColumnDefinition]) -> bytes:
    """A text row as the binary row of the same values. For many rows keep a `binary_rows_encoder`."""
    return binary_rows_encoder(columns)((payload,))[0]


def decode_binary_row(
    payload: bytes, columns: Sequence[ColumnDefinition], encoding: str = "utf-8"
) -> list[SqlValue]:
    """The values of a binary row. Raises ProtocolError."""
    start = 1 + (len(columns) + 9) // 8
    if len(payload) < start or payload[0] != 0:
        raise ProtocolError("not a binary row")
    values: list[SqlValue] = []
    position = start
    for index, column in enumerate(columns, 2):
        value: SqlValue = None
        if not payload[1 + (index >> 3)] >> (index & 7) & 1:
            value, position = decode_value(payload, position, _kind(column), encoding)
        values.append(value)
    return values


def text_value(value: SqlValue, encoding: str = "utf-8") -> bytes | None:
    """How MySQL prints a value in a text row; None for NULL."""
    if value is None or isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode(encoding)
    return _printed(value).encode("ascii")


def _printed(value: float | Decimal | datetime.date | datetime.timedelta) -> str:
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, float):
        return double_text(value)
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime.timedelta):
        return time_text(value)
    return date_text(value)


def double_text(value: float) -> str:
    """How MySQL prints a DOUBLE: the shortest digits that name it, with an exponent where the decimal point would
    stand more than 15 places from the first digit. NaN and infinities do not exist in MySQL: ValueError."""
    if not math.isfinite(value):
        raise ValueError(f"{value} is no value of MySQL")
    if value == 0:
        return "-0" if math.copysign(1, value) < 0 else "0"
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    assert isinstance(exponent, int)
    point = len(digits) + exponent
    if -_PLACES < point <= _PLACES:
        return format(Decimal((sign, digits, exponent)), "f")
    text = "".join(map(str, digits))
    fraction = f".{text[1:]}" if len(text) > 1 else ""
    return f"{'-' if sign else ''}{text[0]}{fraction}e{point - 1}"
