"""Events of a server's binlog as COM_BINLOG_DUMP sends them: headers, checksums, and what is not about rows.

Decides which events there are, and that none is passed over whose meaning is not known: it might tell of rows. Rows are
`binlog_rows`' business. Sources: MySQL source documentation, "Binary log" (libbinlogevents), and MariaDB knowledge base,
"Replication Protocol / Binlog Events".
"""

from __future__ import annotations

import struct
import zlib
from enum import IntEnum
from typing import Final, NamedTuple

from dbmesh.errors import ProtocolError, not_supported
from dbmesh.wire.constants import Command
from dbmesh.wire.primitives import truncated, unpack_fixed_bytes, unpack_fixed_int

HEADER: Final = 19
"""Bytes of an event's header."""

_header = struct.Struct("<IBIIIH").unpack_from
_CHECKSUM = 4
_CRC32 = 1
_IGNORABLE = 0x80
_TABLE_MAP_HEADER = 8

LONGEST = 1 << 30
"""Bytes of an uncompressed event: a server's largest max_allowed_packet."""


class EventKind(IntEnum):
    """Type byte of an event (…_EVENT). MySQL's begin at 1, MariaDB's own at 160."""

    QUERY = 2
    STOP = 3
    ROTATE = 4
    INTVAR = 5
    APPEND_BLOCK = 9
    DELETE_FILE = 11
    RAND = 13
    USER_VAR = 14
    FORMAT_DESCRIPTION = 15
    XID = 16
    BEGIN_LOAD_QUERY = 17
    EXECUTE_LOAD_QUERY = 18
    TABLE_MAP = 19
    WRITE_ROWS_V1 = 23
    UPDATE_ROWS_V1 = 24
    DELETE_ROWS_V1 = 25
    INCIDENT = 26
    HEARTBEAT = 27
    IGNORABLE = 28
    ROWS_QUERY = 29
    WRITE_ROWS = 30
    UPDATE_ROWS = 31
    DELETE_ROWS = 32
    GTID = 33
    ANONYMOUS_GTID = 34
    PREVIOUS_GTIDS = 35
    TRANSACTION_CONTEXT = 36
    VIEW_CHANGE = 37
    XA_PREPARE = 38
    PARTIAL_UPDATE_ROWS = 39
    TRANSACTION_PAYLOAD = 40
    HEARTBEAT_V2 = 41
    GTID_TAGGED = 42
    ANNOTATE_ROWS = 160
    BINLOG_CHECKPOINT = 161
    MARIADB_GTID = 162
    GTID_LIST = 163
    START_ENCRYPTION = 164
    QUERY_COMPRESSED = 165
    WRITE_ROWS_COMPRESSED_V1 = 166
    UPDATE_ROWS_COMPRESSED_V1 = 167
    DELETE_ROWS_COMPRESSED_V1 = 168
    WRITE_ROWS_COMPRESSED = 169
    UPDATE_ROWS_COMPRESSED = 170
    DELETE_ROWS_COMPRESSED = 171


BEATS: Final = frozenset((EventKind.HEARTBEAT, EventKind.HEARTBEAT_V2))
"""Sent when there is nothing else to send."""

GTIDS: Final = frozenset(
    (EventKind.GTID, EventKind.ANONYMOUS_GTID, EventKind.GTID_TAGGED, EventKind.MARIADB_GTID)
)
"""A transaction, or a statement that is one, begins."""

_KINDS = {kind.value: kind for kind in EventKind}


class Event(NamedTuple):
    """`end` is the position behind it in its file, modulo 4 GiB, 0 for one that is in no file; `moment` the second since 1970 when
    its statement began, 0 where it tells none. `body` is what follows the header, without the checksum."""

    kind: EventKind
    moment: int
    end: int
    body: bytes


class EventReader:
    """Takes events out of packets; knows how those of the file under way are protected."""

    def __init__(self) -> None:
        self._checksum: int | None = None

    def read(self, packet: bytes) -> Event:
        """The event of a packet's payload, without its first byte. Raises ProtocolError for one that is broken or unknown, and MeshError
        NOT_SUPPORTED for a format that is not read."""
        if len(packet) < HEADER:
            raise truncated("an event's header")
        moment, number, _, size, end, flags = _header(packet)
        if size != len(packet):
            raise ProtocolError(f"a binlog event of {size} bytes in a packet of {len(packet)}")
        kind = _KINDS.get(number)
        if kind is None:
            if not flags & _IGNORABLE:
                raise ProtocolError(f"the binlog has an event of the unknown type {number}")
            kind = EventKind.IGNORABLE
        if kind is EventKind.FORMAT_DESCRIPTION:
            self._checksum = _described(packet)
        if kind is EventKind.ROTATE:
            # Made up by the server for a file whose description is yet to come: nothing tells whether a checksum follows.
            body = packet[HEADER : -_CHECKSUM if _is_protected(packet) else None]
        elif self._checksum is None:
            raise ProtocolError(f"the event {kind.name} comes before the binlog's description")
        elif self._checksum == _CRC32:
            if not _is_protected(packet):
                raise ProtocolError(f"the checksum of the binlog event {kind.name} at {end} is wrong")
            body = packet[HEADER:-_CHECKSUM]
        else:
            body = packet[HEADER:]
        return Event(kind, moment, end, body)


