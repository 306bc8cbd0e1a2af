"""Single values of the binary protocol."""

from __future__ import annotations

import datetime
from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbmesh.errors import MeshError, ProtocolError
from dbmesh.model import IncompleteDate, SqlValue, UnsignedInteger
from dbmesh.wire.binary import UNSIGNED, decode_bytes, decode_value, encode_value, text_to_binary
from dbmesh.wire.constants import ColumnType

values = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(0, 2**64 - 1).map(UnsignedInteger),
    st.sampled_from(["0000-00-00", "2024-00-00", "0000-00-00 01:00:00"]).map(IncompleteDate),
    st.floats(allow_nan=False),
    st.decimals(allow_nan=False, allow_infinity=False, places=6),
    st.text(max_size=300),
    st.binary(max_size=300),
    st.dates(),
    st.datetimes(),
    st.timedeltas(datetime.timedelta(hours=-838), datetime.timedelta(hours=838)),
)


@given(values)
def test_values_round_trip_with_their_type(value: SqlValue) -> None:
    kind, encoded = encode_value(value, "utf-8")
    decoded, end = decode_value(encoded + b"tail", 0, kind, "utf-8")
    assert decoded == value
    assert type(decoded) is type(value)
    assert end == len(encoded)


@pytest.mark.parametrize(
    ("kind", "encoded", "value"),
    [
        (ColumnType.TINY, b"\xff", -1),
        (ColumnType.TINY | UNSIGNED, b"\xff", 255),
        (ColumnType.SHORT, b"\x00\x80", -32768),
        (ColumnType.YEAR, b"\xe8\x07", 2024),
        (ColumnType.LONG, b"\xff\xff\xff\xff", -1),
        (ColumnType.INT24 | UNSIGNED, b"\xff\xff\xff\x00", 0xFFFFFF),
        (ColumnType.LONGLONG, b"\xff" * 8, -1),
        (ColumnType.LONGLONG | UNSIGNED, b"\xff" * 8, 2**64 - 1),
        (ColumnType.FLOAT, b"\x00\x00\xc0\x3f", 1.5),
        (ColumnType.DECIMAL, b"\x041.50", Decimal("1.50")),
        (ColumnType.STRING, b"\x02\xc3\xa4", "ä"),
        (ColumnType.STRING, b"\x01\xff", b"\xff"),
        (ColumnType.BLOB, b"\x01a", b"a"),
        (ColumnType.BIT, b"\x01\x05", b"\x05"),
        (ColumnType.JSON, b"\x02{}", "{}"),
        (ColumnType.NULL, b"", None),
    ],
)
def test_layouts(kind: int, encoded: bytes, value: SqlValue) -> None:
    assert decode_value(encoded, 0, kind, "utf-8") == (value, len(encoded))


@pytest.mark.parametrize(
    ("kind", "text", "encoded"),
    [
        (ColumnType.TINY, b"-128", b"\x80"),
        (ColumnType.LONG, b"0005", b"\x05\x00\x00\x00"),
        (ColumnType.LONGLONG | UNSIGNED, b"18446744073709551615", b"\xff" * 8),
        (ColumnType.YEAR, b"2024", b"\xe8\x07"),
        (ColumnType.FLOAT, b"1.5", b"\x00\x00\xc0\x3f"),
        (ColumnType.DOUBLE, b"1e300", b"\x9c\x75\x00\x88\x3c\xe4\x37\x7e"),
        (ColumnType.NEWDECIMAL, b"1.50", b"\x041.50"),
        (ColumnType.DATE, b"0000-00-00", b"\x00"),
        (ColumnType.TIME, b"-838:59:59.000001", b"\x0c\x01\x22\x00\x00\x00\x16\x3b\x3b\x01\x00\x00\x00"),
        (ColumnType.BIT, b"\x05", b"\x01\x05"),
        (ColumnType.VAR_STRING, b"a" * 300, b"\xfc\x2c\x01" + b"a" * 300),
    ],
)
def test_text_to_binary(kind: int, text: bytes, encoded: bytes) -> None:
    assert text_to_binary(text, kind) == encoded


@pytest.mark.parametrize(
    ("kind", "text"),
    [(ColumnType.TINY, b"128"), (ColumnType.LONG, b"x"), (ColumnType.FLOAT, b"1e99"), (10, b"x")],
)
def test_text_of_another_type_is_an_error(kind: int, text: bytes) -> None:
    with pytest.raises(ProtocolError):
        text_to_binary(text, kind)


def test_long_data_takes_its_type() -> None:
    assert decode_bytes(b"ab", ColumnType.BLOB, "utf-8") == b"ab"
    assert decode_bytes(b"ab", ColumnType.VAR_STRING, "utf-8") == "ab"
    with pytest.raises(ProtocolError):
        decode_bytes(b"ab", 0x20, "utf-8")


@pytest.mark.parametrize(
    ("text", "value"), [(b"12.50\0\0", "12.50"), (b" -1e2x", "-1e2"), (b"ab", "0"), (b"", "0"), (b"\0", "0")]
)
def test_a_decimal_is_read_as_far_as_it_is_one(text: bytes, value: str) -> None:
    assert decode_bytes(text, ColumnType.NEWDECIMAL, "utf-8") == Decimal(value)


def test_unknown_types_are_errors() -> None:
    with pytest.raises(ProtocolError):
        decode_value(b"\x01a", 0, 0x80 - 1, "utf-8")


@given(st.integers(0, 0xFFFF), st.binary(max_size=20))
def test_random_bytes_raise_known_errors_only(kind: int, buffer: bytes) -> None:
    with suppress(ProtocolError, MeshError):
        _, end = decode_value(buffer, 0, kind, "utf-8")
        assert end <= len(buffer)
