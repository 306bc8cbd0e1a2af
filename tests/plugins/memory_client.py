"""A client in memory before the product's own listener: it logs in, changes its user and sends commands.

For tests of what lies between a client's bytes and its session. Knows no socket; what stands behind the mesh is the
business of `session_world`.
"""

from __future__ import annotations

import asyncio
from typing import Any

from dbmesh.server.client_connection import ClientConnection
from dbmesh.server.listener import Listener
from dbmesh.wire.auth import native_scramble
from dbmesh.wire.constants import Capability
from dbmesh.wire.framing import PacketReader, frame
from dbmesh.wire.handshake import ClientHandshake, Failed, Ready, Send
from dbmesh.wire.handshake_packets import HandshakeResponse, make_change_user, parse_auth_switch
from tests.plugins.canned import MemoryTransport

CAPABILITIES = int(
    Capability.PROTOCOL_41
    | Capability.SECURE_CONNECTION
    | Capability.PLUGIN_AUTH
    | Capability.CONNECT_WITH_DB
)


class MemoryClient:
    """A client in memory, and every payload it has got."""

    def __init__(self, listener: Listener) -> None:
        self.transport = _Address()
        self.connection = ClientConnection(listener)
        self.received: list[bytes] = []
        self.came = asyncio.Event()
        self.sequence = 0
        self._reader = PacketReader(1 << 20)
        self.connection.connection_made(self.transport)

    def log_in(self, user: str, password: str, database: str | None = "shop") -> Ready | Failed:
        """The whole connection phase."""
        machine = ClientHandshake(user=user, password=password, database=database, collation=45)
        while True:
            packets = self.packets()
            assert packets, "the mesh says nothing"
            for sequence, payload in packets:
                for event in machine.receive_packet(sequence, payload):
                    if isinstance(event, Ready | Failed):
                        return event
                    assert isinstance(event, Send)
                    self.connection.data_received(event.data)

    def packets(self) -> list[tuple[int, bytes]]:
        """What has come since the last time."""
        self._reader.feed(self.transport.take())
        found = []
        while (packet := self._reader.next_packet()) is not None:
            found.append(packet)
        self.received += [payload for _, payload in found]
        return found

    async def command(self, payload: bytes) -> bytes:
        """One command and the first packet of its answer."""
        self.connection.data_received(frame(payload, 0))
        await self.transport.written_to()
        return self.packets()[0][1]

    async def change_user(self, user: str, password: str, database: str) -> bytes:
        """COM_CHANGE_USER by mysql_native_password, and the last packet of its answer."""
        response = HandshakeResponse(
            CAPABILITIES, 1 << 24, 45, user.encode(), b"", database.encode(), "mysql_native_password", ()
        )
        switch = parse_auth_switch(await self.command(make_change_user(response)))
        answer = native_scramble(password.encode(), switch.nonce[:20])
        self.connection.data_received(frame(answer, 2))
        await self.transport.written_to()
        return self.packets()[-1][1]


class _Address(MemoryTransport):
    """A transport of a client elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self._came = asyncio.Event()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("10.0.0.9", 4000) if name == "peername" else default

    def write(self, data: bytes | bytearray | memoryview) -> None:
        super().write(data)
        self._came.set()

    def take(self) -> bytes:
        """What has been written since the last time."""
        data, self.written = self.written, b""
        self._came.clear()
        return data

    async def written_to(self) -> None:
        """Something has been written since `take`."""
        await asyncio.wait_for(self._came.wait(), 5)
