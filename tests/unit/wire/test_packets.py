"""Packets of the command phase: every make has its parse, truncated input is a ProtocolError."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbmesh.errors import ProtocolError
from dbmesh.wire.constants import Capability, Status
from dbmesh.wire.packets import (
    EOF,
    ColumnDefinition,
    EofPacket,
    ErrPacket,
    OkPacket,
    PrepareOk,
    make_column_definition,
    make_end_of_rows,
    make_eof,
    make_err,
    make_ok,
    make_prepare_ok,
    parse_column_definition,
    parse_eof,
    parse_err,
    parse_ok,
    parse_prepare_ok,
    read_column_definition,
)

TRACK = Capability.SESSION_TRACK.value
u16 = st.integers(0, 0xFFFF)
u32 = st.integers(0, 0xFFFFFFFF)
u64 = st.integers(0, 2**64 - 1)
name = st.binary(max_size=300)
columns = st.builds(
    ColumnDefinition,
    name,
    name,
    name,
    name,
    name,
    name,
    u16,
    u32,
    st.integers(0, 255),
    u16,
    st.integers(0, 255),
)


@given(u64, u64, u16, u16, name, st.sampled_from([0, TRACK]), st.sampled_from([0, EOF]))
def test_ok_round_trips(
    rows: int, insert_id: int, status: int, warnings: int, info: bytes, capabilities: int, header: int
) -> None:
    packet = OkPacket(rows, insert_id, status & ~Status.SESSION_STATE_CHANGED, warnings, info)
    assert parse_ok(make_ok(packet, capabilities, header=header), capabilities) == packet


def test_session_state_goes_with_its_status_bit_and_capability() -> None:
    packet = OkPacket(1, 2, Status.AUTOCOMMIT.value, 3, b"info", b"\x01\x03\x02t1")
    parsed = parse_ok(make_ok(packet, TRACK), TRACK)
    assert parsed.session_state == packet.session_state
    assert parsed.status == Status.AUTOCOMMIT | Status.SESSION_STATE_CHANGED
    assert parse_ok(make_ok(packet, 0), 0) == OkPacket(1, 2, Status.AUTOCOMMIT.value, 3, b"info")


def test_the_manuals_ok_packet() -> None:
    assert parse_ok(b"\x00\x00\x00\x02\x00\x00\x00", 0) == OkPacket(0, 0, 2, 0)
    assert make_ok(OkPacket(0, 0, 2, 0), 0) == b"\x00\x00\x00\x02\x00\x00\x00"


@given(u16, st.text("ABC0123", min_size=5, max_size=5), st.binary(max_size=100))
def test_err_round_trips(number: int, sqlstate: str, message: bytes) -> None:
    packet = ErrPacket(number, sqlstate, message)
    assert parse_err(make_err(packet)) == packet


def test_an_error_before_the_handshake_has_no_sqlstate() -> None:
    assert parse_err(b"\xff\x10\x04Too many connections") == ErrPacket(1040, "HY000", b"Too many connections")


@given(u16, u16)
def test_eof_round_trips(status: int, warnings: int) -> None:
    packet = EofPacket(status, warnings)
    assert parse_eof(make_eof(packet)) == packet


def test_the_end_of_rows_has_two_forms() -> None:
    assert parse_eof(make_end_of_rows(2, 7, 0)) == EofPacket(2, 7)
    modern = make_end_of_rows(2, 7, Capability.DEPRECATE_EOF.value)
    assert modern[0] == EOF
    assert parse_ok(modern, 0) == OkPacket(0, 0, 2, 7)


@given(columns, st.binary(max_size=5))
def test_column_definitions_round_trip(column: ColumnDefinition, tail: bytes) -> None:
    payload = make_column_definition(column)
    assert parse_column_definition(payload + tail) == column
    assert read_column_definition(payload + tail) == (column, len(payload))
    with pytest.raises(ProtocolError):
        parse_column_definition(payload[:-1])


@given(u32, u16, u16, u16)
def test_prepare_ok_round_trips(statement_id: int, column_count: int, parameters: int, warnings: int) -> None:
    packet = PrepareOk(statement_id, column_count, parameters, warnings)
    assert parse_prepare_ok(make_prepare_ok(packet) + b"\x00") == packet


PARSERS: list[Callable[[bytes], object]] = [
    lambda payload: parse_ok(payload, 0),
    lambda payload: parse_ok(payload, TRACK),
    parse_err,
    parse_eof,
    parse_column_definition,
    parse_prepare_ok,
]


@pytest.mark.parametrize("size", [0, 1, 2, 4, 8])
def test_an_error_packet_cut_before_its_text_is_malformed(size: int) -> None:
    with pytest.raises(ProtocolError):
        parse_err(b"\xff\x28\x04#42000no"[:size])


@pytest.mark.parametrize("parser", PARSERS)
@given(st.sampled_from([b"", b"\x00", b"\xfe", b"\xff", b"\x03def"]), st.binary(max_size=60))
def test_random_bytes_raise_protocol_errors_only(
    parser: Callable[[bytes], object], first: bytes, rest: bytes
) -> None:
    with suppress(ProtocolError):
        parser(first + rest)
