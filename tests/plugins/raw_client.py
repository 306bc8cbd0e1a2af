"""A MySQL client that does only what it is told: packets by hand, so that tests can say wrong things too.

Written from the MySQL manual ("Client/Server Protocol"), independently of the product's codec, so that both cannot
share a mistake.
"""

from __future__ import annotations

import hashlib
import socket
import struct
from dataclasses import dataclass
from types import TracebackType
from typing import Self

LONG_PASSWORD, FOUND_ROWS, LONG_FLAG, CONNECT_WITH_DB = 1, 2, 4, 8
PROTOCOL_41, SSL, TRANSACTIONS, SECURE_CONNECTION = 1 << 9, 1 << 11, 1 << 13, 1 << 15
MULTI_STATEMENTS, MULTI_RESULTS, PS_MULTI_RESULTS = 1 << 16, 1 << 17, 1 << 18
PLUGIN_AUTH, CONNECT_ATTRS, LENENC_AUTH = 1 << 19, 1 << 20, 1 << 21
SESSION_TRACK, DEPRECATE_EOF, QUERY_ATTRIBUTES = 1 << 23, 1 << 24, 1 << 27

BASIC = (
    LONG_PASSWORD | LONG_FLAG | PROTOCOL_41 | TRANSACTIONS | SECURE_CONNECTION | PLUGIN_AUTH | MULTI_RESULTS
)

COM_QUIT, COM_INIT_DB, COM_QUERY, COM_FIELD_LIST = 0x01, 0x02, 0x03, 0x04
COM_STATISTICS, COM_PROCESS_KILL, COM_PING, COM_CHANGE_USER = 0x09, 0x0C, 0x0E, 0x11
COM_STMT_PREPARE, COM_STMT_EXECUTE, COM_STMT_SEND_LONG_DATA = 0x16, 0x17, 0x18
COM_STMT_CLOSE, COM_STMT_RESET, COM_SET_OPTION, COM_STMT_FETCH = 0x19, 0x1A, 0x1B, 0x1C
COM_REFRESH, COM_DEBUG = 0x07, 0x0D
COM_RESET_CONNECTION, COM_STMT_BULK_EXECUTE = 0x1F, 0xFA

# MariaDB's own flags, in what MySQL leaves reserved; they count where LONG_PASSWORD is missing.
MARIADB_BULK = 1 << 2
DEFAULT, IGNORE = "\x02", "\x03"

MORE_RESULTS, CURSOR_EXISTS, LAST_ROW_SENT = 0x0008, 0x0040, 0x0080
SESSION_STATE_CHANGED = 0x4000


def lenenc(value: int) -> bytes:
    """A length-encoded integer."""
    if value < 251:
        return bytes([value])
    if value < 1 << 16:
        return b"\xfc" + struct.pack("<H", value)
    if value < 1 << 24:
        return b"\xfd" + struct.pack("<I", value)[:3]
    return b"\xfe" + struct.pack("<Q", value)


def lenenc_string(value: bytes) -> bytes:
    """A length-encoded string."""
    return lenenc(len(value)) + value


def read_lenenc(data: bytes, at: int) -> tuple[int | None, int]:
    """A length-encoded integer (None for NULL) and where it ends."""
    first = data[at]
    if first < 251:
        return first, at + 1
    if first == 251:
        return None, at + 1
    size = {252: 2, 253: 3, 254: 8}[first]
    return int.from_bytes(data[at + 1 : at + 1 + size], "little"), at + 1 + size


def read_strings(data: bytes, count: int) -> list[bytes | None]:
    """`count` length-encoded strings: a text row, or the head of a column definition."""
    found: list[bytes | None] = []
    at = 0
    for _ in range(count):
        length, at = read_lenenc(data, at)
        found.append(None if length is None else data[at : at + length])
        at += length or 0
    return found


