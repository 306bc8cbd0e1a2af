from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dbmesh.wire.constants import MAX_PAYLOAD
from dbmesh.wire.frames import frame_rows
from dbmesh.wire.framing import frame


def reference(rows: list[bytes], sequence: int) -> tuple[bytes, int]:
    """Row by row, as the wire frames one payload."""
    packets = b""
    for item in rows:
        packets += frame(item, sequence)
        sequence += len(item) // MAX_PAYLOAD + 1
    return packets, sequence % 256


@given(st.lists(st.binary(max_size=8), max_size=600), st.integers(0, 255))
def test_rows_are_framed_with_consecutive_sequence_ids(rows: list[bytes], sequence: int) -> None:
    assert frame_rows(rows, sequence) == reference(rows, sequence)


def test_rows_of_sixteen_megabytes_take_two_packets() -> None:
    rows = [b"a", b"b" * MAX_PAYLOAD, b"c" * (MAX_PAYLOAD - 1), b"d"]
    framed, sequence = frame_rows(rows, 254)
    assert (framed, sequence) == reference(rows, 254)
    assert sequence == 3
