"""Statements of outer transaction managers: what ends a branch is not interrupted, so that its outcome is known."""

from __future__ import annotations

import asyncio

import pytest

from tests.plugins.session_world import SessionWorld


@pytest.mark.parametrize("statement", ["XA COMMIT 'a' ONE PHASE", "XA PREPARE 'a'"])
async def test_the_end_of_a_branch_is_not_killed(statement: str) -> None:
    """As on one server: the manager would be told that it has failed, and it may have been done."""
    world = SessionWorld()
    for earlier in ("XA START 'a'", "XA END 'a'"):
        await world.command(b"\x03" + earlier.encode())
    await world.running(b"\x03" + statement.encode())
    world.session.kill_query()
    for _ in range(10):
        await asyncio.sleep(0)
    assert not world.client.answered.is_set()
    assert world.lent == 1
    for pool in world.pools.values():
        pool.abandon()
    await world.client.answered.wait()
    await world.end()
