"""What happens to merged rows on their way out: distinct, sort, offset and limit.

Decides which rows leave and in which order once they stand in one sequence. Each stage is a small object; `rows.py`
puts them in a row. Knows nothing of sources.
"""

from __future__ import annotations

from collections.abc import Sequence

from dbmesh.merge.keys import Key, KeyReader, Keys
from dbmesh.merge.limits import Budget
from dbmesh.merge.ordered import ROW_OVERHEAD

_SLACK_ROWS = 1024


class AdjacentDistinct:
    """The first of every run of equal keys."""

    def __init__(self) -> None:
        self._last: Key = None
        self._started = False

    def feed(self, keys: Keys, rows: Sequence[bytes]) -> Sequence[bytes]:
        """`rows` without those whose key is that of the row before."""
        if not keys:
            return []
        kept = [row for row, key, before in zip(rows[1:], keys[1:], keys, strict=False) if key != before]
        if not self._started or keys[0] != self._last:
            kept.insert(0, rows[0])
        self._started = True
        self._last = keys[-1]
        return kept


class HashedDistinct:
    """The first row of every key, whatever their order; holds the keys, within the budget."""

    def __init__(self, read_keys: KeyReader, budget: Budget) -> None:
        self._read_keys = read_keys
        self._budget = budget
        self._seen: set[Key] = set()

    def feed(self, rows: Sequence[bytes]) -> list[bytes]:
        """`rows` without those seen before. Raises MeshError(MERGE_LIMIT)."""
        if not rows:
            return []
        keys, _ = self._read_keys(rows)
        kept = []
        for key, row in zip(keys, rows, strict=True):
            if key not in self._seen:
                self._budget.take(1, len(row) + ROW_OVERHEAD)
                self._seen.add(key)
                kept.append(row)
        return kept


class Sorter:
    """All rows, sorted at the end. With `first` only that many leading rows are wanted, and little more is held."""

    def __init__(self, read_keys: KeyReader, budget: Budget, first: int | None) -> None:
        self._read_keys = read_keys
        self._budget = budget
        self._first = first
        self._keys: Keys = []
        self._rows: list[bytes] = []
        self._size = 0

    def feed(self, rows: Sequence[bytes]) -> None:
        """Hold `rows`. Raises MeshError(MERGE_LIMIT)."""
        if not rows:
            return
        keys, _ = self._read_keys(rows)
        self._keys += keys
        self._rows += rows
        size = sum(map(len, rows)) + len(rows) * ROW_OVERHEAD
        self._size += size
        self._budget.take(len(rows), size)
        if self._first is not None and len(self._rows) > 2 * self._first + _SLACK_ROWS:
            self._sort(self._first)

    def close(self) -> list[bytes]:
        """The rows in order; equal ones in the order they came."""
        self._sort(self._first)
        return self._rows

    def _sort(self, first: int | None) -> None:
        keys = self._keys
        order = sorted(range(len(keys)), key=keys.__getitem__)[:first]
        held = len(keys)
        self._keys = list(map(keys.__getitem__, order))
        self._rows = list(map(self._rows.__getitem__, order))
        size = sum(map(len, self._rows)) + len(order) * ROW_OVERHEAD
        self._budget.give_back(held - len(order), self._size - size)
        self._size = size


class Window:
    """OFFSET and LIMIT."""

    def __init__(self, offset: int, limit: int | None) -> None:
        self._offset = self._skip = offset
        self._left = limit

    @property
    def skipped(self) -> int:
        """How many rows OFFSET has skipped so far."""
        return self._offset - self._skip

    @property
    def closed(self) -> bool:
        """Whether no further row can leave."""
        return self._left == 0

    def feed(self, rows: Sequence[bytes]) -> Sequence[bytes]:
        """The part of `rows` inside the window."""
        if self._skip:
            skipped = min(self._skip, len(rows))
            self._skip -= skipped
            rows = rows[skipped:]
        if self._left is not None:
            rows = rows[: self._left]
            self._left -= len(rows)
        return rows
