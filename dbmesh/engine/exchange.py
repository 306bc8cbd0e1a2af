"""Runs a bound statement on its data sources and streams the merged answer into one sink.

Decides fan-out, order of work on a connection, flow control between shards and client, and what happens when one
shard fails. Refuses to know sessions, transactions and packets' framing: connections arrive ready (state brought,
transaction begun), rows leave as payloads.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import chain
from typing import ParamSpec, Protocol

from dbmesh.backend.connection import Connection, Pipeline, Receiver
from dbmesh.backend.mysql import MySQLConnection
from dbmesh.engine.collect import Collector, Result
from dbmesh.engine.warnings import (
    NOTHING_EXPLAINED,
    SHOW_WARNINGS,
    Explained,
    Repetition,
    RowNumbers,
    ShardWarning,
    explain,
    in_order_of_rows,
    of_insert,
    told_once,
    warnings_in,
    without_repetitions,
)
from dbmesh.errors import INTERNAL, MERGE_LIMIT, ROLLED_BACK_BY_SERVER, MeshError, ShardError
from dbmesh.merge.counts import merge_counts, with_warnings
from dbmesh.merge.returned import ReturnedRowsMerger
from dbmesh.merge.rows import MergeLimits, RowMerger, make_row_merger
from dbmesh.planner.plan import Answer, CountMerge, ReturnedRows, RowMerge, Shot
from dbmesh.wire.packets import ColumnDefinition, OkPacket
from dbmesh.wire.values import text_rows_encoder

_log = logging.getLogger(__name__)

P = ParamSpec("P")

PASS_THROUGH = RowMerge()
"""What a single shot's rows need: nothing."""

ROWS_DROPPED_BEFORE_ABORT = 10_000
"""After LIMIT is reached a shard's remaining rows are read and dropped up to here; then its connection is closed,
because reading on would cost more than opening another."""


ROWS_AT_ONCE = 2048
"""Rows that are merged in one go: keys and fields of so many are in memory at a time, however many one read brought."""


NOWHERE = -1
"""The place of an error before which nothing stands."""

GATHERED_BYTES = 128 * 1024
"""Rows of several shards that are merged in one go at the end when the whole answer is no larger: a merge step per
shard costs more than the rows of a small answer."""


REPEATED_WITHIN = 1.0
"""Seconds after which a statement is not run again only to leave the warnings of its hidden columns out."""


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
    """One lent connection and the shots it runs one after another. `pipeline` is the connection again where all of
    them only read, are wanted in any case, and may be sent at once. `executes` are sent in place of the shots' texts:
    the commands (payloads) that execute what they were prepared as; with `binary`, rows come in binary form. `kept` says that its session keeps
    the connection, and on it what no other has: a transaction, locks, variables, temporary tables, a cursor. `places` are
    the shots' places among all of the statement, one lane behind the other unless given."""

    connection: Connection
    shots: tuple[Shot, ...]
    pipeline: Pipeline | None = None
    executes: tuple[bytes, ...] | None = None
    binary: bool = False
    kept: bool = False
    places: tuple[int, ...] = ()


@dataclass(slots=True)
class Outcome:
    """How a statement ended. `row_count` is None when it returned no result set. `gives_id`: the insert id of `ok` is one
    the client gave."""

    ok: OkPacket
    row_count: int | None
    warnings: list[ShardWarning] = field(default_factory=list)
    gives_id: bool = False
    explained: Explained = NOTHING_EXPLAINED


