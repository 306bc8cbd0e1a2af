"""The payloads of commands that carry values: COM_QUERY, COM_STMT_EXECUTE and their smaller kin.

Decides their layout, with and without query attributes. Refuses to know what the SQL says or which statement an id
names. Source: manual, "COM_QUERY", "COM_STMT_EXECUTE", "Query Attributes".
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from dbmesh.errors import ProtocolError
from dbmesh.model import SqlValue
from dbmesh.wire.binary import decode_bytes, decode_value, encode_value
from dbmesh.wire.constants import Capability, Command, CursorFlag
from dbmesh.wire.primitives import (
    pack_lenenc_bytes,
    pack_lenenc_int,
    truncated,
    unpack_fixed_bytes,
    unpack_lenenc_bytes,
    unpack_lenenc_int,
)

Attribute = tuple[bytes, SqlValue]
"""A query attribute: name and value."""

_NO_LONG_DATA: Mapping[int, bytes] = MappingProxyType({})
_EXECUTE_HEAD = struct.Struct("<BIBI")
_EXECUTE_HEAD_SIZE = _EXECUTE_HEAD.size
_LONG_DATA_HEAD = struct.Struct("<BIH")
_STATEMENT_ID = struct.Struct("<xI")
_STATEMENT_ID_SIZE = _STATEMENT_ID.size
_kinds = struct.Struct("<H").iter_unpack
_FETCH = struct.Struct("<BII")
_QUERY_ATTRIBUTES = Capability.QUERY_ATTRIBUTES.value
_STMT_EXECUTE = Command.STMT_EXECUTE.value
_COUNT_AVAILABLE = CursorFlag.PARAMETER_COUNT_AVAILABLE.value


@dataclass(frozen=True, slots=True)
class Query:
    """COM_QUERY: the statement's bytes in the session's character set, and its attributes."""

    sql: bytes
    attributes: tuple[Attribute, ...] = ()


@dataclass(slots=True)
class Execute:
    """COM_STMT_EXECUTE. `values` and `types` (kinds of `binary.py`, two bytes each as on the wire) are the statement's
    own parameters.

    `block` is what any server expects behind the head: NULL bitmap, types, and the values' bytes, without parameters
    whose long data went ahead and without attributes.
    """

    statement_id: int
    cursor_flags: int
    types: bytes
    values: tuple[SqlValue, ...]
    attributes: tuple[Attribute, ...]
    block: bytes


_Bound = tuple[bytes, Sequence[bytes], list[SqlValue], bytes, int, int, int]
"""The block of bound values that queries and executes share: types, names, values, NULL bitmap; where the values begin,
where those of the statement's own parameters end, where all end."""


def parse_query(payload: bytes, capabilities: int, encoding: str = "utf-8") -> Query:
    """Read COM_QUERY, the command byte included. Raises ProtocolError, and MeshError for refused attribute types."""
    if not capabilities & _QUERY_ATTRIBUTES:
        return Query(payload[1:])
    count, position = unpack_lenenc_int(payload, 1)
    sets, position = unpack_lenenc_int(payload, position)
    if sets != 1:
        raise ProtocolError(f"{sets} sets of query attributes where one is allowed")
    if not count:
        return Query(payload[position:])
    _, names, values, _, _, _, end = _parse_bound(
        payload, position, count, 0, b"", True, _NO_LONG_DATA, encoding
    )
    return Query(payload[end:], tuple(zip(names, values, strict=True)))


def make_query(query: Query, capabilities: int, encoding: str = "utf-8") -> bytes:
    """COM_QUERY. Attributes are left out where the peer did not agree on them: they are no part of the statement."""
    command = bytes((Command.QUERY,))
    if not capabilities & _QUERY_ATTRIBUTES:
        return command + query.sql
    bound = _make_bound(query.attributes, True, encoding) if query.attributes else b""
    return command + pack_lenenc_int(len(query.attributes)) + b"\x01" + bound + query.sql


