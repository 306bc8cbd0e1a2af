"""AUTO_INCREMENT: keys of one table as one server would number them: 1, 2, 3, each statement's rows one after another.

A generator hands out the numbers of a *lease*, `[next, end)`, which somebody else takes from a counter that every
sidecar shares; when it has too few it asks by raising `KeysNeeded`, and gives away nothing. A number a client wrote
itself moves the counter past it (manual, "AUTO_INCREMENT Handling in InnoDB").
"""

from __future__ import annotations

from collections.abc import Sequence

MOST_KEY = (1 << 64) - 1


class KeysNeeded(Exception):
    """The lease of `generator` is too short: it needs numbers up to, but not including, `end`."""

    def __init__(self, generator: AutoIncrement, end: int) -> None:
        super().__init__(f"the numbers of '{generator.table}' have run out")
        self.generator = generator
        self.end = end


class AutoIncrement:
    """The numbers of one table, given away in order. Not shared between processes, its counter is."""

    def __init__(self, table: str, start: int = 1, end: int = 1) -> None:
        self.table = table
        self.next = start
        self.end = end

    def lease(self, start: int, end: int) -> None:
        """Numbers from `start` to before `end` may be given away from now on: after those that are left where they follow them, else
        instead."""
        if start != self.end:
            self.next = start
        self.end = end

    def withdraw(self) -> None:
        """Numbers that are left may not be given away any more."""
        self.next = self.end = 1

    def next_key(self) -> int:
        """The next number. Raises KeysNeeded."""
        [key] = self.number((None,))
        assert key is not None
        return key

    def number(
        self, given: Sequence[object], *, step: int = 1, first: int = 1, most: int = MOST_KEY
    ) -> list[int | None]:
        """A number for every None of `given`, in order; what is given moves the counter past it, unless the column takes none that is
        greater than `most`: that row is refused. Numbers are `first`, and `step` apart. O(rows). Raises KeysNeeded, and then nothing was
        given away."""
        following = self.next
        keys: list[int | None] = []
        for value in given:
            if value is None:
                following += (first - following) % step
                keys.append(following)
                following += 1
                continue
            keys.append(None)
            number = _integer(value)
            if number is not None and following <= number <= most and number < MOST_KEY:
                following = number + 1
        if following > self.end:
            raise KeysNeeded(self, following)
        self.next = following
        return keys


def _integer(value: object) -> int | None:
    """The number a value is, or None: a text as MySQL writes literals, or a bound value."""
    if isinstance(value, int):
        return value
    if isinstance(value, str):
        text = value.strip("'\" ")
        return int(text) if text.isascii() and text.isdigit() and len(text) <= 20 else None
    return None
