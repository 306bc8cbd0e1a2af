"""Packets of the connection phase: every make has its parse; real clients' and servers' bytes are read."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbmesh.errors import ProtocolError
from dbmesh.wire.constants import Capability
from dbmesh.wire.handshake_packets import (
    SSL_REQUEST_LENGTH,
    AuthSwitch,
    Greeting,
    HandshakeResponse,
    make_auth_switch,
    make_change_user,
    make_greeting,
    make_handshake_response,
    make_ssl_request,
    parse_auth_switch,
    parse_change_user,
    parse_greeting,
    parse_handshake_response,
)

C = Capability
BASE = (C.PROTOCOL_41 | C.SECURE_CONNECTION).value
FULL = BASE | (C.PLUGIN_AUTH | C.CONNECT_WITH_DB | C.CONNECT_ATTRS | C.PLUGIN_AUTH_LENENC).value
NONCE = bytes(range(1, 21))
word = st.binary(max_size=20).map(lambda value: value.replace(b"\0", b"x"))


@pytest.mark.parametrize("plugin", ["caching_sha2_password", ""])
def test_greetings_round_trip(plugin: str) -> None:
    capabilities = BASE | (C.PLUGIN_AUTH.value if plugin else 0)
    greeting = Greeting("8.0.40-dbmesh", 77, NONCE, capabilities, 45, 2, plugin)
    payload = make_greeting(greeting)
    assert parse_greeting(payload) == greeting
    for end in range(len(payload) - len(plugin) - 1):
        with pytest.raises(ProtocolError):
            parse_greeting(payload[:end])


def test_mariadbs_own_capabilities_count_without_long_password() -> None:
    own = BASE | C.PLUGIN_AUTH.value | C.STMT_BULK_OPERATIONS.value
    for capabilities, seen in (
        (own, own),
        (own | C.LONG_PASSWORD.value, (own | C.LONG_PASSWORD.value) & 0xFFFFFFFF),
    ):
        greeting = Greeting("10.11.6-MariaDB", 1, NONCE, capabilities, 45, 2, "x")
        assert parse_greeting(make_greeting(greeting)).capabilities == seen
        response = HandshakeResponse(capabilities, 1, 45, b"u", b"", plugin="x")
        assert parse_handshake_response(make_handshake_response(response)).capabilities == seen


def test_the_manuals_greeting() -> None:
    payload = bytes.fromhex(
        "0a352e352e322d6d32000b00000064764840492d434a00fff7080200" + "00" * 13 + "2a34647c635a776b345e5d3a00"
    )
    greeting = parse_greeting(payload)
    assert (greeting.server_version, greeting.connection_id) == ("5.5.2-m2", 11)
    assert greeting.nonce == b"dvH@I-CJ*4d|cZwk4^]:"
    assert greeting.capabilities == 0xF7FF


@given(
    word,
    st.binary(max_size=255),
    word.filter(bool) | st.none(),
    st.lists(st.tuples(word, word), max_size=4),
    st.sampled_from([BASE, FULL, FULL & ~C.PLUGIN_AUTH_LENENC.value]),
)
def test_responses_round_trip(
    user: bytes,
    auth: bytes,
    database: bytes | None,
    attributes: list[tuple[bytes, bytes]],
    capabilities: int,
) -> None:
    full = capabilities != BASE
    response = HandshakeResponse(
        capabilities,
        1 << 24,
        45,
        user,
        auth,
        database if full else None,
        "mysql_native_password" if full else None,
        tuple(attributes) if full else (),
    )
    assert parse_handshake_response(make_handshake_response(response)) == response
    changed = parse_change_user(make_change_user(response), capabilities, 1 << 24)
    assert (changed.user, changed.auth, changed.plugin) == (user, auth, response.plugin)
    assert (changed.database, changed.collation) == (response.database, 45)
    assert changed.attributes == response.attributes


def test_a_tls_request_is_the_head_alone() -> None:
    payload = make_ssl_request(HandshakeResponse(BASE | C.SSL.value, 1 << 24, 45, b"", b""))
    assert len(payload) == SSL_REQUEST_LENGTH == 32
    assert parse_handshake_response(payload).capabilities & C.SSL


def test_clients_before_4_1_are_refused() -> None:
    with pytest.raises(ProtocolError):
        parse_handshake_response(b"\x01" + b"\0" * 40)


@pytest.mark.parametrize(
    ("plugin", "nonce"),
    [
        ("caching_sha2_password", NONCE),
        ("client_ed25519", bytes(range(1, 33))),
        ("client_ed25519", bytes(31) + b"\x01"),
        ("client_ed25519", bytes(range(1, 32)) + b"\0"),
    ],
)
@pytest.mark.parametrize("closed", [True, False])
def test_auth_switches_round_trip(plugin: str, nonce: bytes, closed: bool) -> None:
    packet = AuthSwitch(plugin, nonce)
    payload = make_auth_switch(packet)
    assert parse_auth_switch(payload if closed else payload[:-1]) == packet


def test_the_password_form_of_before_4_1_is_refused() -> None:
    with pytest.raises(ProtocolError):
        parse_auth_switch(b"\xfe")


@given(st.binary(max_size=90), st.booleans())
def test_random_bytes_raise_protocol_errors_only(payload: bytes, plausible: bool) -> None:
    with suppress(ProtocolError):
        parse_greeting(b"\x0a" + payload if plausible else payload)
    with suppress(ProtocolError):
        parse_handshake_response(FULL.to_bytes(4, "little") + payload if plausible else payload)
    with suppress(ProtocolError):
        parse_change_user(b"\x11" + payload, FULL, 1 << 24)
    with suppress(ProtocolError):
        parse_auth_switch(b"\xfe" + payload if plausible else payload)
