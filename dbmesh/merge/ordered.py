"""Sorted streams of several sources become one, batch by batch.

Decides which rows may leave: those that no source can still precede. Knows keys only as values that compare. Ties
keep the order of the sources, whatever the chunks they arrive in.

There is no heap and no work per row in Python: everything up to a bound is put in one list and sorted, which for the
few ascending runs it consists of is a galloping merge in C.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Final, Protocol

from dbmesh.errors import MeshError, not_supported
from dbmesh.merge.keys import Key, Keys

Batch = tuple[Keys, Sequence[bytes]]
"""Keys and the rows they belong to."""

AHEAD_BYTES: Final = 256 * 1024
"""A source holding more than this is not read until the others catch up."""

ROW_OVERHEAD: Final = 96
"""Estimated memory of one held row and its key besides its bytes."""

_NOTHING: Final[tuple[list[Key], list[bytes]]] = ([], [])


class Stream(Protocol):
    """Rows of several sources on their way to one sequence."""

    def push(self, source: int, keys: Keys, rows: Sequence[bytes]) -> Batch:
        """Rows that are next in the sequence now that these arrived."""
        ...

    def finish(self, source: int) -> Batch:
        """Rows that are next now that this source has no more."""
        ...

    def wants(self, source: int) -> bool:
        """Whether the source should be read on."""
        ...


class ArrivalStream:
    """Rows in the order they arrive: nothing is held."""

    def push(self, source: int, keys: Keys, rows: Sequence[bytes]) -> Batch:
        return keys, rows

    def finish(self, source: int) -> Batch:
        return _NOTHING

    def wants(self, source: int) -> bool:
        return True


class _Run:
    """What one source has sent, in ascending order. What is before `start` has left; it is dropped once it is the
    greater part, so that taking little from a long run costs little."""

    __slots__ = ("finished", "keys", "last", "row_size", "rows", "start", "started")

    def __init__(self) -> None:
        self.keys: Keys = []
        self.rows: list[bytes] = []
        self.start = 0
        self.last: Key = None
        self.started = False
        self.finished = False
        self.row_size = 0

    def append(self, keys: Keys, rows: Sequence[bytes]) -> None:
        if sorted(keys) != keys or (self.started and keys[0] < self.last):
            raise _disordered()
        self.started = True
        self.last = keys[-1]
        self.row_size = max(self.row_size, sum(map(len, rows)) // len(rows) + ROW_OVERHEAD)
        self.keys += keys
        self.rows += rows

    @property
    def held(self) -> int:
        return len(self.keys) - self.start

    def take(self, end: int) -> Batch:
        """What is held before index `end`."""
        taken = self.keys[self.start : end], self.rows[self.start : end]
        self.start = end
        if 2 * end >= len(self.keys):
            del self.keys[:end], self.rows[:end]
            self.start = 0
        return taken


def _disordered() -> MeshError:
    """Sorting by prefixes (max_sort_length), or a collation that another version of the server orders differently:
    what follows could not be trusted."""
    return not_supported(
        "merging rows that a shard delivered in another order than its keys say",
        "raise max_sort_length on the data sources, or order and group by LEFT(column, n)",
    )


def sort_runs(keys: Keys, rows: Sequence[bytes], sizes: Sequence[int]) -> Batch:
    """Whole ascending runs of these sizes, one behind the other, as one sequence: what pushing and finishing each of
    them would give. Raises MeshError when one is not ascending."""
    start = 0
    for size in sizes:
        run = keys[start : start + size]
        if sorted(run) != run:
            raise _disordered()
        start += size
    order = sorted(range(len(keys)), key=keys.__getitem__)
    return list(map(keys.__getitem__, order)), list(map(rows.__getitem__, order))


class SortedStream:
    """Merges sources that each deliver ascending keys. Memory is bounded by pausing sources (`wants`).

    Invariant: every row held has a key not less than any that left. Let (bound, holder) be the least last key of the
    unfinished sources, the first of them on a tie. All rows below the bound are complete; those equal to it are
    complete for the sources up to the holder, while the holder may have more of them coming before the later ones.
    `keeps_keys` tells whether the caller needs the keys of what leaves.
    """

    def __init__(self, sources: int, *, keeps_keys: bool) -> None:
        self._runs = [_Run() for _ in range(sources)]
        self._keeps_keys = keeps_keys

    def push(self, source: int, keys: Keys, rows: Sequence[bytes]) -> Batch:
        if not keys:
            return _NOTHING
        self._runs[source].append(keys, rows)
        return self._take()

    def finish(self, source: int) -> Batch:
        self._runs[source].finished = True
        return self._take()

    def wants(self, source: int) -> bool:
        run = self._runs[source]
        return run.held * run.row_size < AHEAD_BYTES

    def _take(self) -> Batch:
        holder = -1
        bound: Key = None
        for index, run in enumerate(self._runs):
            if run.finished:
                continue
            if not run.held:
                return _NOTHING
            last = run.keys[-1]
            if holder < 0 or last < bound:
                holder, bound = index, last
        pieces: list[Batch] = []
        for index, run in enumerate(self._runs):
            keys = run.keys
            if holder < 0:
                end = len(keys)
            else:
                end = (bisect_right if index <= holder else bisect_left)(keys, bound, run.start)
            if end > run.start:
                pieces.append(run.take(end))
        return self._sort(pieces)

    def _sort(self, pieces: list[Batch]) -> Batch:
        if not pieces:
            return _NOTHING
        if len(pieces) == 1:
            return pieces[0]
        keys: Keys = []
        rows: list[bytes] = []
        for piece_keys, piece_rows in pieces:
            keys += piece_keys
            rows += piece_rows
        order = sorted(range(len(keys)), key=keys.__getitem__)
        ordered = list(map(rows.__getitem__, order))
        return (list(map(keys.__getitem__, order)) if self._keeps_keys else []), ordered
