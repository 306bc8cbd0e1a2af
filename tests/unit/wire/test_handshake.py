"""The two machines of the connection phase run against each other: every plugin, with and without TLS, with right and
wrong passwords."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st

from dbmesh.errors import ProtocolError
from dbmesh.wire.auth import (
    CACHING_SHA2,
    CLEAR,
    ED25519,
    NATIVE,
    RsaKey,
    Secret,
    make_sha2_stored,
    native_hash,
    native_scramble,
    sha2_cache_entry,
)
from dbmesh.wire.constants import Capability
from dbmesh.wire.ed25519 import ed25519_scramble
from dbmesh.wire.framing import PacketReader, frame
from dbmesh.wire.handshake import (
    CLIENT_CAPABILITIES,
    Authenticated,
    ClientEvent,
    ClientHandshake,
    Denied,
    Failed,
    LookUpSecret,
    Ready,
    Send,
    ServerEvent,
    ServerHandshake,
    StartTls,
)
from dbmesh.wire.handshake_packets import (
    AuthSwitch,
    Greeting,
    HandshakeResponse,
    make_auth_switch,
    make_change_user,
    make_greeting,
    make_handshake_response,
)
from dbmesh.wire.packets import ErrPacket, OkPacket, make_err, make_ok

NONCE = bytes(range(1, 21))
SALT = b"abcdefghijklmnopqrst"
KEY = RsaKey(rsa.generate_private_key(65537, 1024))
SECRETS = {
    "plain": Secret(plain=b"secret"),
    "native": Secret(native=native_hash(b"secret")),
    "sha2": Secret(sha2=make_sha2_stored(b"secret", SALT)),
    "cached": Secret(sha2=make_sha2_stored(b"secret", SALT), cached_sha2=sha2_cache_entry(b"secret")),
    "nobody": Secret(),
}


def make_server(**options: object) -> ServerHandshake:
    settings: dict[str, object] = {
        "nonce": NONCE,
        "connection_id": 7,
        "server_version": "8.0.40-dbmesh",
        "collation": 45,
        "host": "10.0.0.9",
        "rsa_key": KEY,
    }
    return ServerHandshake(**(settings | options))  # type: ignore[arg-type]


def make_client(password: str = "secret", **options: object) -> ClientHandshake:
    settings: dict[str, object] = {"user": "ann", "password": password, "database": "shop", "collation": 45}
    return ClientHandshake(**(settings | options))  # type: ignore[arg-type]


@dataclass
class Pair:
    """Both machines with a wire between them; `tls_started` counts how often both sides went encrypted."""

    server: ServerHandshake
    client: ClientHandshake
    secret: Secret
    to_client: PacketReader = field(default_factory=lambda: PacketReader(1 << 24))
    to_server: PacketReader = field(default_factory=lambda: PacketReader(1 << 24))
    verdicts: list[ServerEvent | ClientEvent] = field(default_factory=list)
    asked: list[LookUpSecret] = field(default_factory=list)
    tls_started: int = 0

    def run(self) -> list[ServerEvent | ClientEvent]:
        """Exchange packets, byte by byte, until nobody has more to say; sequence ids are checked."""
        self._write(self.to_client, self.server.greeting())
        self.to_client.expect_sequence(0)
        for _ in range(12):
            while (packet := self.to_client.next_packet()) is not None:
                self.to_server.expect_sequence(packet[0] + 1)
                self._client_events(self.client.receive_packet(*packet))
            while (packet := self.to_server.next_packet()) is not None:
                if not self.tls_started or packet[0] != 1:
                    self.to_client.expect_sequence(packet[0] + 1)
                self._server_events(self.server.receive_packet(*packet))
        return self.verdicts

    def _write(self, reader: PacketReader, data: bytes) -> None:
        for index in range(len(data)):
            reader.feed(data[index : index + 1])

    def _client_events(self, events: list[ClientEvent]) -> None:
        for event in events:
            if isinstance(event, Send):
                self._write(self.to_server, event.data)
            elif isinstance(event, StartTls):
                self._client_events(self.client.tls_started())
            else:
                self.verdicts.append(event)

    def _server_events(self, events: list[ServerEvent]) -> None:
        for event in events:
            if isinstance(event, Send):
                self._write(self.to_client, event.data)
            elif isinstance(event, StartTls):
                self.tls_started += 1
            elif isinstance(event, LookUpSecret):
                self.asked.append(event)
                self._server_events(self.server.use_secret(self.secret))
            else:
                self.verdicts.append(event)
                if isinstance(event, Authenticated):
                    self._write(self.to_client, frame(make_ok(OkPacket(), 0), event.sequence))


@pytest.mark.parametrize("secret", ["plain", "native", "sha2", "cached"])
@pytest.mark.parametrize("plugin", [NATIVE, CACHING_SHA2])
@pytest.mark.parametrize("tls", [False, True])
def test_the_right_password(secret: str, plugin: str, tls: bool) -> None:
    pair = Pair(
        make_server(plugin=plugin, tls_available=True),
        make_client(tls=tls, attributes=(("program_name", "tests"),)),
        SECRETS[secret],
    )
    authenticated, ready = pair.run()
    assert isinstance(authenticated, Authenticated)
    assert (authenticated.user, authenticated.database, authenticated.collation) == ("ann", "shop", 45)
    assert authenticated.attributes == (("program_name", "tests"),)
    assert authenticated.secure is tls
    assert authenticated.capabilities & ~Capability.SSL == CLIENT_CAPABILITIES
    assert authenticated.plugin == {"plain": plugin, "native": NATIVE}.get(secret, CACHING_SHA2)
    entry = sha2_cache_entry(b"secret") if secret == "sha2" else None
    assert authenticated.cache_entry == entry
    assert isinstance(ready, Ready)
    assert (ready.server_version, ready.mariadb, ready.connection_id, ready.status) == (
        "8.0.40-dbmesh",
        False,
        7,
        2,
    )
    assert ready.capabilities & ~Capability.SSL == CLIENT_CAPABILITIES
    assert pair.asked == [LookUpSecret("ann", "10.0.0.9")]
    assert pair.tls_started == tls


@pytest.mark.parametrize("secret", list(SECRETS))
@pytest.mark.parametrize("plugin", [NATIVE, CACHING_SHA2])
@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("password", ["wrong", ""])
def test_a_wrong_password(secret: str, plugin: str, tls: bool, password: str) -> None:
    pair = Pair(
        make_server(plugin=plugin, tls_available=True), make_client(password, tls=tls), SECRETS[secret]
    )
    denied, failed = pair.run()
    using = "YES" if password else "NO"
    message = f"Access denied for user 'ann'@'10.0.0.9' (using password: {using})"
    assert isinstance(denied, Denied)
    assert str(denied.error) == message
    assert failed == Failed(ErrPacket(1045, "28000", message.encode()))


@pytest.mark.parametrize("plugin", [NATIVE, CACHING_SHA2])
def test_an_account_without_password(plugin: str) -> None:
    for password, kinds in (("", [Authenticated, Ready]), ("x", [Denied, Failed])):
        pair = Pair(make_server(plugin=plugin), make_client(password), Secret(plain=b""))
        assert [type(verdict) for verdict in pair.run()] == kinds


def test_full_authentication_without_tls_needs_a_key() -> None:
    pair = Pair(make_server(rsa_key=None), make_client(), SECRETS["sha2"])
    denied, failed = pair.run()
    assert isinstance(denied, Denied)
    assert isinstance(failed, Failed)
    assert failed.error.number == 2061


def test_nobody_listens_on_a_unix_socket() -> None:
    pair = Pair(make_server(rsa_key=None, secure=True), make_client(secure=True), SECRETS["sha2"])
    assert [type(verdict) for verdict in pair.run()] == [Authenticated, Ready]


def test_a_client_without_plugins() -> None:
    capabilities = CLIENT_CAPABILITIES & ~Capability.PLUGIN_AUTH.value
    response = HandshakeResponse(
        capabilities, 0, 45, b"ann", native_scramble(b"secret", NONCE), b"shop", None
    )
    for secret, expected in (("native", Authenticated), ("plain", Authenticated), ("sha2", Denied)):
        server = make_server()
        server.receive_packet(1, make_handshake_response(response))
        events = server.use_secret(SECRETS[secret])
        assert isinstance(events[-1], expected)
    assert isinstance(events[-1], Denied)
    assert events[-1].error.number == 1251


@pytest.mark.parametrize("plugin", ["client_ed25519", "sha256_password", "dialog"])
def test_a_client_with_another_plugin_is_switched(plugin: str) -> None:
    server = make_server()
    response = HandshakeResponse(CLIENT_CAPABILITIES, 0, 45, b"ann", b"?", None, plugin)
    server.receive_packet(1, make_handshake_response(response))
    switch = frame(make_auth_switch(AuthSwitch(CACHING_SHA2, NONCE)), 2)
    assert server.use_secret(SECRETS["plain"]) == [Send(switch)]


def test_change_user_asks_anew_with_a_new_nonce() -> None:
    pair = Pair(make_server(), make_client(), SECRETS["plain"])
    pair.run()
    capabilities = CLIENT_CAPABILITIES
    response = HandshakeResponse(capabilities, 0, 33, b"bob", b"stale", b"other", CACHING_SHA2)
    nonce = NONCE[::-1]
    server = pair.server
    assert server.change_user(0, make_change_user(response), nonce) == [LookUpSecret("bob", "10.0.0.9")]
    switch = frame(make_auth_switch(AuthSwitch(NATIVE, nonce)), 1)
    assert server.use_secret(SECRETS["native"]) == [Send(switch)]
    [verdict] = server.receive_packet(2, native_scramble(b"secret", nonce))
    assert isinstance(verdict, Authenticated)
    assert (verdict.user, verdict.database, verdict.collation, verdict.sequence) == ("bob", "other", 33, 3)


def test_change_user_without_plugins_uses_the_greetings_nonce() -> None:
    capabilities = CLIENT_CAPABILITIES & ~Capability.PLUGIN_AUTH.value
    response = HandshakeResponse(capabilities, 0, 33, b"ann", native_scramble(b"secret", NONCE))
    server = make_server()
    server.receive_packet(1, make_handshake_response(response))
    server.use_secret(SECRETS["plain"])
    server.change_user(0, make_change_user(response), NONCE[::-1])
    assert isinstance(server.use_secret(SECRETS["plain"])[-1], Authenticated)


@pytest.mark.parametrize(
    "payload", [b"", b"\x00" * 40, b"\xff" * 33, b"GET / HTTP/1.1\r\nHost: mesh\r\n\r\n"]
)
def test_what_is_no_response_is_a_bad_handshake(payload: bytes) -> None:
    events = make_server().receive_packet(1, payload)
    assert isinstance(events[-1], Denied)
    assert events[-1].error.number == 1043


def test_packets_out_of_turn_are_a_bad_handshake() -> None:
    server = make_server()
    response = make_handshake_response(HandshakeResponse(CLIENT_CAPABILITIES, 0, 45, b"ann", b""))
    server.receive_packet(1, response)
    assert isinstance(server.receive_packet(2, response)[-1], Denied)


def test_tls_is_only_started_where_it_was_offered() -> None:
    payload = (CLIENT_CAPABILITIES | Capability.SSL.value).to_bytes(4, "little") + bytes(28)
    assert isinstance(make_server().receive_packet(1, payload)[-1], Denied)
    assert make_server(tls_available=True).receive_packet(1, payload) == [StartTls()]


# ---------------------------------------------------------------------------------------------- the client alone


def greet(
    client: ClientHandshake,
    *,
    capabilities: int = CLIENT_CAPABILITIES,
    server_version: str = "8.4.2",
    plugin: str = NATIVE,
) -> list[ClientEvent]:
    greeting = Greeting(server_version, 5, NONCE, capabilities, 8, plugin=plugin)
    return client.receive_packet(0, make_greeting(greeting))


def test_mariadbs_version_prefix() -> None:
    client = make_client()
    greet(client, server_version="5.5.5-10.5.20-MariaDB-log")
    [ready] = client.receive_packet(2, make_ok(OkPacket(), 0))
    assert isinstance(ready, Ready)
    assert (ready.server_version, ready.mariadb) == ("10.5.20-MariaDB-log", True)


def test_capabilities_are_those_of_both() -> None:
    client = make_client(database=None)
    greet(client, capabilities=CLIENT_CAPABILITIES & ~Capability.DEPRECATE_EOF.value)
    [ready] = client.receive_packet(2, make_ok(OkPacket(), 0))
    assert isinstance(ready, Ready)
    dropped = (Capability.DEPRECATE_EOF | Capability.CONNECT_WITH_DB).value
    assert ready.capabilities == CLIENT_CAPABILITIES & ~dropped


def test_tls_is_not_given_up() -> None:
    [failed] = greet(make_client(tls=True))
    assert isinstance(failed, Failed)
    assert failed.error.number == 2026
    client = make_client(tls=True)
    assert StartTls() in greet(client, capabilities=CLIENT_CAPABILITIES | Capability.SSL.value)
    with pytest.raises(ProtocolError):
        client.receive_packet(2, make_ok(OkPacket(), 0))


def test_ed25519() -> None:
    client = make_client()
    greet(client)
    nonce = bytes(range(1, 33))
    answer = frame(ed25519_scramble(b"secret", nonce), 3)
    assert client.receive_packet(2, make_auth_switch(AuthSwitch(ED25519, nonce))) == [Send(answer)]


def test_a_clear_password_only_where_nobody_listens() -> None:
    switch = make_auth_switch(AuthSwitch(CLEAR, b""))
    client = make_client()
    greet(client)
    [failed] = client.receive_packet(2, switch)
    assert isinstance(failed, Failed)
    assert failed.error.number == 2061
    client = make_client(secure=True)
    greet(client)
    assert client.receive_packet(2, switch) == [Send(frame(b"secret\0", 3))]
    for event in greet(make_client(), plugin=CLEAR):
        assert isinstance(event, Send)
        assert b"secret" not in event.data


def test_unknown_plugins_fail() -> None:
    client = make_client()
    greet(client, plugin="gssapi")
    [failed] = client.receive_packet(2, make_auth_switch(AuthSwitch("gssapi", b"x")))
    assert isinstance(failed, Failed)
    assert failed.error.number == 2059


def test_an_error_instead_of_a_greeting() -> None:
    error = ErrPacket(1040, "08004", b"Too many connections")
    assert make_client().receive_packet(0, make_err(error)) == [Failed(error)]


def test_breaches_are_protocol_errors() -> None:
    for payload in (b"", b"\x05", b"\x01\x03", b"\xfe"):
        client = make_client()
        greet(client)
        with pytest.raises(ProtocolError):
            client.receive_packet(2, payload)
    client = make_client()
    greet(client)
    client.receive_packet(2, make_ok(OkPacket(), 0))
    with pytest.raises(ProtocolError):
        client.receive_packet(3, make_ok(OkPacket(), 0))


@given(st.lists(st.binary(max_size=60), max_size=4), st.booleans())
def test_random_packets_never_break_a_machine(payloads: list[bytes], greeted: bool) -> None:
    server = make_server(tls_available=True)
    client = make_client()
    if greeted:
        greet(client)
        server.receive_packet(
            1, make_handshake_response(HandshakeResponse(CLIENT_CAPABILITIES, 0, 45, b"a", b"b"))
        )
        server.use_secret(SECRETS["nobody"])
    for index, payload in enumerate(payloads):
        for event in server.receive_packet(index, payload):
            assert not isinstance(event, Authenticated)
        try:
            client.receive_packet(index, payload)
        except ProtocolError:
            client = make_client()
