"""Runs a bound statement on its data sources and streams the merged answer into one sink.

Decides fan-out, order of work on a connection, flow control between shards and client, and what happens when one
shard fails. Refuses to know sessions, transactions and packets' framing: connections arrive ready (state brought,
transaction begun), rows leave as payloads.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from operator import itemgetter
from typing import Protocol

from dbmesh.backend.connection import Connection, Product
from dbmesh.engine.failed_row import NO_ROW, rank
from dbmesh.engine.lane import Lane, LaneRun, ShotWatch
from dbmesh.engine.once import Trial
from dbmesh.engine.warnings import (
    RowNumbers,
    ShardWarning,
    in_order_of_rows,
    of_insert,
    without_repetitions,
)
from dbmesh.errors import MERGE_LIMIT, QUERY_INTERRUPTED, MeshError
from dbmesh.merge.counts import merge_counts
from dbmesh.merge.returned import ReturnedRowsMerger
from dbmesh.merge.rows import MergeLimits, RowMerger, make_row_merger
from dbmesh.planner.plan import Answer, CountMerge, ReturnedRows, RowMerge, Shot
from dbmesh.wire.packets import ColumnDefinition, OkPacket
from dbmesh.wire.values import text_rows_encoder, with_every_digit

PASS_THROUGH = RowMerge()
"""What a single shot's rows need: nothing."""

ROWS_AT_ONCE = 2048
"""Rows that are merged in one go: keys and fields of so many are in memory at a time, however many one read brought."""


GATHERED_BYTES = 128 * 1024
"""Rows of several shards that are merged in one go at the end when the whole answer is no larger: a merge step per
shard costs more than the rows of a small answer."""


REPEATED_WITHIN = 1.0
"""Seconds after which a statement is not run again only to tell whose its warnings are."""


class Sink(Protocol):
    """Where the rows of one statement go. Both calls come in order and never block; the sink reports a slow client
    through `Exchange.pause`."""

    def columns(self, columns: Sequence[ColumnDefinition]) -> None:
        """The visible columns, names not yet turned back to logic names."""
        ...

    def rows(self, rows: list[bytes]) -> None:
        """Text row payloads."""
        ...


@dataclass(slots=True)
class Outcome:
    """How a statement ended. `row_count` is None when it returned no result set. `gives_id`: the insert id of `ok` is one
    the client gave. `product`: what the first of its data sources is. `exact`: no number of its rows is rounded."""

    ok: OkPacket
    row_count: int | None
    warnings: list[ShardWarning] = field(default_factory=list)
    gives_id: bool = False
    product: Product = Product.OTHER
    exact: bool = False


