"""One client's connection: bytes to packets, login, TLS, commands to the session, backpressure.

Decides when a command may be taken (one at a time; what a client sends ahead waits, bounded), and when a connection is
closed. What commands mean is the session's business.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import struct
from collections.abc import Callable, Sequence
from typing import Protocol, cast

from dbmesh.backend.connection import Product
from dbmesh.backend.state import SessionState
from dbmesh.backend.tasks import TaskOwner
from dbmesh.backend.tls import TlsChannel
from dbmesh.errors import (
    ACCESS_DENIED,
    ACCOUNT_LOCKED,
    MALFORMED_PACKET,
    PACKETS_OUT_OF_ORDER,
    SERVER_SHUTDOWN,
    MeshError,
    ProtocolError,
)
from dbmesh.server.accounts import Accounts
from dbmesh.server.tls_needs import is_met
from dbmesh.session.answering.errors import as_packet
from dbmesh.session.answering.session_track import schema_changed
from dbmesh.session.authority.rights import use_account
from dbmesh.session.commands import COMMANDS
from dbmesh.session.mesh import Mesh
from dbmesh.session.session import Session
from dbmesh.session.statements.local import use
from dbmesh.session.statements.variables import check_charset, recoded_client
from dbmesh.wire.collations import charset_of_collation, collation_name, default_collation, wide_charset
from dbmesh.wire.compression import CompressedStream
from dbmesh.wire.constants import MAX_PAYLOAD, Capability, Command
from dbmesh.wire.framing import HEADER, PacketReader, frame
from dbmesh.wire.handshake import Authenticated, Denied, LookUpSecret, Send, ServerHandshake, StartTls
from dbmesh.wire.packets import make_err

_log = logging.getLogger(__name__)

READ_AHEAD = 1 << 20
"""Bytes a client may send ahead of the command under way before its socket is no longer read."""

LOGIN_PACKET = 1 << 16
"""Largest packet accepted before the client has logged in."""

_word_and_command = struct.Struct("<IB").unpack_from
_CHANGE_USER = Command.CHANGE_USER.value


class Door(Protocol):
    """What a connection needs of the listener: shared settings, and to be counted."""

    mesh: Mesh
    accounts: Accounts
    tls: ssl.SSLContext | None
    tasks: TaskOwner

    def admit(self, connection: ClientConnection) -> MeshError | None:
        """Count a new connection, or say why it is refused."""
        ...

    def leave(self, connection: ClientConnection) -> None:
        """The connection is closed."""
        ...

    def make_handshake(self, host: str, *, secure: bool) -> tuple[int, ServerHandshake]:
        """A connection id and the login machine for it."""
        ...

    def make_nonce(self) -> bytes:
        """Twenty random bytes for a new proof of the password."""
        ...


class ClientConnection(asyncio.Protocol):
    """See the module's docstring; implements `session.client.Client`."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._transport: asyncio.Transport | None = None
        self._tls: TlsChannel | None = None
        # What makes the session's bytes of those that arrive: TLS, compression, both or nothing.
        self._unwrap: Callable[[bytes], bytes] | None = None
        self._handshake: ServerHandshake | None = None
        self._reader = PacketReader(LOGIN_PACKET)
        self._largest_at_once = LOGIN_PACKET
        self._session: Session | None = None
        self._compresses = False
        self._connection_id = 0
        self._host = ""
        self._busy = False
        self._logging_in = True
        self._login_began = asyncio.get_running_loop().time()
        self._reading = True
        self._closing = False
        self._awaited: asyncio.Future[None] | None = None
        self.write = _discard

    @property
    def idle(self) -> bool:
        """No command under way and no transaction open: may be closed by a shutdown."""
        return not self._busy and (self._session is None or not self._session.transaction.open)

    def logging_in_since(self) -> float | None:
        """Loop time at which the login under way began; None for a client that has logged in."""
        return self._login_began if self._logging_in else None

    # ------------------------------------------------------------------ asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client connected: greet it, or say why not."""
        # uvloop's transports are no subclasses of asyncio's.
        stream = cast("asyncio.Transport", transport)
        self._transport = stream
        self.write = stream.write
        peer = transport.get_extra_info("peername")
        secure = not isinstance(peer, tuple)
        self._host = "localhost" if secure else str(peer[0])
        refusal = self._door.admit(self)
        if refusal is not None:
            self.write(frame(make_err(as_packet(refusal)), 0))
            self.close()
            return
        self._connection_id, self._handshake = self._door.make_handshake(self._host, secure=secure)
        self.write(self._handshake.greeting())
        self._reader.expect_sequence(1)

    def data_received(self, data: bytes) -> None:
        """Bytes from the client."""
        if self._closing:
            return
        try:
            if self._unwrap is not None:
                data = self._unwrap(data)
            reader = self._reader
            session = self._session
            length = len(data) - HEADER
            if length > 0 and not (
                session is None or self._busy or self._logging_in or reader.buffered or session.client_paused
            ):
                announced, command = _word_and_command(data)
                if announced == length <= self._largest_at_once and command != _CHANGE_USER:
                    # What nearly always comes, one command in one chunk: the reader would cut out the same packet.
                    self._busy = True
                    session.handle(data[HEADER:], 1)
                    return
            reader.feed(data)
            if self._awaited is not None:
                if not self._awaited.done():
                    self._awaited.set_result(None)
                return
            if self._busy or (session is not None and session.client_paused):
                if reader.buffered > READ_AHEAD:
                    self._hold_reading()
                return
            self._take_packets()
        except MeshError as error:
            self._refuse(error)
        except ProtocolError:
            self._refuse(MeshError(PACKETS_OUT_OF_ORDER))
        except OSError as error:
            _log.info("connection %d: TLS failed: %s", self._connection_id, error, extra=self._fields)
            self.abort()

    def eof_received(self) -> bool:
        """The client will send nothing more: that ends it, as with MySQL."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        del exc
        self._closing = True
        self.write = _discard
        session, self._session = self._session, None
        if session is not None:
            self._door.tasks.start(session.end(), f"end of session {self._connection_id}")
        self._door.leave(self)

    def pause_writing(self) -> None:
        """The client reads too slowly."""
        if self._session is not None:
            self._session.pause()

    def resume_writing(self) -> None:
        """The client has caught up."""
        if self._session is not None:
            self._session.resume()
            if not self._busy and not self._closing:
                self._take_packets_guarded()

    # ------------------------------------------------------------------ session.client.Client

    async def read_packet(self, sequence: int) -> tuple[int, bytes]:
        """See `Client`."""
        self._reader.expect_sequence(sequence)
        try:
            while (packet := self._reader.next_packet()) is None:
                self._awaited = asyncio.get_running_loop().create_future()
                if not self._reading:
                    self._resume_reading()
                try:
                    await self._awaited
                finally:
                    self._awaited = None
        except MeshError as error:
            self._refuse(error)
            raise
        except ProtocolError as error:
            self._refuse(MeshError(PACKETS_OUT_OF_ORDER))
            raise MeshError(PACKETS_OUT_OF_ORDER) from error
        self._reader.expect_sequence(0)
        return packet

    def encryption(self) -> tuple[str, str] | None:
        """See `session.client.Client`."""
        return None if self._tls is None else self._tls.encryption()

    def next_command(self) -> None:
        """See `Client`. A command that was answered at once is followed by the next in the loop of `_take_packets`."""
        self._busy = False
        if self._reader.buffered and self._session is not None and not self._taking:
            self._take_packets_guarded()
        elif not self._reading:
            self._resume_reading()

    def close(self) -> None:
        """See `Client`."""
        self._closing = True
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """See `Client`."""
        self._closing = True
        if self._transport is not None:
            self._transport.abort()

    def shut_down(self) -> None:
        """The mesh stops: tell an idle client and close."""
        if not self._closing:
            self.write(frame(make_err(as_packet(MeshError(SERVER_SHUTDOWN))), 0))
            self.close()

    # ------------------------------------------------------------------ inside

    _taking = False

    @property
    def _stalled(self) -> bool:
        """The client does not read its answers: no further command is taken until it does, or they would pile up."""
        return self._session is not None and self._session.client_paused

    def _take_packets(self) -> None:
        """Give packets on until a command is under way. One loop, however many commands a client sends ahead."""
        self._taking = True
        try:
            while not self._busy and not self._closing and not self._stalled:
                packet = self._reader.next_packet()
                if packet is None:
                    break
                sequence, payload = packet
                session = self._session
                if session is None or self._logging_in:
                    self._log_in(sequence, payload)
                    continue
                self._reader.expect_sequence(0)
                if payload and payload[0] == _CHANGE_USER:
                    self._change_user(session, sequence, payload)
                else:
                    self._busy = True
                    session.handle(payload, (sequence + 1) & 0xFF)
        finally:
            self._taking = False
        if not self._busy and not self._reading and not self._stalled:
            self._resume_reading()

    def _take_packets_guarded(self) -> None:
        try:
            self._take_packets()
        except MeshError as error:
            self._refuse(error)
        except ProtocolError:
            self._refuse(MeshError(PACKETS_OUT_OF_ORDER))

    def _log_in(self, sequence: int, payload: bytes) -> None:
        if self._handshake is not None:
            self._perform(self._handshake.receive_packet(sequence, payload))

    def _change_user(self, session: Session, sequence: int, payload: bytes) -> None:
        """COM_CHANGE_USER: everything the session holds is given up, then the client logs in again."""
        self._busy = True
        self._door.tasks.start(
            self._change_user_later(session, sequence, payload),
            f"change user of session {self._connection_id}",
        )

    async def _change_user_later(self, session: Session, sequence: int, payload: bytes) -> None:
        await session.give_up_connections()
        if self._closing or self._handshake is None:
            return
        self._logging_in = True
        self._login_began = asyncio.get_running_loop().time()
        try:
            self._perform(self._handshake.change_user(sequence, payload, self._door.make_nonce()))
        except ProtocolError:
            self._refuse(MeshError(MALFORMED_PACKET))
        except MeshError as error:
            self._refuse(error)
        self.next_command()

    def _perform(self, events: Sequence[object]) -> None:
        for event in events:
            if isinstance(event, Send):
                self.write(event.data)
            elif isinstance(event, StartTls):
                self._start_tls()
            elif isinstance(event, LookUpSecret):
                self._look_up(event)
            elif isinstance(event, Authenticated):
                self._authenticated(event)
            elif isinstance(event, Denied):
                _log.info("connection %d: %s", self._connection_id, event.error, extra=self._fields)
                self.close()
        if self._logging_in and self._handshake is not None:
            self._reader.expect_sequence(self._handshake.next_sequence)

    def _look_up(self, event: LookUpSecret) -> None:
        secret = self._door.accounts.secret(event.user, event.host)
        if self._handshake is not None:
            self._perform(self._handshake.use_secret(secret))

    def _start_tls(self) -> None:
        """Whatever was read behind the TLS request is TLS already."""
        if self._transport is None or self._door.tls is None:
            self.abort()
            return
        self._tls = TlsChannel(self._transport, self._door.tls, server_side=True)
        self.write = self._tls.write
        self._unwrap = self._tls.receive
        rest = self._reader.take_rest()
        if rest:
            self._reader.feed(self._tls.receive(rest))

    def _authenticated(self, event: Authenticated) -> None:
        door = self._door
        account = door.accounts.account(event.user, self._host)
        if account is None:
            self.abort()
            return
        denied = None
        if not is_met(account.tls, self._tls):
            using = "YES" if account.password else "NO"
            denied = MeshError(ACCESS_DENIED, user=event.user, host=self._host, using=using)
        elif account.locked:
            denied = MeshError(ACCOUNT_LOCKED)
        if denied is not None:
            _log.info("connection %d: %s", self._connection_id, denied, extra=self._fields)
            self.write(frame(make_err(as_packet(denied)), event.sequence))
            self.close()
            return
        if event.cache_entry is not None:
            door.accounts.remember(event.user, self._host, event.cache_entry)
        session = self._session
        if session is None:
            session = Session(
                door.mesh, self, door.tasks, self._connection_id, event.capabilities, self._host, COMMANDS
            )
            self._session = session
        session.user_name = event.user
        use_account(session, account)
        session.database = None
        try:
            if door.mesh.doorkeeper is not None:
                door.mesh.doorkeeper.let_in(session)
            session.handshake_state = state_of(event.collation, session.mesh.product)
            session.reset()
            if event.database:
                use(session, event.database)
        except MeshError as error:
            self.write(frame(make_err(as_packet(error)), event.sequence))
            self.close()
            return
        self._logging_in = False
        rest = self._reader.take_rest()
        compresses = bool(event.capabilities & Capability.COMPRESS) and not self._compresses
        self._reader = PacketReader(door.mesh.max_allowed_packet)
        self._reader.expect_sequence(0)
        self._largest_at_once = min(door.mesh.max_allowed_packet, MAX_PAYLOAD - 1)
        self._reader.feed(b"" if compresses else rest)
        session_state = schema_changed(session.database) if session.database else b""
        session.ok(sequence=event.sequence, session_state=session_state)
        if compresses:
            self._start_compression(rest)

    def _start_compression(self, rest: bytes) -> None:
        """Everything behind the login's OK is compressed."""
        self._compresses = True
        stream, unwrap, write = CompressedStream(), self._unwrap, self.write
        self._unwrap = stream.receive if unwrap is None else lambda data: stream.receive(unwrap(data))
        self.write = lambda data: write(stream.wrap(data))
        self._reader.feed(stream.receive(rest))

    @property
    def _fields(self) -> dict[str, object]:
        """What log records tell of it, as `session.log_fields` does."""
        return {"session": self._connection_id}

    def _refuse(self, error: MeshError) -> None:
        """The stream cannot be read on: say why, then close."""
        _log.info("connection %d: %s", self._connection_id, error, extra=self._fields)
        if not self._closing:
            self.write(frame(make_err(as_packet(error)), self._reader.refused_sequence + 1))
            self.close()

    def _hold_reading(self) -> None:
        if self._reading and self._transport is not None:
            self._reading = False
            self._transport.pause_reading()

    def _resume_reading(self) -> None:
        self._reading = True
        if self._transport is not None and not self._closing:
            self._transport.resume_reading()


def _discard(data: bytes) -> None:
    """Where writes go when the client is gone."""
    del data


def state_of(collation: int, product: Product) -> SessionState:
    """The names a client's handshake collation asks for. What is a charset's default on the data sources is left to them, as
    with SET NAMES without COLLATE, and so is MySQL 8's where they do not know it. Raises MeshError for a character set no client
    can speak."""
    name = collation_name(collation)
    charset = None if name is None else charset_of_collation(name)
    wide = wide_charset(collation)
    if wide is not None:
        check_charset(wide)
    if name is None or charset is None:
        return SessionState()
    check_charset(charset)
    defaults = {default_collation(charset, mysql_8=True)}
    if product is not Product.MYSQL:
        defaults.add(default_collation(charset))
    names = charset if name in defaults else f"{charset} COLLATE {name}"
    return SessionState(names=names, client=recoded_client(names))
