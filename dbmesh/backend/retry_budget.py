"""How many reads of a group may be sent a second time.

Decides by the reads there were and the time, which is an argument. A retry helps against one server that fails; when all of them
do, every retry is one more statement for servers that have too many. So retries are a share of the reads of the last seconds, and
a few a second where there are hardly any: the retry budget of Finagle (`RetryBudget`: a share of 20 %, at least 10 a second, over
10 seconds).
"""

from __future__ import annotations

from collections import deque

WINDOW = 10.0
"""Seconds that are looked back."""

_SLOT = WINDOW / 10
"""Seconds that leave the window together."""


class RetryBudget:
    """`share` of the reads of the window, and `least` a second. `reads` is counted up by whoever reads; `made` and `refused` are all
    retries there were, and would have been."""

    def __init__(self, share: float, least: float) -> None:
        self._share = share
        self._least = least
        self.reads = 0
        self.made = 0
        self.refused = 0
        self._slots: deque[_Slot] = deque()

    def pass_time(self, now: float) -> None:
        """Forget what is older than the window. Called now and then: reads are known no more exactly than that. O(1)."""
        slots = self._slots
        if not slots or now - slots[-1].began >= _SLOT:
            slots.append(_Slot(now, self.reads, self.made))
        while slots[0].began < now - WINDOW:
            slots.popleft()

    def take(self, now: float) -> bool:
        """Whether one more read may be sent again; it counts then. O(1)."""
        self.pass_time(now)
        oldest = self._slots[0]
        allowed = self._share * (self.reads - oldest.reads) + self._least * WINDOW
        if self.made - oldest.made + 1 > allowed:
            self.refused += 1
            return False
        self.made += 1
        return True

    def give_back(self) -> None:
        """A retry that was taken at this moment is not made."""
        self.made -= 1


class _Slot:
    """What had been counted when a part of the window began."""

    __slots__ = ("began", "made", "reads")

    def __init__(self, began: float, reads: int, made: int) -> None:
        self.began = began
        self.reads = reads
        self.made = made
