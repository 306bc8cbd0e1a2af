"""Writes results to a client as packets: column definitions, rows, the closing OK, EOF or ERR.

Decides framing, sequence ids, text or binary rows, and logic names in column definitions. Refuses to know where rows
come from. Answers that need no change do not pass here (session.relay).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple, Protocol

from dbmesh.planner.plan import Names
from dbmesh.planner.resolve import SYSTEM_SCHEMAS
from dbmesh.session.client import Client
from dbmesh.wire.constants import Capability, ColumnFlag, ColumnType
from dbmesh.wire.frames import frame_rows
from dbmesh.wire.framing import frame, packet_count
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
from dbmesh.wire.primitives import pack_lenenc_int
from dbmesh.wire.values import binary_rows_encoder, encode_text_row

UTF8MB4_GENERAL_CI = 45

_LOCAL_INFILE = b"\xfb"
_SYSTEM_SCHEMA = b"information_schema"
_DEPRECATE_EOF = Capability.DEPRECATE_EOF.value

HELD_BYTES = 16 * 1024
"""Bytes of an answer that wait for the rest of it before they are sent: a server's own net_buffer_length."""


_SYSTEM_SCHEMAS = frozenset(name.encode() for name in SYSTEM_SCHEMAS)
_ANY_SCHEMA = b"*any*"


def rename(column: ColumnDefinition, names: Names) -> ColumnDefinition:
    """The definition one server would send: logic names instead of actual ones. O(1).

    A derived table that was materialised has no schema, on one server too.
    """
    return _renamed(
        column,
        _database(column, names),
        names.tables.get(column.org_table.decode("utf-8", "surrogateescape")),
    )


def _database(column: ColumnDefinition, names: Names) -> str:
    """The logic database of a column's table; a system schema is one itself, and so is MariaDB's for JSON_TABLE."""
    if column.schema.lower() in _SYSTEM_SCHEMAS or column.schema == _ANY_SCHEMA:
        return column.schema.decode()
    if not names.schemas:
        return names.database
    return names.schemas.get(column.schema.decode("utf-8", "surrogateescape"), names.database)


def _renamed(column: ColumnDefinition, database: str, logic: str | None) -> ColumnDefinition:
    if (not column.org_table and not column.schema) or column.schema == _SYSTEM_SCHEMA:
        return column
    encoded = column.org_table if logic is None else logic.encode("utf-8", "surrogateescape")
    table = encoded if column.table == column.org_table else column.table
    schema = database.encode() if column.schema else b""
    return replace(column, schema=schema, org_table=encoded, table=table)


@lru_cache(maxsize=1024)
def _definition(column: ColumnDefinition, database: str, logic: str | None) -> bytes:
    """The packet of a column with its logic names; the same few come again and again."""
    return make_column_definition(_renamed(column, database, logic))


def text_column(name: str, width: int = 255, *, nullable: bool = True) -> ColumnDefinition:
    """The definition of a text column of the mesh's own result sets; `width` in characters."""
    encoded = name.encode()
    return ColumnDefinition(
        catalog=b"def",
        schema=b"",
        table=b"",
        org_table=b"",
        name=encoded,
        org_name=b"",
        character_set=UTF8MB4_GENERAL_CI,
        length=width * 4,
        type=ColumnType.VAR_STRING,
        flags=0 if nullable else ColumnFlag.NOT_NULL.value,
        decimals=39,
    )


def system_column(title: str, table: str, name: str, width: int) -> ColumnDefinition:
    """The definition of a column a SHOW has from a table of information_schema; `width` in characters."""
    return replace(
        text_column(title, width),
        schema=b"information_schema",
        table=table.encode(),
        org_table=table.encode(),
        org_name=name.encode(),
        flags=ColumnFlag.NOT_NULL | ColumnFlag.NO_DEFAULT_VALUE,
        decimals=0,
    )


def number_column(name: str) -> ColumnDefinition:
    """The definition of an unsigned BIGINT column of the mesh's own result sets."""
    flags = ColumnFlag.NOT_NULL | ColumnFlag.UNSIGNED | ColumnFlag.BINARY
    return replace(
        text_column(name), character_set=63, length=21, type=ColumnType.LONGLONG, flags=flags, decimals=0
    )


class AnswerLimit(Protocol):
    """Counts the rows of one answer."""

    def count(self, rows: Sequence[bytes]) -> None:
        """These come too. Raises MeshError."""
        ...

    def restart(self) -> None:
        """None of those counted has left: the answer begins again."""
        ...


class Mark(NamedTuple):
    """A place in an answer: the next packet's id, how much is held, and how often something was sent."""

    sequence: int
    held: int
    flushed: int


