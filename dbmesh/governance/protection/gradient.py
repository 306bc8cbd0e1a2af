"""An adaptive limit of concurrency: as many at one time as do not make one another slower.

Decides by how long calls take, compared with how long they take when few run (the gradient, after Envoy's adaptive concurrency):
while the two are alike the limit grows, and when calls take longer it shrinks by that much. How long they take when few run is measured
now and then, with the limit at its least.
"""

from __future__ import annotations

import math

TOLERANCE = 1.5
"""How many times the measured time is still as good."""

SMOOTHING = 0.2
"""The part of a change that is made at once."""

SAMPLES = 25
"""Calls of one measurement."""

MEASURED_EVERY = 5000
"""Calls until what was measured is doubted."""


class Gradient:
    """The limit lies between `least`, where it begins, and `greatest`. Times in seconds."""

    def __init__(self, least: int, greatest: int) -> None:
        self._least = least
        self._greatest = greatest
        self._limit = float(least)
        self._measured = 0.0
        self._sum = 0.0
        self._samples_left = SAMPLES
        self._calls = 0

    @property
    def limit(self) -> int:
        """Calls that may run at one time."""
        return self._least if self._samples_left else int(self._limit)

    def ended(self, seconds: float, running: int) -> None:
        """A call has ended that took so long while so many ran, itself among them. O(1)."""
        if self._samples_left:
            self._measure(seconds, running)
            return
        self._calls += 1
        if self._calls >= MEASURED_EVERY:
            self._calls, self._sum, self._samples_left = 0, 0.0, SAMPLES
        elif running >= self._limit / 2:
            # Where fewer run nobody was kept waiting, and nothing is known about a higher limit.
            gradient = max(0.5, min(1.0, TOLERANCE * self._measured / seconds)) if seconds else 1.0
            wanted = self._limit * gradient + math.sqrt(self._limit)
            changed = self._limit * (1 - SMOOTHING) + wanted * SMOOTHING
            self._limit = max(float(self._least), min(float(self._greatest), changed))

    def _measure(self, seconds: float, running: int) -> None:
        if running > self._least:
            # It began before.
            return
        self._sum += seconds
        self._samples_left -= 1
        if not self._samples_left:
            self._measured = self._sum / SAMPLES
