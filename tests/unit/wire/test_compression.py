"""The compressed protocol: what one side wraps the other receives, however it is cut."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbmesh.errors import ProtocolError
from dbmesh.wire.compression import CompressedStream


@given(
    st.lists(st.binary(max_size=200) | st.binary(min_size=1, max_size=3).map(lambda b: b * 500)), st.data()
)
def test_what_is_wrapped_is_received(messages: list[bytes], data: st.DataObject) -> None:
    client, server = CompressedStream(), CompressedStream()
    sent = b"".join(client.wrap(message) for message in messages)
    received = []
    while sent:
        size = data.draw(st.integers(1, len(sent)))
        received.append(server.receive(sent[:size]))
        sent = sent[size:]
    assert b"".join(received) == b"".join(messages)


def test_short_messages_are_sent_as_they_are_and_ids_go_on() -> None:
    server = CompressedStream()
    assert server.receive(b"\x05\0\0\x00\0\0\0\x01\0\0\0\x0e") == b"\x01\0\0\0\x0e"
    assert server.wrap(b"ok") == b"\x02\0\0\x01\0\0\0ok"
    long = server.wrap(b"a" * 1000)
    assert (long[3], int.from_bytes(long[4:7], "little")) == (2, 1000)
    assert zlib.decompress(long[7:]) == b"a" * 1000


def test_more_than_one_packet_holds_is_cut() -> None:
    client, server = CompressedStream(), CompressedStream()
    message = b"\0" * 0x1000005
    sent = client.wrap(message)
    assert len(sent) < 100_000
    assert server.receive(sent) == message


@pytest.mark.parametrize(
    "content",
    [b"no zlib at all", zlib.compress(b"a" * 99), zlib.compress(b"a" * 101), zlib.compress(b"a" * 100)[:-1]],
)
def test_broken_packets_are_errors(content: bytes) -> None:
    head = len(content).to_bytes(3, "little") + b"\0" + (100).to_bytes(3, "little")
    with pytest.raises(ProtocolError):
        CompressedStream().receive(head + content)
