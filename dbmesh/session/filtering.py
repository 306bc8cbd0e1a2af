"""Filters around statements: each may refuse one, let it wait, and learns how it ended. Observers only learn how it ended.

Decides when filters are asked and in which order: once per statement of the client, after it has been planned and
before anything of it reaches a data source; the end is told in reverse order, and behind them to the observers. What they
protect or measure is `governance`'s. Without any a statement costs two looks. One that no filter has to do with, and that does as planned, has no
record: its plan, its text and the session say all there is to tell observers.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator
from contextlib import asynccontextmanager
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol, get_args, runtime_checkable

from typing_extensions import TypeIs

from dbmesh.errors import MeshError, ShardError
from dbmesh.planner.plan import BoundStatement, Plan, ShardPlan, Verb
from dbmesh.planner.session_plan import (
    CreateDatabase,
    CreateRoutine,
    DropDatabase,
    DropRoutine,
    LoadData,
    Nothing,
    SessionStatement,
)
from dbmesh.session.answering.errors import as_packet
from dbmesh.session.answering.result_sink import AnswerLimit
from dbmesh.sql.digest import Digest, digest_of
from dbmesh.sql.fingerprint import take_out_literals
from dbmesh.sql.lexer import LexerFlags
from dbmesh.wire.packets import ErrPacket

if TYPE_CHECKING:
    from dbmesh.session.mesh import Database
    from dbmesh.session.session import Session
    from dbmesh.session.tracing import StatementTrace


Seen = tuple["Database", Plan, str]
"""A statement, while nothing is to be told of it but what was planned: its database, plan and text."""

_FIRST_WORD = re.compile(r"[\s(]*([a-zA-Z]+)")
_SESSION_STATEMENTS = frozenset(get_args(SessionStatement))


def reaches_shards(plan: Plan) -> TypeIs[ShardPlan]:
    """Whether data sources do it, not the session by itself."""
    # An isinstance of a union asks for each of its types in turn.
    return type(plan) not in _SESSION_STATEMENTS


class RunningStatement:
    """One statement of a client, from its arrival to its end. `begun` is in seconds of `time.perf_counter`: the event loop's
    own clock stands still while it works.

    * `plan`: what will be done; a statement the session answers by itself is no `ShardPlan` and has no `tables`.
    * `sent`: what it sends to data sources; None as long as that is not known, and where one shard's answer is relayed.
    * `trace`: who is told what it does; None for nobody.
    * `limit`: who counts its rows; None for nobody. What is relayed is not counted.
    * `error`: the packet it was answered with, and `cause`, what it was made of; None also for one whose client was lost
      (`answered` is False then).
    """

    # Defaults of the class, not of each statement: what is not stored costs nothing.
    entered: tuple[_Interest, ...] = ()
    error: ErrPacket | None = None
    cause: Exception | None = None
    answered = False
    limit: AnswerLimit | None = None
    sent: BoundStatement | None = None
    trace: StatementTrace | None = None

    def __init__(self, session: Session, database: Database, plan: Plan, text: str) -> None:
        self.session = session
        self.database = database
        self.plan = plan
        self.text = text
        self.outer = session.running
        self.begun = (session.arrived if self.outer is None else 0.0) or perf_counter()

    @property
    def shots(self) -> int:
        """How many it sends to data sources: 1 until it is known, 0 for what the session answers by itself."""
        if self.sent is not None:
            return len(self.sent.shots)
        return 1 if reaches_shards(self.plan) else 0

    @property
    def answer(self) -> str:
        """How its shards' answers become one: 'Relay' until it is known, 'Session' for what the session answers by itself."""
        if self.sent is not None:
            return type(self.sent.answer).__name__
        return "Relay" if reaches_shards(self.plan) else "Session"

    @property
    def user(self) -> str:
        """The name its client logged in with."""
        return self.session.user_name

    @property
    def host(self) -> str:
        """Its client's address."""
        return self.session.host

    @property
    def database_name(self) -> str:
        """The logic database it is planned in."""
        return self.database.name

    @property
    def fingerprint(self) -> str:
        """Its digest's name."""
        return self.digest.name

    @property
    def verbs(self) -> frozenset[str]:
        """What it may be called by, in capitals: its verb and its first word."""
        word = _FIRST_WORD.match(self.digest.text)
        return frozenset((self.verb.name,) if word is None else (self.verb.name, word[1].upper()))

    @property
    def verb(self) -> Verb:
        """What it does; OTHER for what the session answers by itself, unless it changes databases or routines."""
        plan = self.plan
        if reaches_shards(plan):
            return plan.verb
        changes = isinstance(plan, (CreateDatabase, DropDatabase, CreateRoutine, DropRoutine))
        return Verb.DDL if changes else Verb.OTHER

    @property
    def tables(self) -> tuple[str, ...]:
        """The logic tables it names."""
        plan = self.plan
        if reaches_shards(plan):
            return plan.tables
        return (plan.table,) if isinstance(plan, LoadData) else ()

    @property
    def digest(self) -> Digest:
        """What it has in common with others. O(1) where the plan was met before."""
        return self.database.plans.digest(self.plan, self.text, self.session.lexer_flags)

    @property
    def rows(self) -> int:
        """Rows returned, or affected; known when it has ended."""
        session = self.session
        return session.row_count if session.row_count >= 0 else session.found_rows

    def failed(self, cause: Exception, packet: ErrPacket) -> None:
        """It is answered with this error."""
        self.cause = cause
        self.error = packet

    def bound(self, bound: BoundStatement) -> None:
        """It is known what it sends. Statements made of it come later and count as its own."""
        if self.sent is None:
            self.sent = bound


