"""Headers, checksums and small events of a binlog."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbmesh.errors import MeshError, ProtocolError
from dbmesh.wire.binlog import (
    Event,
    EventKind,
    EventReader,
    Rotation,
    Statement,
    dump_binlog,
    is_of_xa,
    parse_beat,
    parse_prepared,
    parse_rotation,
    parse_statement,
    register_replica,
    uncompressed,
)
from tests.plugins.binlog import description, event, prepared, rotation, statement


def _compressed(data: bytes) -> bytes:
    return b"\x82" + len(data).to_bytes(2, "big") + zlib.compress(data)


def test_checksums_are_taken_off_and_looked_at() -> None:
    reader = EventReader()
    assert parse_rotation(reader.read(rotation("bin.01")).body) == Rotation("bin.01", 4)
    reader.read(description(checksum=True))
    packet = event(EventKind.XID, b"12345678", end=99, checksum=True)
    assert reader.read(packet) == Event(EventKind.XID, 1_700_000_000, 99, b"12345678")
    broken = bytearray(packet)
    broken[20] ^= 1
    with pytest.raises(ProtocolError, match="checksum"):
        reader.read(bytes(broken))
    reader.read(description())
    assert reader.read(event(EventKind.XID, b"12345678")).body == b"12345678"


def test_a_rotation_may_have_a_checksum_before_anything_tells() -> None:
    body = (4).to_bytes(8, "little") + b"bin.02"
    found = EventReader().read(event(EventKind.ROTATE, body, checksum=True))
    assert parse_rotation(found.body) == Rotation("bin.02", 4)


def test_what_is_not_known_is_not_passed_over() -> None:
    reader = EventReader()
    with pytest.raises(ProtocolError, match="before the binlog's description"):
        reader.read(event(EventKind.XID, b"12345678"))
    reader.read(description())
    with pytest.raises(ProtocolError, match="unknown type 99"):
        reader.read(event(99, b""))
    assert reader.read(event(99, b"", flags=0x80)).kind is EventKind.IGNORABLE
    with pytest.raises(ProtocolError, match="in a packet of"):
        reader.read(event(EventKind.XID, b"12345678") + b"x")
    with pytest.raises(MeshError, match="version 3"):
        reader.read(description(version=3))


def test_statements() -> None:
    found = Event(EventKind.QUERY, 0, 0, statement("DELETE FROM t"))
    assert parse_statement(found) == Statement("shop", "DELETE FROM t")
    body = statement("")
    found = Event(EventKind.QUERY_COMPRESSED, 0, 0, body + _compressed(b"DELETE FROM longer"))
    assert parse_statement(found) == Statement("shop", "DELETE FROM longer")
    load = body[:13] + bytes(13) + body[13:] + b"LOAD DATA"
    assert parse_statement(Event(EventKind.EXECUTE_LOAD_QUERY, 0, 0, load)).text == "LOAD DATA"


def test_transactions_that_are_prepared() -> None:
    assert parse_prepared(prepared(b"ab", b"c", 9)) == ("x'6162',x'63',9", False)
    assert parse_prepared(prepared(b"ab", at_once=True)) == ("x'6162',x'',1", True)
    body = bytes(12)
    assert is_of_xa(Event(EventKind.MARIADB_GTID, 0, 0, body + b"\x44"))
    assert not is_of_xa(Event(EventKind.MARIADB_GTID, 0, 0, body + b"\x04"))
    assert not is_of_xa(Event(EventKind.GTID, 0, 0, body + b"\x44"))


def test_heartbeats() -> None:
    assert parse_beat(Event(EventKind.HEARTBEAT, 0, 700, b"bin.03")) == Rotation("bin.03", 700)
    assert parse_beat(Event(EventKind.HEARTBEAT_V2, 0, 0, b"\1\2\3")) is None


@given(st.binary(min_size=1, max_size=2000))
def test_compressed_bytes_come_back(data: bytes) -> None:
    assert uncompressed(_compressed(data)) == data


@given(st.binary(max_size=60))
def test_bytes_that_are_not_compressed_are_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        uncompressed(data)


def test_what_grows_beyond_its_length_is_refused() -> None:
    data = b"\x82\x00\x10" + zlib.compress(bytes(1_000_000))
    with pytest.raises(ProtocolError, match="not as long"):
        uncompressed(data)


def test_commands() -> None:
    assert register_replica(5) == b"\x15\x05\0\0\0" + bytes(13)
    assert dump_binlog(5, "bin.01", 4) == b"\x12\x04\0\0\0\0\0\x05\0\0\0bin.01"
