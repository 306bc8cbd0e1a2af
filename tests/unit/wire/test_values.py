"""Rows of both protocols, and MySQL's way to print values."""

from __future__ import annotations

import datetime
import struct
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbmesh.errors import MeshError, ProtocolError
from dbmesh.model import SqlValue
from dbmesh.wire.constants import ColumnFlag, ColumnType
from dbmesh.wire.packets import ColumnDefinition
from dbmesh.wire.values import (
    binary_rows_encoder,
    decode_binary_row,
    decode_text_row,
    double_text,
    encode_text_row,
    text_row_to_binary,
    text_rows_encoder,
    text_value,
)


def column(kind: ColumnType, flags: int = 0) -> ColumnDefinition:
    return ColumnDefinition(b"def", b"", b"", b"", b"c", b"c", 63, 0, kind, flags, 0)


@given(st.lists(st.none() | st.binary(max_size=300), max_size=10))
def test_text_rows_round_trip(values: list[bytes | None]) -> None:
    payload = encode_text_row(values)
    assert decode_text_row(payload) == values
    if payload and values[-1]:
        with pytest.raises(ProtocolError):
            decode_text_row(payload[:-1])


def test_long_text_values() -> None:
    row = [b"a" * 0xFFFF, b"b" * 0x10000, None]
    assert decode_text_row(encode_text_row(row)) == row


CASES: list[tuple[ColumnDefinition, bytes, SqlValue]] = [
    (column(ColumnType.TINY), b"-1", -1),
    (column(ColumnType.TINY, ColumnFlag.UNSIGNED), b"255", 255),
    (column(ColumnType.LONGLONG, ColumnFlag.UNSIGNED), b"18446744073709551615", 2**64 - 1),
    (column(ColumnType.YEAR, ColumnFlag.UNSIGNED), b"2024", 2024),
    (column(ColumnType.DOUBLE), b"2.5e300", 2.5e300),
    (column(ColumnType.NEWDECIMAL), b"-1.500", Decimal("-1.500")),
    (column(ColumnType.DATE), b"2020-02-29", datetime.date(2020, 2, 29)),
    (column(ColumnType.DATETIME), b"2020-02-29 01:02:03.000004", datetime.datetime(2020, 2, 29, 1, 2, 3, 4)),
    (column(ColumnType.TIME), b"-25:00:00", datetime.timedelta(hours=-25)),
    (column(ColumnType.VAR_STRING), "ä".encode(), "ä"),
    (column(ColumnType.BLOB), b"\x00", b"\x00"),
]


@given(st.lists(st.tuples(st.sampled_from(CASES), st.booleans()), max_size=20))
def test_binary_rows_round_trip(chosen: list[tuple[tuple[ColumnDefinition, bytes, SqlValue], bool]]) -> None:
    columns = [case[0] for case, _ in chosen]
    texts = [None if null else case[1] for case, null in chosen]
    payload = text_row_to_binary(encode_text_row(texts), columns)
    assert decode_binary_row(payload, columns) == [None if null else case[2] for case, null in chosen]


@given(st.lists(st.tuples(st.sampled_from(CASES), st.booleans()), max_size=20))
def test_binary_rows_as_text_come_back_as_the_same_bytes(
    chosen: list[tuple[tuple[ColumnDefinition, bytes, SqlValue], bool]],
) -> None:
    columns = [replace(case[0], decimals=6) for case, _ in chosen]
    texts = [None if null else case[1] for case, null in chosen]
    payload = text_row_to_binary(encode_text_row(texts), columns)
    assert binary_rows_encoder(columns)(text_rows_encoder(columns)([payload])) == [payload]
    for cut in range(1, len(payload)):
        with suppress(ProtocolError):
            text_rows_encoder(columns)([payload[:cut]])


