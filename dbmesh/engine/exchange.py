"""Runs a bound statement on its data sources and streams the merged answer into one sink.

Decides fan-out, order of work on a connection, flow control between shards and client, and what happens when one
shard fails. Refuses to know sessions, transactions and packets' framing: connections arrive ready (state brought,
transaction begun), rows leave as payloads.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ParamSpec, Protocol

from dbmesh.backend.connection import Connection
from dbmesh.engine.collect import Collector, Result, collect
from dbmesh.errors import INTERNAL, MERGE_LIMIT, MeshError, ShardError
from dbmesh.merge.counts import merge_counts
from dbmesh.merge.rows import MergeLimits, RowMerger, make_row_merger
from dbmesh.planner.plan import Answer, CountMerge, RowMerge, Shot
from dbmesh.wire.packets import ColumnDefinition, OkPacket

_log = logging.getLogger(__name__)

P = ParamSpec("P")

SHOW_WARNINGS = b"SHOW WARNINGS"

PASS_THROUGH = RowMerge()
"""What a single shot's rows need: nothing."""

ROWS_DROPPED_BEFORE_ABORT = 10_000
"""After LIMIT is reached a shard's remaining rows are read and dropped up to here; then its connection is closed,
because reading on would cost more than opening another."""


ROWS_AT_ONCE = 2048
"""Rows that are merged in one go: keys and fields of so many are in memory at a time, however many one read brought."""


class Sink(Protocol):
    """Where the rows of one statement go. Both calls come in order and never block; the sink reports a slow client
    through `Exchange.pause`."""

    def columns(self, columns: Sequence[ColumnDefinition]) -> None:
        """The visible columns, names not yet turned back to logic names."""
        ...

    def rows(self, rows: list[bytes]) -> None:
        """Text row payloads."""
        ...


@dataclass(frozen=True, slots=True)
class Lane:
    """One lent connection and the shots it runs one after another."""

    connection: Connection
    shots: tuple[Shot, ...]


@dataclass(frozen=True, slots=True)
class ShardWarning:
    """One row of SHOW WARNINGS: level, number, text."""

    level: str
    number: int
    message: str


@dataclass(slots=True)
class Outcome:
    """How a statement ended. `row_count` is None when it returned no result set."""

    ok: OkPacket
    row_count: int | None
    warnings: list[ShardWarning] = field(default_factory=list)


