"""Answers of a MySQL server as the bytes it sends, and a transport that keeps what is written to it.

For tests of what reads the wire: the connection to a data source, the relay. Knows nothing of how they are used.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from dbmesh.wire.constants import Capability
from dbmesh.wire.framing import frame
from dbmesh.wire.packets import (
    ColumnDefinition,
    EofPacket,
    ErrPacket,
    OkPacket,
    make_column_definition,
    make_end_of_rows,
    make_eof,
    make_err,
    make_ok,
)
from dbmesh.wire.values import encode_text_row

MODERN = int(Capability.DEPRECATE_EOF | Capability.PROTOCOL_41)
OLD = int(Capability.PROTOCOL_41)


def ok(affected: int = 0, status: int = 2, warnings: int = 0, insert_id: int = 0) -> bytes:
    """An answer without rows."""
    return frame(make_ok(OkPacket(affected, insert_id, status, warnings), MODERN), 1)


def failure(number: int = 1064, text: str = "no", sequence: int = 1) -> bytes:
    """An answer that is an error."""
    return frame(make_err(ErrPacket(number, "42000", text.encode())), sequence)


def header(columns: Sequence[ColumnDefinition], capabilities: int = MODERN) -> bytes:
    """Column count, definitions and the EOF of old clients, from id 1 on."""
    payloads = [bytes([len(columns)]), *(make_column_definition(column) for column in columns)]
    if not capabilities & Capability.DEPRECATE_EOF:
        payloads.append(make_eof(EofPacket(2, 0)))
    return b"".join(frame(payload, number) for number, payload in enumerate(payloads, 1))


def result_set(
    columns: Sequence[ColumnDefinition],
    rows: Sequence[Sequence[bytes | None]],
    *,
    capabilities: int = MODERN,
    status: int = 2,
    warnings: int = 0,
) -> bytes:
    """A whole result set."""
    data = header(columns, capabilities)
    sequence = len(columns) + 2 + (not capabilities & Capability.DEPRECATE_EOF)
    for row in rows:
        data += frame(encode_text_row(row), sequence)
        sequence = (sequence + 1) & 0xFF
    return data + frame(make_end_of_rows(status, warnings, capabilities), sequence)


class MemoryTransport(asyncio.Transport):
    """Keeps what is written; the far end is the test."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.reading = True
        self.closed = False
        self.protocol: asyncio.BaseProtocol | None = None

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.closed, "written to a closed transport"
        self.written += bytes(data)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True
