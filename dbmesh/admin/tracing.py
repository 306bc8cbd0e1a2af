"""Spans of statements: one for a statement, below it one for each shot and each step of the mesh's own.

Decides which statements are traced, what spans are called and what is told of them (the field's names: OpenTelemetry's semantic
conventions for databases). No span has a value of a statement or a row. Where spans go is `span_sender`'s: nobody waits for it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from math import inf, log1p
from time import perf_counter, time_ns
from typing import Any, Final, NamedTuple

from dbmesh.admin.spans import Attributes, Kind, Place, Span
from dbmesh.backend.connection import Connection
from dbmesh.backend.mysql import MySQLConnection
from dbmesh.backend.pool import Pool
from dbmesh.errors import MeshError, ShardError
from dbmesh.planner.cache import Generations
from dbmesh.planner.plan import Plan
from dbmesh.rules.tracing import TracingSettings
from dbmesh.session.filtering import RunningStatement, Seen
from dbmesh.session.session import Session
from dbmesh.sql.trace_context import TraceContext, context_of_text, read_traceparent

SYSTEM: Final = "mysql"
MOST_SHOTS: Final = 64
"""Shots of one statement that have spans."""

_LOW: Final = (1 << 64) - 1
_MOST_KNOWN: Final = 1024
_KINDS = {"mysql": "mysql", "postgresql": "postgresql", "sqlite": "sqlite"}


class _Told(NamedTuple):
    """What is told of every statement with a plan, which is kept so that nothing else gets its id meanwhile."""

    plan: Plan
    verb: str
    summary: str
    what: Attributes


class Tracer:
    """A `StatementFilter` that traces statements: `put` gets their spans. `draw` gives numbers of [0, 1)."""

    def __init__(
        self,
        settings: TracingSettings,
        put: Callable[[Span], None],
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._settings = settings
        self._ratio = settings.sample_ratio
        self._put = put
        self._draw = draw
        # How many statements may pass until one has spans: drawn once for all of them, not for each of them.
        self._rate = -log1p(-self._ratio) if self._ratio < 1 else inf
        self._passes = self._gap()
        self._known: Generations[int, _Told] = Generations(_MOST_KNOWN)

    def find(self, session: Session, seen: Seen) -> TraceContext | bool | None:
        """See `StatementFilter`: those that have spans, with the parent their client gives."""
        outer = session.running
        if outer is not None:
            return isinstance(outer.trace, Trace) or None
        self._passes = passes = self._passes - 1.0
        # Nearly always, so by as few operations as possible: no parent, since that stands in a comment, and no spans.
        if passes >= 0.0 and not session.attributes and "/" not in seen[2]:
            return None
        return self._look_closer(session, seen[2])

    def begin(self, statement: RunningStatement, found: TraceContext | bool) -> None:
        """See `StatementFilter`: nobody is refused."""
        statement.trace = Trace(self._told(statement), _place(statement, found), self._put)

    def end(self, statement: RunningStatement) -> None:
        """See `StatementFilter`."""
        trace = statement.trace
        if isinstance(trace, Trace):
            trace.end(statement)

    def _told(self, statement: RunningStatement) -> _Told:
        """O(1) where the plan was met before."""
        plan = statement.plan
        known = self._known.get(id(plan))
        if known is None:
            known = _tell_of(statement)
            self._known.put(id(plan), known)
        return known

    def _gap(self) -> float:
        """How many statements have no spans before one has some. Of numbers that are so distributed (exponentially) each statement has
        them by the same chance, whatever those before it had."""
        return -log1p(-self._draw()) / self._rate if self._rate else inf

    def _look_closer(self, session: Session, text: str) -> TraceContext | bool | None:
        drawn = self._passes < 0
        if drawn:
            self._passes = self._gap()
        parent = _parent(session, text)
        if parent is None:
            return drawn or None
        if self._settings.parent_based:
            sampled = parent.sampled
        else:
            # As TraceIdRatioBased: every service decides the same of a trace.
            sampled = parent.trace_id & _LOW < self._ratio * (_LOW + 1)
        return parent if sampled else None


class Trace:
    """See `session.tracing.StatementTrace`."""

    def __init__(self, told: _Told, place: Place, put: Callable[[Span], None]) -> None:
        self.place = place
        self._told = told
        self._put = put
        self._shots = 0
        self._relayed: tuple[MySQLConnection, float] | None = None
        # What a reading of `now` lacks of nanoseconds since 1970; the same for all spans of the statement.
        self._since = time_ns() - int(perf_counter() * 1e9)

    @property
    def trace_id(self) -> str:
        """See `StatementTrace`."""
        return f"{self.place.trace:032x}"

    def below(self) -> Place:
        """A new place below the statement."""
        trace, span, _, _, state = self.place
        return Place(trace, _name(64), span, False, state)

    def now(self) -> float:
        """See `ShotWatch`."""
        return perf_counter()

    def shot(self, connection: Connection, began: float, error: Exception | None) -> None:
        """See `ShotWatch`."""
        self._shots += 1
        if self._shots <= MOST_SHOTS:
            verb = self._told.verb
            name, where = f"{verb} {connection.data_source}", _server(connection, verb)
            self._tell(self.below(), name, Kind.CLIENT, began, (where,), (), _kind_of(error))

    def relayed(self, connection: MySQLConnection) -> None:
        """See `StatementTrace`."""
        self._end_relayed(None)
        self._relayed = connection, self.now()

    def step(self, name: str, began: float, error: BaseException | None, facts: Mapping[str, Any]) -> None:
        """See `StatementTrace`."""
        own = tuple((f"dbmesh.{key}", value) for key, value in facts.items())
        self._tell(self.below(), name, Kind.INTERNAL, began, (), own, _kind_of(error))

    def end(self, statement: RunningStatement) -> None:
        """The statement is over."""
        self._end_relayed(statement.cause)
        told, session = self._told, statement.session
        who = (
            ("client.address", statement.host),
            ("user.name", statement.user),
            ("dbmesh.session", session.connection_id),
        )
        how = ("dbmesh.shots", statement.shots), ("dbmesh.answer", statement.answer)
        own: Attributes = ()
        error = ""
        if statement.error is not None:
            error = str(statement.error.number)
        elif not statement.answered:
            error = "client_lost"
        elif session.row_count < 0:
            own = (("db.response.returned_rows", statement.rows),)
        else:
            own = (("dbmesh.affected_rows", statement.rows),)
        common = told.what, who, how
        self._tell(self.place, told.summary, Kind.SERVER, statement.begun, common, own, error)

    def _end_relayed(self, error: Exception | None) -> None:
        if self._relayed is not None:
            connection, began = self._relayed
            self._relayed = None
            self.shot(connection, began, error)

    def _tell(
        self,
        place: Place,
        name: str,
        kind: Kind,
        began: float,
        common: tuple[Attributes, ...],
        own: Attributes,
        error: str,
    ) -> None:
        """Something is over now."""
        if error:
            own = (*own, ("error.type", error))
            if error.isdigit():
                own = (*own, ("db.response.status_code", error))
        self._put(Span(place, name, kind, self._at(began), self._at(self.now()), common, own, bool(error)))

    def _at(self, moment: float) -> int:
        """A reading of `now` as nanoseconds since 1970."""
        return self._since + int(moment * 1e9)


def _place(statement: RunningStatement, found: TraceContext | bool) -> Place:
    """Where a statement's span is: below that of its client, or of the statement it is a part of, or at the root of a new trace."""
    if isinstance(found, TraceContext):
        return Place(found.trace_id, _name(64), found.span_id, True, found.state)
    outer = statement.outer
    if outer is not None and isinstance(outer.trace, Trace):
        return outer.trace.below()
    return Place(_name(128), _name(64))