class Exchange:
    """One statement under way on one or several connections. Create, `await run()`, once."""

    def __init__(self, lanes: Sequence[Lane], answer: Answer, sink: Sink, limits: MergeLimits) -> None:
        self._lanes = tuple(lanes)
        self._answer = answer
        self._sink = sink
        self._limits = limits
        self._sources = sum(len(lane.shots) for lane in lanes)
        self._shares_connections = self._sources > len(self._lanes)
        self._receivers: list[_ShotReceiver] = []
        self._paused: set[_ShotReceiver] = set()
        self._lanes_left = len(self._lanes)
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._merger: RowMerger | None = None
        self._pushed = 0
        self._rows_out = 0
        self._client_paused = False
        self._first_error: Exception | None = None
        self._warnings: list[ShardWarning] = []

    async def run(self) -> Outcome:
        """Run every shot; rows go to the sink as they come. Raises ShardError or MeshError, the first one met, after
        every connection has come to rest or has been closed."""
        runs = []
        for lane in self._lanes:
            run = _LaneRun(self, lane, len(self._receivers))
            self._receivers += run.receivers
            runs.append(run)
        try:
            for run in runs:
                run.advance()
            await self._ended
        except asyncio.CancelledError:
            for lane in self._lanes:
                if not lane.connection.usable:
                    lane.connection.abort()
            raise
        if self._first_error is not None:
            raise self._first_error
        return self._outcome()

    def pause(self) -> None:
        """The client reads too slowly: stop reading every shard."""
        self._client_paused = True
        for receiver in self._receivers:
            receiver.adjust_flow()

    def resume(self) -> None:
        """The client reads again."""
        self._client_paused = False
        for receiver in self._receivers:
            receiver.adjust_flow()

    def busy_connections(self) -> list[Connection]:
        """Connections whose statement still runs, for KILL."""
        return [lane.connection for lane in self._lanes if not lane.connection.usable]

    def completed(self) -> list[str]:
        """Data sources on which a shot has ended well, each once, in the order of the shots."""
        done = (receiver.data_source for receiver in self._receivers if receiver.ok is not None)
        return list(dict.fromkeys(done))

    @property
    def _complete(self) -> bool:
        """Whether LIMIT is reached: rows that still come are of no use."""
        return self._merger is not None and self._merger.done

    # ------------------------------------------------------------------ called by lanes and receivers

    @property
    def _stopped(self) -> bool:
        """Whether no further shot need run."""
        return self._first_error is not None or self._complete

    def _lane_ended(self) -> None:
        self._lanes_left -= 1
        if not self._lanes_left and not self._ended.done():
            self._ended.set_result(None)

    def _columns_arrived(self, columns: tuple[ColumnDefinition, ...]) -> None:
        """The first shard to answer tells the columns; the others' are the same."""
        if self._merger is not None or self._first_error is not None:
            return
        merge = self._answer if isinstance(self._answer, RowMerge) else PASS_THROUGH
        self._merger = make_row_merger(merge, columns, self._sources, self._limits)
        self._sink.columns(self._merger.visible_columns)

    def _push(self, source: int, rows: list[bytes]) -> None:
        """Rows into the merger. Shards that share a connection answer one after another, so an ordered merge must keep
        all but the last one's rows: bounded here."""
        merger = self._merger
        if merger is None:
            return
        self._pushed += len(rows)
        for start in range(0, len(rows), ROWS_AT_ONCE):
            self._emit(merger.push(source, rows[start : start + ROWS_AT_ONCE]))
        if self._shares_connections and self._pushed - self._rows_out > self._limits.max_rows:
            raise MeshError(MERGE_LIMIT, limit=f"{self._limits.max_rows} rows", setting="merge-max-rows")

    def _emit(self, rows: list[bytes]) -> None:
        if rows and self._first_error is None:
            self._rows_out += len(rows)
            self._sink.rows(rows)

    def _fail(self, error: Exception, origin: _ShotReceiver | None) -> None:
        """Remember the first error and stop the others: rows nobody will read must not go on coming."""
        if self._first_error is not None:
            return
        self._first_error = error
        for receiver in self._receivers:
            if receiver is not origin:
                receiver.stop()

    def _adjust_paused(self) -> None:
        """What one source sends or ends can only make others wanted again, never unwanted."""
        for receiver in tuple(self._paused):
            receiver.adjust_flow()

    def _outcome(self) -> Outcome:
        oks = [receiver.ok for receiver in self._receivers if receiver.ok is not None]
        if self._merger is not None:
            # SHOW WARNINGS tells no more than max_error_count of them; the packets count all.
            warnings = sum(ok.warnings for ok in oks)
            return Outcome(OkPacket(warnings=warnings), self._rows_out, self._warnings)
        merge = self._answer if isinstance(self._answer, CountMerge) else CountMerge()
        ok = merge_counts(merge, oks)
        return Outcome(ok, None, self._warnings)


class _LaneRun:
    """One lane under way: its shots one after another, each followed by a look at its warnings."""

    def __init__(self, exchange: Exchange, lane: Lane, first_source: int) -> None:
        self._exchange = exchange
        self._lane = lane
        self._next = 0
        last = len(lane.shots) - 1
        self.receivers = [
            _ShotReceiver(exchange, self, first_source + index, lane.connection, last=index == last)
            for index in range(len(lane.shots))
        ]

    def advance(self) -> None:
        """Start the next shot, or end."""
        position = self._next
        if position == len(self.receivers) or self._exchange._stopped:
            self._exchange._lane_ended()
            return
        self._next = position + 1
        self._lane.connection.query(self._lane.shots[position].sql, self.receivers[position])

    def shot_ended(self, ok: OkPacket | None) -> None:
        """The answer of a shot is complete."""
        if ok is None or not ok.warnings:
            self.advance()
            return
        collector = Collector()
        collector.future.add_done_callback(self._warnings_came)
        self._lane.connection.query(SHOW_WARNINGS, collector)

    def _warnings_came(self, future: asyncio.Future[Result]) -> None:
        try:
            self._exchange._warnings += _warnings_in(future.result())
        except (MeshError, ShardError) as error:
            self._exchange._fail(error, None)
        self.advance()


