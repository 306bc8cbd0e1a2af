"""One connection to a MySQL or MariaDB server over dbmesh's own client side of the protocol.

Decides how commands become packets, who receives the answer, and when the connection can no longer be trusted.
Answers arrive in protocol callbacks: no task and no future per query. Knows nothing of pools, sessions or merging.

One command is under way at a time, but for statements sent together (`query_all`), whose answers come in their order.
Whatever arrives unasked, a broken packet, a lost peer: the connection is closed, its receiver told, and it is never
usable again.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Sequence
from math import inf
from typing import Protocol, TypeVar

from dbmesh.backend.connection import Flavour, Home, Receiver, product_of
from dbmesh.backend.receivers import HeaderReceiver, OkReceiver, shard_error
from dbmesh.backend.state import SessionState, meaning, transition
from dbmesh.backend.tls import TlsChannel
from dbmesh.errors import DATA_SOURCE_LOST, MeshError, ProtocolError, ShardError
from dbmesh.wire.blocks import parse_header, parse_prepare_answer
from dbmesh.wire.constants import Capability, Command, ResponseKind, Status
from dbmesh.wire.framing import frame
from dbmesh.wire.packets import ColumnDefinition, OkPacket, PrepareOk
from dbmesh.wire.progress import ANSWER_END, NEED_DATA, Progress
from dbmesh.wire.response import QUERY, ResponseReader

_ResultT = TypeVar("_ResultT")

PREPARED_PER_CONNECTION = 256
"""Prepared statements kept on one connection; the least recently used is closed on the server."""

KILLED_SECONDS = 1.0
"""How long a killed statement may take to end before the statements sent behind it are left alone."""

_IN_TRANSACTION = Status.IN_TRANS.value
_DENIED = frozenset((1044, 1142, 1143, 1370))
"""What the account may not do with a schema, a table, a column, a routine."""
_QUERY = Command.QUERY.to_bytes(1, "little")


class RawReceiver(Protocol):
    """Receives an answer as raw packets: the relay. Called with the connection's own reader after every step."""

    def advance(self, reader: ResponseReader, progress: Progress) -> None:
        """Take what the reader holds (`header`, `rows`, `terminal`). Must not keep the reader."""
        ...

    def failed(self, error: Exception) -> None:
        """The connection was lost. Final."""
        ...


class PreparedOnShard:
    """A statement prepared on this connection: the server's id and what PREPARE told. `schema` and `state` are those it was read in, `seen`
    is what the asker knew of the tables then."""

    __slots__ = ("answer", "columns", "parameters", "schema", "seen", "state", "statement_id")

    def __init__(
        self,
        answer: PrepareOk,
        parameters: tuple[ColumnDefinition, ...],
        columns: tuple[ColumnDefinition, ...],
        schema: str,
        state: SessionState,
    ) -> None:
        self.answer = answer
        self.statement_id = answer.statement_id
        self.parameters = parameters
        self.columns = columns
        self.schema = schema
        self.state = state
        self.seen: object = None