class Exchange:
    """One statement under way on one or several connections. Create, `await run()`, once. `own` are the
    client's texts, where those of the shots evaluate more; `trial` tells whose warnings those of a query are; `watch` is told of the shots."""

    def __init__(
        self,
        lanes: Sequence[Lane],
        answer: Answer,
        sink: Sink,
        limits: MergeLimits,
        *,
        own: Callable[[], Sequence[bytes]] | None = None,
        trial: Trial | None = None,
        watch: ShotWatch | None = None,
    ) -> None:
        self._own = own
        self.watch = watch
        self._trial = trial
        self.now = asyncio.get_running_loop().time
        self._began = self.now()
        self._answer = answer
        self._sink = sink
        self._limits = limits
        self._runs: list[LaneRun] = []
        self.sources = 0
        for lane in lanes:
            self._runs.append(LaneRun(self, lane, self.sources))
            self.sources += len(lane.shots)
        self._shares_connections = self.sources > len(lanes)
        self.paused: set[LaneRun] = set()
        self._lanes_left = len(lanes)
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.merger: RowMerger | ReturnedRowsMerger | None = None
        # Mergers know text rows: binary ones are turned into them where the merge looks into rows.
        self._binary = any(lane.binary for lane in lanes) and (
            lanes[0].gives_text or (isinstance(answer, RowMerge) and answer.reads_rows)
        )
        self._as_text: Callable[[Sequence[bytes]], list[bytes]] | None = None
        # The rows of each source, until they are too many to be held.
        self.gathered: list[list[bytes]] | None = None
        if self.sources > 1 and isinstance(answer, RowMerge) and answer.needs_all:
            self.gathered = [[] for _ in range(self.sources)]
        self._gathered_rows = self._gathered_bytes = 0
        self._finished: list[int] = []
        self._pushed = 0
        self._rows_out = 0
        self.client_paused = False
        self.first_error: Exception | None = None
        # One server stops at the first row it cannot insert: every shot runs, to find out which that is.
        self.in_order = self.sources > 1 and (
            (isinstance(answer, CountMerge) and answer.inserts)
            or (isinstance(answer, ReturnedRows) and bool(answer.turns))
        )
        self._rank = NO_ROW
        self.row_numbers = RowNumbers(answer)

    async def run(self) -> Outcome:
        """Run every shot; rows go to the sink as they come. Raises ShardError or MeshError after every
        connection has come to rest or has been closed: the first one met, of an INSERT that of the first row."""
        try:
            for run in self._runs:
                run.advance()
            await self._ended
            await self._settle_warnings()
        except asyncio.CancelledError:
            self._abandon()
            raise
        if self.first_error is not None:
            raise self.first_error
        return self._outcome()

    def _abandon(self) -> None:
        """Nobody waits any more. A lane between two statements is at rest and would still send the next one, on a connection
        that belongs to somebody else then: it is closed as well."""
        self.first_error, self._rank = MeshError(QUERY_INTERRUPTED), NO_ROW
        for run in self._runs:
            run.abandon()

    def pause(self) -> None:
        """The client reads too slowly: stop reading every shard."""
        self.client_paused = True
        for run in self._runs:
            run.adjust_flow()

    def resume(self) -> None:
        """The client reads again."""
        self.client_paused = False
        for run in self._runs:
            run.adjust_flow()

    def busy_connections(self) -> list[Connection]:
        """Connections whose statement still runs, for KILL."""
        return [run.connection for run in self._runs if not run.connection.usable]

    def interrupt(self) -> None:
        """See `UnderWay`: a lane that is between two of its statements, or soon will be, goes no further."""
        if any(run.has_more for run in self._runs):
            self.fail(MeshError(QUERY_INTERRUPTED))

    def completed(self) -> list[str]:
        """Data sources on which a shot has ended well, each once, in the order of the shots."""
        return list(dict.fromkeys(run.connection.data_source for run in self._runs if run.oks))

    @property
    def skipped(self) -> int:
        """How many rows the merge has skipped (OFFSET)."""
        return self.merger.skipped if isinstance(self.merger, RowMerger) else 0

    def oks(self) -> list[list[OkPacket]]:
        """What each lane's shots were answered, in order."""
        return [run.oks for run in self._runs]

    def completed_shots(self) -> list[Shot]:
        """The shots that have ended well."""
        return [shot for run in self._runs for shot in run.completed_shots()]

    @property
    def _complete(self) -> bool:
        """Whether LIMIT is reached: rows that still come are of no use."""
        return self.merger is not None and self.merger.done

    # ------------------------------------------------------------------ called by lanes

    @property
    def stopped(self) -> bool:
        """Whether no further rows are wanted."""
        return self.first_error is not None or self._complete

    def wants_more(self) -> bool:
        """Whether further shots need still run."""
        return not self.stopped or (self.first_error is not None and self._rank > NO_ROW)

    def lane_ended(self) -> None:
        """A lane has run all its shots."""
        self._lanes_left -= 1
        if not self._lanes_left and not self._ended.done():
            self._ended.set_result(None)

    def columns_arrived(self, columns: tuple[ColumnDefinition, ...]) -> None:
        """The first shard to answer tells the columns; the others' are the same."""
        if self.merger is not None or self.first_error is not None:
            return
        answer = self._answer
        # Only the text protocol rounds a DOUBLE to its column's decimals.
        merged = with_every_digit(columns) if self._binary else columns
        if isinstance(answer, ReturnedRows):
            self.merger = ReturnedRowsMerger(answer, merged, self.sources, self._limits)
        else:
            merge = answer if isinstance(answer, RowMerge) else PASS_THROUGH
            self.merger = make_row_merger(merge, merged, self.sources, self._limits)
        if self._binary:
            self._as_text = text_rows_encoder(columns)
        self._sink.columns(columns[: len(self.merger.visible_columns)])

    def rows_arrived(self, source: int, rows: list[bytes]) -> None:
        """Rows of a source, as its lane got them. Raises MeshError."""
        if self._as_text is not None:
            rows = self._as_text(rows)
        gathered = self.gathered
        if gathered is None:
            self._push(source, rows)
            return
        gathered[source] += rows
        self._gathered_rows += len(rows)
        self._gathered_bytes += sum(map(len, rows))
        if self._gathered_bytes > GATHERED_BYTES or self._gathered_rows > self._limits.max_rows:
            self.gathered = None
            for number, held in enumerate(gathered):
                self._push(number, held)
            for number in self._finished:
                self._finish(number)

    def source_ended(self, source: int) -> None:
        """No more rows come of this source. Raises MeshError."""
        if self.gathered is None:
            self._finish(source)
            return
        self._finished.append(source)
        if len(self._finished) == self.sources and isinstance(self.merger, RowMerger):
            self._emit(self.merger.merge(self.gathered))

    def _push(self, source: int, rows: list[bytes]) -> None:
        """Rows into the merger. Shards that share a connection answer one after another, so an ordered merge must keep
        all but the last one's rows: bounded here."""
        merger = self.merger
        if merger is None:
            return
        self._pushed += len(rows)
        for start in range(0, len(rows), ROWS_AT_ONCE):
            self._emit(merger.push(source, rows[start : start + ROWS_AT_ONCE]))
        if self._shares_connections and self._pushed - self._rows_out > self._limits.max_rows:
            raise MeshError(MERGE_LIMIT, limit=f"{self._limits.max_rows} rows", setting="merge-max-rows")

    def _finish(self, source: int) -> None:
        if self.merger is not None:
            self._emit(self.merger.finish(source))

    def _emit(self, rows: list[bytes]) -> None:
        if rows and self.first_error is None:
            self._rows_out += len(rows)
            self._sink.rows(rows)

    def fail(self, error: Exception, row: int = NO_ROW) -> None:
        """Remember the error to tell and stop the others: rows nobody will read must not go on coming. `row` is the number of
        the row it is about, where the order of rows decides."""
        found = rank(error, row)
        if self.first_error is not None and found >= self._rank:
            return
        self.first_error = error
        self._rank = found
        for run in self._runs:
            run.stop()

    def adjust_paused(self) -> None:
        """What one source sends or ends can only make others wanted again, never unwanted."""
        for run in tuple(self.paused):
            run.adjust_flow()

    async def _settle_warnings(self) -> None:
        """What every shard warns of because of the statement itself, one server says once."""
        told = [(run, shot) for run in self._runs for shot in sorted(run.warnings)]
        if len(told) < 2 or self.first_error is not None or self._broadcast:
            return
        lists = [run.warnings[shot] for run, shot in told]
        if self.row_numbers.known:
            lists = without_repetitions(lists, of_insert(lists[0]))
        else:
            lists = await self._tried(told, lists) or await self._runs[0].told_once(lists)
        for (run, shot), warnings in zip(told, lists, strict=True):
            run.keep_warnings(shot, warnings)

    async def _tried(
        self, told: Sequence[tuple[LaneRun, int]], lists: list[list[ShardWarning]]
    ) -> list[list[ShardWarning]] | None:
        """The shots' warnings, those of the statement only where they come first, found by trial; None where nothing is
        tried. What one shot does not warn of is tried with the next that does."""
        if self._trial is None or not self._is_quick:
            return None
        sources = Counter(chain.from_iterable(map(set, lists)))
        open_ = {warning for warning, count in sources.items() if count > 1}
        for (run, shot), warnings in zip(told, lists, strict=True):
            if not open_.intersection(warnings):
                continue
            once = await run.of_statement(shot, self._trial, open_.intersection(warnings))
            if once is None:
                return None
            lists = without_repetitions(lists, once)
            open_.difference_update(warnings)
        return lists

    @cached_property
    def own_texts(self) -> Sequence[bytes] | None:
        """What to run again for the warnings, by the shots' places; None to take those of the shots."""
        return self._own() if self._own is not None and self._is_quick else None

    @property
    def _is_quick(self) -> bool:
        """Whether the statement may be run again for its warnings."""
        return self.now() - self._began < REPEATED_WITHIN

    @property
    def _broadcast(self) -> bool:
        """Whether every data source did the same work."""
        return isinstance(self._answer, CountMerge | ReturnedRows) and self._answer.broadcast

    def _outcome(self) -> Outcome:
        told = [run.warnings[shot] for run in self._runs for shot in sorted(run.warnings)]
        placed = [pair for run in self._runs for pair in zip(run.places, run.oks, strict=False)]
        oks = [ok for _, ok in sorted(placed, key=itemgetter(0))]
        if self._broadcast:
            # The first one's count is told, and its warnings.
            told, oks = [self._runs[0].warnings.get(0, [])], oks[:1]
        warnings = list(chain.from_iterable(told))
        product = self._runs[0].connection.product if self._runs else Product.OTHER
        if self.row_numbers.known:
            warnings = in_order_of_rows(warnings, product)
        if self.merger is not None:
            # SHOW WARNINGS tells no more than max_error_count of them; the packets count all.
            counted = sum(ok.warnings for ok in oks)
            return Outcome(OkPacket(warnings=counted), self._rows_out, warnings, product=product)
        merge = self._answer if isinstance(self._answer, CountMerge) else CountMerge()
        return Outcome(merge_counts(merge, oks), None, warnings, product=product)
