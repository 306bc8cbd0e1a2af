"""A client that keeps everything a server says: column definitions and rows as bytes, counts, states, warnings.

Decides nothing about equality. Written on the raw client of the tests, so that no driver converts anything on the way.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from tests.differential.values import Value
from tests.plugins.raw_client import (
    BASIC,
    COM_QUERY,
    COM_STMT_CLOSE,
    COM_STMT_EXECUTE,
    COM_STMT_FETCH,
    COM_STMT_PREPARE,
    CONNECT_WITH_DB,
    DEPRECATE_EOF,
    Failure,
    RawClient,
    read_lenenc,
    read_strings,
)

Cell = bytes | None


@dataclass(frozen=True)
class Definition:
    """A column definition, field by field."""

    schema: bytes
    table: bytes
    org_table: bytes
    name: bytes
    org_name: bytes
    charset: int
    length: int
    type: int
    flags: int
    decimals: int

    @property
    def unsigned(self) -> bool:
        """UNSIGNED_FLAG."""
        return bool(self.flags & 32)


def read_definition(packet: bytes) -> Definition:
    """One ColumnDefinition41."""
    names = read_strings(packet, 6)
    at = 0
    for _ in range(6):
        length, at = read_lenenc(packet, at)
        at += length or 0
    charset, length_, type_, flags, decimals = struct.unpack_from("<HIBHB", packet, at + 1)
    _catalog, schema, table, org_table, name, org_name = (part or b"" for part in names)
    return Definition(schema, table, org_table, name, org_name, charset, length_, type_, flags, decimals)


@dataclass(frozen=True)
class Answer:
    """What one server said to one statement. `error` is number, SQLSTATE and sentence."""

    error: tuple[int, str, str] | None = None
    columns: tuple[bytes, ...] = ()
    rows: list[bytes] = field(default_factory=list)
    affected: int = 0
    insert_id: int = 0
    warnings: int = 0
    info: bytes = b""
    binary: bool = False
    shown: tuple[tuple[Cell, ...], ...] = ()

    def definitions(self) -> list[Definition]:
        """The columns, read."""
        return [read_definition(packet) for packet in self.columns]

    def cells(self) -> list[tuple[Cell, ...]]:
        """The rows as cells: texts as sent, binary numbers as their texts, other binary values as their bytes."""
        if not self.binary:
            count = len(self.columns)
            return [tuple(read_strings(row, count)) for row in self.rows]
        columns = self.definitions()
        return [_binary_cells(row, columns) for row in self.rows]


_READ_ONLY_CURSOR = 1
_CURSOR_EXISTS, _LAST_ROW_SENT = 0x40, 0x80
_FETCHED_AT_ONCE = 7
_INTEGERS = {0x01: 1, 0x02: 2, 0x0D: 2, 0x03: 4, 0x09: 4, 0x08: 8}
_FLOATS = {0x04: "<f", 0x05: "<d"}


def _binary_cells(row: bytes, columns: Sequence[Definition]) -> tuple[Cell, ...]:
    nulls = row[1 : 1 + (len(columns) + 9) // 8]
    at = 1 + len(nulls)
    found: list[Cell] = []
    for place, column in enumerate(columns):
        if nulls[(place + 2) // 8] >> (place + 2) % 8 & 1:
            found.append(None)
        elif column.type in _INTEGERS:
            end = at + _INTEGERS[column.type]
            found.append(b"%d" % int.from_bytes(row[at:end], "little", signed=not column.unsigned))
            at = end
        elif column.type in _FLOATS:
            form = _FLOATS[column.type]
            found.append(repr(struct.unpack_from(form, row, at)[0]).encode())
            at += struct.calcsize(form)
        else:
            size, at = read_lenenc(row, at)
            found.append(row[at : at + (size or 0)])
            at += size or 0
    return tuple(found)


@dataclass(frozen=True)
class Prepared:
    """A statement of the binary protocol; `columns` are what PREPARE answered."""

    id: int
    parameters: int
    columns: tuple[bytes, ...]
    warnings: int = 0


class Client(RawClient):
    """One session of the tester."""

    def __init__(self, port: int, user: str, password: str, database: str, timeout: float = 60.0) -> None:
        super().__init__("127.0.0.1", port, BASIC | CONNECT_WITH_DB | DEPRECATE_EOF, timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = b""
        self._at = 0
        reply = self.log_in(user, password, database)
        if isinstance(reply, Failure):
            raise ConnectionError(reply.text)

    def _exactly(self, size: int) -> bytes:
        # One read of the socket for many packets.
        end = self._at + size
        if len(self._buffer) < end:
            parts = [self._buffer[self._at :]]
            missing = end - len(self._buffer)
            while missing > 0:
                part = self.socket.recv(1 << 18)
                if not part:
                    raise ConnectionResetError("the server closed the connection")
                parts.append(part)
                missing -= len(part)
            self._buffer, self._at, end = b"".join(parts), 0, size
        found = self._buffer[self._at : end]
        self._at = end
        return found

    def ask(self, statement: str) -> Answer:
        """COM_QUERY."""
        self.command(COM_QUERY, statement.encode())
        return self._answer(binary=False)

    def ask_with_warnings(self, statement: str) -> Answer:
        """COM_QUERY, and SHOW WARNINGS when there are any."""
        return self._with_warnings(self.ask(statement))

    def _with_warnings(self, answer: Answer) -> Answer:
        if not answer.warnings:
            return answer
        return replace(answer, shown=tuple(self.ask("SHOW WARNINGS").cells()))

    def prepare_statement(self, statement: str) -> Prepared | Answer:
        """COM_STMT_PREPARE; an answer when it failed."""
        self.command(COM_STMT_PREPARE, statement.encode())
        data = self.receive()
        if data[0] == 0xFF:
            return Answer(self._error(data))
        identifier, columns, parameters = struct.unpack_from("<IHH", data, 1)
        for _ in range(parameters):
            self.receive()
        definitions = tuple(self.receive() for _ in range(columns))
        return Prepared(identifier, parameters, definitions, struct.unpack_from("<H", data, 10)[0])

    def run(self, prepared: Prepared, values: Sequence[Value], *, cursor: bool = False) -> Answer:
        """COM_STMT_EXECUTE with these parameters, and SHOW WARNINGS when there are any; with `cursor` the rows are
        fetched a few at a time."""
        payload = struct.pack("<IBI", prepared.id, _READ_ONLY_CURSOR if cursor else 0, 1)
        if values:
            nulls = bytearray((len(values) + 7) // 8)
            for place, value in enumerate(values):
                nulls[place // 8] |= value.is_null << place % 8
            types = b"".join(struct.pack("<H", value.type) for value in values)
            payload += bytes(nulls) + b"\x01" + types + b"".join(value.wire for value in values)
        self.command(COM_STMT_EXECUTE, payload)
        return self._with_warnings(self._answer(binary=True, fetched=prepared.id))

    def close_statement(self, prepared: Prepared) -> None:
        """COM_STMT_CLOSE, which has no answer."""
        self.command(COM_STMT_CLOSE, struct.pack("<I", prepared.id))

    def _error(self, data: bytes) -> tuple[int, str, str]:
        failure = self.failure(data)
        return failure.number, failure.sqlstate, failure.text

    def _answer(self, *, binary: bool, fetched: int | None = None) -> Answer:
        data = self.receive()
        if data[0] == 0xFF:
            return Answer(self._error(data))
        if data[0] == 0x00:
            done = self.ok(data)
            return Answer(
                affected=done.affected, insert_id=done.insert_id, warnings=done.warnings, info=done.rest
            )
        count, _ = read_lenenc(data, 0)
        columns = tuple(self.receive() for _ in range(count or 0))
        rows: list[bytes] = []
        while True:
            data = self.receive()
            if data[0] == 0xFE and len(data) < 0xFFFFFF:
                end = self.ok(data)
                if end.status & _CURSOR_EXISTS and not end.status & _LAST_ROW_SENT and fetched is not None:
                    self.command(COM_STMT_FETCH, struct.pack("<II", fetched, _FETCHED_AT_ONCE))
                    continue
                return Answer(columns=columns, rows=rows, warnings=end.warnings, binary=binary)
            if data[0] == 0xFF:
                return Answer(self._error(data))
            rows.append(data)
