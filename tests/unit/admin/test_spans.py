"""What a collector reads of spans."""

from __future__ import annotations

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from dbmesh.admin.spans import Kind, Place, Span, SpanEncoder

TRACE, ROOT = 0x5BD66EF5095369C7B0D1F8F4BD33716A, 0xC532CB4098AC3DD2
WHAT = (("db.query.text", "SELECT ?"), ("dbmesh.session", 7))
STATEMENT = Span(
    Place(TRACE, 2, ROOT, True, "congo=t61"), "SELECT t", Kind.SERVER, 10, 40, (WHAT,), (("rows", 3),)
)
SHOT = Span(Place(TRACE, 3, 2), "SELECT ds_0", Kind.CLIENT, 20, 30, (WHAT, (("shots", 1),)), failed=True)


def _read(encoder: SpanEncoder, *spans: Span) -> ExportTraceServiceRequest:
    return ExportTraceServiceRequest.FromString(encoder.request(spans))


def _facts(message: object) -> dict[str, object]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in message.attributes}  # type: ignore[attr-defined]


def test_a_request_has_every_span_with_all_that_is_told_of_it() -> None:
    encoder = SpanEncoder((("service.name", "shop"),), "dbmesh")
    # Once more: what spans have in common is known then.
    for _ in range(2):
        [whole] = _read(encoder, SHOT, STATEMENT).resource_spans
        assert _facts(whole.resource) == {"service.name": "shop"}
        [scope] = whole.scope_spans
        assert scope.scope.name == "dbmesh"
        shot, statement = scope.spans
        assert (shot.trace_id, statement.trace_id) == (TRACE.to_bytes(16, "big"),) * 2
        assert (shot.span_id, shot.parent_span_id) == (bytes(7) + b"\x03", statement.span_id)
        assert statement.parent_span_id == ROOT.to_bytes(8, "big")
        assert (shot.trace_state, statement.trace_state) == ("", "congo=t61")
        assert (shot.flags, statement.flags) == (0x100, 0x300)
        assert (shot.name, shot.kind) == ("SELECT ds_0", shot.SPAN_KIND_CLIENT)
        assert (statement.name, statement.kind) == ("SELECT t", shot.SPAN_KIND_SERVER)
        assert (statement.start_time_unix_nano, statement.end_time_unix_nano) == (10, 40)
        assert _facts(statement) == {"db.query.text": "SELECT ?", "dbmesh.session": 7, "rows": 3}
        assert _facts(shot) == {"db.query.text": "SELECT ?", "dbmesh.session": 7, "shots": 1}
        assert (shot.status.code, statement.status.code) == (
            Status.STATUS_CODE_ERROR,
            Status.STATUS_CODE_UNSET,
        )


def test_a_span_without_a_parent_is_a_root() -> None:
    encoder = SpanEncoder((), "dbmesh")
    [whole] = _read(encoder, STATEMENT._replace(place=Place(TRACE, 2))).resource_spans
    [root] = whole.scope_spans[0].spans
    assert root.parent_span_id == b""


def test_text_that_is_no_utf_8_does_not_keep_the_others_back() -> None:
    encoder = SpanEncoder((), "dbmesh")
    odd = STATEMENT._replace(name="SELECT \udce9", common=((("db.query.text", "SELECT '\udce9', 'ü'"),),))
    [whole] = _read(encoder, odd, SHOT).resource_spans
    strange, _ = whole.scope_spans[0].spans
    assert strange.name == "SELECT ?"
    assert _facts(strange)["db.query.text"] == "SELECT '?', 'ü'"
