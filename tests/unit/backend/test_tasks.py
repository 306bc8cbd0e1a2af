"""Owned tasks: none is lost, none outlives its owner."""

from __future__ import annotations

import asyncio

from dbmesh.backend.tasks import TaskOwner


async def test_a_failure_is_told_to_the_owner() -> None:
    failures: list[BaseException] = []
    owner = TaskOwner(failures.append)

    async def fail() -> None:
        raise ValueError("broken")

    owner.start(fail(), "fails")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert [str(error) for error in failures] == ["broken"]
    assert len(owner) == 0


async def test_closing_cancels_and_waits_even_for_tasks_begun_meanwhile() -> None:
    ended: list[str] = []
    owner = TaskOwner(lambda error: None)

    async def wait(name: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            if name == "first":
                owner.start(wait("second"), "second")
                await asyncio.sleep(0)
            ended.append(name)

    owner.start(wait("first"), "first")
    await asyncio.sleep(0)
    await owner.close()
    assert ended[0] == "first"
    assert len(owner) == 0
