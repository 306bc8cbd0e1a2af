"""Binlog events as bytes: what a server would send, for tests of what reads them."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

from dbmesh.wire.binlog import EventKind
from dbmesh.wire.constants import ColumnType
from dbmesh.wire.primitives import pack_lenenc_bytes, pack_lenenc_int


def event(
    kind: int,
    body: bytes,
    *,
    end: int = 0,
    moment: int = 1_700_000_000,
    checksum: bool = False,
    flags: int = 0,
) -> bytes:
    """A header and a body."""
    size = 19 + len(body) + 4 * checksum
    packet = struct.pack("<IBIIIH", moment, kind, 7, size, end, flags) + body
    return packet + zlib.crc32(packet).to_bytes(4, "little") if checksum else packet


def description(*, checksum: bool = False, version: int = 4) -> bytes:
    """What a file begins with."""
    lengths = bytearray(40)
    lengths[EventKind.TABLE_MAP - 1] = 8
    body = struct.pack("<H50sIB", version, b"9.0", 0, 19) + bytes(lengths)
    if checksum:
        return event(EventKind.FORMAT_DESCRIPTION, body + b"\1", checksum=True)
    return event(EventKind.FORMAT_DESCRIPTION, body + b"\0" + bytes(4))


def rotation(file: str, position: int = 4) -> bytes:
    """Where the next event is."""
    return event(EventKind.ROTATE, position.to_bytes(8, "little") + file.encode(), moment=0)


def table_map(number: int, schema: str, table: str, kinds: bytes, metadata: bytes) -> bytes:
    """TABLE_MAP's body."""
    names = b"".join(bytes((len(name),)) + name.encode() + b"\0" for name in (schema, table))
    columns = pack_lenenc_int(len(kinds)) + kinds + pack_lenenc_bytes(metadata)
    return number.to_bytes(6, "little") + b"\1\0" + names + columns + bytes((len(kinds) + 7) // 8)


def rows(
    number: int, width: int, images: Sequence[bytes], *, update: bool = False, present: int | None = None
) -> bytes:
    """The body of a rows event; an image is null bits and values."""
    size = (width + 7) // 8
    bits = ((1 << width) - 1 if present is None else present).to_bytes(size, "little")
    head = number.to_bytes(6, "little") + b"\1\0" + b"\2\0" + pack_lenenc_int(width)
    return head + bits * (1 + update) + b"".join(images)


INTEGERS = bytes((ColumnType.LONG, ColumnType.VARCHAR)), (40).to_bytes(2, "little")
"""Types and metadata of a table (INT, VARCHAR(10))."""


def integer_row(key: int, text: str = "x") -> bytes:
    """An image of such a table."""
    return b"\0" + key.to_bytes(4, "little", signed=True) + bytes((len(text.encode()),)) + text.encode()


def statement(text: str, schema: str = "shop") -> bytes:
    """QUERY's body."""
    return struct.pack("<IIBHH", 1, 0, len(schema), 0, 3) + b"abc" + schema.encode() + b"\0" + text.encode()


def prepared(gtrid: bytes, bqual: bytes = b"", form: int = 1, *, at_once: bool = False) -> bytes:
    """XA_PREPARE's body."""
    return struct.pack("<BIII", at_once, form, len(gtrid), len(bqual)) + gtrid + bqual
