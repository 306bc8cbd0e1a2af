"""How many rows a step of copying takes, so that each lasts about as long as it should, whatever rows and servers are like.

Pure: a step is told how long the last one took.
"""

from __future__ import annotations


class StepSize:
    """Aims at `seconds` a step, between `least` and `most` rows; begins with `least`. It grows slowly and shrinks at once."""

    def __init__(self, seconds: float, least: int, most: int) -> None:
        self._seconds = seconds
        self._least = least
        self._most = most
        self._rows = least

    @property
    def rows(self) -> int:
        """What the next step should take."""
        return self._rows

    def took(self, rows: int, seconds: float) -> None:
        """A step of so many rows has taken so long; one that had fewer than it might says nothing of more."""
        if not rows:
            return
        fitting = int(rows * self._seconds / seconds) if seconds > 0 else self._most
        if fitting > self._rows and rows < self._rows:
            return
        self._rows = max(self._least, min(fitting, 2 * self._rows, self._most))
