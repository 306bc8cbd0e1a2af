"""Spans of statements for OpenTelemetry: one for a statement, below it one for each shot and each step of the mesh's own.

Decides which statements are traced, what spans are called and what is told of them (the field's names: OpenTelemetry's semantic
conventions for databases), and that nobody waits for the collector: what is not sent in time is dropped. No span has a value of a
statement or a row. Needs the packages of the extra `tracing`.
"""

from __future__ import annotations

import random
import socket
from collections.abc import Callable, Mapping
from time import perf_counter, time_ns
from typing import Any, Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
    set_span_in_context,
)

from dbmesh.backend.connection import Connection
from dbmesh.backend.mysql import MySQLConnection
from dbmesh.backend.pool import Pool
from dbmesh.errors import MeshError, ShardError
from dbmesh.rules.tracing import TracingSettings
from dbmesh.session.filtering import RunningStatement, Seen
from dbmesh.session.session import Session
from dbmesh.sql.trace_context import WORD, TraceContext, context_of_text, read_traceparent

SYSTEM: Final = "mysql"
MOST_SHOTS: Final = 64
"""Shots of one statement that have spans."""

_SEND_WITHIN: Final = 3.0
"""Seconds for one answer of the collector."""
_BATCH: Final = 512
_LOW: Final = (1 << 64) - 1
_KINDS = {"mysql": "mysql", "postgresql": "postgresql", "sqlite": "sqlite"}


def make_provider(settings: TracingSettings, version: str) -> TracerProvider:
    """Where spans go: to the collector, by a thread of its own."""
    resource = Resource.create(
        {
            "service.name": settings.service_name,
            "service.version": version,
            "host.name": socket.gethostname(),
        }
    )
    provider = TracerProvider(
        sampler=ALWAYS_ON, resource=resource, shutdown_on_exit=False, span_limits=SpanLimits()
    )
    exporter = OTLPSpanExporter(
        endpoint=settings.endpoint, headers=dict(settings.headers), timeout=_SEND_WITHIN
    )
    provider.add_span_processor(
        BatchSpanProcessor(
            exporter,
            max_queue_size=settings.queue_size,
            max_export_batch_size=min(_BATCH, settings.queue_size),
            schedule_delay_millis=1000,
        )
    )
    return provider


class Tracer:
    """A `StatementFilter` that traces statements. `draw` gives numbers of [0, 1)."""

    def __init__(
        self, settings: TracingSettings, provider: TracerProvider, draw: Callable[[], float] = random.random
    ) -> None:
        self._settings = settings
        self._ratio = settings.sample_ratio
        self._provider = provider
        self._draw = draw
        self._tracer = provider.get_tracer("dbmesh")

    def find(self, session: Session, seen: Seen) -> bool | None:
        """See `StatementFilter`: those that have spans."""
        outer = session.running
        if outer is not None:
            return isinstance(outer.trace, Trace) or None
        if not session.attributes and WORD not in seen[2]:
            # Most have no parent, and most of these no spans.
            return self._draw() < self._ratio or None
        return self._samples(_parent(session, seen[2])) or None

    def begin(self, statement: RunningStatement, found: bool) -> None:
        """See `StatementFilter`: nobody is refused."""
        del found
        outer = statement.outer
        context: Any = None
        if outer is not None and isinstance(outer.trace, Trace):
            context = outer.trace.context
        else:
            parent = _parent(statement.session, statement.text)
            context = None if parent is None else _context(parent)
        statement.trace = Trace(self._tracer, statement, context)

    def end(self, statement: RunningStatement) -> None:
        """See `StatementFilter`."""
        trace = statement.trace
        if trace is not None and isinstance(trace, Trace):
            trace.end(statement)

    def close(self) -> None:
        """Send what waits, within a bounded time. Blocks."""
        self._provider.shutdown()

    def _samples(self, parent: TraceContext | None) -> bool:
        if parent is None:
            return self._draw() < self._ratio
        if self._settings.parent_based:
            return parent.sampled
        # As TraceIdRatioBased: every service decides the same of a trace.
        return parent.trace_id & _LOW < self._ratio * (_LOW + 1)


