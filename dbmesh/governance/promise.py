"""What a sidecar keeps to while the store does not hear of it.

Who has prepared a revision that moves rows holds when the store can no longer take it for alive: the others go on without it then
(`rollout`). Decides when that is: by the clock of leases, counted from when the sidecar last asked, so never later than the store does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

LOOK = 0.05
"""Seconds between two looks at what is still under way."""

LONGEST = 1.0
"""Seconds slept at once: the clock of leases goes on where the loop's does not."""

LAPSED = "it cannot reach the store, and rows are being moved"


class Holding(Protocol):
    """Where statements are held back."""

    def close(self, reason: str) -> None:
        """Begin no statement from here on but those of transactions that are open."""
        ...

    def shut(self, reason: str) -> None:
        """Begin nothing from here on."""
        ...

    def watch(self, expired: Callable[[], str]) -> None:
        """Let statements begin as long as `expired` does not say why they may not."""
        ...

    def open(self) -> None:
        """Let everybody go on."""
        ...

    async def drained(self, *, by_force: bool) -> bool:
        """Whether nothing is under way any more; `by_force` ends what is."""
        ...

    def under_way(self) -> str:
        """What is, for people."""
        ...


class Promise:
    """See the module's docstring. `alive_for`: for how many seconds the store takes this sidecar for alive. `revision`: what it is about,
    None where there is none."""

    def __init__(self, gate: Holding, alive_for: Callable[[], float]) -> None:
        self._gate = gate
        self._alive_for = alive_for
        self._given = asyncio.Event()
        self.revision: int | None = None

    @property
    def given(self) -> bool:
        """Whether it holds from here on when the store does not hear of it."""
        return self._given.is_set()

    def give(self, revision: int) -> None:
        """Before the store is told that this one is prepared."""
        self.revision = revision
        self._given.set()

    def watch(self) -> None:
        """Let statements begin as long as the promise lets them."""
        self._gate.watch(self._lapsed)

    def take_back(self) -> None:
        """It is known what became of the revision."""
        self.revision = None
        self._given.clear()

    async def keep(self) -> None:
        """Hold when it has come to that, until cancelled."""
        while True:
            await self._given.wait()
            left = self._alive_for()
            if left > 0:
                await asyncio.sleep(min(left, LONGEST))
                continue
            self._gate.shut(LAPSED)
            await self._gate.drained(by_force=True)
            await asyncio.sleep(LOOK)

    def _lapsed(self) -> str:
        return LAPSED if self.given and self._alive_for() <= 0 else ""
