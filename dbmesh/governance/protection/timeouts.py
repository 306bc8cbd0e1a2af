"""How long statements and transactions may take, and how much they may answer.

Decides who is stopped: a statement is killed on its data sources and answered with error 3024; the client of a transaction is
disconnected, which rolls it back; an answer that is too large ends in an error. A commit that has begun is never stopped.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from functools import partial

from dbmesh.errors import ANSWER_TOO_LARGE, STATEMENT_TIMEOUT, MeshError
from dbmesh.governance.protection.statements import Remembered, reaches_data
from dbmesh.rules.protection.values import Timeout
from dbmesh.session.filtering import Later, RunningStatement, Seen
from dbmesh.session.log_fields import fields_of
from dbmesh.session.session import Session

_log = logging.getLogger(__name__)


class AnswerLimit:
    """Counts the rows of one answer. `size` is 0, or the most bytes; `rows` likewise."""

    def __init__(self, timeout: Timeout) -> None:
        self._timeout = timeout
        self._rows = self._bytes = 0

    def count(self, rows: Sequence[bytes]) -> None:
        """These come too. Raises MeshError ANSWER_TOO_LARGE."""
        timeout = self._timeout
        self._rows += len(rows)
        if timeout.most_rows and self._rows > timeout.most_rows:
            raise MeshError(ANSWER_TOO_LARGE, name=timeout.name, limit=f"{timeout.most_rows} rows")
        if timeout.most_bytes:
            self._bytes += sum(map(len, rows))
            if self._bytes > timeout.most_bytes:
                raise MeshError(ANSWER_TOO_LARGE, name=timeout.name, limit=f"{timeout.most_bytes} bytes")

    def restart(self) -> None:
        """None of those counted has left."""
        self._rows = self._bytes = 0


_NOTHING = Timeout("")


@dataclass(frozen=True, slots=True)
class _Named:
    """What limits a statement, and the transaction it begins."""

    statement: Timeout
    transaction: Timeout


@dataclass(slots=True)
class _OpenTransaction:
    """A session's transaction: the entry that limits it, which one of the session's it is, and what waits for its end. `seen_busy`: when it was
    last looked at, a command was under way that this filter was not asked about."""

    timeout: Timeout
    which: object
    whole: asyncio.TimerHandle | None = None
    idle: asyncio.TimerHandle | None = None
    seen_busy: bool = False

    def end(self) -> None:
        for timer in (self.whole, self.idle):
            if timer is not None:
                timer.cancel()


class Timeouts:
    """A `StatementFilter`. The first entry that names a statement limits it, and the transaction it begins."""

    def __init__(self, timeouts: Sequence[Timeout]) -> None:
        self._timeouts = timeouts
        self._loop = asyncio.get_running_loop()
        self._naming = Remembered(self._that_names)
        # Statements under way that have a time limit, each with the moment when it is over. One timer looks at all of them: nearly
        # every statement ends long before, and a timer of each would cost more than all else here.
        self._deadlines: dict[RunningStatement, tuple[float, Timeout]] = {}
        self._next_look = math.inf
        self._look: asyncio.TimerHandle | None = None
        self._transactions: dict[Session, _OpenTransaction] = {}

    def find(self, session: Session, seen: Seen) -> Timeout | None:
        """See `StatementFilter`: one that nothing limits ends the time without a statement."""
        named = self._naming.of(session, seen)
        if named is None:
            return _NOTHING if session in self._transactions else None
        return named.statement

    def begin(self, statement: RunningStatement, found: Timeout) -> Awaitable[None] | None:
        """See `StatementFilter`."""
        if not (found.most_rows or found.most_bytes):
            self._started(statement, found)
            return None
        statement.limit = AnswerLimit(found)
        # What is relayed is not looked at: rows that are counted take the other way. One that is killed before it takes it has not
        # begun, and nobody would tell its end.
        return Later(partial(self._start_later, statement, found))

    async def _start_later(self, statement: RunningStatement, timeout: Timeout) -> None:
        self._started(statement, timeout)

    def _started(self, statement: RunningStatement, timeout: Timeout) -> None:
        under_way = self._transactions.get(statement.session)
        if under_way is not None and under_way.idle is not None:
            under_way.idle.cancel()
            under_way.idle = None
        if timeout.statement:
            deadline = self._loop.time() + timeout.statement
            self._deadlines[statement] = deadline, timeout
            if deadline < self._next_look:
                self._look_at(deadline)

    def end(self, statement: RunningStatement) -> None:
        """See `StatementFilter`."""
        self._deadlines.pop(statement, None)
        if statement.outer is None:
            session = statement.session
            session.stopped_by = None
            self._look_at_transaction(statement, session)

    def _that_names(self, statement: RunningStatement) -> _Named | None:
        for one in self._timeouts:
            if one.selection.names(statement):
                return _Named(one if reaches_data(statement) else _NOTHING, one)
        return None

    def _look_at(self, moment: float) -> None:
        if self._look is not None:
            self._look.cancel()
        self._next_look = moment
        self._look = self._loop.call_at(moment, self._stop_those_that_take_too_long)

    def _stop_those_that_take_too_long(self) -> None:
        now = self._loop.time()
        self._next_look, self._look = math.inf, None
        for statement, (deadline, timeout) in list(self._deadlines.items()):
            if deadline <= now:
                del self._deadlines[statement]
                error = MeshError(STATEMENT_TIMEOUT, name=timeout.name, seconds=timeout.statement)
                statement.session.kill_query(error)
        if self._deadlines:
            self._look_at(min(deadline for deadline, _ in self._deadlines.values()))

    def _look_at_transaction(self, statement: RunningStatement, session: Session) -> None:
        under_way = self._transactions.get(session)
        if under_way is not None and (
            not session.transaction.open
            or not statement.answered
            or under_way.which is not session.transaction.identity
        ):
            under_way.end()
            del self._transactions[session]
            under_way = None
        if not session.transaction.open or not statement.answered:
            return
        if under_way is None:
            named = self._naming.of(session, (statement.database, statement.plan, statement.text))
            timeout = _NOTHING if named is None else named.transaction
            if not (timeout.transaction or timeout.idle_in_transaction):
                return
            under_way = self._transactions[session] = _OpenTransaction(timeout, session.transaction.identity)
            if timeout.transaction:
                under_way.whole = self._loop.call_later(
                    timeout.transaction, self._disconnect, session, f"open for {timeout.transaction:g} s"
                )
        seconds = under_way.timeout.idle_in_transaction
        if seconds:
            under_way.seen_busy = False
            under_way.idle = self._loop.call_later(seconds, self._look_whether_idle, session, seconds)

    def _look_whether_idle(self, session: Session, seconds: float) -> None:
        """No statement has begun for so long; but commands that are no statements may have come, or one may wait for a limit."""
        under_way = self._transactions.get(session)
        if under_way is None:
            return
        if not session.at_rest:
            under_way.seen_busy = True
            left = seconds
        elif under_way.seen_busy:
            # It has ended since, and nobody knows when.
            under_way.seen_busy = False
            left = seconds
        else:
            left = session.command_since + seconds - self._loop.time()
        if left > 0:
            under_way.idle = self._loop.call_later(left, self._look_whether_idle, session, seconds)
        else:
            self._disconnect(session, f"without a command for {seconds:g} s")

    def _disconnect(self, session: Session, why: str) -> None:
        under_way = self._transactions.pop(session, None)
        if under_way is None:
            return
        under_way.end()
        gone = session.mesh.sessions.get(session.connection_id) is not session
        if gone or session.committing or not session.transaction.open:
            return
        name = under_way.timeout.name
        _log.warning(
            "session %d: its transaction is %s (timeout '%s')",
            session.connection_id,
            why,
            name,
            extra=fields_of(session, timeout=name),
        )
        session.kill_connection()
