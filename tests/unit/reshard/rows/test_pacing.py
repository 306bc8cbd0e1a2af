"""Workers wait as long as they must, and no longer once others limits hold."""

from __future__ import annotations

import asyncio

from dbmesh.reshard.rows.pacing import Pacing
from dbmesh.reshard.rows.throttle import Limits, Load, Throttle


async def test_who_waits_is_let_go_when_limits_change() -> None:
    async def look() -> Load:
        return Load()

    pacing = Pacing(Throttle(Limits(rate=0.001)), look)
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(pacing.keep(1_000))
        await asyncio.sleep(0)
        assert not waiting.done()
        pacing.change(Limits())
        await asyncio.wait_for(waiting, 10)


async def test_servers_are_asked_before_anything_goes_on() -> None:
    asked = asyncio.Event()

    async def look() -> Load:
        asked.set()
        return Load(running={"ds_0": 500})

    pacing = Pacing(Throttle(Limits()), look)
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(pacing.keep(1))
        await asyncio.wait_for(asked.wait(), 10)
        await asyncio.sleep(0)
        assert not waiting.done()
        assert pacing.throttle.reason == "ds_0 runs 500 threads"
        pacing.change(Limits(running=1_000))
        await asyncio.wait_for(waiting, 10)
