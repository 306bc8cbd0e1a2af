"""Rows that several shards return of one write (RETURNING), put in the order one server would return them.

Decides whose row comes next. A merger like `RowMerger`: the engine pushes what each source sends.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from dbmesh.merge.limits import Budget, MergeLimits
from dbmesh.planner.plan import ReturnedRows
from dbmesh.wire.packets import ColumnDefinition


class ReturnedRowsMerger:
    """Merges the rows that numbered sources return; see `RowMerger` for its use. Rows in turns are kept until all are
    there: a client tells them apart by their place."""

    def __init__(
        self, answer: ReturnedRows, columns: Sequence[ColumnDefinition], sources: int, limits: MergeLimits
    ) -> None:
        self.visible_columns = tuple(columns)
        self._answer = answer
        self._budget = Budget(limits)
        self._open = set(range(sources))
        self._held: list[list[bytes]] = [[] for _ in range(sources)]

    @property
    def done(self) -> bool:
        """Never before the end: every source has to write its rows."""
        return False

    def wants(self, source: int) -> bool:
        """Whether `source` should be read on."""
        return source in self._open

    def push(self, source: int, rows: list[bytes]) -> list[bytes]:
        """Take rows of `source`; return those that may leave. Raises MeshError (limits)."""
        if self._answer.broadcast:
            return rows if source == 0 else []
        if not self._answer.turns:
            return rows
        self._budget.take(len(rows), sum(map(len, rows)))
        self._held[source] += rows
        return []

    def finish(self, source: int) -> list[bytes]:
        """`source` has no more rows; after the last one everything held comes out."""
        self._open.discard(source)
        return [] if self._open else self._in_turn()

    def _in_turn(self) -> list[bytes]:
        """The rows held in their order; one source behind the other where some have returned no row for a row written
        (IGNORE)."""
        wanted = Counter(self._answer.turns)
        if any(len(rows) != wanted[source] for source, rows in enumerate(self._held)):
            return [row for rows in self._held for row in rows]
        sources = [iter(rows) for rows in self._held]
        return [next(sources[source]) for source in self._answer.turns]
