"""Rates that hold for the whole mesh: each process leases tokens from the store in slices, ahead of their use.

Decides how many tokens a slice has and when the next is asked for: no statement asks the store. While the store is away each
process lets the whole rate through by itself.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable

from dbmesh.governance import layout
from dbmesh.governance.protection.token_bucket import TokenBucket
from dbmesh.governance.store import ABSENT, Conflict, LeaseLost, Store, StoreError, Write
from dbmesh.rules.protection.values import Limit

_log = logging.getLogger(__name__)

SLICE_SECONDS = 0.1
"""A slice has the tokens of so much time."""

KEPT_SECONDS = 600.0
"""How long the store keeps what is left of a limit at least; half of it after it was last asked for."""

MOST_SKEW = 60.0
"""Seconds by which the clocks of two sidecars may differ."""

RETRY = 1.0
"""Seconds until a store that failed is asked again."""


class SharedBucket:
    """This process's slice of a rate: a `TokenBucket` to those who take, filled by `Budgets`. `wake` is called when tokens have
    come."""

    def __init__(self, limit: Limit, key: str, ask: Callable[[SharedBucket], None], now: float) -> None:
        self.limit = limit
        self.key = key
        self.wake: Callable[[], None] | None = None
        self.slice = max(1, int(limit.rate * SLICE_SECONDS))
        self.asked = False
        self._tokens = 0
        self._ask = ask
        self._ask_from = now
        self._alone: TokenBucket | None = None

    def take(self, now: float) -> bool:
        """See `TokenBucket`."""
        if self._alone is not None:
            self._ask_if_due(now)
            return self._alone.take(now)
        if self._tokens <= self.slice // 2:
            self._ask_if_due(now)
        if not self._tokens:
            return False
        self._tokens -= 1
        return True

    def give_back(self) -> None:
        """See `TokenBucket`."""
        self._tokens += 1

    def seconds_until_next(self, now: float) -> float:
        """See `TokenBucket`; while the store is being asked, its answer wakes."""
        if self._alone is not None:
            return self._alone.seconds_until_next(now)
        return RETRY if self.asked else max(0.0, self._ask_from - now)

    def granted(self, tokens: int, ask_from: float) -> None:
        """The store gave so many; it need not be asked again before this moment."""
        self.asked = False
        self._alone = None
        self._tokens += tokens
        self._ask_from = ask_from
        if self.wake is not None:
            self.wake()

    def unreached(self, now: float) -> None:
        """The store is away: this process goes on by itself."""
        self.asked = False
        self._ask_from = now + RETRY
        if self._alone is None:
            self._alone = TokenBucket(self.limit.rate, self.limit.burst, now)
        if self.wake is not None:
            self.wake()

    def _ask_if_due(self, now: float) -> None:
        if not self.asked and now >= self._ask_from:
            self.asked = True
            self._ask(self)


class Budgets:
    """See the module's docstring. `serve` leases for every bucket that asks. `now` is the loop's time, `wall` seconds since 1970."""

    def __init__(self, now: Callable[[], float], wall: Callable[[], float]) -> None:
        self._now = now
        self._wall = wall
        self._asking: asyncio.Queue[SharedBucket] = asyncio.Queue()
        self._complained = False

    def bucket(self, limit: Limit, key: str) -> SharedBucket:
        """This process's slice for a user, a database, a data source or all together (`key`)."""
        return SharedBucket(limit, key, self._asking.put_nowait, self._now())

    async def serve(self, store: Store) -> None:
        """Lease until cancelled. Never raises for a store that fails."""
        leases = Leases(store, self._now)
        while True:
            bucket = await self._asking.get()
            try:
                tokens, seconds = await lease(
                    store, leases, bucket.limit, bucket.key, bucket.slice, self._wall
                )
                bucket.granted(tokens, self._now() + seconds)
                self._complained = False
            except StoreError as error:
                if not self._complained:
                    _log.warning("limits of the whole mesh are each process's own: %s", error)
                self._complained = True
                bucket.unreached(self._now())


class Leases:
    """The lease under which a process writes what is left of a limit: a budget nobody asks for is full again before it runs out, and
    forgotten. `now` is the loop's time."""

    def __init__(self, store: Store, now: Callable[[], float]) -> None:
        self._store = store
        self._now = now
        self._held: dict[str, tuple[int, float]] = {}

    async def of(self, limit: Limit) -> int:
        """That of a limit, as long as half of its time is left. Raises StoreError."""
        lease, until = self._held.get(limit.name, (0, 0.0))
        if not lease or self._now() >= until:
            seconds = max(KEPT_SECONDS, 2 * limit.burst / limit.rate)
            until = self._now() + seconds / 2
            lease = await self._store.grant(seconds)
            self._held[limit.name] = lease, until
        return lease

    def lost(self, limit: Limit) -> None:
        """It has ended before its time."""
        self._held.pop(limit.name, None)


async def lease(
    store: Store, leases: Leases, limit: Limit, key: str, wanted: int, wall: Callable[[], float]
) -> tuple[int, float]:
    """Take `wanted` tokens of a limit out of the store, or half as many: how many were taken, and else in how many seconds there are
    so many. Raises StoreError."""
    name = layout.budget(limit.name, key)
    # A few at a time would cost the store a write each.
    least = min(max(1, wanted // 2), limit.burst)
    while True:
        entry = await store.get(name)
        now = wall()
        left, at = float(limit.burst), now
        if entry is not None:
            stored = json.loads(entry.value)
            # Clocks differ a little: of two times the later one counts. One that is far ahead has been set back since.
            at = stored["at"] if now < stored["at"] <= now + MOST_SKEW else now
            left = min(left, stored["tokens"] + max(0.0, now - stored["at"]) * limit.rate)
        taken = min(wanted, int(left)) if left >= least else 0
        if not taken and (entry is None or stored["at"] <= now + MOST_SKEW):
            return 0, (least - left) / limit.rate
        value = json.dumps({"tokens": left - taken, "at": at}).encode()
        expected = ABSENT if entry is None else entry.revision
        try:
            await store.commit([Write(name, value, expected, await leases.of(limit))])
        except Conflict:
            continue
        except LeaseLost:
            leases.lost(limit)
            continue
        return (taken, 0.0) if taken else (0, (least - left) / limit.rate)
