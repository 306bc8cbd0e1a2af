"""A token bucket: how often something may be done.

Decides by the time, which is an argument. A bucket begins full.
"""

from __future__ import annotations


class TokenBucket:
    """`rate` tokens a second, `burst` of them at most. A rate of 0 always has one."""

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = burst
        self._at = now

    def take(self, now: float) -> bool:
        """Take a token if there is one. O(1)."""
        if not self._rate:
            return True
        self._fill(now)
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def give_back(self) -> None:
        """A token was taken and not used."""
        self._tokens = min(self._burst, self._tokens + 1)

    def seconds_until_next(self, now: float) -> float:
        """Seconds until there is a token."""
        if not self._rate:
            return 0.0
        self._fill(now)
        return max(0.0, (1 - self._tokens) / self._rate)

    def _fill(self, now: float) -> None:
        if now > self._at:
            self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
            self._at = now
            # What is missing by rounding only would never come: 1e-9 of a statement is no statement.
            if 0 < 1 - self._tokens < 1e-9:
                self._tokens = 1.0
