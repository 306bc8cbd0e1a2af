"""The connection phase with the mesh as the server, without I/O.

Decides what is sent when, and whether the client has proved its password. Refuses to know where secrets are stored
and how TLS is done: it asks, by events, and is told. One machine serves one connection, COM_CHANGE_USER included:

    machine = ServerHandshake(...)
    send(machine.greeting())
    for each packet:  events = machine.receive_packet(sequence, payload)
    for each event:   Send → send it · StartTls → upgrade the stream, then go on reading packets ·
                      LookUpSecret → handle what machine.use_secret(secret) returns ·
                      Authenticated → send OK (or an error of your own) with event.sequence ·
                      Denied → the ERR packet has been sent, close

    awaiting ──response──▶ secret asked ──secret──▶ proved / denied
        │ TLS request: StartTls, awaiting again       │ other plugin: switching ──answer──▶ proved / denied
        ▼                                             │ sha2 not cached: full ──password──▶ proved / denied
                                                      └───────────────── full ──key request──▶ full
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dbmesh.errors import (
    ACCESS_DENIED,
    BAD_HANDSHAKE,
    NOT_SUPPORTED_AUTH_MODE,
    SECURE_TRANSPORT,
    MeshError,
    ProtocolError,
)
from dbmesh.wire.auth import (
    CACHING_SHA2,
    NATIVE,
    Secret,
    sha2_cache_entry,
    verify_native,
    verify_password,
    verify_sha2_fast,
)
from dbmesh.wire.constants import Capability, Status
from dbmesh.wire.framing import frame
from dbmesh.wire.handshake_packets import (
    SSL_REQUEST_LENGTH,
    AuthSwitch,
    Greeting,
    HandshakeResponse,
    make_auth_switch,
    make_greeting,
    parse_change_user,
    parse_handshake_response,
)
from dbmesh.wire.packets import ErrPacket, make_err

if TYPE_CHECKING:
    from dbmesh.wire.rsa import RsaKey

SERVER_CAPABILITIES: Final = (
    Capability.LONG_PASSWORD
    | Capability.FOUND_ROWS
    | Capability.LONG_FLAG
    | Capability.CONNECT_WITH_DB
    | Capability.COMPRESS
    | Capability.ODBC
    | Capability.LOCAL_FILES
    | Capability.IGNORE_SPACE
    | Capability.PROTOCOL_41
    | Capability.INTERACTIVE
    | Capability.IGNORE_SIGPIPE
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
    | Capability.QUERY_ATTRIBUTES
).value
"""What the wire floor can speak as a server; SSL is added by the machine when TLS is available."""

MARIADB_CAPABILITIES: Final = Capability.STMT_BULK_OPERATIONS.value
"""What it can speak besides as a MariaDB, in place of LONG_PASSWORD."""

_FAST_OK: Final = b"\x01\x03"
_FULL_NEEDED: Final = b"\x01\x04"
_KEY_REQUEST: Final = b"\x02"


@dataclass(frozen=True, slots=True)
class Send:
    """Packets to write, headers included."""

    data: bytes


@dataclass(frozen=True, slots=True)
class StartTls:
    """The client's TLS handshake follows on the stream. Bytes already read behind the TLS request belong to it."""


@dataclass(frozen=True, slots=True)
class LookUpSecret:
    """Whose password is to be proved. Answer with `use_secret`, `Secret()` for nobody known."""

    user: str
    host: str


@dataclass(frozen=True, slots=True)
class Authenticated:
    """The password is proved. `capabilities` are those both sides have; `collation` may be 0 (COM_CHANGE_USER).

    `sequence` is the id of the OK packet, which the caller sends once the database is known to be good.
    `cache_entry` is to be kept as `Secret.cached_sha2` when it is not None.
    """

    user: str
    database: str | None
    collation: int
    attributes: tuple[tuple[str, str], ...]
    capabilities: int
    max_packet: int
    plugin: str
    secure: bool
    sequence: int
    cache_entry: bytes | None = None


