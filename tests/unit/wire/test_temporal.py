"""Dates and times in text, in binary, in Python."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbmesh.errors import MeshError, ProtocolError
from dbmesh.wire.temporal import (
    date_text,
    datetime_text_to_binary,
    decode_datetime,
    decode_time,
    time_text,
    time_text_to_binary,
)


@pytest.mark.parametrize(
    ("text", "binary"),
    [
        (b"0000-00-00", b"\x00"),
        (b"0000-00-00 00:00:00", b"\x00"),
        (b"2010-10-17", b"\x04\xda\x07\x0a\x11"),
        (b"2010-10-17 19:27:30", b"\x07\xda\x07\x0a\x11\x13\x1b\x1e"),
        (b"2010-10-17 19:27:30.000001", b"\x0b\xda\x07\x0a\x11\x13\x1b\x1e\x01\x00\x00\x00"),
        (b"2010-10-17 19:27:30.5", b"\x0b\xda\x07\x0a\x11\x13\x1b\x1e\x20\xa1\x07\x00"),
    ],
)
def test_the_manuals_dates(text: bytes, binary: bytes) -> None:
    assert datetime_text_to_binary(text) == binary


@pytest.mark.parametrize(
    ("text", "binary"),
    [
        (b"00:00:00", b"\x00"),
        (b"-120:19:27", b"\x08\x01\x05\x00\x00\x00\x00\x13\x1b"),
        (b"-838:59:59.000001", b"\x0c\x01\x22\x00\x00\x00\x16\x3b\x3b\x01\x00\x00\x00"),
    ],
)
def test_the_manuals_times(text: bytes, binary: bytes) -> None:
    assert time_text_to_binary(text) == binary


@given(st.datetimes())
def test_datetimes_round_trip(value: datetime.datetime) -> None:
    binary = datetime_text_to_binary(date_text(value).encode())
    assert decode_datetime(binary + b"tail", 0, date_only=False) == (value, len(binary))


@given(st.dates())
def test_dates_round_trip(value: datetime.date) -> None:
    binary = datetime_text_to_binary(date_text(value).encode())
    assert decode_datetime(binary, 0, date_only=True) == (value, len(binary))


@given(st.timedeltas(datetime.timedelta(hours=-838), datetime.timedelta(hours=838)))
def test_times_round_trip(value: datetime.timedelta) -> None:
    binary = time_text_to_binary(time_text(value).encode())
    assert decode_time(binary + b"tail", 0) == (value, len(binary))


@pytest.mark.parametrize(
    ("binary", "date_only", "text"),
    [
        (b"\x00", True, "0000-00-00"),
        (b"\x00", False, "0000-00-00 00:00:00"),
        (b"\x04\xe4\x07\x00\x00", True, "2020-00-00"),
        (b"\x0b\xe4\x07\x02\x1e\x01\x02\x03\x04\x00\x00\x00", False, "2020-02-30 01:02:03.000004"),
    ],
)
def test_what_python_cannot_hold_stays_text(binary: bytes, date_only: bool, text: str) -> None:
    assert decode_datetime(binary, 0, date_only=date_only)[0] == text


def test_a_displacement_is_refused() -> None:
    with pytest.raises(MeshError) as caught:
        decode_datetime(b"\x0d" + b"\x01" * 13, 0, date_only=False)
    assert caught.value.number == 1235


@pytest.mark.parametrize("text", [b"", b"2020-1-1", b"now", b"2020-01-01 10"])
def test_bad_texts(text: bytes) -> None:
    for convert in (datetime_text_to_binary, time_text_to_binary):
        with pytest.raises(ProtocolError):
            convert(text)


@pytest.mark.parametrize("binary", [b"", b"\x04\x01", b"\x05abcde", b"\x08\x00" + b"\xff" * 7])
def test_bad_binaries(binary: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_datetime(binary, 0, date_only=False)
    with pytest.raises(ProtocolError):
        decode_time(binary, 0)
