"""Two TLS channels against each other, byte by byte."""

from __future__ import annotations

import ssl

import pytest

from dbmesh.backend.tls import TlsChannel
from dbmesh.server.tls_context import server_tls_context
from tests.plugins.canned import MemoryTransport


def _pair() -> tuple[TlsChannel, MemoryTransport, TlsChannel, MemoryTransport]:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    to_server, to_client = MemoryTransport(), MemoryTransport()
    client = TlsChannel(to_server, context, server_side=False, server_hostname="localhost")
    server = TlsChannel(to_client, server_tls_context("", ""), server_side=True)
    return client, to_server, server, to_client


def _carry(source: MemoryTransport, target: TlsChannel, step: int) -> bytes:
    plain = b""
    data, source.written = source.written, b""
    for start in range(0, len(data), step):
        plain += target.receive(data[start : start + step])
    return plain


@pytest.mark.parametrize("step", [1, 5, 100_000])
def test_what_one_side_writes_the_other_reads(step: int) -> None:
    client, to_server, server, to_client = _pair()
    client.write(b"said before the handshake;")
    client.start()
    at_server = at_client = b""
    for _ in range(4):
        at_server += _carry(to_server, server, step)
        at_client += _carry(to_client, client, step)
    assert at_server == b"said before the handshake;"
    server.write(b"x" * 40_000)
    assert _carry(to_client, client, step if step > 1 else 977) == b"x" * 40_000
    client.write(b"")
    client.write(b"y" * 70_000)
    assert _carry(to_server, server, 8192) == b"y" * 70_000


def test_noise_instead_of_tls_is_an_error() -> None:
    _, _, server, _ = _pair()
    with pytest.raises(OSError, match=r"(?i)ssl|version|record"):
        server.receive(b"GET / HTTP/1.0\r\n\r\n")


def test_a_changed_byte_is_an_error() -> None:
    client, to_server, server, to_client = _pair()
    client.start()
    for _ in range(4):
        _carry(to_server, server, 100_000)
        _carry(to_client, client, 100_000)
    client.write(b"secret")
    changed = bytearray(to_server.written)
    changed[-1] ^= 1
    with pytest.raises(ssl.SSLError):
        server.receive(bytes(changed))


def test_a_peer_that_ends_tls_is_answered_and_the_transport_closed() -> None:
    client, to_server, server, to_client = _pair()
    client.start()
    for _ in range(4):
        _carry(to_server, server, 100_000)
        _carry(to_client, client, 100_000)
    client.write(b"last words")
    with pytest.raises(ssl.SSLWantReadError):
        client._tls.unwrap()
    client._flush()
    assert _carry(to_server, server, 100_000) == b"last words"
    assert to_client.closed
    server.write(b"nobody reads this")
    _carry(to_client, client, 100_000)
    assert to_server.closed
