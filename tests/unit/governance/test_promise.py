"""Who has promised to hold does so when the store can no longer take it for alive, and not before."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from dbmesh.backend.tasks import TaskOwner
from dbmesh.governance import promise
from dbmesh.governance.promise import LAPSED, Promise


class Gate:
    """What is done to the gate, in words."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.expired: Callable[[], str] = str
        self.shut_once = asyncio.Event()

    def close(self, reason: str) -> None:
        self.done.append(reason)

    def shut(self, reason: str) -> None:
        self.done.append(reason)

    def watch(self, expired: Callable[[], str]) -> None:
        self.expired = expired
        self.done.append("watch")

    def open(self) -> None:
        self.done.append("open")

    async def drained(self, *, by_force: bool) -> bool:
        assert by_force
        self.shut_once.set()
        return True

    def under_way(self) -> str:
        return ""


async def test_it_is_kept_to_the_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(promise, "LOOK", 0.001)
    gate, left = Gate(), [0.01]
    given = Promise(gate, lambda: left[0])
    tasks = TaskOwner(lambda error: None)
    tasks.start(given.keep(), "promise")
    await asyncio.sleep(0)
    assert not given.given
    assert not gate.done
    given.give(3)
    given.watch()
    assert (given.given, gate.done, gate.expired()) == (True, ["watch"], "")
    left[0] = 0.0
    # Whoever looks first: a statement, or the one that ends what is under way.
    assert gate.expired() == LAPSED
    await asyncio.wait_for(gate.shut_once.wait(), 20)
    assert gate.done[:2] == ["watch", LAPSED]
    given.take_back()
    assert not given.given
    await tasks.close()