class ResultSink:
    """One command's answer to one client. Several results may follow each other (`more`)."""

    limit: AnswerLimit | None = None
    """Who counts the rows, if anybody."""

    _rows_are_fetched = False
    """Whether rows come by later commands: the definitions are followed by the closing packet at once."""

    def __init__(
        self, client: Client, capabilities: int, names: Names, *, sequence: int = 1, binary: bool = False
    ) -> None:
        self._client = client
        self._capabilities = capabilities
        self._names = names
        self._sequence = sequence
        self._status = 0
        self._binary = binary
        self._held: list[bytes] = []
        self._held_size = 0
        self._flushed = 0
        self._definitions: tuple[ColumnDefinition, ...] = ()
        self._encode: Callable[[Sequence[bytes]], list[bytes]] | None = None

    def use_names(self, names: Names) -> None:
        """The next result's names."""
        self._names = names

    @property
    def binary(self) -> bool:
        """Whether text rows leave as binary ones."""
        return self._binary

    def use_status(self, status: int) -> None:
        """What the packet behind the definitions of the next result says; libmariadb looks there for further results."""
        self._status = status

    def pass_binary(self) -> None:
        """The rows of the next result are binary already."""
        self._binary = False

    def columns(self, columns: Sequence[ColumnDefinition]) -> None:
        """Column count, definitions, and EOF where the client wants one."""
        self._definitions = tuple(columns)
        self._encode = binary_rows_encoder(self._definitions) if self._binary else None
        packets = [pack_lenenc_int(len(self._definitions))]
        names, tables = self._names, self._names.tables
        packets += [
            _definition(
                column,
                _database(column, names),
                tables.get(column.org_table.decode("utf-8", "surrogateescape")),
            )
            for column in self._definitions
        ]
        if not (self._capabilities & _DEPRECATE_EOF or self._rows_are_fetched):
            packets.append(make_eof(EofPacket(self._status, 0)))
        self._hold(self._framed(packets))

    def mark(self) -> Mark:
        """Where the answer stands, for `take_back`."""
        return Mark(self._sequence, len(self._held), self._flushed)

    def take_back(self, mark: Mark) -> bool:
        """Forget what was written since `mark`; False when some of it has left."""
        if self._flushed != mark.flushed:
            return False
        del self._held[mark.held :]
        self._held_size = sum(map(len, self._held))
        self._sequence = mark.sequence
        if self.limit is not None:
            self.limit.restart()
        return True

    def rows(self, rows: list[bytes]) -> None:
        """Text row payloads, sent in the form the command asked for. Raises MeshError where there are too many."""
        if self.limit is not None:
            self.limit.count(rows)
        if self._encode is not None:
            rows = self._encode(rows)
        data, self._sequence = frame_rows(rows, self._sequence)
        self._hold(data)
        if self._held_size >= HELD_BYTES:
            self._flush()

    def end_rows(self, status: int, warnings: int) -> None:
        """The result set's closing packet."""
        self._write([make_end_of_rows(status, warnings, self._capabilities)])

    def ok(self, packet: OkPacket) -> None:
        """A result without rows."""
        self._write([make_ok(packet, self._capabilities)])

    def request_file(self, name: bytes) -> int:
        """Ask the client for a file (manual, "Protocol::LOCAL INFILE Request"): the id of its first packet;
        `continue_after` tells when it came."""
        self._write([_LOCAL_INFILE + name])
        return self._sequence

    def continue_after(self, sequence: int) -> None:
        """The client's last packet had this id."""
        self._sequence = (sequence + 1) & 0xFF

    def error(self, packet: ErrPacket) -> None:
        """The command failed; nothing follows."""
        self._write([make_err(packet)])

    def local_rows(
        self, columns: Sequence[ColumnDefinition], rows: Sequence[Sequence[str | None]], status: int
    ) -> None:
        """A whole small result set of text values."""
        self.use_status(status)
        self.columns(columns)
        encoded = [
            encode_text_row(
                [None if value is None else value.encode("utf-8", "surrogateescape") for value in row]
            )
            for row in rows
        ]
        if encoded:
            self.rows(encoded)
        self.end_rows(status, 0)

    def _write(self, packets: list[bytes]) -> None:
        self._hold(self._framed(packets))
        self._flush()

    def _framed(self, packets: list[bytes]) -> bytes:
        framed = []
        for packet in packets:
            framed.append(frame(packet, self._sequence))
            self._sequence = (self._sequence + packet_count(len(packet))) & 0xFF
        return b"".join(framed)

    def _hold(self, data: bytes) -> None:
        self._held.append(data)
        self._held_size += len(data)

    def _flush(self) -> None:
        data = b"".join(self._held)
        self._held = []
        self._held_size = 0
        self._flushed += 1
        self._client.write(data)