def native_answer(password: bytes, challenge: bytes) -> bytes:
    """mysql_native_password's answer to a 20-byte challenge."""
    if not password:
        return b""
    once = hashlib.sha1(password).digest()
    mask = hashlib.sha1(challenge + hashlib.sha1(once).digest()).digest()
    return bytes(a ^ b for a, b in zip(once, mask, strict=True))


def sha2_answer(password: bytes, challenge: bytes) -> bytes:
    """caching_sha2_password's answer, enough for a server that has seen the password since it started."""
    if not password:
        return b""
    once = hashlib.sha256(password).digest()
    mask = hashlib.sha256(hashlib.sha256(once).digest() + challenge).digest()
    return bytes(a ^ b for a, b in zip(once, mask, strict=True))


_ANSWERS = {"mysql_native_password": native_answer, "caching_sha2_password": sha2_answer}
_KNOWN_ALREADY = b"\x01\x03"


@dataclass(frozen=True)
class Failure:
    """An error packet."""

    number: int
    sqlstate: str
    text: str


@dataclass(frozen=True)
class Ok:
    """An OK packet."""

    affected: int
    insert_id: int
    status: int
    warnings: int
    rest: bytes


@dataclass(frozen=True)
class ResultSet:
    """A text or binary result: names of its columns, raw rows, status of the tail."""

    names: list[str]
    rows: list[bytes]
    status: int
    warnings: int

    def text(self) -> list[list[bytes | None]]:
        """Rows of a text result."""
        return [read_strings(row, len(self.names)) for row in self.rows]


Reply = Failure | Ok | ResultSet


def session_changes(reply: Reply) -> set[tuple[bytes, ...]]:
    """What an OK packet tells of the session: ('schema', name) and (variable, value). MySQL tells the state of a transaction
    too."""
    assert isinstance(reply, Ok), reply
    if not reply.status & SESSION_STATE_CHANGED:
        return set()
    _info, state = read_strings(reply.rest, 2)
    found, at = set(), 0
    while state and at < len(state):
        kind = state[at]
        size, at = read_lenenc(state, at + 1)
        entry = state[at : at + (size or 0)]
        at += len(entry)
        if kind == 0:
            found.add(tuple(name or b"" for name in read_strings(entry, 2)))
        elif kind == 1:
            found.add((b"schema", read_strings(entry, 1)[0] or b""))
    return found