class Exchange:
    """One statement under way on one or several connections. Create, `await run()`, once. With `explains` the outcome
    tells what is known of the statement before its rows, where that may matter: it warned, or found nothing. `own` are the
    client's texts, where those of the shots evaluate more."""

    def __init__(
        self,
        lanes: Sequence[Lane],
        answer: Answer,
        sink: Sink,
        limits: MergeLimits,
        *,
        explains: bool = False,
        own: Callable[[], Sequence[bytes]] | None = None,
    ) -> None:
        self._own = own
        self._began = asyncio.get_running_loop().time()
        self._explains = explains
        self._explained = NOTHING_EXPLAINED
        self._answer = answer
        self._sink = sink
        self._limits = limits
        self._runs: list[_LaneRun] = []
        self._sources = 0
        for lane in lanes:
            self._runs.append(_LaneRun(self, lane, self._sources))
            self._sources += len(lane.shots)
        self._shares_connections = self._sources > len(lanes)
        self._paused: set[_LaneRun] = set()
        self._lanes_left = len(lanes)
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._merger: RowMerger | ReturnedRowsMerger | None = None
        # Mergers know text rows: binary ones are turned into them where the merge looks into rows.
        self._binary = (
            any(lane.binary for lane in lanes) and isinstance(answer, RowMerge) and answer.reads_rows
        )
        self._as_text: Callable[[Sequence[bytes]], list[bytes]] | None = None
        # The rows of each source, until they are too many to be held.
        self._gathered: list[list[bytes]] | None = None
        if self._sources > 1 and isinstance(answer, RowMerge) and answer.needs_all:
            self._gathered = [[] for _ in range(self._sources)]
        self._gathered_rows = self._gathered_bytes = 0
        self._finished: list[int] = []
        self._pushed = 0
        self._rows_out = 0
        self._client_paused = False
        self._first_error: Exception | None = None
        # One server stops at the first row it cannot insert: an error ends what stands behind it, not before.
        self._in_order = (isinstance(answer, CountMerge) and answer.inserts) or (
            isinstance(answer, ReturnedRows) and bool(answer.turns)
        )
        self._failed_at = NOWHERE
        self.row_numbers = RowNumbers(answer)

    async def run(self) -> Outcome:
        """Run every shot; rows go to the sink as they come. Raises ShardError or MeshError after every
        connection has come to rest or has been closed: the first one met, of an INSERT the first shot's that failed."""
        try:
            for run in self._runs:
                run.advance()
            await self._ended
            await self._settle_warnings()
        except asyncio.CancelledError:
            for connection in self.busy_connections():
                connection.abort()
            raise
        if self._first_error is not None:
            raise self._first_error
        return self._outcome()

    def pause(self) -> None:
        """The client reads too slowly: stop reading every shard."""
        self._client_paused = True
        for run in self._runs:
            run.adjust_flow()

    def resume(self) -> None:
        """The client reads again."""
        self._client_paused = False
        for run in self._runs:
            run.adjust_flow()

    def busy_connections(self) -> list[Connection]:
        """Connections whose statement still runs, for KILL."""
        return [run.connection for run in self._runs if not run.connection.usable]

    def completed(self) -> list[str]:
        """Data sources on which a shot has ended well, each once, in the order of the shots."""
        return list(dict.fromkeys(run.connection.data_source for run in self._runs if run.oks))

    def completed_shots(self) -> list[Shot]:
        """The shots that have ended well."""
        return [shot for run in self._runs for shot in run.completed_shots()]

    @property
    def _complete(self) -> bool:
        """Whether LIMIT is reached: rows that still come are of no use."""
        return self._merger is not None and self._merger.done

    # ------------------------------------------------------------------ called by lanes

    @property
    def _stopped(self) -> bool:
        """Whether no further rows are wanted."""
        return self._first_error is not None or self._complete

    def _wants(self, place: int) -> bool:
        """Whether the shot at this place need still run."""
        return not self._stopped or place < self._failed_at

    def _lane_ended(self) -> None:
        self._lanes_left -= 1
        if not self._lanes_left and not self._ended.done():
            self._ended.set_result(None)

    def _columns_arrived(self, columns: tuple[ColumnDefinition, ...]) -> None:
        """The first shard to answer tells the columns; the others' are the same."""
        if self._merger is not None or self._first_error is not None:
            return
        answer = self._answer
        if isinstance(answer, ReturnedRows):
            self._merger = ReturnedRowsMerger(answer, columns, self._sources, self._limits)
        else:
            merge = answer if isinstance(answer, RowMerge) else PASS_THROUGH
            self._merger = make_row_merger(merge, columns, self._sources, self._limits)
        if self._binary:
            self._as_text = text_rows_encoder(columns)
        self._sink.columns(self._merger.visible_columns)

    def _rows_arrived(self, source: int, rows: list[bytes]) -> None:
        if self._as_text is not None:
            rows = self._as_text(rows)
        gathered = self._gathered
        if gathered is None:
            self._push(source, rows)
            return
        gathered[source] += rows
        self._gathered_rows += len(rows)
        self._gathered_bytes += sum(map(len, rows))
        if self._gathered_bytes > GATHERED_BYTES or self._gathered_rows > self._limits.max_rows:
            self._gathered = None
            for number, held in enumerate(gathered):
                self._push(number, held)
            for number in self._finished:
                self._finish(number)

    def _source_ended(self, source: int) -> None:
        if self._gathered is None:
            self._finish(source)
            return
        self._finished.append(source)
        if len(self._finished) == self._sources and isinstance(self._merger, RowMerger):
            self._emit(self._merger.merge(self._gathered))

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

    def _finish(self, source: int) -> None:
        if self._merger is not None:
            self._emit(self._merger.finish(source))

    def _emit(self, rows: list[bytes]) -> None:
        if rows and self._first_error is None:
            self._rows_out += len(rows)
            self._sink.rows(rows)

    def _fail(self, error: Exception, place: int = NOWHERE) -> None:
        """Remember the error to tell and stop the others: rows nobody will read must not go on coming. `place` is that of
        the failed shot, where the order of shots decides."""
        ends_transaction = isinstance(error, ShardError) and error.number in ROLLED_BACK_BY_SERVER
        if not self._in_order or ends_transaction:
            place = NOWHERE
        if self._first_error is not None and not (ends_transaction or place < self._failed_at):
            return
        self._first_error = error
        self._failed_at = place
        for run in self._runs:
            run.stop()

    def _adjust_paused(self) -> None:
        """What one source sends or ends can only make others wanted again, never unwanted."""
        for run in tuple(self._paused):
            run.adjust_flow()

    async def _settle_warnings(self) -> None:
        """What every shard warns of because of the statement itself, one server says once."""
        told = [(run, shot) for run in self._runs for shot in sorted(run.warnings)]
        if self._explains and self._first_error is None and (told or not self._rows_out):
            self._explained = await self._runs[0].explain()
        if len(told) < 2 or self._first_error is not None or self._broadcast:
            return
        lists = [run.warnings[shot] for run, shot in told]
        if self.row_numbers.known:
            lists = without_repetitions(lists, of_insert(lists[0]))
        else:
            lists = await self._runs[0].told_once(lists)
        for (run, shot), warnings in zip(told, lists, strict=True):
            run.keep_warnings(shot, warnings)

    @cached_property
    def own_texts(self) -> Sequence[bytes] | None:
        """What to run again for the warnings, by the shots' places; None to take those of the shots."""
        quick = asyncio.get_running_loop().time() - self._began < REPEATED_WITHIN
        return self._own() if self._own is not None and quick else None

    @property
    def _broadcast(self) -> bool:
        """Whether every data source did the same work."""
        return isinstance(self._answer, CountMerge | ReturnedRows) and self._answer.broadcast

    def _outcome(self) -> Outcome:
        told = [run.warnings[shot] for run in self._runs for shot in sorted(run.warnings)]
        oks = [ok for run in self._runs for ok in run.oks]
        if self._broadcast:
            # The first one's count is told, and its warnings.
            told, oks = [self._runs[0].warnings.get(0, [])], oks[:1]
        warnings = list(chain.from_iterable(told))
        if self.row_numbers.known:
            warnings = in_order_of_rows(warnings)
        if self._merger is not None:
            # SHOW WARNINGS tells no more than max_error_count of them; the packets count all.
            counted = sum(ok.warnings for ok in oks)
            return Outcome(OkPacket(warnings=counted), self._rows_out, warnings, explained=self._explained)
        merge = self._answer if isinstance(self._answer, CountMerge) else CountMerge()
        return Outcome(merge_counts(merge, oks), None, warnings)


