"""Rows of several shards become one result set: the merger the engine pushes into.

Decides which stages a merge needs and in which order they work (`RowMerge` states it). A push merger: the engine
hands over row payloads as they arrive from each source and gets back those that may leave. Knows no sockets.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dbmesh.merge.fields import make_field_reader
from dbmesh.merge.groups import GroupCombiner
from dbmesh.merge.having import RowFilter, make_having_filter
from dbmesh.merge.keys import KeyReader, Keys, absolute, make_key_reader
from dbmesh.merge.limits import Budget, MergeLimits
from dbmesh.merge.ordered import ArrivalStream, SortedStream, Stream, sort_runs
from dbmesh.merge.stages import AdjacentDistinct, HashedDistinct, Sorter, Window
from dbmesh.planner.plan import RowMerge, SortKey
from dbmesh.wire.packets import ColumnDefinition

__all__ = ["MergeLimits", "RowMerger", "make_row_merger"]

Cut = Callable[[Sequence[bytes]], Sequence[bytes]]


def make_row_merger(
    merge: RowMerge, columns: Sequence[ColumnDefinition], sources: int, limits: MergeLimits
) -> RowMerger:
    """A merger for `sources` answers whose rows have these `columns` (hidden ones included).

    Raises MeshError (not supported) when a column cannot be compared or combined exactly: call it before any row of
    the answer is promised to the client.
    """
    return RowMerger(_Stages(merge, columns, limits), sources)


class _Stages:
    """What one merge is made of."""

    def __init__(self, merge: RowMerge, columns: Sequence[ColumnDefinition], limits: MergeLimits) -> None:
        visible = len(columns) - merge.hidden
        budget = Budget(limits)
        self.visible_columns = tuple(columns[:visible])
        self.window = Window(merge.offset, merge.limit)
        self.adjacent = AdjacentDistinct() if _distinct_streams(merge, columns) else None
        self.stream_keys = stream_keys(merge, columns)
        self.groups = _groups(merge, columns, budget, visible)
        self.having: RowFilter | None = make_having_filter(merge.having, columns) if merge.having else None
        self.hashed: HashedDistinct | None = None
        if merge.distinct and self.adjacent is None:
            self.hashed = HashedDistinct(make_key_reader(merge.distinct_keys, columns), budget)
        self.sorter: Sorter | None = None
        if merge.resort and merge.order_by:
            first = None if merge.limit is None else merge.offset + merge.limit
            self.sorter = Sorter(make_key_reader(merge.order_by, columns), budget, first)
        needs_hidden = bool(self.groups or self.having or self.hashed or self.sorter)
        early = visible if merge.hidden and not needs_hidden else None
        self.read_keys: KeyReader | None = None
        if self.stream_keys:
            self.read_keys = make_key_reader(self.stream_keys, columns, early)
        cuts_late = merge.hidden and (needs_hidden or self.read_keys is None)
        self.cut: Cut | None = _make_cut(visible) if cuts_late else None


def _groups(
    merge: RowMerge, columns: Sequence[ColumnDefinition], budget: Budget, visible: int
) -> GroupCombiner | None:
    if not merge.grouped:
        return None
    return GroupCombiner(merge.aggregates, columns, budget, one_group=not merge.group_by, visible=visible)


def _make_cut(visible: int) -> Cut:
    read = make_field_reader((), visible)
    return lambda rows: read(rows)[1]


def _distinct_streams(merge: RowMerge, columns: Sequence[ColumnDefinition]) -> bool:
    """Whether equal rows stand side by side in the sorted stream: when the stream's keys are the distinct ones."""
    if not merge.distinct or merge.grouped:
        return False
    if merge.resort:
        return True
    distinct = {absolute(key.column, columns) for key in merge.distinct_keys}
    return distinct.issuperset(absolute(key.column, columns) for key in merge.order_by)


def stream_keys(merge: RowMerge, columns: Sequence[ColumnDefinition]) -> tuple[SortKey, ...]:
    """The order in which the shards deliver: of the groups, else ORDER BY and then the other distinct keys. Empty
    when rows are taken as they arrive."""
    if merge.grouped:
        return merge.group_by
    order_by = () if merge.resort else merge.order_by
    if not merge.distinct:
        return order_by
    ordered = {absolute(key.column, columns) for key in order_by}
    return (*order_by, *(key for key in merge.distinct_keys if absolute(key.column, columns) not in ordered))


