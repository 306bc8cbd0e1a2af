"""The client's machine alone: versions, capabilities, plugins of other servers, breaches."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbmesh.errors import ProtocolError
from dbmesh.wire.auth import (
    CLEAR,
    ED25519,
    NATIVE,
    SHA256,
)
from dbmesh.wire.constants import Capability
from dbmesh.wire.ed25519 import ed25519_scramble
from dbmesh.wire.framing import frame
from dbmesh.wire.handshake import (
    CLIENT_CAPABILITIES,
    ClientEvent,
    ClientHandshake,
    Failed,
    Ready,
    Send,
    StartTls,
)
from dbmesh.wire.handshake_packets import (
    AuthSwitch,
    Greeting,
    make_auth_switch,
    make_greeting,
    parse_handshake_response,
)
from dbmesh.wire.packets import ErrPacket, OkPacket, make_err, make_ok
from dbmesh.wire.rsa import make_rsa_key

NONCE = bytes(range(1, 21))


def make_client(password: str = "secret", **options: object) -> ClientHandshake:
    settings: dict[str, object] = {"user": "ann", "password": password, "database": "shop", "collation": 45}
    return ClientHandshake(**(settings | options))  # type: ignore[arg-type]


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


def test_tls_if_offered() -> None:
    client = make_client(tls_if_offered=True)
    assert StartTls() in greet(client, capabilities=CLIENT_CAPABILITIES | Capability.SSL.value)
    with pytest.raises(ProtocolError):
        client.receive_packet(2, make_ok(OkPacket(), 0))
    client = make_client(tls_if_offered=True)
    [sent] = greet(client)
    assert isinstance(sent, Send)
    assert not parse_handshake_response(sent.data[4:]).capabilities & Capability.SSL
    [ready] = client.receive_packet(2, make_ok(OkPacket(), 0))
    assert isinstance(ready, Ready)


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


def test_sha256_password_asks_for_the_key_where_somebody_may_listen() -> None:
    switch = make_auth_switch(AuthSwitch(SHA256, NONCE))
    key = make_rsa_key()
    client = make_client()
    greet(client)
    assert client.receive_packet(2, switch) == [Send(frame(b"\x01", 3))]
    [answer] = client.receive_packet(4, b"\x01" + key.public_pem)
    assert isinstance(answer, Send)
    assert key.decrypt(answer.data[4:], NONCE) == b"secret"
    client = make_client(secure=True)
    greet(client)
    assert client.receive_packet(2, switch) == [Send(frame(b"secret\0", 3))]
    client = make_client(password="")
    greet(client)
    assert client.receive_packet(2, switch) == [Send(frame(b"\0", 3))]


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
def test_random_packets_raise_protocol_errors_only(payloads: list[bytes], greeted: bool) -> None:
    client = make_client()
    if greeted:
        greet(client)
    with suppress(ProtocolError):
        for index, payload in enumerate(payloads):
            client.receive_packet(index, payload)
