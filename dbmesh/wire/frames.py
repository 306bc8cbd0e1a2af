"""Row payloads to framed packets, many at a time.

Decides nothing: header, payload, header, payload. It is apart from the wire's own framing because rows come in
thousands, and because a list of them is joined once.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle, islice
from operator import or_
from struct import Struct
from typing import Final

from dbmesh.wire.constants import MAX_PAYLOAD
from dbmesh.wire.framing import frame, packet_count

_pack_header: Final = Struct("<I").pack
_SEQUENCES: Final = tuple(sequence << 24 for sequence in range(256))


def frame_rows(rows: Sequence[bytes], sequence: int) -> tuple[bytes, int]:
    """The packets of `rows` with consecutive sequence ids (modulo 256) from `sequence` on, and the id that follows.
    Payloads of 16 MB - 1 and more take several packets each."""
    count = len(rows)
    if not count:
        return b"", sequence & 0xFF
    sizes = list(map(len, rows))
    if max(sizes) >= MAX_PAYLOAD:
        return _frame_large(rows, sequence)
    start = sequence & 0xFF
    sequences = islice(cycle(_SEQUENCES), start, start + count)
    packets: list[bytes] = [b""] * (2 * count)
    packets[0::2] = map(_pack_header, map(or_, sizes, sequences))
    packets[1::2] = rows
    return b"".join(packets), (start + count) & 0xFF


def _frame_large(rows: Sequence[bytes], sequence: int) -> tuple[bytes, int]:
    packets = []
    for row in rows:
        packets.append(frame(row, sequence))
        sequence = (sequence + packet_count(len(row))) & 0xFF
    return b"".join(packets), sequence
