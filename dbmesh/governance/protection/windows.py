"""How the last calls ended: counted over a number of calls, or over seconds.

Decides what is still looked at. The time is an argument.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple, Protocol

BUCKETS = 10
"""Parts a window of seconds is counted in: a call is forgotten within a tenth of the window of its time."""


class Totals(NamedTuple):
    """Calls of a window, and how many of them failed and were slow."""

    calls: int = 0
    failed: int = 0
    slow: int = 0


class Window(Protocol):
    """Counts calls."""

    def add(self, now: float, failed: bool, slow: bool) -> None:
        """A call has ended. O(1)."""
        ...

    def totals(self, now: float) -> Totals:
        """Those that still count. O(1)."""
        ...

    def clear(self) -> None:
        """Forget all."""
        ...


class CallWindow:
    """The last `size` calls."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._calls: deque[tuple[bool, bool]] = deque()
        self._failed = self._slow = 0

    def add(self, now: float, failed: bool, slow: bool) -> None:
        """See `Window`."""
        del now
        if len(self._calls) == self._size:
            old_failed, old_slow = self._calls.popleft()
            self._failed -= old_failed
            self._slow -= old_slow
        self._calls.append((failed, slow))
        self._failed += failed
        self._slow += slow

    def totals(self, now: float) -> Totals:
        """See `Window`."""
        del now
        return Totals(len(self._calls), self._failed, self._slow)

    def clear(self) -> None:
        """See `Window`."""
        self._calls.clear()
        self._failed = self._slow = 0


class TimeWindow:
    """The calls of the last `seconds`, in `BUCKETS` parts."""

    def __init__(self, seconds: float) -> None:
        self._width = seconds / BUCKETS
        # Each part: its number since the clock's beginning, calls, failed, slow.
        self._parts: deque[list[int]] = deque()

    def add(self, now: float, failed: bool, slow: bool) -> None:
        """See `Window`."""
        number = self._forget(now)
        if not self._parts or self._parts[-1][0] != number:
            self._parts.append([number, 0, 0, 0])
        part = self._parts[-1]
        part[1] += 1
        part[2] += failed
        part[3] += slow

    def totals(self, now: float) -> Totals:
        """See `Window`."""
        self._forget(now)
        return Totals(*(sum(part[at] for part in self._parts) for at in (1, 2, 3)))

    def clear(self) -> None:
        """See `Window`."""
        self._parts.clear()

    def _forget(self, now: float) -> int:
        number = int(now / self._width)
        while self._parts and self._parts[0][0] <= number - BUCKETS:
            self._parts.popleft()
        return number