class UnplannedStatement(RunningStatement):
    """A statement of a client that failed before it had a plan: unknown names, missing privileges, syntax. Filters are not asked about it,
    observers learn of its error."""

    def __init__(self, session: Session) -> None:
        text = session.command_text.decode("utf-8", "surrogateescape")
        super().__init__(session, session.current_database(), Nothing(), text)
        self._digest = _digest_of(text, session.lexer_flags)

    @property
    def digest(self) -> Digest:
        """What it has in common with others."""
        return self._digest


def _digest_of(text: str, flags: LexerFlags) -> Digest:
    try:
        return digest_of(take_out_literals(text, flags)[0], flags)
    except MeshError:
        # A comment without an end.
        return digest_of("", flags)


class StatementFilter(Protocol):
    """What looks at statements. Filters are shared by all sessions of a process."""

    def find(self, session: Session, seen: Seen) -> Any:
        """What this filter has to do with a statement that has arrived, for `begin`; None for nothing: it is told no more of it then.
        Asked once of each; `session.running` is the statement that it is a part of. O(1) where the plan was met before. Must not
        raise."""
        ...

    def begin(self, statement: RunningStatement, found: Any) -> Awaitable[None] | None:
        """A statement is about to run. An awaitable lets it wait. Raises MeshError, at once or when awaited, to refuse it:
        this filter's `end` is not called then."""
        ...

    def end(self, statement: RunningStatement) -> None:
        """A statement that has passed `begin` is over: answered, failed, or its client was lost. Must not raise."""
        ...


_Interest = tuple[StatementFilter, Any]
"""A filter, and what it has found."""


class StatementObserver(Protocol):
    """What learns of statements when they are over. Observers are shared by all sessions of a process."""

    def ended(self, statement: RunningStatement) -> None:
        """A statement is over: answered, failed, refused, or its client was lost. Must not raise."""
        ...

    @property
    def least(self) -> float:
        """Seconds: of a statement that ended as planned and took less it learns nothing."""
        ...


@runtime_checkable
class StatementCounter(StatementObserver, Protocol):
    """The observer that learns of what ended as planned without a record. A mesh has one at most."""

    def ended_as_planned(self, session: Session, seen: Seen) -> float:
        """A statement has just been answered as planned that began when the session's command arrived: the seconds since then. Must
        not raise."""
        ...


def not_counted(session: Session, seen: Seen) -> float:
    """`StatementCounter.ended_as_planned` where nobody counts."""
    del seen
    return perf_counter() - session.arrived


def took_long(statement: RunningStatement, seconds: float) -> None:
    """Tell those observers who want to know of a statement that ended as planned and took so many seconds."""
    statement.answered = True
    for observer in statement.session.mesh.observers:
        if seconds >= observer.least:
            observer.ended(statement)


