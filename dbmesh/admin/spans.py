"""Spans, and how OTLP writes them.

Decides the bytes of a request to a collector. What many spans have in common is written once: a message of protobuf is the parts of it in
a row. Knows no statements and no network. Needs the packages of the extra `tracing`. Source: opentelemetry-proto, trace.proto.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Final, NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, SpanFlags, Status
from opentelemetry.proto.trace.v1.trace_pb2 import Span as SpanMessage

from dbmesh.planner.cache import Generations

Attributes = tuple[tuple[str, str | int], ...]
"""Names and values."""


class Kind(IntEnum):
    """What a span is of, by OTLP's numbers: something inside, a request that was answered, or one that was made."""

    INTERNAL = SpanMessage.SPAN_KIND_INTERNAL
    SERVER = SpanMessage.SPAN_KIND_SERVER
    CLIENT = SpanMessage.SPAN_KIND_CLIENT


class Place(NamedTuple):
    """Where in which trace a span is. Its parent is another process's if it is `remote`; `parent` 0: there is none. `state` is the
    trace's `tracestate`."""

    trace: int
    span: int
    parent: int = 0
    remote: bool = False
    state: str = ""


class Span(NamedTuple):
    """Something that took place from `began` to `ended`, in nanoseconds since 1970. `common` are attributes that many spans have, with
    these values."""

    place: Place
    name: str
    kind: Kind
    began: int
    ended: int
    common: tuple[Attributes, ...]
    own: Attributes = ()
    failed: bool = False


_MOST_KNOWN: Final = 1024
_FAILED: Final = SpanMessage(status=Status(code=Status.STATUS_CODE_ERROR)).SerializeToString()
_FLAGS: Final = {
    False: SpanFlags.SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK,
    True: SpanFlags.SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK | SpanFlags.SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK,
}


class SpanEncoder:
    """Writes spans of one process, which has these attributes. Not for several threads."""

    def __init__(self, resource: Attributes, scope: str) -> None:
        self._resource = Resource(attributes=[_attribute(*one) for one in resource])
        self._scope = InstrumentationScope(name=scope)
        self._known: Generations[Attributes, bytes] = Generations(_MOST_KNOWN)

    def request(self, spans: Sequence[Span]) -> bytes:
        """An ExportTraceServiceRequest. O(attributes that were not met before), and little for each span."""
        written = ScopeSpans(scope=self._scope)
        for span in spans:
            self._write(span, written.spans.add())
        whole = ResourceSpans(resource=self._resource, scope_spans=[written])
        encoded: bytes = ExportTraceServiceRequest(resource_spans=[whole]).SerializeToString()
        return encoded

    def _write(self, span: Span, message: SpanMessage) -> None:
        place = span.place
        message.trace_id = place.trace.to_bytes(16, "big")
        message.span_id = place.span.to_bytes(8, "big")
        if place.parent:
            message.parent_span_id = place.parent.to_bytes(8, "big")
        if place.state:
            message.trace_state = place.state
        message.flags = _FLAGS[place.remote]
        message.name = _readable(span.name)
        message.kind = span.kind.value
        message.start_time_unix_nano = span.began
        message.end_time_unix_nano = span.ended
        for attributes in span.common:
            message.MergeFromString(self._common(attributes))
        message.attributes.extend(_attribute(*one) for one in span.own)
        if span.failed:
            message.MergeFromString(_FAILED)

    def _common(self, attributes: Attributes) -> bytes:
        known = self._known.get(attributes)
        if known is None:
            known = SpanMessage(attributes=[_attribute(*one) for one in attributes]).SerializeToString()
            self._known.put(attributes, known)
        return known


def _attribute(name: str, value: str | int) -> KeyValue:
    if isinstance(value, str):
        return KeyValue(key=name, value=AnyValue(string_value=_readable(value)))
    return KeyValue(key=name, value=AnyValue(int_value=value))


def _readable(text: str) -> str:
    """Without what is no UTF-8: clients write what they like, and protobuf takes nothing else."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
