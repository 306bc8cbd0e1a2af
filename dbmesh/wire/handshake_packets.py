"""The packets of the connection phase: greeting, TLS request, response, auth switch, COM_CHANGE_USER.

Decides their layout; the machines in `server_handshake.py` and `client_handshake.py` decide when they are sent.
Source: manual, "Protocol::HandshakeV10", "Protocol::HandshakeResponse41", "Protocol::AuthSwitchRequest".
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from dbmesh.errors import ProtocolError
from dbmesh.wire.auth import ED25519, ED25519_NONCE_LENGTH, NONCE_LENGTH
from dbmesh.wire.constants import Capability, Command, Status
from dbmesh.wire.primitives import (
    pack_lenenc_bytes,
    truncated,
    unpack_fixed_bytes,
    unpack_fixed_int,
    unpack_lenenc_bytes,
    unpack_terminated,
)

_RESPONSE_HEAD = struct.Struct("<IIB19xI")
_GREETING_TAIL = struct.Struct("<HBHHB6xI")

SSL_REQUEST_LENGTH = _RESPONSE_HEAD.size
"""A response of just this length asks for TLS and is sent again, whole, inside it."""


@dataclass(frozen=True, slots=True)
class Greeting:
    """What a server says first. `nonce` has 20 bytes (older protocols' 8 are refused). `capabilities`: see `Capability`."""

    server_version: str
    connection_id: int
    nonce: bytes
    capabilities: int
    collation: int
    status: int = Status.AUTOCOMMIT.value
    plugin: str = ""


@dataclass(frozen=True, slots=True)
class HandshakeResponse:
    """What a client answers, also in COM_CHANGE_USER, where `capabilities` and `max_packet` are those of before.

    `plugin` is None when the client knows no plugins; `attributes` are name and value in the client's bytes.
    """

    capabilities: int
    max_packet: int
    collation: int
    user: bytes
    auth: bytes
    database: bytes | None = None
    plugin: str | None = None
    attributes: tuple[tuple[bytes, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class AuthSwitch:
    """The server wants another plugin, or the same with a new nonce."""

    plugin: str
    nonce: bytes


def make_greeting(greeting: Greeting) -> bytes:
    """A greeting payload of protocol version 10."""
    capabilities = greeting.capabilities
    return b"".join(
        (
            b"\x0a",
            greeting.server_version.encode("ascii", "replace"),
            b"\0",
            (greeting.connection_id & 0xFFFFFFFF).to_bytes(4, "little"),
            greeting.nonce[:8],
            b"\0",
            _GREETING_TAIL.pack(
                capabilities & 0xFFFF,
                greeting.collation & 0xFF,
                greeting.status,
                capabilities >> 16 & 0xFFFF,
                len(greeting.nonce) + 1 if capabilities & Capability.PLUGIN_AUTH else 0,
                capabilities >> 32,
            ),
            greeting.nonce[8:],
            b"\0",
            greeting.plugin.encode("ascii") + b"\0" if capabilities & Capability.PLUGIN_AUTH else b"",
        )
    )


def parse_greeting(payload: bytes) -> Greeting:
    """Read a greeting. Raises ProtocolError, also for servers before protocol 4.1."""
    if payload[:1] != b"\x0a":
        raise ProtocolError("the server does not speak protocol version 10")
    version, position = unpack_terminated(payload, 1)
    connection_id, position = unpack_fixed_int(payload, position, 4)
    nonce, position = unpack_fixed_bytes(payload, position, 8)
    position += 1
    if len(payload) < position + _GREETING_TAIL.size:
        raise ProtocolError("the server is older than protocol 4.1")
    low, collation, status, high, nonce_length, own = _GREETING_TAIL.unpack_from(payload, position)
    position += _GREETING_TAIL.size
    capabilities = _with_mariadb(low | high << 16, own)
    if not capabilities & Capability.PROTOCOL_41 or not capabilities & Capability.SECURE_CONNECTION:
        raise ProtocolError("the server is older than protocol 4.1")
    rest, position = unpack_fixed_bytes(payload, position, max(13, nonce_length - 8))
    plugin = b""
    if capabilities & Capability.PLUGIN_AUTH:
        plugin, _ = _until_zero_or_end(payload, position)
    return Greeting(
        version.decode("utf-8", "replace"),
        connection_id,
        nonce + rest.removesuffix(b"\0"),
        capabilities,
        collation,
        status,
        plugin.decode("ascii", "replace"),
    )


def _with_mariadb(capabilities: int, own: int) -> int:
    """All capabilities, MariaDB's `own` among them."""
    return capabilities if capabilities & Capability.LONG_PASSWORD else capabilities | own << 32


def _until_zero_or_end(payload: bytes, position: int) -> tuple[bytes, int]:
    """A terminated string whose zero some peers forget at a packet's end."""
    if payload.find(0, position) < 0:
        return payload[position:], len(payload)
    return unpack_terminated(payload, position)


def make_ssl_request(response: HandshakeResponse) -> bytes:
    """The short response that asks for TLS."""
    return _RESPONSE_HEAD.pack(
        response.capabilities & 0xFFFFFFFF,
        response.max_packet,
        response.collation & 0xFF,
        response.capabilities >> 32,
    )


def make_handshake_response(response: HandshakeResponse) -> bytes:
    """A HandshakeResponse41 payload; what `capabilities` do not announce is left out."""
    capabilities = response.capabilities
    pieces = [make_ssl_request(response), response.user, b"\0"]
    if capabilities & Capability.PLUGIN_AUTH_LENENC:
        pieces.append(pack_lenenc_bytes(response.auth))
    else:
        pieces.append(bytes((len(response.auth),)) + response.auth)
    if capabilities & Capability.CONNECT_WITH_DB:
        pieces.append((response.database or b"") + b"\0")
    if capabilities & Capability.PLUGIN_AUTH:
        pieces.append((response.plugin or "").encode("ascii") + b"\0")
    if capabilities & Capability.CONNECT_ATTRS:
        pieces.append(_make_attributes(response.attributes))
    return b"".join(pieces)


def parse_handshake_response(payload: bytes) -> HandshakeResponse:
    """Read a HandshakeResponse41, or the TLS request that is only its head. Raises ProtocolError."""
    if len(payload) < _RESPONSE_HEAD.size:
        raise truncated("the handshake response")
    common, max_packet, collation, own = _RESPONSE_HEAD.unpack_from(payload)
    capabilities = _with_mariadb(common, own)
    if not capabilities & Capability.PROTOCOL_41:
        raise ProtocolError("the client is older than protocol 4.1")
    position = _RESPONSE_HEAD.size
    if len(payload) == position:
        return HandshakeResponse(capabilities, max_packet, collation, b"", b"")
    user, position = unpack_terminated(payload, position)
    if capabilities & Capability.PLUGIN_AUTH_LENENC:
        auth, position = unpack_lenenc_bytes(payload, position)
    elif capabilities & Capability.SECURE_CONNECTION:
        length, position = unpack_fixed_int(payload, position, 1)
        auth, position = unpack_fixed_bytes(payload, position, length)
    else:
        auth, position = _until_zero_or_end(payload, position)
    database = b""
    if capabilities & Capability.CONNECT_WITH_DB:
        database, position = _until_zero_or_end(payload, position)
    plugin, attributes = _parse_tail(payload, position, capabilities)
    return HandshakeResponse(
        capabilities, max_packet, collation, user, auth, database or None, plugin, attributes
    )


def make_change_user(response: HandshakeResponse) -> bytes:
    """COM_CHANGE_USER."""
    pieces = [
        bytes((Command.CHANGE_USER,)),
        response.user + b"\0",
        bytes((len(response.auth),)) + response.auth,
        (response.database or b"") + b"\0",
        response.collation.to_bytes(2, "little"),
    ]
    if response.capabilities & Capability.PLUGIN_AUTH:
        pieces.append((response.plugin or "").encode("ascii") + b"\0")
    if response.capabilities & Capability.CONNECT_ATTRS:
        pieces.append(_make_attributes(response.attributes))
    return b"".join(pieces)


def parse_change_user(payload: bytes, capabilities: int, max_packet: int) -> HandshakeResponse:
    """Read COM_CHANGE_USER, the command byte included; its collation may be missing (0). Raises ProtocolError."""
    user, position = unpack_terminated(payload, 1)
    length, position = unpack_fixed_int(payload, position, 1)
    auth, position = unpack_fixed_bytes(payload, position, length)
    database, position = _until_zero_or_end(payload, position)
    collation = 0
    if len(payload) >= position + 2:
        collation, position = unpack_fixed_int(payload, position, 2)
    plugin, attributes = _parse_tail(payload, position, capabilities)
    return HandshakeResponse(
        capabilities, max_packet, collation, user, auth, database or None, plugin, attributes
    )


def _parse_tail(
    payload: bytes, position: int, capabilities: int
) -> tuple[str | None, tuple[tuple[bytes, bytes], ...]]:
    """Plugin name and connect attributes, as far as the packet holds them."""
    plugin = None
    if capabilities & Capability.PLUGIN_AUTH and position < len(payload):
        name, position = _until_zero_or_end(payload, position)
        plugin = name.decode("ascii", "replace")
    attributes = []
    if capabilities & Capability.CONNECT_ATTRS and position < len(payload):
        block, _ = unpack_lenenc_bytes(payload, position)
        position = 0
        while position < len(block):
            key, position = unpack_lenenc_bytes(block, position)
            value, position = unpack_lenenc_bytes(block, position)
            attributes.append((key, value))
    return plugin, tuple(attributes)


def _make_attributes(attributes: tuple[tuple[bytes, bytes], ...]) -> bytes:
    return pack_lenenc_bytes(
        b"".join(pack_lenenc_bytes(key) + pack_lenenc_bytes(value) for key, value in attributes)
    )


def make_auth_switch(packet: AuthSwitch) -> bytes:
    """An AuthSwitchRequest payload."""
    return b"\xfe" + packet.plugin.encode("ascii") + b"\0" + packet.nonce + b"\0"


def parse_auth_switch(payload: bytes) -> AuthSwitch:
    """Read an AuthSwitchRequest. Raises ProtocolError, also for the plugin of before MySQL 4.1."""
    if payload[:1] != b"\xfe" or len(payload) == 1:
        raise ProtocolError("the server asks for a password form older than protocol 4.1")
    plugin, position = _until_zero_or_end(payload, 1)
    # A zero behind the nonce is no part of it; a nonce of client_ed25519 stands alone, and may itself end with a zero.
    return AuthSwitch(plugin.decode("ascii", "replace"), payload[position : position + _nonce_length(plugin)])


def _nonce_length(plugin: bytes) -> int:
    return ED25519_NONCE_LENGTH if plugin == ED25519.encode() else NONCE_LENGTH
