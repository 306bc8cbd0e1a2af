"""The rows of an answer, walked without being decoded. The hottest part of the hot path.

Decides where rows begin and end in the bytes that are here, whole or torn. What stands before and behind them is
`response`'s business.
"""

from __future__ import annotations

import struct
from typing import Final

from dbmesh.wire.constants import MAX_PAYLOAD
from dbmesh.wire.progress import NEED_DATA, Progress

_WORTH_A_LOOK: Final = 4096
"""Bytes of rows from which on looking for a run of equal lengths pays."""
_ROWS_BETWEEN_LOOKS: Final = 64
_LONGEST_RUN: Final = 1024


word_and_first = struct.Struct("<IB").unpack_from
"""A packet's header as a number, whose lower three bytes are its length, and the first byte of the packet."""


def equal_run(chunk: bytes, position: int, end: int) -> tuple[int, int]:
    """How many whole rows of one length follow each other at `position`, and their distance; none when the first
    packet is no row.

    Rows of fixed-width columns have long runs. If the packet at `position` and those one, two … distances behind it
    all announce the same length, then each of them begins where the one before ends: comparing every distance-th
    byte is the same walk, done by slices. A run ends before a packet that could be a terminal.
    """
    head = chunk[position : position + 3]
    length = int.from_bytes(head, "little")
    distance = length + 4
    count = min((end - position) // distance, _LONGEST_RUN)
    neighbour = position + distance
    if count < 2 or not length or length == MAX_PAYLOAD or chunk[neighbour : neighbour + 3] != head:
        return 0, distance
    for offset in range(3):
        column = chunk[position + offset : position + count * distance : distance]
        count = len(column) - len(column.lstrip(head[offset : offset + 1]))
    firsts = chunk[position + 4 : position + count * distance : distance]
    for terminal in (b"\xfe", b"\xff"):
        found = firsts.find(terminal, 0, count)
        if found >= 0:
            count = found
    return count, distance


class RowWalk:
    """The part of a `ResponseReader` that walks rows; the attributes are the reader's."""

    __slots__ = (
        "_continuations",
        "_continued",
        "_held",
        "_need",
        "_pieces",
        "_skip",
        "_torn",
        "packets",
        "row_count",
        "rows",
    )

    _continuations: int
    _continued: bool
    _held: int
    _need: int
    _pieces: list[bytes]
    _skip: int
    _torn: list[bytes]
    packets: list[bytes]
    row_count: int
    rows: bytes

    def _end_rows(self, chunk: bytes, position: int, length: int, first: int) -> Progress:
        """The packet at `position` is no row."""
        raise AssertionError("the reader knows what ends rows")

    def _hold(self, chunk: bytes, position: int, need: int) -> Progress:
        """Keep what follows `position` until it is `need` bytes long; the state then sees it from its start."""
        rest = chunk[position:]
        self._pieces = [rest]
        self._held = len(rest)
        self._need = need
        return NEED_DATA

    def _relay_rows(self, chunk: bytes, position: int) -> Progress:
        """Pass rows over, whole or not; what is not whole is known by its missing byte count alone."""
        start = position
        end = len(chunk)
        count = 0
        unpack = word_and_first
        while True:
            if self._skip or self._continued:
                position = self._pass_torn_row(chunk, position, end)
                if self._skip or self._continued:
                    break
            last = end - 5 if end - position <= MAX_PAYLOAD else position + MAX_PAYLOAD - 1
            if last - position > _WORTH_A_LOOK:
                run, distance = equal_run(chunk, position, end)
                count += run
                position += run * distance
                last = min(last, position + _ROWS_BETWEEN_LOOKS * distance)
            length = 0
            while position <= last:
                word, first = unpack(chunk, position)
                length = word & 0xFFFFFF
                if first >= 0xFE and (first == 0xFF or length < 0xFFFFFF):
                    self.row_count += count
                    self.rows = chunk[start:position]
                    return self._end_rows(chunk, position, length, first)
                position += 4 + length
                count += 1
            self._continued = length == MAX_PAYLOAD
            if position > end:
                self._skip = position - end
                position = end
                break
            if not self._continued and position > end - 5:
                break
        self.row_count += count
        self.rows = chunk[start:position]
        if position < end:
            self._hold(chunk, position, 4 if self._continued else 5)
        return NEED_DATA

    def _pass_torn_row(self, chunk: bytes, position: int, end: int) -> int:
        """Pass what is left of the packet in progress and of the packets that continue its row."""
        while True:
            step = min(self._skip, end - position)
            position += step
            self._skip -= step
            if self._skip or not self._continued or end - position < 4:
                return position
            length = int.from_bytes(chunk[position : position + 3], "little")
            self._continued = length == MAX_PAYLOAD
            self._skip = length
            self._continuations += 1
            position += 4

    def _split_rows(self, chunk: bytes, position: int) -> Progress:
        """Cut rows into payloads; what is not whole is held."""
        end = len(chunk)
        packets = self.packets
        append = packets.append
        unpack = word_and_first
        while True:
            if self._continued:
                position = self._join_torn_row(chunk, position, end)
                if self._continued:
                    break
            limit = min(end, position + MAX_PAYLOAD)
            last = limit - 5
            if last - position > _WORTH_A_LOOK:
                run, distance = equal_run(chunk, position, end)
                stop = position + run * distance
                packets += [chunk[at + 4 : at + distance] for at in range(position, stop, distance)]
                position = stop
                last = min(last, position + _ROWS_BETWEEN_LOOKS * distance)
            word = first = stop = 0
            while position <= last:
                word, first = unpack(chunk, position)
                stop = position + 4 + (word & 0xFFFFFF)
                if first >= 0xFE or stop > limit:
                    break
                append(chunk[position + 4 : stop])
                position = stop
            else:
                if end - position >= 5:
                    continue
                self._hold(chunk, position, 5)
                break
            length = word & MAX_PAYLOAD
            if first == 0xFF or (first == 0xFE and length < MAX_PAYLOAD):
                self.row_count += len(packets)
                return self._end_rows(chunk, position, length, first)
            if length == MAX_PAYLOAD:
                self._continued = True
            elif stop > end:
                self._hold(chunk, position, 4 + length)
                break
            else:
                append(chunk[position + 4 : stop])
                position = stop
        self.row_count += len(packets)
        return NEED_DATA

    def _join_torn_row(self, chunk: bytes, position: int, end: int) -> int:
        """Collect the packets of a row of 16 MB or more; `_continued` stays set while one is missing."""
        while True:
            if end - position < 4:
                self._hold(chunk, position, 4)
                return position
            length = int.from_bytes(chunk[position : position + 3], "little")
            stop = position + 4 + length
            if stop > end:
                self._hold(chunk, position, 4 + length)
                return position
            self._torn.append(chunk[position + 4 : stop])
            position = stop
            if length < MAX_PAYLOAD:
                self.packets.append(b"".join(self._torn))
                self._torn = []
                self._continued = False
                return position
