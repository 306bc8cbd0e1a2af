"""The server's machine alone: other plugins, old clients, breaches."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st

from dbmesh.wire.auth import (
    CACHING_SHA2,
    Secret,
    make_sha2_stored,
    native_hash,
    native_scramble,
    sha2_cache_entry,
)
from dbmesh.wire.constants import Capability
from dbmesh.wire.framing import frame
from dbmesh.wire.handshake import (
    CLIENT_CAPABILITIES,
    Authenticated,
    Denied,
    Send,
    ServerHandshake,
    StartTls,
)
from dbmesh.wire.handshake_packets import (
    AuthSwitch,
    HandshakeResponse,
    make_auth_switch,
    make_change_user,
    make_handshake_response,
)
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


@given(st.lists(st.binary(max_size=60), max_size=4), st.booleans())
def test_random_packets_prove_nothing(payloads: list[bytes], greeted: bool) -> None:
    server = make_server(tls_available=True)
    if greeted:
        response = HandshakeResponse(CLIENT_CAPABILITIES, 0, 45, b"a", b"b")
        server.receive_packet(1, make_handshake_response(response))
        server.use_secret(SECRETS["nobody"])
    for index, payload in enumerate(payloads):
        for event in server.receive_packet(index, payload):
            assert not isinstance(event, Authenticated)
