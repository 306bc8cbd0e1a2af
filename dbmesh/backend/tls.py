"""TLS over any asyncio transport, upgraded in mid-connection as the MySQL protocol does.

Decides how cipher bytes become plain bytes and back. asyncio's own `start_tls` cannot be used: a client may send
its ClientHello in the same segment as the SSLRequest packet, and those bytes have then already been read.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from typing import Any


class TlsChannel:
    """One TLS session over a transport. Feed it what arrives, write plain bytes; closes nothing by itself.

    Raises ssl.SSLError from `receive` when the peer breaks TLS; the owner then aborts the transport.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        context: ssl.SSLContext,
        *,
        server_side: bool,
        server_hostname: str | None = None,
    ) -> None:
        self._transport = transport
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(
            self._incoming, self._outgoing, server_side=server_side, server_hostname=server_hostname
        )
        self._established = False
        self._ended = False
        self._unsent = bytearray()

    def start(self) -> None:
        """Send the first flight; for the client side this is ClientHello."""
        self._handshake()

    def encryption(self) -> tuple[str, str] | None:
        """Cipher and protocol version, None before the handshake is done."""
        cipher, version = self._tls.cipher(), self._tls.version()
        return None if cipher is None or version is None else (cipher[0], version)

    def peer(self) -> Mapping[str, Any]:
        """The certificate the peer has shown, as `ssl.SSLSocket.getpeercert` tells it; empty without one that was verified."""
        return self._tls.getpeercert() or {}

    def receive(self, data: bytes) -> bytes:
        """Cipher bytes in, plain bytes out (perhaps none yet)."""
        self._incoming.write(data)
        if not self._established and not self._handshake():
            return b""
        plain = bytearray()
        try:
            while True:
                chunk = self._tls.read(262144)
                if not chunk:
                    self._end()
                    break
                plain += chunk
        except ssl.SSLWantReadError:
            self._flush()
        except ssl.SSLZeroReturnError:
            self._end()
        return bytes(plain)

    def write(self, data: bytes) -> None:
        """Plain bytes out to the peer; held back until the handshake is done, dropped once the peer has ended TLS."""
        if self._ended:
            return
        if not self._established:
            self._unsent += data
            return
        view = memoryview(data)
        while view:
            view = view[self._tls.write(view) :]
        self._flush()

    def _end(self) -> None:
        """The peer has ended TLS (close_notify) and waits for the same before it closes its socket."""
        self._ended = True
        self._tls.unwrap()
        self._flush()
        self._transport.close()

    def _handshake(self) -> bool:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return False
        self._established = True
        self._flush()
        if self._unsent:
            held, self._unsent = bytes(self._unsent), bytearray()
            self.write(held)
        return True

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._transport.write(self._outgoing.read())