class RowMerger:
    """Merges the rows of numbered sources. Rows are text-protocol payloads without packet headers.

    Use: `push` what a source sent, `finish` it at its end; both return rows for the client. Read a source on only
    while it is wanted. Once `done`, nothing more comes out and the sources may be stopped. Or, for answers that are
    whole already: `merge`, once.
    """

    def __init__(self, stages: _Stages, sources: int) -> None:
        self._stages = stages
        self._open = set(range(sources))
        self._read_keys = stages.read_keys
        keeps_keys = stages.groups is not None or stages.adjacent is not None
        self._stream: Stream = (
            SortedStream(sources, keeps_keys=keeps_keys) if stages.read_keys else ArrivalStream()
        )
        self._plain = stages.cut is None and not (
            stages.groups or stages.having or stages.adjacent or stages.hashed or stages.sorter
        )

    @property
    def visible_columns(self) -> tuple[ColumnDefinition, ...]:
        """The column definitions of the answer: the shards' without the hidden ones."""
        return self._stages.visible_columns

    @property
    def done(self) -> bool:
        """Whether the answer is complete: LIMIT is reached, or all sources have ended."""
        return self._stages.window.closed or not self._open

    @property
    def skipped(self) -> int:
        """How many rows OFFSET has skipped so far."""
        return self._stages.window.skipped

    def wants(self, source: int) -> bool:
        """Whether `source` should be read on; false while it is far ahead of the others, or nothing is needed."""
        return source in self._open and not self.done and self._stream.wants(source)

    def push(self, source: int, rows: list[bytes]) -> list[bytes]:
        """Take rows of `source`; return those that may leave. Raises MeshError (limits, rows that cannot be merged
        exactly) and ProtocolError (malformed rows); the merger is of no use afterwards."""
        if not rows or self.done:
            return []
        if self._read_keys is None:
            return self._pass([], rows)
        keys, cut = self._read_keys(rows)
        return self._pass(*self._stream.push(source, keys, cut))

    def finish(self, source: int) -> list[bytes]:
        """`source` has no more rows; after the last one everything held comes out. Raises as `push`."""
        if source not in self._open:
            return []
        was_done = self.done
        self._open.discard(source)
        if was_done:
            return []
        keys, rows = self._stream.finish(source)
        out = self._pass(keys, rows)
        if not self._open:
            out += self._drain()
        return out

    def merge(self, answers: Sequence[list[bytes]]) -> list[bytes]:
        """The whole answers of all sources at once, in place of `push` and `finish` for each. Raises as `push`."""
        self._open.clear()
        rows: Sequence[bytes] = [row for answer in answers for row in answer]
        keys: Keys = []
        if self._read_keys is not None and rows:
            keys, rows = self._read_keys(rows)
            keys, rows = sort_runs(keys, rows, list(map(len, answers)))
        return self._pass(keys, rows) + self._drain()

    def _pass(self, keys: Keys, rows: Sequence[bytes]) -> list[bytes]:
        """Merged rows through the stages; `keys` are those of the stream's order, where a stage needs them."""
        stages = self._stages
        if not self._plain:
            if stages.groups is not None:
                rows = stages.groups.feed(keys, rows)
            elif stages.adjacent is not None:
                rows = stages.adjacent.feed(keys, rows)
            return self._pass_merged(rows)
        return list(stages.window.feed(rows))

    def _pass_merged(self, rows: Sequence[bytes]) -> list[bytes]:
        stages = self._stages
        if stages.having is not None:
            rows = stages.having(rows)
        if stages.hashed is not None:
            rows = stages.hashed.feed(rows)
        if stages.sorter is not None:
            stages.sorter.feed(rows)
            return []
        return self._leave(rows)

    def _drain(self) -> list[bytes]:
        """What the stages still hold once no source has more."""
        out: list[bytes] = []
        if self._stages.groups is not None:
            out += self._pass_merged(self._stages.groups.close())
        if self._stages.sorter is not None:
            out += self._leave(self._stages.sorter.close())
        return out

    def _leave(self, rows: Sequence[bytes]) -> list[bytes]:
        rows = self._stages.window.feed(rows)
        return list(rows if self._stages.cut is None or not rows else self._stages.cut(rows))
