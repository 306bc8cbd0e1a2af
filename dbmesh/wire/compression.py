"""The compressed protocol: packets of packets, once the client has logged in.

Decides what is compressed, and cuts what arrives into plain bytes. Refuses to know what the bytes mean: packets and their own
sequence ids are inside. Source: manual, "Compression", "Compressed Packet".
"""

from __future__ import annotations

import zlib

from dbmesh.errors import ProtocolError
from dbmesh.wire.constants import MAX_PAYLOAD

_HEADER = 7
_SHORTEST = 50
"""Fewer bytes than this are sent as they are: as servers do, since nothing is won."""
_LEVEL = 1
"""zlib's fastest: the event loop waits for it."""


class CompressedStream:
    """Both directions of one client's connection."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._sequence = 0

    def receive(self, data: bytes) -> bytes:
        """The plain bytes of all packets that are whole; what is left waits. Raises ProtocolError."""
        held = self._held
        held += data
        plain = []
        position = 0
        while len(held) - position >= _HEADER:
            length = int.from_bytes(held[position : position + 3], "little")
            end = position + _HEADER + length
            if len(held) < end:
                break
            size = int.from_bytes(held[position + 4 : position + _HEADER], "little")
            plain.append(_inflated(bytes(held[position + _HEADER : end]), size))
            self._sequence = held[position + 3] + 1 & 0xFF
            position = end
        del held[:position]
        return b"".join(plain)

    def wrap(self, data: bytes) -> bytes:
        """Plain bytes as packets that follow what was received and wrapped before."""
        packets: list[bytes] = []
        for start in range(0, len(data), MAX_PAYLOAD):
            piece = data[start : start + MAX_PAYLOAD]
            size, content = 0, piece
            if len(piece) >= _SHORTEST:
                smaller = zlib.compress(piece, _LEVEL)
                if len(smaller) < len(piece):
                    size, content = len(piece), smaller
            head = len(content).to_bytes(3, "little") + bytes((self._sequence,)) + size.to_bytes(3, "little")
            packets += (head, content)
            self._sequence = self._sequence + 1 & 0xFF
        return b"".join(packets)


def _inflated(content: bytes, size: int) -> bytes:
    """What was compressed, `size` bytes of it; 0 says that nothing was."""
    if not size:
        return content
    inflater = zlib.decompressobj()
    try:
        plain = inflater.decompress(content, size)
    except zlib.error as error:
        raise ProtocolError(f"a compressed packet that is none: {error}") from None
    if len(plain) != size or not inflater.eof:
        raise ProtocolError("a compressed packet of another size than it says")
    return plain
