"""COM_STMT_BULK_EXECUTE: one statement executed with many rows of values (MariaDB's extension of the protocol).

Decides its layout: rows follow each other until the packet ends, and each value begins with an indicator. Refuses to know what
becomes of a value that is left out. Source: MariaDB knowledge base, "COM_STMT_BULK_EXECUTE".
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from dbmesh.errors import ProtocolError
from dbmesh.model import SqlValue
from dbmesh.wire.binary import decode_value, encode_value
from dbmesh.wire.constants import Command
from dbmesh.wire.primitives import truncated

_HEAD = struct.Struct("<BIH")
_kinds = struct.Struct("<H").iter_unpack
_SENDS_TYPES = 128
_VALUE, _NULL = 0, 1


class LeftOut(IntEnum):
    """What stands in place of a value: the column's default, or the column as it is."""

    DEFAULT = 2
    IGNORE = 3


BulkValue = SqlValue | LeftOut


@dataclass(frozen=True, slots=True)
class BulkExecute:
    """A statement's id, its parameters' types (two bytes each, as in `Execute`), and a value per parameter and row."""

    statement_id: int
    types: bytes
    rows: tuple[tuple[BulkValue, ...], ...]


def parse_bulk_execute(
    payload: bytes, parameter_count: int, known_types: bytes, encoding: str
) -> BulkExecute:
    """Read COM_STMT_BULK_EXECUTE, the command byte included. `known_types` are those of the last execution, used when this
    payload sends none. Raises ProtocolError, and MeshError for refused values."""
    if len(payload) < _HEAD.size:
        raise truncated("COM_STMT_BULK_EXECUTE")
    _, statement_id, flags = _HEAD.unpack_from(payload)
    position = _HEAD.size
    types = known_types
    if flags & _SENDS_TYPES:
        end = position + 2 * parameter_count
        types, position = payload[position:end], end
    if not parameter_count or len(types) != 2 * parameter_count:
        raise ProtocolError("bulk execution without types of its parameters")
    kinds = [kind for (kind,) in _kinds(types)]
    rows = []
    while position < len(payload):
        row: list[BulkValue] = []
        for kind in kinds:
            value, position = _parse_value(payload, position, kind, encoding)
            row.append(value)
        rows.append(tuple(row))
    return BulkExecute(statement_id, types, tuple(rows))


def _parse_value(payload: bytes, position: int, kind: int, encoding: str) -> tuple[BulkValue, int]:
    if position >= len(payload):
        raise truncated("a row of COM_STMT_BULK_EXECUTE")
    indicator = payload[position]
    position += 1
    if indicator == _VALUE:
        return decode_value(payload, position, kind, encoding)
    if indicator == _NULL:
        return None, position
    try:
        return LeftOut(indicator), position
    except ValueError:
        raise ProtocolError(f"{indicator} is no indicator of a value") from None


def make_bulk_execute(
    statement_id: int, rows: Sequence[Sequence[BulkValue]], *, encoding: str = "utf-8"
) -> bytes:
    """COM_STMT_BULK_EXECUTE; each parameter has the type of its first value, or that of NULL."""
    pieces = []
    types: dict[int, int] = {}
    for row in rows:
        for place, value in enumerate(row):
            if isinstance(value, LeftOut):
                pieces.append(bytes((value,)))
            elif value is None:
                pieces.append(bytes((_NULL,)))
            else:
                kind, encoded = encode_value(value, encoding)
                types.setdefault(place, kind)
                pieces.append(bytes((_VALUE,)) + encoded)
    width = len(rows[0]) if rows else 0
    null_kind, _ = encode_value(None, encoding)
    sent = b"".join(types.get(place, null_kind).to_bytes(2, "little") for place in range(width))
    head = _HEAD.pack(Command.STMT_BULK_EXECUTE, statement_id, _SENDS_TYPES)
    return b"".join((head, sent, *pieces))
