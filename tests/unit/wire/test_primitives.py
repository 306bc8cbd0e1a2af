"""Length-encoded values: every size class round-trips, and nothing is read past the end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbmesh.errors import ProtocolError
from dbmesh.wire.primitives import (
    pack_lenenc_bytes,
    pack_lenenc_int,
    unpack_fixed_bytes,
    unpack_fixed_int,
    unpack_lenenc_bytes,
    unpack_lenenc_int,
    unpack_terminated,
)

EDGES = [0, 1, 0xFA, 0xFB, 0xFC, 0xFFFF, 0x10000, 0xFFFFFF, 0x1000000, 2**64 - 1]


@pytest.mark.parametrize("value", EDGES)
def test_an_integer_round_trips_and_leaves_what_follows(value: int) -> None:
    packed = pack_lenenc_int(value)
    assert unpack_lenenc_int(b"x" + packed + b"tail", 1) == (value, 1 + len(packed))
    for end in range(len(packed)):
        with pytest.raises(ProtocolError):
            unpack_lenenc_int(packed[:end], 0)


def test_integers_take_the_shortest_form() -> None:
    assert [len(pack_lenenc_int(value)) for value in EDGES] == [1, 1, 1, 3, 3, 3, 4, 4, 9, 9]


@pytest.mark.parametrize("first", [0xFB, 0xFF])
def test_null_and_error_markers_are_no_integers(first: int) -> None:
    with pytest.raises(ProtocolError):
        unpack_lenenc_int(bytes((first,)) * 10, 0)


@given(st.binary(max_size=600), st.binary(max_size=4))
def test_bytes_round_trip(value: bytes, tail: bytes) -> None:
    packed = pack_lenenc_bytes(value)
    assert unpack_lenenc_bytes(packed + tail, 0) == (value, len(packed))
    with pytest.raises(ProtocolError):
        unpack_lenenc_bytes(packed[:-1], 0)


def test_fixed_and_terminated_values() -> None:
    assert unpack_fixed_int(b"\x01\x02\x03", 1, 2) == (0x0302, 3)
    assert unpack_fixed_bytes(b"abc", 1, 2) == (b"bc", 3)
    assert unpack_terminated(b"ab\0c", 0) == (b"ab", 3)
    for read in (
        lambda: unpack_fixed_int(b"a", 0, 2),
        lambda: unpack_fixed_bytes(b"a", 0, 2),
        lambda: unpack_terminated(b"ab", 0),
    ):
        with pytest.raises(ProtocolError):
            read()