@dataclass(frozen=True, slots=True)
class Denied:
    """The client is turned away; the error packet is among the events before this one."""

    error: MeshError


ServerEvent = Send | StartTls | LookUpSecret | Authenticated | Denied


class ServerHandshake:
    """See the module's docstring. `nonce` is 20 random bytes without zero bytes; `host` is the client's address as
    it appears in error texts; `status` is that of the session to be (`Status`); `secure` tells that nobody can listen even without
    TLS (a Unix socket)."""

    def __init__(
        self,
        *,
        nonce: bytes,
        connection_id: int,
        server_version: str,
        collation: int,
        host: str,
        status: int = Status.AUTOCOMMIT.value,
        capabilities: int = SERVER_CAPABILITIES,
        plugin: str = CACHING_SHA2,
        tls_available: bool = False,
        secure: bool = False,
        rsa_key: RsaKey | None = None,
    ) -> None:
        self._nonce = nonce
        self._capabilities = capabilities | (Capability.SSL.value if tls_available else 0)
        self._greeting = Greeting(
            server_version, connection_id, nonce, self._capabilities, collation, status, plugin
        )
        self._host = host
        self._default_plugin = plugin
        self._secure = secure
        self._rsa_key = rsa_key
        self._sequence = 0
        self._state: Callable[[bytes], list[ServerEvent]] = self._receive_response
        self._response = HandshakeResponse(0, 0, 0, b"", b"")
        self._secret = Secret()
        self._plugin = plugin
        self._using_password = False
        self._changes_user = False

    @property
    def next_sequence(self) -> int:
        """The id that the client's next packet has to have."""
        return self._sequence

    def greeting(self) -> bytes:
        """The first packet of the connection."""
        return frame(make_greeting(self._greeting), 0)

    def receive_packet(self, sequence: int, payload: bytes) -> list[ServerEvent]:
        """The client's next packet. Never raises for what a client sends."""
        self._sequence = sequence + 1
        try:
            return self._state(payload)
        except ProtocolError:
            return self._deny(MeshError(BAD_HANDSHAKE))

    def change_user(self, sequence: int, payload: bytes, nonce: bytes) -> list[ServerEvent]:
        """COM_CHANGE_USER after an earlier `Authenticated`. Clients disagree on which earlier nonce to use: one that has
        not used the greeting's, and knows plugins, is asked anew with `nonce`."""
        self._sequence = sequence + 1
        self._changes_user = True
        previous = self._response
        try:
            response = parse_change_user(payload, previous.capabilities, previous.max_packet)
        except ProtocolError:
            return self._deny(MeshError(BAD_HANDSHAKE))
        self._nonce = nonce if response.plugin is not None else self._greeting.nonce
        return self._ask_for_secret(response)

    # ------------------------------------------------------------------------------------------ states

    def _receive_response(self, payload: bytes) -> list[ServerEvent]:
        response = parse_handshake_response(payload)
        if len(payload) == SSL_REQUEST_LENGTH:
            if not response.capabilities & self._capabilities & Capability.SSL:
                raise ProtocolError("TLS asked for where it was not offered")
            self._secure = True
            return [StartTls()]
        return self._ask_for_secret(response)

    def _ask_for_secret(self, response: HandshakeResponse) -> list[ServerEvent]:
        self._response = response
        self._using_password = bool(response.auth)
        self._state = self._receive_nothing
        return [LookUpSecret(self._user(), self._host)]

    def use_secret(self, secret: Secret) -> list[ServerEvent]:
        """The answer to `LookUpSecret`."""
        self._secret = secret
        offered = self._response.plugin
        self._plugin = self._wanted_plugin(offered or NATIVE)
        if offered is None and self._plugin != NATIVE:
            return self._deny(MeshError(NOT_SUPPORTED_AUTH_MODE))
        if self._changes_user and offered == self._plugin and self._proves_at_once():
            self._nonce = self._greeting.nonce
        elif offered is not None and (offered != self._plugin or self._changes_user):
            self._state = self._receive_answer
            return [self._send(make_auth_switch(AuthSwitch(self._plugin, self._nonce)))]
        return self._check(self._response.auth)

    def _wanted_plugin(self, offered: str) -> str:
        """The plugin the stored form of the password asks for; any that is spoken for a plain password."""
        if self._secret.native is not None:
            return NATIVE
        if self._secret.sha2 is not None:
            return CACHING_SHA2
        return offered if offered in (NATIVE, CACHING_SHA2) else self._default_plugin

    def _proves_at_once(self) -> bool:
        """Whether COM_CHANGE_USER itself proves the password, with the greeting's nonce: libmariadb knows no other."""
        answer, nonce = self._response.auth, self._greeting.nonce
        if self._plugin == NATIVE:
            return verify_native(answer, nonce, self._secret)
        return bool(verify_sha2_fast(answer, nonce, self._secret))

    def _receive_nothing(self, payload: bytes) -> list[ServerEvent]:
        raise ProtocolError("a packet out of turn")

    def _receive_answer(self, payload: bytes) -> list[ServerEvent]:
        # An empty password is answered by an empty packet, or by a lone zero byte.
        return self._check(b"" if payload == b"\0" else payload)

    def _check(self, answer: bytes) -> list[ServerEvent]:
        self._using_password = bool(answer)
        if self._plugin == NATIVE:
            return self._decide(verify_native(answer, self._nonce, self._secret))
        proved = verify_sha2_fast(answer, self._nonce, self._secret)
        if proved is None and self._secret.known:
            self._state = self._receive_password
            return [self._send(_FULL_NEEDED)]
        if proved and answer:
            return [self._send(_FAST_OK), *self._decide(True)]
        return self._decide(bool(proved))

    def _receive_password(self, payload: bytes) -> list[ServerEvent]:
        """Full authentication: the password in the clear where nobody listens, else encrypted for our RSA key."""
        if self._secure:
            return self._decide_password(payload.removesuffix(b"\0"))
        if self._rsa_key is None:
            return self._deny(MeshError(SECURE_TRANSPORT))
        if payload == _KEY_REQUEST:
            return [self._send(b"\x01" + self._rsa_key.public_pem)]
        return self._decide_password(self._rsa_key.decrypt(payload, self._nonce))

    def _decide_password(self, password: bytes | None) -> list[ServerEvent]:
        if password is None or not verify_password(password, self._secret):
            return self._decide(False)
        return self._decide(True, sha2_cache_entry(password))

    # ------------------------------------------------------------------------------------------ verdicts

    def _decide(self, proved: bool, cache_entry: bytes | None = None) -> list[ServerEvent]:
        if not proved:
            using = "YES" if self._using_password else "NO"
            return self._deny(MeshError(ACCESS_DENIED, user=self._user(), host=self._host, using=using))
        self._state = self._receive_nothing
        response = self._response
        database = response.database
        attributes = tuple((_text(key), _text(value)) for key, value in response.attributes)
        return [
            Authenticated(
                self._user(),
                None if database is None else _text(database),
                response.collation,
                attributes,
                response.capabilities & self._capabilities,
                response.max_packet,
                self._plugin,
                self._secure,
                self._sequence & 0xFF,
                cache_entry,
            )
        ]

    def _deny(self, error: MeshError) -> list[ServerEvent]:
        self._state = self._receive_nothing
        packet = ErrPacket(error.number, error.sqlstate, str(error).encode("utf-8"))
        return [self._send(make_err(packet)), Denied(error)]

    def _send(self, payload: bytes) -> Send:
        data = frame(payload, self._sequence)
        self._sequence += 1
        return Send(data)

    def _user(self) -> str:
        return _text(self._response.user)


def _text(name: bytes) -> str:
    """Names arrive in the client's character set; those used here are read as UTF-8, and what is none fits nobody."""
    return name.decode("utf-8", "replace")