def parse_execute(
    payload: bytes,
    parameter_count: int,
    known_types: bytes = b"",
    capabilities: int = 0,
    long_data: Mapping[int, bytes] = _NO_LONG_DATA,
    encoding: str = "utf-8",
) -> Execute:
    """Read COM_STMT_EXECUTE, the command byte included.

    `known_types` are the `types` of the statement's last execute, used when this payload sends none. `long_data` maps
    parameter index → data that COM_STMT_SEND_LONG_DATA sent ahead. Text is decoded from `encoding`, see
    `binary.decode_value`. Raises ProtocolError, and MeshError for refused values."""
    if len(payload) < _EXECUTE_HEAD_SIZE:
        raise truncated("COM_STMT_EXECUTE")
    _, statement_id, flags, _ = _EXECUTE_HEAD.unpack_from(payload)
    position = _EXECUTE_HEAD_SIZE
    count = parameter_count
    named = capabilities & _QUERY_ATTRIBUTES != 0
    if named and (parameter_count or flags & _COUNT_AVAILABLE):
        count, position = unpack_lenenc_int(payload, position)
        if count < parameter_count:
            raise ProtocolError(f"{count} parameters where the statement has {parameter_count}")
    cursor_flags = flags & ~_COUNT_AVAILABLE
    if not count:
        return Execute(statement_id, cursor_flags, b"", (), (), b"")
    types, names, values, bitmap, start, end, _ = _parse_bound(
        payload, position, count, parameter_count, known_types, named, long_data, encoding
    )
    attributes: tuple[Attribute, ...] = ()
    if count > parameter_count:
        attributes = tuple(zip(names[parameter_count:], values[parameter_count:], strict=True))
        types, values = types[: 2 * parameter_count], values[:parameter_count]
        bitmap = _first_bits(bitmap, parameter_count)
    block = b"".join((bitmap, b"\x01", types, payload[start:end])) if parameter_count else b""
    return Execute(statement_id, cursor_flags, types, tuple(values), attributes, block)


