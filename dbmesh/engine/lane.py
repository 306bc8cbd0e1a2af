"""One connection of a statement under way: the receiving end of its shots, and what follows them.

Decides the order of work on a connection: shots, a look at their warnings, the next ones; and when its rows are read.
The exchange is asked what is still wanted, and told everything that comes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, ParamSpec, Protocol

from dbmesh.backend.connection import Connection, Pipeline, Receiver
from dbmesh.backend.mysql import MySQLConnection
from dbmesh.backend.own_limits import is_own_limit
from dbmesh.engine.collect import Collector, Result
from dbmesh.engine.failed_row import ask_failed_row
from dbmesh.engine.warnings import (
    SHOW_WARNINGS,
    Repetition,
    ShardWarning,
    told_once,
    warnings_in,
)
from dbmesh.errors import INTERNAL, MeshError, ShardError, is_server_failure
from dbmesh.merge.counts import with_warnings
from dbmesh.planner.plan import Shot
from dbmesh.wire.packets import ColumnDefinition, OkPacket

if TYPE_CHECKING:
    from dbmesh.engine.exchange import Exchange
    from dbmesh.engine.once import Trial

_log = logging.getLogger(__name__)

P = ParamSpec("P")

ROWS_DROPPED_BEFORE_ABORT = 10_000
"""After LIMIT is reached a shard's remaining rows are read and dropped up to here; then its connection is closed,
because reading on would cost more than opening another."""


class ShotWatch(Protocol):
    """Who is told of every shot. No method raises."""

    def now(self) -> float:
        """A moment, for `shot`."""
        ...

    def shot(self, connection: Connection, began: float, error: Exception | None) -> None:
        """A shot that was sent then has been answered in full, or has failed."""
        ...


@dataclass(frozen=True, slots=True)
class Lane:
    """One lent connection and the shots it runs one after another. `pipeline` is the connection again where all of
    them only read, are wanted in any case, and may be sent at once. `executes` are sent in place of the shots' texts:
    the commands (payloads) that execute what they were prepared as; with `binary`, rows come in binary form, and with
    `gives_text` they are given on as text ones. `warned` are those that warned when they were prepared (MySQL converts constants
    then): their texts tell all their warnings. `closes` are the prepared statements nobody will execute again. `kept` says
    that its session keeps the connection, and on it what no other has: a transaction, locks, variables, temporary tables, a
    cursor. `places` are the shots' places among all of the statement, one lane behind the other unless given."""

    connection: Connection
    shots: tuple[Shot, ...]
    pipeline: Pipeline | None = None
    executes: tuple[bytes, ...] | None = None
    binary: bool = False
    gives_text: bool = False
    warned: tuple[int, ...] = ()
    closes: tuple[int, ...] = ()
    kept: bool = False
    places: tuple[int, ...] = ()