def _described(packet: bytes) -> int:
    """FORMAT_DESCRIPTION: the algorithm of checksums. Source: Format_description_event."""
    position = HEADER
    version, position = unpack_fixed_int(packet, position, 2)
    _, position = unpack_fixed_bytes(packet, position, 50)
    _, position = unpack_fixed_int(packet, position, 4)
    header, position = unpack_fixed_int(packet, position, 1)
    lengths = packet[position : -1 - _CHECKSUM]
    if version != 4 or header != HEADER or len(lengths) < EventKind.DELETE_ROWS_V1:
        raise not_supported(
            f"a binlog of version {version}", "use MySQL 8.0 or later, or MariaDB 10.5 or later"
        )
    if lengths[EventKind.TABLE_MAP - 1] != _TABLE_MAP_HEADER:
        raise ProtocolError("the binlog describes tables in a form that is not known")
    algorithm = packet[-1 - _CHECKSUM]
    if algorithm > _CRC32:
        raise ProtocolError(f"the binlog has checksums of the unknown kind {algorithm}")
    return algorithm


def _is_protected(packet: bytes) -> bool:
    """Whether its last bytes are its checksum."""
    view = memoryview(packet)
    return zlib.crc32(view[:-_CHECKSUM]) == int.from_bytes(view[-_CHECKSUM:], "little")


def uncompressed(data: bytes) -> bytes:
    """What MariaDB's log_bin_compress has made smaller. Raises ProtocolError. Source: binlog_buf_compress."""
    first, position = unpack_fixed_int(data, 0, 1)
    if first & 0xF0 != 0x80:
        raise ProtocolError(f"the binlog is compressed in the unknown way 0x{first:02x}")
    length, position = unpack_fixed_bytes(data, position, first & 0x07)
    size = int.from_bytes(length, "big")
    if not 0 < size <= LONGEST:
        raise ProtocolError(f"a compressed binlog event of {size} bytes")
    stream = zlib.decompressobj()
    try:
        # One byte more than it may be: the end of the stream is seen then.
        plain = stream.decompress(data[position:], size + 1)
    except zlib.error as error:
        raise ProtocolError(f"a compressed binlog event cannot be read: {error}") from None
    if len(plain) != size or not stream.eof:
        raise ProtocolError("a compressed binlog event is not as long as it says")
    return plain


# ---------------------------------------------------------------------------------------------- bodies


class Rotation(NamedTuple):
    """The next event is at `position` of the file `file`."""

    file: str
    position: int


def parse_rotation(body: bytes) -> Rotation:
    """ROTATE. Raises ProtocolError."""
    position, start = unpack_fixed_int(body, 0, 8)
    if start == len(body):
        raise ProtocolError("the binlog goes on in a file without a name")
    return Rotation(body[start:].decode("utf-8", "surrogateescape"), position)


class Statement(NamedTuple):
    """A statement as text, and the schema it was run in."""

    schema: str
    text: str


def parse_statement(event: Event) -> Statement:
    """QUERY, QUERY_COMPRESSED and EXECUTE_LOAD_QUERY. Raises ProtocolError. Source: Query_event."""
    body = event.body
    _, position = unpack_fixed_int(body, 0, 8)
    schema_length, position = unpack_fixed_int(body, position, 1)
    _, position = unpack_fixed_int(body, position, 2)
    variables_length, position = unpack_fixed_int(body, position, 2)
    if event.kind is EventKind.EXECUTE_LOAD_QUERY:
        _, position = unpack_fixed_bytes(body, position, 13)
    _, position = unpack_fixed_bytes(body, position, variables_length)
    schema, position = unpack_fixed_bytes(body, position, schema_length)
    end, position = unpack_fixed_int(body, position, 1)
    if end:
        raise ProtocolError("a statement's schema in the binlog has no end")
    text = body[position:]
    if event.kind is EventKind.QUERY_COMPRESSED:
        text = uncompressed(text)
    return Statement(schema.decode("utf-8", "surrogateescape"), text.decode("utf-8", "surrogateescape"))


def parse_prepared(body: bytes) -> tuple[str, bool]:
    """XA_PREPARE: the xid as statements about it say it (`X'6162',X'',1`), and whether it is committed at once. Raises
    ProtocolError. Source: XA_prepare_event."""
    at_once, position = unpack_fixed_int(body, 0, 1)
    form, position = unpack_fixed_int(body, position, 4)
    first, position = unpack_fixed_int(body, position, 4)
    second, position = unpack_fixed_int(body, position, 4)
    gtrid, position = unpack_fixed_bytes(body, position, first)
    bqual, position = unpack_fixed_bytes(body, position, second)
    return f"x'{gtrid.hex()}',x'{bqual.hex()}',{form}", bool(at_once)


_XA_FLAGS = 0x40


def is_of_xa(event: Event) -> bool:
    """Whether the transaction that a GTID begins is an XA one that is prepared at its end; only MariaDB tells it here. Source:
    Gtid_log_event, FL_PREPARED_XA."""
    return event.kind is EventKind.MARIADB_GTID and len(event.body) > 12 and bool(event.body[12] & _XA_FLAGS)


def parse_beat(event: Event) -> Rotation | None:
    """Where the server is, None where a heartbeat does not tell it. Source: Heartbeat_event."""
    if event.kind is EventKind.HEARTBEAT and event.body and event.end:
        return Rotation(event.body.decode("utf-8", "surrogateescape"), event.end)
    return None


# ---------------------------------------------------------------------------------------------- commands


def register_replica(server_id: int) -> bytes:
    """COM_REGISTER_SLAVE: under which id this client follows."""
    return Command.REGISTER_SLAVE.to_bytes(1, "little") + struct.pack("<IBBBHII", server_id, 0, 0, 0, 0, 0, 0)


def dump_binlog(server_id: int, file: str, position: int) -> bytes:
    """COM_BINLOG_DUMP: everything from a position on, without an end."""
    name = file.encode("utf-8", "surrogateescape")
    return Command.BINLOG_DUMP.to_bytes(1, "little") + struct.pack("<IHI", position, 0, server_id) + name
