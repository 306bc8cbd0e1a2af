"""The packets of the command phase, each as a frozen value with its `make_x` and `parse_x`.

Decides the layout of OK, ERR, EOF, column definitions and PREPARE's answer. All functions work on payloads: packet
headers are `framing.py`'s business. Protocol 4.1 is assumed throughout, as both roles insist on it.
Source: manual, "Generic Response Packets", "Protocol::ColumnDefinition41", "COM_STMT_PREPARE Response".
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from dbmesh.errors import ProtocolError
from dbmesh.wire.constants import Capability, Status
from dbmesh.wire.primitives import (
    pack_lenenc_bytes,
    pack_lenenc_int,
    truncated,
    unpack_fixed_int,
    unpack_lenenc_bytes,
    unpack_lenenc_int,
)

OK: Final = 0x00
EOF: Final = 0xFE
ERR: Final = 0xFF

_STATUS_AND_WARNINGS = struct.Struct("<HH")
# Plain ints: arithmetic with members of enum classes costs a microsecond, and every answer does some.
_SESSION_TRACK = Capability.SESSION_TRACK.value
_DEPRECATE_EOF = Capability.DEPRECATE_EOF.value
_STATE_CHANGED = Status.SESSION_STATE_CHANGED.value
_FIXED_COLUMN_PART = struct.Struct("<BHIBHBH")
_FIXED_COLUMN_LENGTH = 0x0C
_PREPARE_OK = struct.Struct("<BIHHBH")


@dataclass(frozen=True, slots=True)
class OkPacket:
    """A statement's success. `status` are `constants.Status` bits; `session_state` is the raw list of changes."""

    affected_rows: int = 0
    last_insert_id: int = 0
    status: int = Status.AUTOCOMMIT.value
    warnings: int = 0
    info: bytes = b""
    session_state: bytes = b""


@dataclass(frozen=True, slots=True)
class ErrPacket:
    """A failure: MySQL error number, five-character SQLSTATE, text in the connection's character set."""

    number: int
    sqlstate: str
    message: bytes


@dataclass(frozen=True, slots=True)
class EofPacket:
    """End of definitions or rows where CLIENT_DEPRECATE_EOF was not agreed on."""

    status: int = Status.AUTOCOMMIT.value
    warnings: int = 0


@dataclass(frozen=True, slots=True)
class ColumnDefinition:
    """One column of a result set."""

    catalog: bytes
    schema: bytes
    table: bytes
    org_table: bytes
    name: bytes
    org_name: bytes
    character_set: int
    length: int
    type: int
    flags: int
    decimals: int


@dataclass(frozen=True, slots=True)
class PrepareOk:
    """First packet of PREPARE's answer: how many definitions follow."""

    statement_id: int
    columns: int
    parameters: int
    warnings: int


def make_ok(packet: OkPacket, capabilities: int, *, header: int = OK) -> bytes:
    """An OK payload. With `header` EOF it ends rows under CLIENT_DEPRECATE_EOF. `capabilities` are those agreed on:
    session state is only sent under CLIENT_SESSION_TRACK."""
    payload = (
        bytes((header,))
        + pack_lenenc_int(packet.affected_rows)
        + pack_lenenc_int(packet.last_insert_id)
        + _STATUS_AND_WARNINGS.pack(_status(packet, capabilities), min(packet.warnings, 0xFFFF))
    )
    if packet.session_state and capabilities & _SESSION_TRACK:
        return payload + pack_lenenc_bytes(packet.info) + pack_lenenc_bytes(packet.session_state)
    # The manual calls the info a string up to the packet's end; servers send, and clients read, a length before it.
    return payload + pack_lenenc_bytes(packet.info) if packet.info else payload


def _status(packet: OkPacket, capabilities: int) -> int:
    """SESSION_STATE_CHANGED promises a list of changes, so the bit and the list go together."""
    if packet.session_state and capabilities & _SESSION_TRACK:
        return packet.status | _STATE_CHANGED
    return packet.status & ~_STATE_CHANGED


def parse_ok(payload: bytes, capabilities: int) -> OkPacket:
    """Read an OK payload with header 0x00 or 0xFE. Raises ProtocolError."""
    if not payload or payload[0] not in (OK, EOF):
        raise ProtocolError("not an OK packet")
    affected_rows, position = unpack_lenenc_int(payload, 1)
    last_insert_id, position = unpack_lenenc_int(payload, position)
    if len(payload) < position + 4:
        raise truncated("the status of an OK packet")
    status, warnings = _STATUS_AND_WARNINGS.unpack_from(payload, position)
    position += 4
    info = session_state = b""
    if position < len(payload):
        info, position = unpack_lenenc_bytes(payload, position)
    if capabilities & _SESSION_TRACK and status & _STATE_CHANGED and position < len(payload):
        session_state, position = unpack_lenenc_bytes(payload, position)
    return OkPacket(affected_rows, last_insert_id, status, warnings, info, session_state)