class Trace:
    """See `session.tracing.StatementTrace`."""

    def __init__(self, tracer: Any, statement: RunningStatement, parent: Any) -> None:
        self._tracer = tracer
        self._verb = _operation(statement)
        self._namespace = statement.database_name
        self._shots = 0
        self._relayed: tuple[MySQLConnection, float] | None = None
        tables = statement.tables
        summary = " ".join((self._verb, *tables[:4]))
        attributes = {
            "db.system.name": SYSTEM,
            "db.namespace": self._namespace,
            "db.operation.name": self._verb,
            "db.query.text": statement.digest.text,
            "db.query.summary": summary,
            "client.address": statement.host,
            "user.name": statement.user,
            "dbmesh.session": statement.session.connection_id,
            "dbmesh.digest": statement.fingerprint,
        }
        if len(tables) == 1:
            attributes["db.collection.name"] = tables[0]
        self._span = tracer.start_span(
            summary, parent, kind=SpanKind.SERVER, attributes=attributes, start_time=_at(statement.begun)
        )
        self.context = set_span_in_context(self._span)
        self.trace_id = f"{self._span.get_span_context().trace_id:032x}"

    def now(self) -> float:
        """See `ShotWatch`."""
        return perf_counter()

    def shot(self, connection: Connection, began: float, error: Exception | None) -> None:
        """See `ShotWatch`."""
        self._shots += 1
        if self._shots > MOST_SHOTS:
            return
        attributes: dict[str, Any] = {
            "db.system.name": SYSTEM,
            "db.operation.name": self._verb,
            "dbmesh.data_source": connection.data_source,
        }
        if isinstance(connection.home, Pool):
            config = connection.home.config
            attributes["db.system.name"] = _KINDS.get(config.kind, config.kind)
            attributes["db.namespace"] = config.database
            if config.host:
                attributes["server.address"] = config.host
                attributes["server.port"] = config.port
        self._child(f"{self._verb} {connection.data_source}", SpanKind.CLIENT, began, error, attributes)

    def relayed(self, connection: MySQLConnection) -> None:
        """See `StatementTrace`."""
        self._end_relayed(None)
        self._relayed = connection, self.now()

    def step(self, name: str, began: float, error: BaseException | None, facts: Mapping[str, Any]) -> None:
        """See `StatementTrace`."""
        attributes = {f"dbmesh.{key}": value for key, value in facts.items()}
        self._child(name, SpanKind.INTERNAL, began, error, attributes)

    def end(self, statement: RunningStatement) -> None:
        """The statement is over."""
        self._end_relayed(statement.cause)
        span, error = self._span, statement.error
        span.set_attribute("dbmesh.shots", statement.shots)
        span.set_attribute("dbmesh.answer", statement.answer)
        if error is not None:
            _fail(span, str(error.number))
        elif not statement.answered:
            _fail(span, "client_lost")
        elif statement.session.row_count < 0:
            span.set_attribute("db.response.returned_rows", statement.rows)
        else:
            span.set_attribute("dbmesh.affected_rows", statement.rows)
        span.end()

    def _end_relayed(self, error: Exception | None) -> None:
        if self._relayed is not None:
            connection, began = self._relayed
            self._relayed = None
            self.shot(connection, began, error)

    def _child(
        self,
        name: str,
        kind: SpanKind,
        began: float,
        error: BaseException | None,
        attributes: Mapping[str, Any],
    ) -> None:
        span = self._tracer.start_span(
            name, self.context, kind=kind, attributes=attributes, start_time=_at(began)
        )
        if error is not None:
            told = error.number if isinstance(error, (MeshError, ShardError)) else type(error).__name__
            _fail(span, str(told))
        span.end()


def _fail(span: Any, kind: str) -> None:
    """An error's number tells what it is; its text may have values."""
    span.set_attribute("error.type", kind)
    if kind.isdigit():
        span.set_attribute("db.response.status_code", kind)
    span.set_status(Status(StatusCode.ERROR))


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


def _context(parent: TraceContext) -> Any:
    state = TraceState.from_header([parent.state]) if parent.state else TraceState()
    flags = TraceFlags(TraceFlags.SAMPLED if parent.sampled else TraceFlags.DEFAULT)
    return set_span_in_context(
        NonRecordingSpan(SpanContext(parent.trace_id, parent.span_id, True, flags, state))
    )


def _at(moment: float) -> int:
    """A reading of `time.perf_counter` as nanoseconds since 1970."""
    return time_ns() - int((perf_counter() - moment) * 1e9)
