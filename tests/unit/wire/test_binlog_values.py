"""Values of a binlog's rows: those of servers are compared with what queries read in tests/integration/reshard."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbmesh.errors import MeshError, ProtocolError
from dbmesh.wire.binlog_values import DATETIME2, TIME2, TIMESTAMP2, KeyColumn, layouts, text_of
from dbmesh.wire.constants import ColumnType


def _text(kind: int, metadata: bytes, value: bytes, column: KeyColumn | None = None) -> bytes:
    (layout,) = layouts(bytes((kind,)), metadata)
    assert len(value) == layout.prefix + (
        int.from_bytes(value[: layout.prefix], "little") if layout.prefix else layout.size
    )
    return text_of(layout, column or KeyColumn(0))(value[layout.prefix :])


@pytest.mark.parametrize(
    ("kind", "metadata", "value", "text"),
    [
        (ColumnType.TINY, b"", b"\xff", b"-1"),
        (ColumnType.INT24, b"", b"\xff\xff\x7f", b"8388607"),
        (ColumnType.YEAR, b"", b"\0", b"0000"),
        (ColumnType.YEAR, b"", b"\x7c", b"2024"),
        (ColumnType.DATE, b"", b"\x5d\xd0\x0f", b"2024-02-29"),
        (ColumnType.BIT, b"\5\1", b"\x1a\x2b", b"6699"),
        (ColumnType.STRING, b"\xf7\1", b"\3", b"3"),
        (ColumnType.STRING, b"\xf8\2", b"\1\2", b"513"),
        (ColumnType.STRING, b"\xfe\x10", b"\2ab", b"ab"),
        # A CHAR of 400 bytes: two bits of its length are in the type.
        (ColumnType.STRING, b"\xee\x90", b"\2\0ab", b"ab"),
        (ColumnType.VARCHAR, b"\xff\0", b"\1x", b"x"),
        (ColumnType.VARCHAR, b"\0\1", b"\1\0x", b"x"),
        (ColumnType.BLOB, b"\3", b"\2\0\0ab", b"ab"),
        (ColumnType.FLOAT, b"\4", b"\0\0\xc0\x3f", b"1.5"),
        (ColumnType.DOUBLE, b"\x08", b"\0\0\0\0\0\0\xf8\xbf", b"-1.5"),
        (TIMESTAMP2, b"\0", b"\x65\x53\xf1\0", b"1700000000"),
        (TIMESTAMP2, b"\3", b"\x65\x53\xf1\0\x04\xd2", b"1700000000.123"),
        (DATETIME2, b"\0", b"\x99\xb2\xbb\x17\xab", b"2024-02-29 17:30:43"),
        (TIME2, b"\0", b"\x80\x10\x83", b"01:02:03"),
        (TIME2, b"\2", b"\x7f\xff\xff\xf6", b"-00:00:00.10"),
    ],
)
def test_known_values(kind: int, metadata: bytes, value: bytes, text: bytes) -> None:
    assert _text(kind, metadata, value) == text


def test_forms_of_columns() -> None:
    assert _text(ColumnType.LONG, b"", b"\xff\xff\xff\xff", KeyColumn(0, unsigned=True)) == b"4294967295"
    assert _text(ColumnType.LONG, b"", b"\x2a\0\0\0", KeyColumn(0, unsigned=True, width=5)) == b"00042"
    assert _text(ColumnType.STRING, b"\xfe\4", b"\2ab", KeyColumn(0, padded=True)) == b"ab\0\0"


def _packed(value: Decimal, digits: int, scale: int) -> bytes:
    """As a server does it: digits from the point outwards, nine in four bytes."""
    number = f"{abs(int(value.scaleb(scale))):0{digits}}"
    whole, rest = number[: digits - scale], number[digits - scale :]
    sizes = (0, 1, 1, 2, 2, 3, 3, 4, 4, 4)
    head = len(whole) % 9
    groups = [whole[:head], *(whole[at : at + 9] for at in range(head, len(whole), 9))]
    groups += [rest[at : at + 9] for at in range(0, len(rest), 9)]
    packed = bytearray(b"".join(int(group).to_bytes(sizes[len(group)], "big") for group in groups if group))
    packed[0] ^= 0x80
    return bytes(byte ^ 0xFF for byte in packed) if value < 0 else bytes(packed)


@given(st.integers(1, 65), st.integers(0, 38), st.data())
def test_decimals(digits: int, scale: int, data: st.DataObject) -> None:
    scale = min(digits, scale)
    number = data.draw(st.integers(-(10**digits) + 1, 10**digits - 1))
    sign, text = "-" if number < 0 else "", f"{abs(number):0{scale + 1}}"
    expected = f"{sign}{text[: len(text) - scale]}" + (f".{text[len(text) - scale :]}" if scale else "")
    packed = _packed(Decimal(number).scaleb(-scale, None), digits, scale) if digits <= 28 else None
    if packed is not None:
        assert _text(ColumnType.NEWDECIMAL, bytes((digits, scale)), packed) == expected.encode()


@given(
    st.booleans(),
    st.integers(0, 838),
    st.integers(0, 59),
    st.integers(0, 59),
    st.integers(0, 999_999),
    st.integers(0, 6),
)
def test_times(negative: bool, hour: int, minute: int, second: int, micro: int, digits: int) -> None:
    fraction = f"{micro:06}"[:digits]
    size = (digits + 1) // 2
    behind = int(fraction.ljust(2 * size, "0") or "0")
    number = (hour << 12 | minute << 6 | second) << 8 * size | behind
    if negative and not number:
        return
    packed = ((-number if negative else number) + (1 << 23 + 8 * size)).to_bytes(3 + size, "big")
    text = f"{'-' if negative else ''}{hour:02}:{minute:02}:{second:02}{'.' if digits else ''}{fraction}"
    assert _text(TIME2, bytes((digits,)), packed) == text.encode()


def test_forms_that_are_not_read() -> None:
    with pytest.raises(MeshError, match=r"before 5\.6"):
        layouts(bytes((ColumnType.DATETIME,)), b"")
    with pytest.raises(ProtocolError, match="unknown type 200"):
        layouts(b"\xc8", b"\0\0")
    with pytest.raises(ProtocolError, match="more metadata"):
        layouts(bytes((ColumnType.LONG,)), b"\1")


@given(st.binary(min_size=1, max_size=8), st.binary(max_size=20), st.data())
def test_any_bytes_are_values_or_an_error(kinds: bytes, metadata: bytes, data: st.DataObject) -> None:
    try:
        found = layouts(kinds, metadata)
        for layout in found:
            size = data.draw(st.integers(0, 20)) if layout.prefix else layout.size
            value = data.draw(st.binary(min_size=size, max_size=size))
            text_of(layout, KeyColumn(0, padded=True, width=3))(value)
    except (ProtocolError, MeshError):
        return
    assert len(found) == len(kinds)
