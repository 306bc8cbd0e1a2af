"""The connection phase with the mesh as the client of a data source, without I/O.

Decides how a password is proved, and refuses to show it to anyone who might listen. TLS itself is the caller's:

    machine = ClientHandshake(...)
    for each packet:  events = machine.receive_packet(sequence, payload)
    for each event:   Send → send it · StartTls → upgrade the stream, then handle machine.tls_started() ·
                      Ready → commands may follow · Failed → close

    greeting ──(StartTls)──▶ authenticating ──OK──▶ ready
                               │  ▲ switch, more data        ERR anywhere ──▶ failed
                               └──┘
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from dbmesh.errors import ProtocolError
from dbmesh.wire.auth import (
    CACHING_SHA2,
    CLEAR,
    ED25519,
    NATIVE,
    SHA256,
    native_scramble,
    sha2_scramble,
)
from dbmesh.wire.constants import Capability
from dbmesh.wire.ed25519 import ed25519_scramble
from dbmesh.wire.framing import frame
from dbmesh.wire.handshake_packets import (
    Greeting,
    HandshakeResponse,
    make_handshake_response,
    make_ssl_request,
    parse_auth_switch,
    parse_greeting,
)
from dbmesh.wire.packets import ERR, OK, ErrPacket, OkPacket, parse_err, parse_ok
from dbmesh.wire.server_handshake import Send, StartTls

CLIENT_CAPABILITIES: Final = (
    Capability.LONG_PASSWORD
    | Capability.LONG_FLAG
    | Capability.CONNECT_WITH_DB
    | Capability.PROTOCOL_41
    | Capability.TRANSACTIONS
    | Capability.SECURE_CONNECTION
    | Capability.MULTI_STATEMENTS
    | Capability.MULTI_RESULTS
    | Capability.PS_MULTI_RESULTS
    | Capability.PLUGIN_AUTH
    | Capability.CONNECT_ATTRS
    | Capability.PLUGIN_AUTH_LENENC
    | Capability.SESSION_TRACK
    | Capability.DEPRECATE_EOF
).value
"""What the wire floor asks of data sources. FOUND_ROWS and IGNORE_SPACE change answers: add them where the client
has them. LOCAL_FILES, OPTIONAL_RESULTSET_METADATA and QUERY_ATTRIBUTES must stay out (see `response.py`)."""

_REQUIRED: Final = (Capability.PROTOCOL_41 | Capability.SECURE_CONNECTION).value
_FAST_OK: Final = b"\x03"
_FULL_NEEDED: Final = b"\x04"
_KEY_REQUEST: Final = b"\x02"
_SHA256_KEY_REQUEST: Final = b"\x01"
_PLUGINS: Final = (NATIVE, CACHING_SHA2, SHA256, CLEAR, ED25519)

# Numbers of the manual's "Client Error Message Reference".
_TLS_FAILED: Final = 2026
_PLUGIN_FAILED: Final = 2059
_INSECURE: Final = 2061


@dataclass(frozen=True, slots=True)
class Ready:
    """The data source accepts commands. `capabilities` are those both sides have; `server_version` comes without the
    `5.5.5-` that MariaDB once put before it for old replicas' sake."""

    server_version: str
    mariadb: bool
    capabilities: int
    connection_id: int
    collation: int
    ok: OkPacket

    @property
    def status(self) -> int:
        """Server status after the login."""
        return self.ok.status


@dataclass(frozen=True, slots=True)
class Failed:
    """The login failed. The error is the server's, or ours with a number of MySQL's client library."""

    error: ErrPacket


ClientEvent = Send | StartTls | Ready | Failed