class _LaneRun:
    """One lane under way: the receiving end of its shots, each of them a source of the merger.

    Shots run one after another, each followed by a look at its warnings. Those of a pipeline are all sent at once;
    when some of them had warnings, they are run again for these: the server keeps only the last statement's.
    """

    def __init__(self, exchange: Exchange, lane: Lane, first_source: int) -> None:
        self.connection = lane.connection
        self.oks: list[OkPacket] = []
        self.warnings: dict[int, list[ShardWarning]] = {}
        self._exchange = exchange
        self._shots = lane.shots
        self._pipeline = lane.pipeline
        self._executes = lane.executes
        self._kept = lane.kept
        self._first_source = first_source
        self._places = lane.places or range(first_source, first_source + len(lane.shots))
        self._sent = 0
        self._answered = 0
        self._rows_come = False
        self._abandoned = False
        self._dropped = 0
        self._ended = False
        self._warned: list[int] = []
        self._repeats = False

    def completed_shots(self) -> Sequence[Shot]:
        """The lane's shots that have ended well: they end in order."""
        return self._shots[: len(self.oks)]

    async def explain(self) -> Explained:
        """What is known of the lane's first shot before its rows. Raises MeshError."""
        return await explain(self.connection, self._shots[0].sql)

    async def told_once(self, told: list[list[ShardWarning]]) -> list[list[ShardWarning]]:
        """The warnings of all shots without those that each gives for the same reason. Raises MeshError."""
        execute = None if self._executes is None else self._executes[0]
        return await told_once(self.connection, self._shots[0].sql, execute, told)

    def keep_warnings(self, shot: int, warnings: list[ShardWarning]) -> None:
        """Take back those warnings of a shot that are not among these."""
        ok = self.oks[shot]
        count = ok.warnings - len(self.warnings[shot]) + len(warnings)
        self.oks[shot] = replace(ok, warnings=count, info=with_warnings(ok.info, count))
        self.warnings[shot] = warnings

    def advance(self) -> None:
        """Send the next shot, or all of a pipeline; or end."""
        sent, shots = self._sent, self._shots
        if sent == len(shots) or not self._exchange._wants(self._places[sent]):
            self._end()
        elif self._pipeline is not None:
            self._sent = len(shots)
            if self._executes is not None:
                self._pipeline.execute_all(self._executes, self)
            else:
                self._pipeline.query_all([shot.sql for shot in shots], self)
        else:
            self._sent = sent + 1
            self._run(sent, self)

    # Receiver

    def columns(self, columns: Sequence[ColumnDefinition]) -> None:
        self._rows_come = True
        exchange = self._exchange
        if exchange._merger is None:
            self._guard(exchange._columns_arrived, tuple(columns))
        if exchange._client_paused or exchange._gathered is None:
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
        self._guard(exchange._rows_arrived, self._first_source + self._answered, rows)
        if exchange._gathered is None and exchange._sources > 1:
            self.adjust_flow()
            exchange._adjust_paused()

    def done(self, ok: OkPacket, *, more: bool) -> None:
        exchange = self._exchange
        if more:
            exchange._fail(MeshError(INTERNAL, reason="a statement of several results cannot be merged"))
            return
        source = self._first_source + self._answered
        self.oks.append(ok)
        if ok.warnings:
            self._warned.append(self._answered)
        rows_came = self._rows_come
        self._answer_ended()
        if rows_came:
            self._guard(exchange._source_ended, source)
            if exchange._paused:
                exchange._adjust_paused()
        self._go_on()

    def failed(self, error: Exception) -> None:
        place = self._places[self._answered]
        self._answer_ended()
        if isinstance(error, ShardError):
            text = self._exchange.row_numbers.corrected(place, error.message)
            error = ShardError(error.number, error.sqlstate, text)
        if not self._abandoned:
            self._exchange._fail(error, place)
        self._go_on()

    # Called by the exchange

    def adjust_flow(self) -> None:
        """Read from the shard only while the client keeps up and the merger wants its rows. A connection with more
        shots to run is always read on: its other shots are what the merger waits for."""
        exchange = self._exchange
        merger = exchange._merger
        hold = exchange._client_paused or (
            merger is not None
            and exchange._gathered is None
            and self._answered == len(self._shots) - 1
            and not merger.wants(self._first_source + self._answered)
        )
        if hold:
            hold = self._answered < self._sent and not exchange._stopped
        if hold == (self in exchange._paused):
            return
        if hold:
            exchange._paused.add(self)
            self.connection.pause_reading()
        else:
            exchange._paused.remove(self)
            self.connection.resume_reading()

    def stop(self) -> None:
        """Another shard failed, or the answer is complete. A connection whose rows still come is closed, unless its
        session keeps it: then its rows are read and dropped."""
        due = self._sent - self._answered
        kept = self._kept or self.connection.in_transaction
        if due and (self._rows_come or due > 1) and not kept:
            self._abandoned = True
            self.connection.abort()
        else:
            self.adjust_flow()

    # Inside

    def _answer_ended(self) -> None:
        self._answered += 1
        self._rows_come = False
        if self in self._exchange._paused:
            self._exchange._paused.remove(self)
            self.connection.resume_reading()

    def _go_on(self) -> None:
        """An answer has ended: what the lane does next."""
        if self._answered < self._sent:
            return
        if not self._warned or self._exchange._first_error is not None:
            self.advance()
            return
        shot = self._warned.pop()
        collector = Collector()
        collector.future.add_done_callback(partial(self._warnings_came, shot))
        own = self._exchange.own_texts
        if own is None and shot == self._answered - 1 and not self._repeats:
            self.connection.query(SHOW_WARNINGS, collector)
            return
        self._repeats = True
        repetition = Repetition(self.connection, collector, partial(self._counted, shot))
        if own is None:
            self._run(shot, repetition)
        else:
            self.connection.query(own[self._places[shot]], repetition)

    def _run(self, shot: int, receiver: Receiver) -> None:
        if self._executes is not None and isinstance(self.connection, MySQLConnection):
            self.connection.execute(self._executes[shot], receiver)
        else:
            self.connection.query(self._shots[shot].sql, receiver)

    def _counted(self, shot: int, ok: OkPacket) -> None:
        self.oks[shot] = replace(self.oks[shot], warnings=ok.warnings)

    def _warnings_came(self, shot: int, future: asyncio.Future[Result]) -> None:
        try:
            self.warnings[shot] = [
                replace(one, message=self._exchange.row_numbers.corrected(self._places[shot], one.message))
                for one in warnings_in(future.result())
            ]
        except (MeshError, ShardError) as error:
            self._exchange._fail(error)
        self._go_on()

    def _end(self) -> None:
        if not self._ended:
            self._ended = True
            self._exchange._lane_ended()

    def _guard(self, step: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
        try:
            step(*args, **kwargs)
        except (MeshError, ShardError) as error:
            self._exchange._fail(error)
        except Exception as error:
            # Called from a protocol callback: nobody else would tell the waiting statement.
            _log.exception("an answer of %s cannot be merged", self.connection.data_source)
            self._exchange._fail(MeshError(INTERNAL, reason=type(error).__name__))