def _first_bits(bitmap: bytes, count: int) -> bytes:
    """The first `count` bits of a bitmap, the rest of their last byte zero."""
    bits = int.from_bytes(bitmap, "little") & (1 << count) - 1
    return bits.to_bytes((count + 7) // 8, "little")


def _parse_bound(
    payload: bytes,
    position: int,
    count: int,
    own_count: int,
    known_types: bytes,
    named: bool,
    long_data: Mapping[int, bytes],
    encoding: str,
) -> _Bound:
    """NULL bitmap, new-types flag, types (with names), values; the first `own_count` belong to the statement."""
    flag_at = position + (count + 7) // 8
    if flag_at >= len(payload):
        raise truncated("the bitmap of bound values")
    bitmap = payload[position:flag_at]
    position = flag_at + 1
    names: Sequence[bytes] = ()
    if payload[flag_at] != 1:
        types = known_types
        if len(types) != 2 * count or own_count != count:
            raise ProtocolError("parameters without types, and none known from an earlier execute")
    elif named:
        types, names, position = _parse_named_types(payload, position, count)
    else:
        start = position
        position += 2 * count
        types = payload[start:position]
        if len(types) < 2 * count:
            raise truncated("the types of bound values")
    start = own_end = position
    nulls = bitmap[0] if count <= 8 else int.from_bytes(bitmap, "little")
    values: list[SqlValue] = []
    for index, (kind,) in enumerate(_kinds(types)):
        value: SqlValue = None
        if index in long_data:
            # Clients may call it NULL as well: they have no buffer of their own for it.
            value = decode_bytes(long_data[index], kind, encoding)
        elif nulls >> index & 1:
            pass
        else:
            value, position = decode_value(payload, position, kind, encoding)
        values.append(value)
        if index + 1 == own_count:
            own_end = position
    return types, names, values, bitmap, start, own_end, position


def _parse_named_types(payload: bytes, position: int, count: int) -> tuple[bytes, list[bytes], int]:
    types = []
    names = []
    for _ in range(count):
        kind, position = unpack_fixed_bytes(payload, position, 2)
        name, position = unpack_lenenc_bytes(payload, position)
        types.append(kind)
        names.append(name)
    return b"".join(types), names, position


def _make_bound(bound: Sequence[Attribute], named: bool, encoding: str) -> bytes:
    bitmap = bytearray((len(bound) + 7) // 8)
    types = []
    values = []
    for index, (name, value) in enumerate(bound):
        if value is None:
            bitmap[index >> 3] |= 1 << (index & 7)
        kind, encoded = encode_value(value, encoding)
        types.append(kind.to_bytes(2, "little"))
        if named:
            types.append(pack_lenenc_bytes(name))
        values.append(encoded)
    return b"".join((bitmap, b"\x01", *types, *values))


def make_execute(
    statement_id: int,
    values: Sequence[SqlValue],
    *,
    cursor_flags: int = 0,
    attributes: Sequence[Attribute] = (),
    capabilities: int = 0,
    encoding: str = "utf-8",
) -> bytes:
    """COM_STMT_EXECUTE with the types that fit the Python values."""
    named = bool(capabilities & _QUERY_ATTRIBUTES)
    bound: list[Attribute] = [(b"", value) for value in values]
    if named:
        bound.extend(attributes)
    flags = cursor_flags | (_COUNT_AVAILABLE if named and bound else 0)
    head = _EXECUTE_HEAD.pack(Command.STMT_EXECUTE, statement_id, flags, 1)
    if not bound:
        return head
    count = pack_lenenc_int(len(bound)) if named else b""
    return head + count + _make_bound(bound, named, encoding)


def forward_execute(execute: Execute, statement_id: int) -> bytes:
    """The same execute for another server's statement, always with types and without query attributes. What went ahead
    as long data must go ahead to that server too."""
    return _EXECUTE_HEAD.pack(_STMT_EXECUTE, statement_id, execute.cursor_flags, 1) + execute.block


@dataclass(frozen=True, slots=True)
class LongData:
    """COM_STMT_SEND_LONG_DATA: one more piece of a parameter."""

    statement_id: int
    parameter: int
    data: bytes


def parse_long_data(payload: bytes) -> LongData:
    """Read COM_STMT_SEND_LONG_DATA. Raises ProtocolError."""
    if len(payload) < _LONG_DATA_HEAD.size:
        raise truncated("COM_STMT_SEND_LONG_DATA")
    _, statement_id, parameter = _LONG_DATA_HEAD.unpack_from(payload)
    return LongData(statement_id, parameter, payload[_LONG_DATA_HEAD.size :])


def make_long_data(packet: LongData) -> bytes:
    """COM_STMT_SEND_LONG_DATA."""
    return (
        _LONG_DATA_HEAD.pack(Command.STMT_SEND_LONG_DATA, packet.statement_id, packet.parameter) + packet.data
    )


def parse_fetch(payload: bytes) -> tuple[int, int]:
    """Read COM_STMT_FETCH: statement id, number of rows. Raises ProtocolError."""
    if len(payload) < _FETCH.size:
        raise truncated("COM_STMT_FETCH")
    _, statement_id, rows = _FETCH.unpack_from(payload)
    return statement_id, rows


def make_fetch(statement_id: int, rows: int) -> bytes:
    """COM_STMT_FETCH."""
    return _FETCH.pack(Command.STMT_FETCH, statement_id, rows)


def parse_statement_id(payload: bytes) -> int:
    """The statement id of COM_STMT_CLOSE and COM_STMT_RESET. Raises ProtocolError."""
    if len(payload) < _STATEMENT_ID_SIZE:
        raise truncated("a statement id")
    statement_id: int = _STATEMENT_ID.unpack_from(payload)[0]
    return statement_id


def make_statement_command(command: Command, statement_id: int) -> bytes:
    """COM_STMT_CLOSE or COM_STMT_RESET."""
    return bytes((command,)) + statement_id.to_bytes(4, "little")