class RawClient:
    """One connection. `capabilities` are sent as they are; the server's are kept in `server_capabilities`."""

    def __init__(self, host: str, port: int, capabilities: int = BASIC, timeout: float = 20.0) -> None:
        self.socket = socket.create_connection((host, port), timeout=timeout)
        self.capabilities = capabilities
        self.sequence = 0
        self.greeting = b""
        self.challenge = b""
        self.server_capabilities = 0
        self.mariadb_capabilities = 0
        self.thread_id = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    def send_raw(self, data: bytes) -> None:
        """Bytes as they are."""
        self.socket.sendall(data)

    def send(self, payload: bytes) -> None:
        """One packet with the next sequence number, split at 16 MB."""
        while True:
            part, payload = payload[:0xFFFFFF], payload[0xFFFFFF:]
            self.send_raw(struct.pack("<I", len(part))[:3] + bytes([self.sequence & 255]) + part)
            self.sequence += 1
            if len(part) < 0xFFFFFF:
                return

    def _exactly(self, size: int) -> bytes:
        parts = []
        while size:
            part = self.socket.recv(min(size, 1 << 20))
            if not part:
                raise ConnectionResetError("the server closed the connection")
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def receive(self) -> bytes:
        """One packet, joined when it was split."""
        parts = []
        while True:
            head = self._exactly(4)
            size = int.from_bytes(head[:3], "little")
            if self.sequence >= 0:
                assert head[3] == self.sequence & 255, f"sequence {head[3]}, expected {self.sequence & 255}"
            self.sequence += 1
            parts.append(self._exactly(size))
            if size < 0xFFFFFF:
                return b"".join(parts)

    def read_greeting(self) -> None:
        """The server's first packet."""
        self.greeting = data = self.receive()
        if data[0] == 0xFF:
            return
        at = data.index(b"\x00", 1) + 1
        self.thread_id = int.from_bytes(data[at : at + 4], "little")
        first = data[at + 4 : at + 12]
        low = data[at + 13 : at + 15]
        high = data[at + 18 : at + 20]
        self.server_capabilities = int.from_bytes(low + high, "little")
        self.mariadb_capabilities = (
            0
            if self.server_capabilities & LONG_PASSWORD
            else int.from_bytes(data[at + 27 : at + 31], "little")
        )
        self.challenge = first + data[at + 31 : at + 43]

    def log_in(
        self,
        user: str = "root",
        password: str = "root",
        database: str | None = "shop",
        attributes: dict[str, str] | None = None,
        collation: int = 45,
    ) -> Reply:
        """Greeting, answer by mysql_native_password, and what the server says to it."""
        self.read_greeting()
        if self.greeting[0] == 0xFF:
            return self.failure(self.greeting)
        if database is not None:
            self.capabilities |= CONNECT_WITH_DB
        own = 0 if self.capabilities & LONG_PASSWORD else self.mariadb_capabilities
        payload = (
            struct.pack("<IIB19xI", self.capabilities, 1 << 30, collation, own) + user.encode() + b"\x00"
        )
        answer = native_answer(password.encode(), self.challenge)
        payload += bytes([len(answer)]) + answer
        if database is not None:
            payload += database.encode() + b"\x00"
        payload += b"mysql_native_password\x00"
        if attributes is not None:
            pairs = b"".join(
                lenenc_string(k.encode()) + lenenc_string(v.encode()) for k, v in attributes.items()
            )
            payload += lenenc_string(pairs)
        self.send(payload)
        return self._after_authentication(password)

    def _after_authentication(self, password: str) -> Reply:
        data = self.receive()
        if data[:1] == b"\xfe":  # AuthSwitchRequest
            plugin, _, challenge = data[1:].partition(b"\x00")
            answer = _ANSWERS[plugin.decode()]
            self.send(answer(password.encode(), challenge[:20]))
            data = self.receive()
            if data == _KNOWN_ALREADY:
                data = self.receive()
        return self.failure(data) if data[0] == 0xFF else self.ok(data)

    def change_user(self, user: str, password: str, database: str) -> Reply:
        """COM_CHANGE_USER with the greeting's challenge."""
        answer = native_answer(password.encode(), self.challenge)
        self.command(
            COM_CHANGE_USER,
            user.encode()
            + b"\x00"
            + bytes([len(answer)])
            + answer
            + database.encode()
            + b"\x00"
            + struct.pack("<H", 45)
            + b"mysql_native_password\x00",
        )
        return self._after_authentication(password)

    def command(self, number: int, payload: bytes = b"") -> None:
        """Starts a command."""
        self.sequence = 0
        self.send(bytes([number]) + payload)

    def failure(self, data: bytes) -> Failure:
        """Reads an error packet."""
        number = int.from_bytes(data[1:3], "little")
        if data[3:4] == b"#":
            return Failure(number, data[4:9].decode(), data[9:].decode())
        return Failure(number, "", data[3:].decode())

    def ok(self, data: bytes) -> Ok:
        """Reads an OK packet (header 0x00, or 0xFE at the end of rows)."""
        affected, at = read_lenenc(data, 1)
        insert_id, at = read_lenenc(data, at)
        status, warnings = struct.unpack_from("<HH", data, at)
        return Ok(affected or 0, insert_id or 0, status, warnings, data[at + 4 :])

    def read_reply(self) -> Reply:
        """OK, an error, or a whole result set."""
        data = self.receive()
        if data[0] == 0xFF:
            return self.failure(data)
        if data[0] == 0x00:
            return self.ok(data)
        count, _ = read_lenenc(data, 0)
        names = self.read_columns(count or 0)
        return self.read_rows(names)

    def read_columns(self, count: int) -> list[str]:
        """Column definitions and, unless EOF packets are deprecated, the EOF after them."""
        names = [(read_strings(self.receive(), 6)[4] or b"").decode() for _ in range(count)]
        if not self.capabilities & DEPRECATE_EOF:
            assert self.receive()[0] == 0xFE
        return names

    def read_rows(self, names: list[str]) -> Reply:
        """Rows up to the tail packet."""
        rows = []
        while True:
            data = self.receive()
            if data[0] == 0xFF:
                return self.failure(data)
            if data[0] == 0xFE and len(data) < 0xFFFFFF:
                if self.capabilities & DEPRECATE_EOF:
                    tail = self.ok(data)
                    return ResultSet(names, rows, tail.status, tail.warnings)
                warnings, status = struct.unpack_from("<HH", data, 1)
                return ResultSet(names, rows, status, warnings)
            rows.append(data)

    def query(self, statement: str | bytes) -> Reply:
        """COM_QUERY and its (first) reply."""
        text = statement if isinstance(statement, bytes) else statement.encode()
        if self.capabilities & QUERY_ATTRIBUTES:
            text = b"\x00\x01" + text  # no attributes, one set
        self.command(COM_QUERY, text)
        return self.read_reply()

    def prepare(self, statement: str) -> tuple[int, int, list[str]] | Failure:
        """COM_STMT_PREPARE: statement id, number of parameters, names of columns."""
        self.command(COM_STMT_PREPARE, statement.encode())
        data = self.receive()
        if data[0] == 0xFF:
            return self.failure(data)
        statement_id, columns, parameters = struct.unpack_from("<IHH", data, 1)
        if parameters:
            self.read_columns(parameters)
        names = self.read_columns(columns) if columns else []
        return statement_id, parameters, names

    def execute(self, statement_id: int, parameters: list[bytes | int | None], flags: int = 0) -> Reply:
        """COM_STMT_EXECUTE with integers as BIGINT, bytes as VAR_STRING, None as NULL; `...` is not spoken."""
        self.command(COM_STMT_EXECUTE, execute_payload(statement_id, parameters, flags))
        return self.read_reply()

    def execute_bulk(self, statement_id: int, rows: list[list[bytes | int | str | None]]) -> Reply:
        """COM_STMT_BULK_EXECUTE; `DEFAULT` and `IGNORE` stand for values left out."""
        types = b"".join(
            b"\x08\x00" if any(isinstance(value, int) for value in column) else b"\xfd\x00"
            for column in zip(*rows, strict=True)
        )
        payload = struct.pack("<IH", statement_id, 128) + types
        for row in rows:
            for value in row:
                if value is None:
                    payload += b"\x01"
                elif isinstance(value, str):
                    payload += value.encode()
                else:
                    packed = struct.pack("<q", value) if isinstance(value, int) else lenenc_string(value)
                    payload += b"\x00" + packed
        self.command(COM_STMT_BULK_EXECUTE, payload)
        return self.read_reply()

    def ping(self) -> Reply:
        """COM_PING."""
        self.command(COM_PING)
        return self.read_reply()


def execute_payload(
    statement_id: int,
    parameters: list[bytes | int | None],
    flags: int = 0,
    long_data: frozenset[int] = frozenset(),
) -> bytes:
    """The body of COM_STMT_EXECUTE; positions in `long_data` were sent before and carry no value here."""
    payload = struct.pack("<IBI", statement_id, flags, 1)
    if not parameters:
        return payload
    nulls = bytearray((len(parameters) + 7) // 8)
    types, values = b"", b""
    for position, value in enumerate(parameters):
        if position in long_data:
            types += b"\xfc\x00"
        elif value is None:
            nulls[position // 8] |= 1 << position % 8
            types += b"\x06\x00"
        elif isinstance(value, int):
            types += b"\x08\x00"
            values += struct.pack("<q", value)
        else:
            types += b"\xfd\x00"
            values += lenenc_string(value)
    return payload + bytes(nulls) + b"\x01" + types + values
