"""Packets out of a byte stream and back: 3-byte length, 1-byte sequence id, payload.

Decides where packets begin and end, and joins what the 16 MB limit of one packet tore apart. Refuses to know what a
payload means. Answers of data sources are walked by `response.py` instead, without cutting them into packets.
"""

from __future__ import annotations

import struct

from dbmesh.errors import PACKET_TOO_LARGE, MeshError, ProtocolError
from dbmesh.wire.constants import MAX_PAYLOAD

HEADER = 4
"""Bytes before each payload."""
_header = struct.Struct("<I").pack


def frame(payload: bytes, sequence: int) -> bytes:
    """`payload` as packets starting with sequence id `sequence` (modulo 256). One of exactly a multiple of 16 MB - 1
    ends with an empty packet, as the protocol asks."""
    length = len(payload)
    if length < MAX_PAYLOAD:
        return _header(length | (sequence & 0xFF) << 24) + payload
    pieces = []
    for start in range(0, length + 1, MAX_PAYLOAD):
        piece = payload[start : start + MAX_PAYLOAD]
        pieces.append(_header(len(piece) | (sequence & 0xFF) << 24))
        pieces.append(piece)
        sequence += 1
    return b"".join(pieces)


def packet_count(length: int) -> int:
    """How many packets a payload of that length takes."""
    return length // MAX_PAYLOAD + 1


class PacketReader:
    """Cuts what a peer sends into payloads.

    `max_allowed_packet` bounds one joined payload in bytes; a longer one raises PACKET_TOO_LARGE as soon as its
    length is announced, after which the stream must be closed. Work is O(bytes): arriving chunks are kept in a list
    and joined once when a packet is whole. The usual case, one chunk that is one packet, is a single slice.

    With `expect_sequence(n)` the next payload must begin with id n, and continue without gaps, else ProtocolError.
    """

    __slots__ = (
        "_chunks",
        "_expected",
        "_held",
        "_joined",
        "_joined_size",
        "_limit",
        "_need",
        "_start",
        "buffered",
        "refused_sequence",
    )

    def __init__(self, max_allowed_packet: int) -> None:
        self._limit = max_allowed_packet
        self._chunks: list[bytes] = []
        self._start = 0
        self._held = 0
        self._need = HEADER
        self._joined: list[bytes] = []
        self._joined_size = 0
        self._expected: int | None = None
        # Bytes fed and not yet returned. An attribute: it is asked for at every command.
        self.buffered = 0
        # Id of the packet that was too large: the error packet takes the next.
        self.refused_sequence = 0

    def expect_sequence(self, sequence: int) -> None:
        """The sequence id the next payload has to begin with."""
        self._expected = sequence & 0xFF

    def feed(self, data: bytes) -> None:
        """Bytes as they arrived."""
        if data:
            self._chunks.append(data)
            self._held += len(data)
            self.buffered += len(data)

    def take_rest(self) -> bytes:
        """All bytes not yet returned, which are forgotten here (they belong to TLS, or to another reader)."""
        rest = b"".join(self._chunks)[self._start :]
        self._chunks = []
        self._start = 0
        self._held = 0
        self._need = HEADER
        self.buffered = self._joined_size
        return rest

    def next_packet(self) -> tuple[int, bytes] | None:
        """The next whole payload with the sequence id of its last packet, or None until more bytes are fed.

        Raises MeshError(PACKET_TOO_LARGE) and ProtocolError (sequence ids)."""
        while self._held >= self._need:
            data = self._whole()
            start = self._start
            length = data[start] | data[start + 1] << 8 | data[start + 2] << 16
            if self._joined_size + length > self._limit:
                self.refused_sequence = data[start + 3]
                raise MeshError(PACKET_TOO_LARGE)
            if self._held < HEADER + length:
                self._need = HEADER + length
                return None
            sequence = data[start + 3]
            if self._expected is not None:
                self._check(sequence)
            end = start + HEADER + length
            payload = data[start + HEADER : end]
            self._drop(end)
            if length < MAX_PAYLOAD and not self._joined:
                self.buffered = self._held
                return sequence, payload
            self._joined.append(payload)
            self._joined_size += length
            if length < MAX_PAYLOAD:
                whole = b"".join(self._joined)
                self._joined = []
                self._joined_size = 0
                self.buffered = self._held
                return sequence, whole
        return None

    def _whole(self) -> bytes:
        """Everything held as one string, of which the first `_start` bytes are spent."""
        chunks = self._chunks
        if len(chunks) > 1:
            chunks[0] = chunks[0][self._start :]
            self._start = 0
            self._chunks = chunks = [b"".join(chunks)]
        return chunks[0]

    def _drop(self, end: int) -> None:
        """Forget the only chunk up to `end`; many packets in one chunk cost no copy of what follows them."""
        self._held -= end - self._start
        self._need = HEADER
        self._start = end
        if not self._held:
            self._chunks = []
            self._start = 0

    def _check(self, sequence: int) -> None:
        """Ids count up by one within a payload; after its last packet the caller states the next expectation."""
        if sequence != self._expected:
            raise ProtocolError(f"got packet number {sequence} where {self._expected} was due")
        self._expected = (sequence + 1) & 0xFF
