"""The protocol's integers and strings: how lengths are written, and reading that never runs over the end.

Decides the bytes of one value, not what it means. Every unpacking function returns (value, next position) and raises
ProtocolError when the buffer ends too soon. Source: manual, "Protocol Basics / Basic Data Types".
"""

from __future__ import annotations

from dbmesh.errors import ProtocolError


def pack_lenenc_int(value: int) -> bytes:
    """A length-encoded integer, in the shortest of its four forms."""
    if value < 0xFB:
        return bytes((value,))
    if value <= 0xFFFF:
        return b"\xfc" + value.to_bytes(2, "little")
    if value <= 0xFFFFFF:
        return b"\xfd" + value.to_bytes(3, "little")
    return b"\xfe" + value.to_bytes(8, "little")


def pack_lenenc_bytes(value: bytes) -> bytes:
    """A length-encoded string."""
    length = len(value)
    if length < 0xFB:
        return bytes((length,)) + value
    return pack_lenenc_int(length) + value


def truncated(what: str) -> ProtocolError:
    """The error of every packet that ends too soon."""
    return ProtocolError(f"packet ends inside {what}")


def unpack_fixed_int(buffer: bytes, position: int, size: int) -> tuple[int, int]:
    """A little-endian unsigned integer of `size` bytes."""
    end = position + size
    if end > len(buffer):
        raise truncated(f"an integer of {size} bytes")
    return int.from_bytes(buffer[position:end], "little"), end


def unpack_fixed_bytes(buffer: bytes, position: int, size: int) -> tuple[bytes, int]:
    """Exactly `size` bytes."""
    end = position + size
    if end > len(buffer):
        raise truncated(f"a string of {size} bytes")
    return buffer[position:end], end


def unpack_lenenc_int(buffer: bytes, position: int) -> tuple[int, int]:
    """A length-encoded integer. 0xFB (NULL) and 0xFF (error) are no integers."""
    if position >= len(buffer):
        raise truncated("a length-encoded integer")
    first = buffer[position]
    if first < 0xFB:
        return first, position + 1
    if first == 0xFC:
        return unpack_fixed_int(buffer, position + 1, 2)
    if first == 0xFD:
        return unpack_fixed_int(buffer, position + 1, 3)
    if first == 0xFE:
        return unpack_fixed_int(buffer, position + 1, 8)
    raise ProtocolError(f"0x{first:02x} begins no length-encoded integer")


def unpack_lenenc_bytes(buffer: bytes, position: int) -> tuple[bytes, int]:
    """A length-encoded string."""
    length, position = unpack_lenenc_int(buffer, position)
    end = position + length
    if end > len(buffer):
        raise truncated(f"a string of {length} bytes")
    return buffer[position:end], end


def unpack_terminated(buffer: bytes, position: int) -> tuple[bytes, int]:
    """A string that ends with a zero byte; the position after that byte."""
    end = buffer.find(0, position)
    if end < 0:
        raise truncated("a zero-terminated string")
    return buffer[position:end], end + 1