def _name(bits: int) -> int:
    """A new name of a trace or a span; 0 is none."""
    return random.getrandbits(bits) or 1


def _tell_of(statement: RunningStatement) -> _Told:
    verb, tables, digest = _operation(statement), statement.tables, statement.digest
    summary = " ".join((verb, *tables[:4]))
    what: Attributes = (
        ("db.system.name", SYSTEM),
        ("db.namespace", statement.database_name),
        ("db.operation.name", verb),
        ("db.query.text", digest.text),
        ("db.query.summary", summary),
        ("dbmesh.digest", digest.name),
        *((("db.collection.name", tables[0]),) if len(tables) == 1 else ()),
    )
    return _Told(statement.plan, verb, summary, what)


def _server(connection: Connection, verb: str) -> Attributes:
    """Where a shot went."""
    system = SYSTEM
    place: Attributes = ()
    if isinstance(connection.home, Pool):
        config = connection.home.config
        system = _KINDS.get(config.kind, config.kind)
        place = (("db.namespace", config.database),)
        if config.host:
            place = (*place, ("server.address", config.host), ("server.port", config.port))
    return (
        ("db.system.name", system),
        ("db.operation.name", verb),
        ("dbmesh.data_source", connection.data_source),
        *place,
    )


def _kind_of(error: BaseException | None) -> str:
    """An error's number tells what it is; its text may have values. '' for none."""
    if error is None:
        return ""
    return str(error.number) if isinstance(error, (MeshError, ShardError)) else type(error).__name__


def _operation(statement: RunningStatement) -> str:
    """The first word of a statement that is no verb of rows, else the verb."""
    names = statement.verbs - {"OTHER", "SHOW", "DDL"} or statement.verbs
    return min(names, key=len) if statement.verb.name not in names else statement.verb.name


def _parent(session: Session, text: str) -> TraceContext | None:
    """The context a statement's client gives: by query attributes, else in a comment."""
    given = session.attributes
    if given:
        texts = {name.lower(): _text(value) for name, value in given}
        found = read_traceparent(texts.get(b"traceparent", ""), texts.get(b"tracestate", ""))
        if found is not None:
            return found
    return context_of_text(text)


def _text(value: object) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)