class _ShotReceiver:
    """The receiving end of one shot: a source of the merger."""

    def __init__(
        self, exchange: Exchange, lane: _LaneRun, source: int, connection: Connection, *, last: bool
    ) -> None:
        self.ok: OkPacket | None = None
        self.has_rows = False
        self.data_source = connection.data_source
        self._exchange = exchange
        self._lane = lane
        self._source = source
        self._connection = connection
        self._last = last
        self._finished = False
        self._ended = False
        self._dropped = 0

    # Receiver

    def columns(self, columns: Sequence[ColumnDefinition]) -> None:
        self.has_rows = True
        self._guard(self._exchange._columns_arrived, tuple(columns))
        self.adjust_flow()

    def rows(self, rows: list[bytes]) -> None:
        exchange = self._exchange
        merger = exchange._merger
        if merger is None or exchange._first_error is not None:
            return
        if merger.done:
            self._dropped += len(rows)
            if self._dropped > ROWS_DROPPED_BEFORE_ABORT:
                self.stop()
            return
        self._guard(exchange._push, self._source, rows)
        if exchange._sources > 1:
            self.adjust_flow()
            exchange._adjust_paused()

    def done(self, ok: OkPacket, *, more: bool) -> None:
        if more:
            error = MeshError(INTERNAL, reason="a statement of several results cannot be merged")
            self._exchange._fail(error, self)
            return
        self.ok = ok
        self._finished = True
        if self.has_rows:
            self._guard(self._finish)
            self._exchange._adjust_paused()
        self._end()

    def failed(self, error: Exception) -> None:
        if self._finished:
            # Closed by `stop`: its rows were not wanted any more.
            return
        self._finished = True
        self._exchange._fail(error, self)
        self._end()

    # Called by the exchange

    def adjust_flow(self) -> None:
        """Read from the shard only while the client keeps up and the merger wants this source's rows. A connection
        with more shots to run is always read on: its other shots are what the merger waits for."""
        exchange = self._exchange
        merger = exchange._merger
        hold = exchange._client_paused or (
            self._last and merger is not None and not merger.wants(self._source)
        )
        if hold:
            hold = not (self._finished or exchange._stopped)
        if hold == (self in exchange._paused):
            return
        if hold:
            exchange._paused.add(self)
            self._connection.pause_reading()
        else:
            exchange._paused.remove(self)
            self._connection.resume_reading()

    def stop(self) -> None:
        """Another shard failed, or the answer is complete. A connection whose rows still come is closed, unless it
        carries a transaction: then its rows are read and dropped."""
        if not self._finished and self.has_rows and not self._connection.in_transaction:
            self._finished = True
            self._connection.abort()
            self._end()
        else:
            self.adjust_flow()

    def _finish(self) -> None:
        merger = self._exchange._merger
        if merger is not None:
            self._exchange._emit(merger.finish(self._source))

    def _guard(self, step: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
        try:
            step(*args, **kwargs)
        except (MeshError, ShardError) as error:
            self._exchange._fail(error, self)
            self.stop()
        except Exception as error:
            # Called from a protocol callback: nobody else would tell the waiting statement.
            _log.exception("an answer of %s cannot be merged", self._connection.data_source)
            self._exchange._fail(MeshError(INTERNAL, reason=type(error).__name__), self)
            self.stop()

    def _end(self) -> None:
        if not self._ended:
            self._ended = True
            self._lane.shot_ended(self.ok)


async def fetch_warnings(connection: Connection) -> list[ShardWarning]:
    """The warnings of the statement that just ended on this connection."""
    return _warnings_in(await collect(connection, SHOW_WARNINGS))


def _warnings_in(result: Result) -> list[ShardWarning]:
    return [
        ShardWarning(
            (level or b"").decode("utf-8", "surrogateescape"),
            int(number or b"0"),
            (message or b"").decode("utf-8", "surrogateescape"),
        )
        for level, number, message in result.rows
    ]
