"""Keeps copying to its throttle: asks the servers how they are, now and then, and lets workers wait.

Decides what is asked and how often. What the answers mean, `throttle` decides.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import TypeVar

from dbmesh.backend.connection import Connection, Flavour
from dbmesh.backend.pool import Pool
from dbmesh.backend.replica_health import Observation
from dbmesh.engine.collect import all_of, collect
from dbmesh.engine.federation import LOAD_STATE
from dbmesh.engine.replica_monitor import read_status, replication_status
from dbmesh.errors import MeshError, ShardError
from dbmesh.reshard.rows.throttle import Limits, Load, Throttle

EVERY = 1.0
"""Seconds between two looks at the servers."""

PATIENCE = 5.0
"""Seconds a server may take to answer."""

Said = TypeVar("Said")


class Pacing:
    """Of all workers of one process. `look` reads how the servers are (`read_load`), and what it raises `keep` raises."""

    def __init__(self, throttle: Throttle, look: Callable[[], Awaitable[Load]]) -> None:
        self.throttle = throttle
        self._look = look
        self._looking = asyncio.Lock()
        self._looked_at: float | None = None
        self._changed = asyncio.Event()

    def change(self, limits: Limits) -> None:
        """Other limits hold at once, for those too who wait."""
        self.throttle.change(limits)
        former, self._changed = self._changed, asyncio.Event()
        former.set()

    async def keep(self, rows: int) -> None:
        """So many rows were copied just now; returns when the next may be."""
        now = asyncio.get_running_loop().time
        self.throttle.copied(rows, now())
        while True:
            changed = self._changed
            await self._look_again(now())
            pause = EVERY if self.throttle.reason else min(EVERY, self.throttle.pause(now()))
            if not pause:
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await changed.wait()

    async def _look_again(self, now: float) -> None:
        fresh = self._looked_at is not None and now - self._looked_at < EVERY
        if fresh or self._looking.locked():
            return
        async with self._looking:
            self._looked_at = now
            self.throttle.see(await self._look())


async def read_load(sources: Mapping[str, Pool], replicas: Mapping[str, Pool]) -> Load:
    """How the servers of data sources are, and replicas, by name."""
    sources, replicas = _asked(sources), _asked(replicas)
    running = await all_of(_ask(pool, _running) for pool in sources.values())
    seen = await all_of(_ask(pool, _replication) for pool in replicas.values())
    # Who follows nobody is a primary by now.
    following = {
        name: one for name, one in zip(replicas, seen, strict=True) if one is not None and one.follows
    }
    return Load(
        lag={name: one.lag for name, one in following.items() if one.lag is not None},
        running={name: one for name, one in zip(sources, running, strict=True) if one is not None},
        stalled={name: one.stalled for name, one in following.items() if one.stalled},
        silent=frozenset(
            name
            for name, one in (*zip(sources, running, strict=True), *zip(replicas, seen, strict=True))
            if one is None
        ),
    )


def _asked(pools: Mapping[str, Pool]) -> dict[str, Pool]:
    """Those whose servers answer MySQL's questions about themselves."""
    return {name: pool for name, pool in pools.items() if pool.config.kind == "mysql"}


async def _ask(pool: Pool, question: Callable[[Connection], Awaitable[Said]]) -> Said | None:
    now = asyncio.get_running_loop().time
    try:
        async with asyncio.timeout(PATIENCE):
            connection = await pool.acquire(Flavour(), guarded=False)
            try:
                await connection.bring_to(LOAD_STATE)
                return await question(connection)
            finally:
                pool.release(connection, now())
    except (MeshError, ShardError, TimeoutError):
        return None


async def _running(connection: Connection) -> int:
    ((_, value),) = (await collect(connection, b"SHOW GLOBAL STATUS LIKE 'Threads_running'")).rows
    return int(value or b"0")


async def _replication(connection: Connection) -> Observation:
    status, _ = await replication_status(connection)
    return read_status(status, read_only=True)