class LaneRun:
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
        self._warned_before = lane.warned
        self._kept = lane.kept
        self._first_source = first_source
        self.places = lane.places or range(first_source, first_source + len(lane.shots))
        self._sent = 0
        self._answered = 0
        self._rows_come = False
        self._abandoned = False
        self._dropped = 0
        self._ended = False
        self._health = lane.connection.home.guard
        self._watch = exchange.watch
        self._sent_at = 0.0
        self._observer = lane.connection.home.observer
        self._is_watched = self._health is not None or self._observer is not None
        self._began = 0.0
        self._warned: list[int] = []
        self._repeats = False

    @property
    def has_more(self) -> bool:
        """Whether shots are left to be sent."""
        return self._sent < len(self._shots)

    def completed_shots(self) -> Sequence[Shot]:
        """The lane's shots that have ended well: they end in order."""
        return self._shots[: len(self.oks)]

    async def told_once(self, told: list[list[ShardWarning]]) -> list[list[ShardWarning]]:
        """The warnings of all shots without those that each gives for the same reason. Raises MeshError."""
        execute = None if self._executes is None else self._executes[0]
        return await told_once(self.connection, self._shots[0].sql, execute, told)

    async def of_statement(
        self, shot: int, trial: Trial, open_: Collection[ShardWarning]
    ) -> list[ShardWarning] | None:
        """Which of these a shot warned of because of the statement itself; None where that cannot be told. Raises
        MeshError."""
        if not isinstance(self.connection, MySQLConnection) or not self.connection.usable:
            return None
        return await trial.of_statement(self.connection, self.places[shot], open_)

    def keep_warnings(self, shot: int, warnings: list[ShardWarning]) -> None:
        """Take back those warnings of a shot that are not among these."""
        ok = self.oks[shot]
        count = ok.warnings - len(self.warnings[shot]) + len(warnings)
        self.oks[shot] = replace(ok, warnings=count, info=with_warnings(ok.info, count))
        self.warnings[shot] = warnings

    def advance(self) -> None:
        """Send the next shot, or all of a pipeline; or end."""
        sent, shots = self._sent, self._shots
        if self._is_watched:
            self._began = self._exchange.now()
        if self._watch is not None:
            self._sent_at = self._watch.now()
        if sent == len(shots) or not self._exchange.wants_more():
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
        self._tell(None)
        exchange = self._exchange
        if exchange.merger is None:
            self._guard(exchange.columns_arrived, tuple(columns))
        if exchange.client_paused or exchange.gathered is None:
            self.adjust_flow()

    def rows(self, rows: list[bytes]) -> None:
        exchange = self._exchange
        merger = exchange.merger
        if merger is None or exchange.first_error is not None:
            return
        if merger.done:
            self._dropped += len(rows)
            if self._dropped > ROWS_DROPPED_BEFORE_ABORT:
                self.stop()
            return
        self._guard(exchange.rows_arrived, self._first_source + self._answered, rows)
        if exchange.gathered is None and exchange.sources > 1:
            self.adjust_flow()
            exchange.adjust_paused()

    def done(self, ok: OkPacket, *, more: bool) -> None:
        exchange = self._exchange
        if more:
            exchange.fail(MeshError(INTERNAL, reason="a statement of several results cannot be merged"))
            return
        source = self._first_source + self._answered
        self.oks.append(ok)
        if ok.warnings or self._answered in self._warned_before:
            self._warned.append(self._answered)
        rows_came = self._rows_come
        if not rows_came:
            self._tell(None)
        self._answer_ended(None)
        if rows_came:
            self._guard(exchange.source_ended, source)
            if exchange.paused:
                exchange.adjust_paused()
        self._go_on()

    def failed(self, error: Exception) -> None:
        if not self._abandoned:
            # What is closed here says nothing about the data source.
            self._tell(error)
        place = self.places[self._answered]
        self._answer_ended(error)
        if self._abandoned:
            self._go_on()
        elif self._exchange.in_order and isinstance(error, ShardError):
            self._refused(place, error)
        else:
            self._exchange.fail(error)
            self._go_on()

    # Called by the exchange

    def adjust_flow(self) -> None:
        """Read from the shard only while the client keeps up and the merger wants its rows. A connection with more
        shots to run is always read on: its other shots are what the merger waits for."""
        exchange = self._exchange
        merger = exchange.merger
        hold = exchange.client_paused or (
            merger is not None
            and exchange.gathered is None
            and self._answered == len(self._shots) - 1
            and not merger.wants(self._first_source + self._answered)
        )
        if hold:
            hold = self._answered < self._sent and not exchange.stopped
        if hold == (self in exchange.paused):
            return
        if hold:
            exchange.paused.add(self)
            self.connection.pause_reading()
        else:
            exchange.paused.remove(self)
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

    def abandon(self) -> None:
        """Nobody waits for the answer: the connection is closed unless all has been said on it."""
        if not self._ended or not self.connection.usable:
            self._abandoned = True
            self.connection.abort()

    # Inside

    def _refused(self, place: int, error: ShardError) -> None:
        """A shard has refused a row of an INSERT: tell which one of the statement's it was."""
        numbers = self._exchange.row_numbers
        text = numbers.corrected(place, error.message)

        def told(row: int | None) -> None:
            self._exchange.fail(ShardError(error.number, error.sqlstate, text), numbers.number(place, row))
            self._go_on()

        if isinstance(self.connection, MySQLConnection) and self.connection.usable:
            ask_failed_row(self.connection, told)
        else:
            told(None)

    def _tell(self, error: Exception | None) -> None:
        """Who watches the server learns how a shot was answered; the next of a pipeline is answered from here on."""
        if not self._is_watched:
            return
        now = self._exchange.now()
        if self._health is not None:
            if error is not None and is_own_limit(
                error, self.connection.state, self._shots[self._answered].sql
            ):
                self._health.ended(self._began, now, None)
            else:
                self._health.ended(self._began, now, error)
        if self._observer is not None:
            if error is None:
                self._observer.answered(now - self._began)
            elif is_server_failure(error):
                self._observer.lost(str(error), now)
        self._began = now

    def _answer_ended(self, error: Exception | None) -> None:
        if self._watch is not None:
            self._watch.shot(self.connection, self._sent_at, error)
        self._answered += 1
        self._rows_come = False
        if self in self._exchange.paused:
            self._exchange.paused.remove(self)
            self.connection.resume_reading()

    def _go_on(self) -> None:
        """An answer has ended: what the lane does next."""
        if self._answered < self._sent:
            return
        if not self._warned or self._exchange.first_error is not None:
            self.advance()
            return
        shot = self._warned.pop()
        collector = Collector()
        collector.future.add_done_callback(partial(self._warnings_came, shot))
        own = self._exchange.own_texts
        text = own[self.places[shot]] if own is not None else None
        if text is None and shot in self._warned_before:
            text = self._shots[shot].sql
        if text is None and shot == self._answered - 1 and not self._repeats:
            self.connection.query(SHOW_WARNINGS, collector)
            return
        self._repeats = True
        repetition = Repetition(self.connection, collector, partial(self._counted, shot))
        if text is None:
            self._run(shot, repetition)
        else:
            self.connection.query(text, repetition)

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
                replace(one, message=self._exchange.row_numbers.corrected(self.places[shot], one.message))
                for one in warnings_in(future.result())
            ]
        except (MeshError, ShardError) as error:
            self._exchange.fail(error)
        self._go_on()

    def _end(self) -> None:
        if not self._ended:
            self._ended = True
            self._exchange.lane_ended()

    def _guard(self, step: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
        try:
            step(*args, **kwargs)
        except (MeshError, ShardError) as error:
            self._exchange.fail(error)
        except Exception as error:
            # Called from a protocol callback: nobody else would tell the waiting statement.
            _log.exception("an answer of %s cannot be merged", self.connection.data_source)
            self._exchange.fail(MeshError(INTERNAL, reason=type(error).__name__))
