"""Brings rows that clients have changed to the new side by their keys, while statements write the old side alone.

Decides how keys are worked at: few at a time, since clients' writes to their rows wait that long, and those that somebody has locked after
all others. How a row gets there, `reconcile` decides.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dbmesh.engine.collect import all_of
from dbmesh.errors import ShardError
from dbmesh.model import DataNode
from dbmesh.planner.images import Row
from dbmesh.reshard.binlogs.listening import Batch
from dbmesh.reshard.rows.reconcile import LOCKED, Reconciler

MOST_KEYS = 200
"""Keys whose rows are locked together."""

FIRST_PAUSE, LONGEST_PAUSE = 0.005, 0.2
"""Seconds after which rows that somebody has locked are tried again."""


@dataclass(frozen=True, slots=True)
class CaughtUp:
    """Keys that were told, and how many rows were `written` on the new side; the others were removed."""

    keys: int = 0
    written: int = 0

    def __add__(self, other: CaughtUp) -> CaughtUp:
        return CaughtUp(self.keys + other.keys, self.written + other.written)


class CatchingUp:
    """Deals with what a `Listener` hands over: every actual table has its `reconcilers` entry. `statements` say nothing of rows, and all rows of
    the tables they name are in doubt."""

    def __init__(self, reconcilers: Mapping[DataNode, Reconciler]) -> None:
        self._reconcilers = reconcilers
        self.counts = CaughtUp()
        self.statements: list[str] = []

    async def handle(self, batch: Batch) -> None:
        """See `listening.Handle`. Waits for those who have locked rows. Raises ShardError and MeshError."""
        done = await all_of(self._bring(node, keys) for node, keys in batch.keys.items())
        self.counts += sum(done, CaughtUp())
        self.statements += batch.statements

    async def _bring(self, node: DataNode, keys: Sequence[Row]) -> CaughtUp:
        done = CaughtUp()
        pause = FIRST_PAUSE
        left = [keys[start : start + MOST_KEYS] for start in range(0, len(keys), MOST_KEYS)]
        while left:
            busy: list[Sequence[Row]] = []
            while left:
                some = left.pop()
                brought = await self._brought(node, some)
                if brought is not None:
                    done += brought
                elif len(some) == 1:
                    busy.append(some)
                else:
                    # Somewhere among them.
                    half = len(some) // 2
                    left += (some[:half], some[half:])
            if busy:
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
                left = busy
        return done

    async def _brought(self, node: DataNode, keys: Sequence[Row]) -> CaughtUp | None:
        """None where somebody has locked some of them."""
        try:
            chunk = await self._reconcilers[node].changed(node, keys)
        except ShardError as error:
            if error.number not in LOCKED:
                raise
            return None
        return CaughtUp(len(keys), chunk.written)
