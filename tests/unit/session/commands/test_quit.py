"""COM_QUIT: no answer, the connection closes."""

from __future__ import annotations

from tests.plugins.session_world import SessionWorld


async def test_it_closes_in_silence() -> None:
    world = SessionWorld()
    assert await world.command(b"\x01") == []
    assert world.client.closed
    assert world.client.commands == 0, "nothing follows"