@given(st.floats(allow_nan=False, allow_infinity=False, width=32))
def test_floats_lose_no_digit_on_their_way_through_text(value: float) -> None:
    for kind, layout in ((ColumnType.FLOAT, "<f"), (ColumnType.DOUBLE, "<d")):
        payload = b"\x00\x00" + struct.pack(layout, value)
        columns = [column(kind)]
        assert binary_rows_encoder(columns)(text_rows_encoder(columns)([payload])) == [payload]


@pytest.mark.parametrize(
    ("kind", "decimals", "binary", "text"),
    [
        (ColumnType.DATETIME, 0, b"\x00", b"0000-00-00 00:00:00"),
        (ColumnType.DATETIME, 3, b"\x07\xe4\x07\x02\x1d\x01\x02\x03", b"2020-02-29 01:02:03.000"),
        (ColumnType.DATE, 0, b"\x04\xe4\x07\x02\x00", b"2020-02-00"),
        (ColumnType.TIME, 2, b"\x0c\x01\x01\x00\x00\x00\x01\x00\x00\x90\xd0\x03\x00", b"-25:00:00.25"),
    ],
)
def test_dates_are_printed_with_their_columns_digits(
    kind: ColumnType, decimals: int, binary: bytes, text: bytes
) -> None:
    columns = [replace(column(kind), decimals=decimals)]
    assert text_rows_encoder(columns)([b"\x00\x00" + binary]) == [encode_text_row([text])]


def test_the_manuals_binary_row() -> None:
    payload = b"\x00\x00\x06foobar"
    assert decode_binary_row(payload, [column(ColumnType.VAR_STRING)]) == ["foobar"]
    assert binary_rows_encoder([column(ColumnType.VAR_STRING)])([b"\x06foobar"]) == [payload]


def test_rows_of_another_width_are_errors() -> None:
    with pytest.raises(ProtocolError):
        binary_rows_encoder([column(ColumnType.TINY)])([encode_text_row([b"1", b"2"])])
    with pytest.raises(ProtocolError):
        decode_binary_row(b"\x01\x00", [])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, None),
        (-5, b"-5"),
        (True, b"1"),
        (Decimal("1E+3"), b"1000"),
        (Decimal("1.50"), b"1.50"),
        ("ä", "ä".encode()),
        (b"\xff", b"\xff"),
        (datetime.date(2020, 1, 2), b"2020-01-02"),
        (datetime.datetime(2020, 1, 2, 3, 4, 5), b"2020-01-02 03:04:05"),
        (datetime.datetime(2020, 1, 2, 3, 4, 5, 6), b"2020-01-02 03:04:05.000006"),
        (datetime.timedelta(hours=-838, microseconds=-1), b"-838:00:00.000001"),
        (datetime.timedelta(hours=5), b"05:00:00"),
    ],
)
def test_text_values(value: SqlValue, text: bytes | None) -> None:
    assert text_value(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        # As MariaDB 10.11 prints them.
        (1e14, "100000000000000"),
        (1e15, "1e15"),
        (1e-15, "0.000000000000001"),
        (1e-16, "1e-16"),
        (1.5e-5, "0.000015"),
        (0.1, "0.1"),
        (1 / 3, "0.3333333333333333"),
        (1.7976931348623157e308, "1.7976931348623157e308"),
        (-2.5, "-2.5"),
        (100.0, "100"),
        (0.0, "0"),
    ],
)
def test_doubles(value: float, text: str) -> None:
    assert double_text(value) == text


def test_what_mysql_has_no_number_for() -> None:
    for value in (float("inf"), float("nan")):
        with pytest.raises(ValueError, match="no value of MySQL"):
            double_text(value)


@given(st.binary(max_size=60), st.lists(st.sampled_from([case[0] for case in CASES]), max_size=12))
def test_random_rows_raise_known_errors_only(payload: bytes, columns: list[ColumnDefinition]) -> None:
    with suppress(ProtocolError):
        decode_text_row(payload)
    with suppress(ProtocolError, MeshError):
        decode_binary_row(b"\x00" + payload, columns)
    with suppress(ProtocolError):
        text_row_to_binary(payload, columns)
