"""A circuit breaker: whether calls may still be made to something that fails or is slow.

Decides by the calls of a window; refuses to know what is called and which failures count. Clock and chance are arguments.

* *closed*: calls are made and counted; too many that failed or were slow open it.
* *open*: none is made, until its time is over. It is longer each time, up to a limit, and forgotten after as long closed.
* *half-open*: a few are made, the probes; they close it or open it again.
* *forced-open*, *disabled*, *metrics-only*: somebody has decided. Nothing is made; everything is, uncounted; everything is,
  counted.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from dbmesh.governance.protection.windows import CallWindow, TimeWindow, Totals, Window
from dbmesh.rules.protection.values import BreakerPolicy


class State(StrEnum):
    """See the module's docstring."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"
    FORCED_OPEN = "forced-open"
    DISABLED = "disabled"
    METRICS_ONLY = "metrics-only"


PERMISSIVE = frozenset({State.CLOSED, State.METRICS_ONLY, State.DISABLED})
"""States in which every call is made."""

FORCED = frozenset({State.FORCED_OPEN, State.DISABLED, State.METRICS_ONLY})
"""States that only somebody's decision begins and ends."""


@dataclass(frozen=True, slots=True)
class BreakerStatus:
    """What is told about a breaker. `seconds` until it may close, None where that is nobody's to say or it is not open;
    `refused` calls and `opened` times since it was made."""

    name: str
    state: State
    totals: Totals
    seconds: float | None
    refused: int
    opened: int

    @property
    def permits_all(self) -> bool:
        """Whether every call may be made."""
        return self.state in PERMISSIVE


class CircuitBreaker:
    """See the module's docstring. `now` is any steady clock in seconds; `draw` gives numbers of [0, 1)."""

    def __init__(self, name: str, policy: BreakerPolicy, now: float, draw: Callable[[], float]) -> None:
        self.name = name
        self.policy = policy
        self.refused = 0
        self.opened = 0
        self._draw = draw
        self._window = _window(policy)
        self._probes = CallWindow(policy.probes)
        self._started = 0
        self._last_probe = now
        self._times = 0
        self._open_until = now
        # Whatever ends from now on counts.
        self._since = -math.inf
        self.state = self._unforced = State.CLOSED if policy.enforced else State.METRICS_ONLY
        # Whether every call may be made, as it is not open in any way, and whether calls are counted: known at once, since it is
        # asked for each.
        self.permits_all = self._counts = True

    def permits(self, now: float) -> bool:
        """Whether a call may be made now; a probe is counted as made. O(1)."""
        if self.permits_all:
            return True
        if self.state is State.OPEN and now >= self._open_until:
            self._half_open(now)
        if self.state is State.HALF_OPEN:
            if now - self._last_probe > self.policy.open_seconds:
                # Probes whose end nobody told, because their callers went away, are made again.
                self._started = min(self._started, self._probes.totals(now).calls)
            if self._started < self.policy.probes:
                self._started += 1
                self._last_probe = now
                return True
        self.refused += 1
        return False

    def seconds_left(self, now: float) -> float | None:
        """Seconds until calls may be made again as far as is known, None while they are or where only somebody's decision
        ends it."""
        if self.state is State.OPEN:
            return max(0.0, self._open_until - now)
        return 0.0 if self.state is State.HALF_OPEN else None

    def ended(self, began: float, now: float, failed: bool) -> None:
        """A call has ended. One that began before the present state did says nothing about it. O(1)."""
        if not self._counts or began < self._since:
            return
        slow = 0 < self.policy.slow_seconds <= now - began
        if not self.permits_all:
            self._probes.add(now, failed, slow)
            self._judge_probes(now)
            return
        self._window.add(now, failed, slow)
        if (failed or slow) and self.state is State.CLOSED and self._is_bad(self._window.totals(now)):
            self._open(now)

    def force(self, state: State, now: float) -> None:
        """Somebody decides: one of `FORCED`. Raises ValueError for another."""
        if state not in FORCED:
            raise ValueError(f"{state} is not somebody's to decide")
        self._become(state, now)

    def reset(self, now: float) -> None:
        """As it was made: nothing counted, nobody's decision."""
        self._times = 0
        self._become(self._unforced, now)

    def status(self, now: float) -> BreakerStatus:
        """What there is to tell about it."""
        left = None if self.state is State.HALF_OPEN else self.seconds_left(now)
        return BreakerStatus(self.name, self.state, self._window.totals(now), left, self.refused, self.opened)

    def _is_bad(self, totals: Totals) -> bool:
        if totals.calls < self.policy.minimum_calls:
            return False
        return self._exceeds(totals, totals.calls)

    def _exceeds(self, totals: Totals, calls: int) -> bool:
        failed = 100 * totals.failed >= self.policy.failure_percent * calls
        return failed or (
            self.policy.slow_seconds > 0 and 100 * totals.slow >= self.policy.slow_percent * calls
        )

    def _judge_probes(self, now: float) -> None:
        totals = self._probes.totals(now)
        if self._exceeds(totals, self.policy.probes):
            self._open(now)
        elif totals.calls >= self.policy.probes:
            self._become(State.CLOSED, now)

    def _open(self, now: float) -> None:
        policy = self.policy
        if self.state is State.CLOSED and now - self._since > policy.longest_open_seconds:
            self._times = 0
        # Beyond so many doublings the longest time holds anyway, and a float would overflow.
        doubled = policy.open_seconds * math.ldexp(1.0, min(self._times, 64))
        seconds = min(doubled, policy.longest_open_seconds) * (1 - policy.jitter * self._draw())
        self._times += 1
        self.opened += 1
        self._become(State.OPEN, now)
        self._open_until = now + seconds

    def _half_open(self, now: float) -> None:
        self._become(State.HALF_OPEN, now)
        self._started = 0
        self._last_probe = now

    def _become(self, state: State, now: float) -> None:
        self.state = state
        self.permits_all = state in PERMISSIVE
        self._counts = state not in (State.OPEN, State.FORCED_OPEN, State.DISABLED)
        self._since = now
        if state is not State.OPEN:
            # What opened it is told while it is open.
            self._window.clear()
        self._probes.clear()


def _window(policy: BreakerPolicy) -> Window:
    return CallWindow(policy.window_calls) if policy.window_calls else TimeWindow(policy.window_seconds)
