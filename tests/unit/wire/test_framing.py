"""Frames: whole, byte by byte, many in one chunk, over 16 MB, too long, out of order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbmesh.errors import PACKET_TOO_LARGE, MeshError, ProtocolError
from dbmesh.wire.constants import MAX_PAYLOAD
from dbmesh.wire.framing import PacketReader, frame, packet_count


def read_all(reader: PacketReader) -> list[tuple[int, bytes]]:
    packets = []
    while (packet := reader.next_packet()) is not None:
        packets.append(packet)
    return packets


@given(st.lists(st.binary(max_size=40), max_size=8), st.integers(1, 50))
def test_payloads_survive_any_cut(payloads: list[bytes], size: int) -> None:
    stream = b"".join(frame(payload, sequence) for sequence, payload in enumerate(payloads))
    reader = PacketReader(1 << 24)
    packets = []
    for start in range(0, len(stream), size):
        reader.feed(stream[start : start + size])
        packets += read_all(reader)
    assert packets == list(enumerate(payloads))
    assert reader.buffered == 0


@pytest.mark.parametrize("length", [MAX_PAYLOAD - 1, MAX_PAYLOAD, MAX_PAYLOAD + 1, 2 * MAX_PAYLOAD])
def test_long_payloads_are_split_and_joined(length: int) -> None:
    payload = b"a" * length
    stream = frame(payload, 254)
    assert len(stream) == length + 4 * packet_count(length)
    reader = PacketReader(1 << 26)
    reader.expect_sequence(254)
    for start in range(0, len(stream), 1 << 20):
        reader.feed(stream[start : start + (1 << 20)])
    reader.feed(frame(b"tail", 0))
    last = (254 + packet_count(length) - 1) % 256
    assert reader.next_packet() == (last, payload)


def test_a_multiple_of_the_limit_ends_with_an_empty_packet() -> None:
    assert frame(b"a" * MAX_PAYLOAD, 0)[-4:] == b"\0\0\0\x01"


@pytest.mark.parametrize("length", [101, MAX_PAYLOAD])
def test_too_long_is_told_from_the_header(length: int) -> None:
    reader = PacketReader(100)
    reader.feed(frame(b"a" * 100, 0))
    assert reader.next_packet() == (0, b"a" * 100)
    reader.feed(length.to_bytes(3, "little") + b"\0")
    with pytest.raises(MeshError) as caught:
        reader.next_packet()
    assert caught.value.kind is PACKET_TOO_LARGE


def test_joined_packets_are_bounded_together() -> None:
    reader = PacketReader(MAX_PAYLOAD + 10)
    reader.feed(frame(b"a" * (MAX_PAYLOAD + 11), 0))
    with pytest.raises(MeshError):
        reader.next_packet()


def test_sequence_ids_are_checked_where_asked() -> None:
    reader = PacketReader(100)
    reader.feed(frame(b"a", 7) + frame(b"b", 8) + frame(b"c", 10))
    assert reader.next_packet() == (7, b"a")
    reader.expect_sequence(8)
    assert reader.next_packet() == (8, b"b")
    with pytest.raises(ProtocolError):
        reader.next_packet()


def test_the_rest_can_be_taken_for_another_reader() -> None:
    reader = PacketReader(100)
    reader.feed(frame(b"a", 0) + b"\x16\x03\x01")
    assert reader.next_packet() == (0, b"a")
    assert reader.take_rest() == b"\x16\x03\x01"
    assert reader.buffered == 0
    reader.feed(frame(b"b", 1))
    assert reader.next_packet() == (1, b"b")