class ClientHandshake:
    """See the module's docstring. With `tls` the login goes on only inside TLS, with `tls_if_offered` inside TLS where
    the server has it; `secure` tells that nobody can listen even without it (a Unix socket). Raises ProtocolError for packets no server would send."""

    def __init__(
        self,
        *,
        user: str,
        password: str,
        database: str | None,
        collation: int,
        capabilities: int = CLIENT_CAPABILITIES,
        attributes: tuple[tuple[str, str], ...] = (),
        max_packet: int = 1 << 30,
        tls: bool = False,
        tls_if_offered: bool = False,
        secure: bool = False,
    ) -> None:
        self._user = user.encode("utf-8")
        self._password = password.encode("utf-8")
        self._database = database.encode("utf-8") if database else None
        self._collation = collation
        self._capabilities = capabilities & ~Capability.SSL.value | (
            Capability.SSL.value if tls or tls_if_offered else 0
        )
        if self._database is None:
            self._capabilities &= ~Capability.CONNECT_WITH_DB.value
        self._attributes = tuple((key.encode("utf-8"), value.encode("utf-8")) for key, value in attributes)
        self._max_packet = max_packet
        self._tls = tls
        self._tls_if_offered = tls_if_offered
        self._secure = secure
        self._sequence = 0
        self._state: Callable[[bytes], list[ClientEvent]] = self._receive_greeting
        self._greeting = Greeting("", 0, b"", 0, 0)
        self._plugin = NATIVE
        self._nonce = b""

    def receive_packet(self, sequence: int, payload: bytes) -> list[ClientEvent]:
        """The server's next packet."""
        self._sequence = sequence + 1
        if not payload:
            raise ProtocolError("an empty packet in the handshake")
        if payload[0] == ERR:
            return self._fail(parse_err(payload))
        return self._state(payload)

    def tls_started(self) -> list[ClientEvent]:
        """The stream is encrypted from here on."""
        self._secure = True
        return self._respond()

    # ------------------------------------------------------------------------------------------ states

    def _receive_greeting(self, payload: bytes) -> list[ClientEvent]:
        greeting = parse_greeting(payload)
        self._greeting = greeting
        self._capabilities &= greeting.capabilities | _REQUIRED
        self._plugin = greeting.plugin if greeting.plugin in _PLUGINS else NATIVE
        self._nonce = greeting.nonce
        self._state = self._receive_verdict
        offered = bool(greeting.capabilities & Capability.SSL)
        if not (self._tls or (self._tls_if_offered and offered)):
            return self._respond()
        if not offered:
            return self._fail_here(_TLS_FAILED, "TLS is required, and the server does not offer it")
        self._state = self._receive_too_early
        return [self._send(make_ssl_request(self._response(b""))), StartTls()]

    def _respond(self) -> list[ClientEvent]:
        self._state = self._receive_verdict
        if self._plugin == CLEAR and not self._secure:
            # The greeting's plugin is only a proposal: the server asks again for what the account really has.
            self._plugin = NATIVE
        return [self._send(make_handshake_response(self._response(self._answer())))]

    def _receive_too_early(self, payload: bytes) -> list[ClientEvent]:
        raise ProtocolError("the server went on without waiting for TLS")

    def _receive_verdict(self, payload: bytes) -> list[ClientEvent]:
        first = payload[0]
        if first == OK:
            return self._ready(payload)
        if first == 0xFE:
            return self._switch(payload)
        if first == 0x01:
            return self._receive_more(payload[1:])
        raise ProtocolError(f"0x{first:02x} begins no packet of the handshake")

    def _switch(self, payload: bytes) -> list[ClientEvent]:
        switch = parse_auth_switch(payload)
        if switch.plugin not in _PLUGINS:
            return self._fail_here(
                _PLUGIN_FAILED, f"authentication plugin '{switch.plugin}' is not supported"
            )
        if switch.plugin == CLEAR and not self._secure:
            return self._fail_here(_INSECURE, "the password would be sent in the clear without TLS")
        self._plugin = switch.plugin
        self._nonce = switch.nonce
        return [self._send(self._answer())]

    def _receive_more(self, data: bytes) -> list[ClientEvent]:
        """AuthMoreData: a state of caching_sha2_password, or the server's public key."""
        if self._plugin not in (CACHING_SHA2, SHA256):
            raise ProtocolError(f"more data for {self._plugin}, which has none")
        if self._plugin == CACHING_SHA2 and data == _FAST_OK:
            return []
        if self._plugin == CACHING_SHA2 and data == _FULL_NEEDED:
            return [self._send(self._password + b"\0" if self._secure else _KEY_REQUEST)]
        if self._secure:
            raise ProtocolError("a public key nobody asked for")
        from dbmesh.wire.rsa import rsa_encrypt

        return [self._send(rsa_encrypt(self._password, self._nonce, data))]

    def _ready(self, payload: bytes) -> list[ClientEvent]:
        self._state = self._receive_too_late
        version = self._greeting.server_version
        mariadb = "mariadb" in version.lower()
        return [
            Ready(
                version.removeprefix("5.5.5-") if mariadb else version,
                mariadb,
                self._capabilities,
                self._greeting.connection_id,
                self._greeting.collation,
                parse_ok(payload, self._capabilities),
            )
        ]

    def _receive_too_late(self, payload: bytes) -> list[ClientEvent]:
        raise ProtocolError("a packet behind the end of the handshake")

    # ------------------------------------------------------------------------------------------ helpers

    def _answer(self) -> bytes:
        if self._plugin == NATIVE:
            return native_scramble(self._password, self._nonce[:20])
        if self._plugin == CACHING_SHA2:
            return sha2_scramble(self._password, self._nonce[:20])
        if self._plugin == ED25519:
            return ed25519_scramble(self._password, self._nonce)
        if self._plugin == SHA256 and self._password and not self._secure:
            return _SHA256_KEY_REQUEST
        return self._password + b"\0"

    def _response(self, auth: bytes) -> HandshakeResponse:
        return HandshakeResponse(
            self._capabilities,
            self._max_packet,
            self._collation,
            self._user,
            auth,
            self._database,
            self._plugin,
            self._attributes,
        )

    def _fail(self, error: ErrPacket) -> list[ClientEvent]:
        self._state = self._receive_too_late
        return [Failed(error)]

    def _fail_here(self, number: int, message: str) -> list[ClientEvent]:
        return self._fail(ErrPacket(number, "HY000", message.encode("utf-8")))

    def _send(self, payload: bytes) -> Send:
        data = frame(payload, self._sequence & 0xFF)
        self._sequence += 1
        return Send(data)
