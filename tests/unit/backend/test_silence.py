"""A connection whose other side is gone without a word ends by itself: the kernel is told when."""

from __future__ import annotations

import asyncio
import socket

import pytest
import uvloop

from dbmesh.backend.silence import SILENCE, give_up_in_silence


async def _options() -> tuple[int, int, int]:
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, "127.0.0.1", port)
        give_up_in_silence(transport)
        given = transport.get_extra_info("socket")
        with socket.fromfd(given.fileno(), given.family, given.type) as own:
            found = (
                own.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE),
                own.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
                own.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT),
            )
        transport.close()
    return found


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_the_kernel_probes_and_gives_up(run: object) -> None:
    assert run(_options()) == (1, SILENCE // 2, SILENCE * 1000)  # type: ignore[operator]
