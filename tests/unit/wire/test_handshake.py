"""The two machines of the connection phase run against each other: every plugin, with and without TLS, with right and
wrong passwords."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from dbmesh.wire.auth import (
    CACHING_SHA2,
    NATIVE,
    Secret,
    make_sha2_stored,
    native_hash,
    native_scramble,
    sha2_cache_entry,
)
from dbmesh.wire.constants import Capability
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
    HandshakeResponse,
    make_auth_switch,
    make_change_user,
)
from dbmesh.wire.packets import ErrPacket, OkPacket, make_ok
from dbmesh.wire.rsa import RsaKey

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