class Later:
    """An awaitable that begins when it is awaited: one that never is leaves nothing behind."""

    def __init__(self, make: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._make = make

    def __await__(self) -> Generator[Any, None, None]:
        return self._make().__await__()


def begin(session: Session, database: Database, plan: Plan, text: str) -> Awaitable[None] | None:
    """Ask every filter; what is returned must be awaited before the statement may run. A command that is given again
    (`session.failover`) has been let in. Raises MeshError."""
    if session.running is not None or session.seen is not None:
        return None
    seen = database, plan, text
    # `_interested`, without a call: nearly always nobody is.
    interested: tuple[_Interest, ...] = ()
    for one in session.mesh.filters:
        found = one.find(session, seen)
        if found is not None:
            interested = (*interested, (one, found))
    if not interested:
        session.seen = seen
        return None
    return _enter(RunningStatement(session, database, plan, text), interested)


def _interested(session: Session, seen: Seen) -> tuple[_Interest, ...]:
    interested: tuple[_Interest, ...] = ()
    for one in session.mesh.filters:
        found = one.find(session, seen)
        if found is not None:
            interested = (*interested, (one, found))
    return interested


def record(session: Session) -> RunningStatement | None:
    """The statement under way, for whoever has more to tell of it; None when nobody looks at it."""
    seen, session.seen = session.seen, None
    if seen is not None:
        session.running = RunningStatement(session, *seen)
    return session.running


def failing(session: Session) -> RunningStatement | None:
    """As `record`, of a command that is answered with an error: a statement that was not planned is told of too. O(text) for such
    a one."""
    statement = record(session)
    if statement is None and session.command_text and session.arrived and session.mesh.observers:
        statement = session.running = UnplannedStatement(session)
    return statement


def end(session: Session, *, answered: bool) -> None:
    """The statement under way, if there is one, is over, with those it is a part of."""
    statement = session.running if session.seen is None else record(session)
    while statement is not None:
        _leave(statement, answered=answered)
        statement = statement.outer


@asynccontextmanager
async def within(session: Session, database: Database, plan: Plan, text: str) -> AsyncIterator[None]:
    """A statement inside another one of the client: the one EXECUTE names, the query of SET or INTO. Raises MeshError."""
    if not (session.mesh.filters or session.mesh.observers):
        yield
        return
    record(session)
    interested = _interested(session, (database, plan, text))
    inner = RunningStatement(session, database, plan, text)
    try:
        waiting = _enter(inner, interested)
        if waiting is not None:
            await waiting
        yield
        inner.answered = True
    except (MeshError, ShardError) as error:
        inner.failed(error, as_packet(error))
        raise
    finally:
        # `end` has left it already when the client was lost.
        if session.running is inner:
            _leave(inner, answered=inner.answered or inner.error is not None)


def _enter(statement: RunningStatement, interested: tuple[_Interest, ...]) -> Awaitable[None] | None:
    statement.session.running = statement
    position = 0
    try:
        for one, found in interested:
            waiting = one.begin(statement, found)
            if waiting is not None:
                statement.entered = interested[:position]
                return Later(partial(_wait, statement, interested, position, waiting))
            position += 1
    except BaseException:
        statement.entered = interested[:position]
        raise
    statement.entered = interested
    return None


async def _wait(
    statement: RunningStatement,
    interested: tuple[_Interest, ...],
    position: int,
    waiting: Awaitable[None],
) -> None:
    """The rest of entering, once the filter at `position` lets go."""
    await waiting
    statement.entered = interested[: position + 1]
    for one, found in interested[position + 1 :]:
        following = one.begin(statement, found)
        if following is not None:
            await following
        statement.entered = interested[: len(statement.entered) + 1]


def _leave(statement: RunningStatement, *, answered: bool) -> None:
    session, outer = statement.session, statement.outer
    session.running = outer
    statement.answered = answered
    for one, _ in reversed(statement.entered):
        one.end(statement)
    mesh = session.mesh
    as_planned = answered and outer is None and statement.sent is None and statement.error is None
    if as_planned:
        seconds = mesh.count(session, (statement.database, statement.plan, statement.text))
        if seconds >= mesh.least:
            took_long(statement, seconds)
    else:
        for observer in mesh.observers:
            observer.ended(statement)
    if outer is None:
        # What is told of has not arrived any more: its error is not told again.
        session.arrived = 0.0
