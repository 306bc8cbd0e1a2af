"""Lets so many calls run at one time and so many begin per second; others wait in order, or are refused.

Decides turns. What is limited, and what a refusal says, is `limits`'.
"""

from __future__ import annotations

import asyncio
from collections import deque

from dbmesh.governance.protection.budgets import SharedBucket
from dbmesh.governance.protection.gradient import Gradient
from dbmesh.governance.protection.token_bucket import TokenBucket
from dbmesh.rules.protection.values import Limit


class Limiter:
    """One limit of one user, database, fingerprint or data source. `enter` and `leave` are called in pairs. `shared` gives the tokens of
    a rate that holds for the whole mesh."""

    def __init__(self, limit: Limit, shared: SharedBucket | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self.limit = limit
        self.running = 0
        self.refused = 0
        self._bucket = shared or TokenBucket(limit.rate, limit.burst, self._loop.time())
        if shared is not None:
            shared.wake = self._go_on
        self._rated = shared is not None or limit.rate > 0
        self._gradient = Gradient(limit.least, limit.concurrency) if limit.adaptive else None
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def idle(self) -> bool:
        """Whether nothing runs and nothing waits."""
        return not self.running and not self._waiters

    @property
    def concurrency(self) -> int:
        """Calls that may run at one time, as far as is known now; 0 is no limit."""
        return self.limit.concurrency if self._gradient is None else self._gradient.limit

    @property
    def is_full(self) -> bool:
        """Whether as many run as may."""
        most = self.limit.concurrency if self._gradient is None else self._gradient.limit
        return 0 < most <= self.running

    @property
    def waiting(self) -> int:
        """Calls that wait for their turn."""
        return len(self._waiters)

    @property
    def has_room(self) -> bool:
        """Whether a call may wait."""
        return len(self._waiters) < self.limit.waiting

    def enter(self) -> bool:
        """Begin a call at once, if its turn is now: whoever waits comes first. O(1)."""
        return not self._waiters and self._take()

    async def wait(self) -> bool:
        """Begin a call when its turn comes; False when that took too long."""
        waiter: asyncio.Future[None] = self._loop.create_future()
        self._waiters.append(waiter)
        self._go_on()
        try:
            async with asyncio.timeout(self.limit.wait_seconds):
                await waiter
        except TimeoutError:
            # Its turn may have come at that very moment.
            return waiter.done() and not waiter.cancelled()
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                # Its turn had come, and nobody is there to take it.
                self._bucket.give_back()
                self.leave()
            raise
        finally:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
        return True

    def take_back(self) -> None:
        """A call that has begun was not made after all."""
        self._bucket.give_back()
        self.leave()

    def leave(self, seconds: float | None = None) -> None:
        """A call has ended, which took so long; None where that says nothing."""
        if self._gradient is not None and seconds is not None:
            self._gradient.ended(seconds, self.running)
        self.running -= 1
        if self._waiters:
            self._go_on()

    def _take(self) -> bool:
        if self.is_full or (self._rated and not self._bucket.take(self._loop.time())):
            return False
        self.running += 1
        return True

    def _go_on(self) -> None:
        """Whose turn is now begins; the next token wakes those who wait for one."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._waiters:
            if self._waiters[0].done():
                self._waiters.popleft()
            elif self._take():
                self._waiters.popleft().set_result(None)
            else:
                break
        if self._waiters and not self.is_full:
            seconds = self._bucket.seconds_until_next(self._loop.time())
            self._timer = self._loop.call_later(max(seconds, 0.001), self._go_on)