class MySQLConnection(asyncio.Protocol):
    """See the module's docstring; implements `backend.connection.Connection`. Made by `backend.mysql_connect`."""

    relays = True
    prepares = True
    home: Home

    def __init__(
        self,
        data_source: str,
        schema: str,
        flavour: Flavour,
        transport: asyncio.Transport,
        tls: TlsChannel | None,
        capabilities: int,
        thread_id: int,
        status: int,
        opened_at: float,
        kill_query: Callable[[int], Awaitable[bool]],
        server_version: str = "",
    ) -> None:
        self.server_version = server_version
        self.product = product_of(server_version)
        self.data_source = data_source
        self.schema = schema
        self.flavour = flavour
        self.state = SessionState(names="")
        self.thread_id = thread_id
        self.opened_at = opened_at
        self.prepared: OrderedDict[bytes, PreparedOnShard] = OrderedDict()
        self._transport = transport
        self._tls = tls
        # Plain attributes: both are asked for at every statement.
        self.usable = True
        self.interrupting = False
        self._killing = False
        self.in_transaction = status & _IN_TRANSACTION != 0
        self.began_with_autocommit = status & Status.AUTOCOMMIT.value != 0
        self._kill_query = kill_query
        # Exactly one of the two while a command is under way, none otherwise.
        self._raw: RawReceiver | None = None
        self._receiver: Receiver | None = None
        # Commands sent behind the one under way: who receives, and how the answer is read.
        self._behind: deque[tuple[RawReceiver | None, Receiver | None]] = deque()
        self._turn: asyncio.Future[None] | None = None
        self._open = True
        self._reading = True
        self._garbled = False
        self._reader = ResponseReader(
            deprecate_eof=bool(capabilities & Capability.DEPRECATE_EOF),
            session_track=bool(capabilities & Capability.SESSION_TRACK),
        )
        self.write = transport.write if tls is None else tls.write
        transport.set_protocol(self)

    # ------------------------------------------------------------------ commands

    def relay(self, packet: bytes, receiver: RawReceiver) -> None:
        """Send a framed command whose answer is a query's; every step goes to `receiver` raw."""
        if not self._open:
            receiver.failed(self._lost_error("it was already closed"))
            return
        self.usable = False
        self._raw = receiver
        self._reader.start(QUERY)
        self.write(packet)

    def relay_fetch(self, packet: bytes, receiver: RawReceiver) -> None:
        """Send a framed COM_STMT_FETCH."""
        self._start_raw(ResponseKind.FETCH, packet, receiver)

    def query(self, sql: bytes, receiver: Receiver) -> None:
        """See `Connection`."""
        self._command(ResponseKind.QUERY, _QUERY + sql, receiver)

    def query_all(self, statements: Sequence[bytes], receiver: Receiver) -> None:
        """See `Pipeline`."""
        self.execute_all([_QUERY + sql for sql in statements], receiver)

    def execute(self, payload: bytes, receiver: Receiver) -> None:
        """Send a COM_STMT_EXECUTE; its rows, in binary form, go to `receiver`."""
        self._command(ResponseKind.QUERY, payload, receiver)

    def execute_all(self, payloads: Sequence[bytes], receiver: Receiver) -> None:
        """See `Pipeline`: one write."""
        if not self._open:
            for _ in payloads:
                receiver.failed(self._lost_error("it was already closed"))
            return
        self.usable = False
        self._receiver = receiver
        self._behind.extend([(None, receiver)] * (len(payloads) - 1))
        self._reader.start(ResponseKind.QUERY, split=True)
        self.write(b"".join([frame(payload, 0) for payload in payloads]))

    def send_only(self, payload: bytes) -> None:
        """A command that has no answer (COM_STMT_CLOSE, COM_STMT_SEND_LONG_DATA)."""
        self.write(frame(payload, 0))

    async def prepare(self, sql: bytes, seen: object = None) -> PreparedOnShard:
        """Prepare a statement on this connection, or find it prepared. What PREPARE told is as old as that: who wants to
        tell it says what is known of the tables, and a statement prepared under other knowledge is prepared anew. Raises
        ShardError or MeshError."""
        known = self.find_prepared(sql)
        if known is not None and (seen is None or known.seen is seen):
            self.prepared.move_to_end(sql)
            return known
        if sql in self.prepared:
            self._close_prepared(self.prepared.pop(sql))
        receiver = HeaderReceiver()
        self._start_raw(
            ResponseKind.PREPARE, frame(Command.STMT_PREPARE.to_bytes(1, "little") + sql, 0), receiver
        )
        header = await self._awaited(receiver.future)
        told = parse_prepare_answer(header, deprecate_eof=self.flavour.deprecate_eof)
        prepared = PreparedOnShard(*told, self.schema, self.state)
        prepared.seen = seen
        self.prepared[sql] = prepared
        if len(self.prepared) > PREPARED_PER_CONNECTION:
            self._close_prepared(self.prepared.popitem(last=False)[1])
        return prepared

    def find_prepared(self, sql: bytes) -> PreparedOnShard | None:
        """What the text is prepared as, where it was read as it would be now: in the schema and the state the connection has, which many sessions
        bring to what they have. O(1) as long as these are the same."""
        known = self.prepared.get(sql)
        if known is None or known.schema != self.schema:
            return None
        if known.state is not self.state:
            if known.state != self.state and meaning(known.state) != meaning(self.state):
                return None
            # Found equal by identity next time.
            known.state = self.state
        return known

    def _close_prepared(self, statement: PreparedOnShard) -> None:
        self.send_only(
            Command.STMT_CLOSE.to_bytes(1, "little") + statement.statement_id.to_bytes(4, "little")
        )

    async def bring_to(self, state: SessionState) -> None:
        """See `Connection`. Statements go one by one: a refused variable must not be followed by the client's
        statement running under the wrong state."""
        way = transition(self.state, state)
        if way.reset:
            await self.simple(Command.RESET_CONNECTION.to_bytes(1, "little"))
            self.prepared.clear()
            self.state = SessionState(names="")
        for position, statement in enumerate(way.statements):
            try:
                await self.simple(
                    Command.QUERY.to_bytes(1, "little") + statement.encode("utf-8", "surrogateescape")
                )
            except ShardError:
                if position:
                    # The statements before it took effect: what the session is now, nobody knows.
                    self.abort()
                raise
        self.state = state

    async def field_list(self, table: bytes, wildcard: bytes) -> bytes:
        """COM_FIELD_LIST: the definitions of a table's columns with their defaults, as a block. Raises ShardError or
        MeshError."""
        receiver = HeaderReceiver()
        payload = Command.FIELD_LIST.to_bytes(1, "little") + table + b"\0" + wildcard
        self._start_raw(ResponseKind.FIELD_LIST, frame(payload, 0), receiver)
        return await self._awaited(receiver.future)

    async def use_schema(self, schema: str) -> None:
        """Make another schema of the server the current one. Raises ShardError or MeshError."""
        await self.simple(Command.INIT_DB.to_bytes(1, "little") + schema.encode("utf-8", "surrogateescape"))
        self.schema = schema

    async def simple(self, payload: bytes) -> OkPacket:
        """Send a command answered by one OK. Raises ShardError or MeshError."""
        receiver = OkReceiver()
        self._command(ResponseKind.QUERY, payload, receiver)
        return await self._awaited(receiver.future)

    async def ping(self) -> bool:
        """See `Connection`."""
        try:
            await self.simple(Command.PING.to_bytes(1, "little"))
        except (MeshError, ShardError):
            return False
        return True

    async def interrupt(self) -> None:
        """See `Connection`."""
        if self._killing:
            return
        self.interrupting = self._killing = True
        try:
            while not self.usable and self._open:
                behind = len(self._behind)
                if not await self._kill_query(self.thread_id) and not self.usable:
                    # Whoever waits for an answer would wait until the network comes back.
                    self.abort()
                if not behind or not await self._turn_comes(behind):
                    break
        finally:
            self.interrupting = self._killing = False

    async def _turn_comes(self, behind: int) -> bool:
        """Whether the killed statement ends, so that what was sent behind it begins and can be stopped in its turn.
        Of a connection that is not read nobody can tell."""
        if len(self._behind) == behind:
            if not self._reading:
                return False
            self._turn = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._turn], timeout=KILLED_SECONDS)
        return len(self._behind) < behind

    @property
    def row_packets(self) -> int | None:
        """Packets of rows a relay has been handed of the result under way; None when half a packet was, or when the
        server broke the protocol."""
        return None if self._garbled else self._reader.row_packets

    def pause_reading(self) -> None:
        """See `Connection`."""
        if self._open and self._reading and not self.usable:
            self._reading = False
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """See `Connection`."""
        if self._open and not self._reading:
            self._reading = True
            self._transport.resume_reading()

    def abort(self) -> None:
        """See `Connection`."""
        if self._open:
            self._transport.abort()
            self._lost("closed by the mesh")

    async def close(self) -> None:
        """See `Connection`."""
        if self._open:
            if self.usable:
                self.send_only(Command.QUIT.to_bytes(1, "little"))
            self._open = self.usable = False
            self._transport.close()

    def hand_over(self, protocol: asyncio.Protocol) -> tuple[asyncio.Transport, TlsChannel | None]:
        """Give a usable connection's socket to a protocol that speaks otherwise; it is closed for everybody else."""
        self._open = self.usable = False
        self._transport.set_protocol(protocol)
        return self._transport, self._tls

    # ------------------------------------------------------------------ asyncio.Protocol

    def data_received(self, data: bytes) -> None:
        """Bytes of the answer under way."""
        if self._tls is not None:
            try:
                data = self._tls.receive(data)
            except OSError as error:
                self._broken(f"TLS failed: {error}")
                return
            if not data:
                return
        if self.usable:
            self._broken("it sent bytes nobody asked for")
            return
        reader, raw = self._reader, self._raw
        try:
            progress = reader.feed(data)
            while raw is None:
                rest = self._advance(progress)
                if not rest:
                    return
                raw = self._raw
                progress = reader.feed(rest)
            while progress is not NEED_DATA:
                if progress is ANSWER_END:
                    self._rest_at_end()
                    raw.advance(reader, progress)
                    return
                if progress is Progress.LOCAL_INFILE:
                    self._refuse_file()
                    return
                raw.advance(reader, progress)
                if self._raw is not raw:
                    return
                progress = reader.resume()
            raw.advance(reader, progress)
        except ProtocolError as error:
            if self._raw is None:
                # Found while its receiver read the whole answer: it still waits to be told.
                self._raw = raw
            self._broken(str(error))

    def connection_lost(self, exc: Exception | None) -> None:
        """The server closed, or the network did."""
        if self._open:
            self._lost(str(exc) if exc is not None else "the server closed it")

    # ------------------------------------------------------------------ inside

    def _start_raw(self, kind: ResponseKind, packet: bytes, receiver: RawReceiver) -> None:
        if not self._open:
            receiver.failed(self._lost_error("it was already closed"))
            return
        self.usable = False
        self._raw = receiver
        self._reader.start(kind)
        self.write(packet)

    def _command(self, kind: ResponseKind, payload: bytes, receiver: Receiver) -> None:
        if not self._open:
            receiver.failed(self._lost_error("it was already closed"))
            return
        self.usable = False
        self._receiver = receiver
        self._reader.start(kind, split=True)
        self.write(frame(payload, 0))

    def _advance(self, progress: Progress) -> bytes:
        """Hand what the reader holds to a decoded receiver. Returns the first bytes of the answer to the command sent
        behind this one, where they have come."""
        reader, receiver = self._reader, self._receiver
        if receiver is None:
            raise ProtocolError("an answer without a receiver")
        while True:
            if reader.header:
                receiver.columns(parse_header(reader.header, deprecate_eof=self.flavour.deprecate_eof))
            if reader.packets:
                receiver.rows(reader.packets)
            if progress is NEED_DATA or self._receiver is not receiver:
                # The receiver may have closed the connection on seeing the rows.
                return b""
            if progress is Progress.LOCAL_INFILE:
                self._refuse_file()
                return b""
            if progress is ANSWER_END:
                error = shard_error(reader.error()) if reader.failed else None
                ok = reader.ok() if error is None else None
                rest = b""
                if self._behind:
                    rest = self._begin_next()
                else:
                    self._rest_at_end()
                if ok is not None:
                    receiver.done(ok, more=False)
                elif error is not None:
                    receiver.failed(error)
                return rest if self._open else b""
            receiver.done(reader.ok(), more=True)
            if self._receiver is not receiver:
                return b""
            progress = reader.resume()

    def _begin_next(self) -> bytes:
        """The answer is complete and the next one's turn has come, before the receiver hears of it. Returns its first
        bytes."""
        reader = self._reader
        if not reader.failed:
            self.in_transaction = reader.status & _IN_TRANSACTION != 0
        self._raw, self._receiver = self._behind.popleft()
        rest = reader.take_rest()
        reader.start(ResponseKind.QUERY, split=self._raw is None)
        self._end_turn()
        return rest

    def _end_turn(self) -> None:
        """Whoever waits for the end of the answer under way waits no longer."""
        turn, self._turn = self._turn, None
        if turn is not None and not turn.done():
            turn.set_result(None)

    def _rest_at_end(self) -> None:
        """The answer is complete: the connection is free before the receiver hears of it, so that the receiver may
        give it back."""
        reader = self._reader
        if reader.rest:
            raise ProtocolError("bytes behind the end of an answer")
        if not reader.failed:
            # An ERR packet carries no status: after it, what was true before it is all we know.
            self.in_transaction = reader.status & _IN_TRANSACTION != 0
        elif reader.error().number in _DENIED:
            # A session keeps what its account was granted when it began: it serves nobody who is granted more meanwhile.
            self.opened_at = -inf
        if not self._reading:
            # A connection at rest is always read: its next borrower knows nothing of this one's slow client.
            self.resume_reading()
        self.usable = True
        self._raw = self._receiver = None

    def _refuse_file(self) -> None:
        """The capability was never offered: a server that asks for a file cannot be trusted."""
        raise ProtocolError("the server asked for a local file")

    async def _awaited(self, future: asyncio.Future[_ResultT]) -> _ResultT:
        try:
            return await future
        except asyncio.CancelledError:
            self.abort()
            raise

    def _broken(self, reason: str) -> None:
        self._garbled = True
        self._transport.abort()
        self._lost(reason)

    def _lost(self, reason: str) -> None:
        self._open = self.usable = False
        waiting = [(self._raw, self._receiver), *self._behind]
        self._raw = self._receiver = None
        self._behind.clear()
        self._end_turn()
        error = self._lost_error(reason)
        for raw, receiver in waiting:
            if raw is not None:
                raw.failed(error)
            elif receiver is not None:
                receiver.failed(error)

    def _lost_error(self, reason: str) -> MeshError:
        return MeshError(DATA_SOURCE_LOST, data_source=self.data_source, reason=reason)