def make_err(packet: ErrPacket) -> bytes:
    """An ERR payload."""
    return (
        b"\xff"
        + packet.number.to_bytes(2, "little")
        + b"#"
        + packet.sqlstate.encode("ascii")
        + packet.message
    )


def parse_err(payload: bytes) -> ErrPacket:
    """Read an ERR payload; one without SQLSTATE (before the handshake is done) gets HY000. Raises ProtocolError."""
    if not payload or payload[0] != ERR:
        raise ProtocolError("not an ERR packet")
    number, position = unpack_fixed_int(payload, 1, 2)
    if payload[position : position + 1] != b"#":
        return ErrPacket(number, "HY000", payload[position:])
    if len(payload) < position + 6:
        raise truncated("a SQLSTATE")
    sqlstate = payload[position + 1 : position + 6].decode("ascii", "replace")
    return ErrPacket(number, sqlstate, payload[position + 6 :])


def make_eof(packet: EofPacket) -> bytes:
    """An EOF payload."""
    return b"\xfe" + _STATUS_AND_WARNINGS.pack(min(packet.warnings, 0xFFFF), packet.status)


def parse_eof(payload: bytes) -> EofPacket:
    """Read an EOF payload. Raises ProtocolError."""
    if len(payload) < 5 or len(payload) >= 9 or payload[0] != EOF:
        raise ProtocolError("not an EOF packet")
    warnings, status = _STATUS_AND_WARNINGS.unpack_from(payload, 1)
    return EofPacket(status, warnings)


def make_end_of_rows(status: int, warnings: int, capabilities: int) -> bytes:
    """What ends rows: an OK packet headed 0xFE under CLIENT_DEPRECATE_EOF, else an EOF packet."""
    if capabilities & _DEPRECATE_EOF:
        return make_ok(OkPacket(0, 0, status, warnings), capabilities, header=EOF)
    return make_eof(EofPacket(status, warnings))


def make_column_definition(column: ColumnDefinition) -> bytes:
    """A column definition payload."""
    return b"".join(
        (
            pack_lenenc_bytes(column.catalog),
            pack_lenenc_bytes(column.schema),
            pack_lenenc_bytes(column.table),
            pack_lenenc_bytes(column.org_table),
            pack_lenenc_bytes(column.name),
            pack_lenenc_bytes(column.org_name),
            _FIXED_COLUMN_PART.pack(
                _FIXED_COLUMN_LENGTH,
                column.character_set,
                column.length,
                column.type,
                column.flags,
                column.decimals,
                0,
            ),
        )
    )


def parse_column_definition(payload: bytes) -> ColumnDefinition:
    """Read a column definition; what follows its fixed part (the default of COM_FIELD_LIST) is not looked at.
    Raises ProtocolError."""
    return read_column_definition(payload)[0]


def read_column_definition(payload: bytes) -> tuple[ColumnDefinition, int]:
    """As `parse_column_definition`, with the position behind the definition."""
    names = []
    position = 0
    for _ in range(6):
        name, position = unpack_lenenc_bytes(payload, position)
        names.append(name)
    length, position = unpack_lenenc_int(payload, position)
    if length < _FIXED_COLUMN_LENGTH or len(payload) < position + length:
        raise truncated("the fixed part of a column definition")
    _, character_set, width, kind, flags, decimals, _ = _FIXED_COLUMN_PART.unpack_from(payload, position - 1)
    catalog, schema, table, org_table, name, org_name = names
    column = ColumnDefinition(
        catalog, schema, table, org_table, name, org_name, character_set, width, kind, flags, decimals
    )
    return column, position + length


def make_prepare_ok(packet: PrepareOk) -> bytes:
    """The first payload of PREPARE's answer."""
    return _PREPARE_OK.pack(
        OK, packet.statement_id, packet.columns, packet.parameters, 0, min(packet.warnings, 0xFFFF)
    )


def parse_prepare_ok(payload: bytes) -> PrepareOk:
    """Read the first payload of PREPARE's answer. Raises ProtocolError."""
    if len(payload) < _PREPARE_OK.size or payload[0] != OK:
        raise ProtocolError("not the answer of COM_STMT_PREPARE")
    _, statement_id, columns, parameters, _, warnings = _PREPARE_OK.unpack_from(payload)
    return PrepareOk(statement_id, columns, parameters, warnings)
