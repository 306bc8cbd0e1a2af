"""Spans of statements: which statements have some, what they are called, and that no value is in them."""

from __future__ import annotations

import random
from itertools import pairwise
from math import sqrt
from time import perf_counter, time_ns
from types import SimpleNamespace
from typing import Any

import pytest

from dbmesh.admin.spans import Span
from dbmesh.admin.tracing import Tracer
from dbmesh.governance.slow_statements import SlowStatements
from dbmesh.rules.tracing import TracingSettings
from dbmesh.session.log_fields import fields_of
from dbmesh.wire.commands import Query, make_execute, make_query
from dbmesh.wire.constants import Capability, ColumnType
from tests.plugins import canned
from tests.plugins.canned import MODERN
from tests.plugins.scripted import column
from tests.plugins.session_world import SessionWorld, prepared

POINT = "SELECT user_id FROM t_order WHERE user_id = 5"
MERGED = "SELECT user_id FROM t_order WHERE status = 'secret' ORDER BY 1"
PARENT = "00-5bd66ef5095369c7b0d1f8f4bd33716a-c532cb4098ac3dd2-{:02x}"
NUMBER = column("user_id", ColumnType.LONGLONG, "t_order_1")


def _reply(name: str, payload: bytes) -> bytes:
    if payload[0] == 0x16:
        return prepared([column("?", ColumnType.LONGLONG)], [NUMBER])
    return canned.result_set([NUMBER], [[b"5"]]) if b"SELECT" in payload else canned.ok(affected=1)


class Traced(SessionWorld):
    """A world that traces statements; `draw` decides which of those without a parent is the next."""

    def __init__(self, ratio: float = 1.0, parent_based: bool = True, draw: float = 0.5) -> None:
        super().__init__(MODERN | Capability.QUERY_ATTRIBUTES)
        self.draw = draw
        self.spans: list[Span] = []
        settings = TracingSettings("http://x/", ratio, parent_based, "dbmesh", 10)
        self.mesh.filters = (Tracer(settings, self.spans.append, lambda: self.draw),)
        self.reply = _reply

    async def ask(self, sql: str, **attributes: str) -> list[Span]:
        """Send a statement; the spans it gave."""
        given = tuple((name.encode(), value) for name, value in attributes.items())
        await self.command(make_query(Query(sql.encode(), given), self.capabilities))
        return self.taken()

    def taken(self) -> list[Span]:
        """The spans since they were taken last, the statement's own last."""
        found = list(self.spans)
        self.spans.clear()
        return found


def _facts(span: Span) -> dict[str, Any]:
    pairs = [pair for attributes in (*span.common, span.own) for pair in attributes]
    facts = dict(pairs)
    assert len(facts) == len(pairs)
    return facts


async def test_a_statement_and_its_shot() -> None:
    world = Traced()
    shot, statement = await world.ask(POINT)
    assert (shot.name, statement.name) == ("SELECT ds_0", "SELECT t_order")
    assert (shot.kind.name, statement.kind.name) == ("CLIENT", "SERVER")
    assert shot.place.trace == statement.place.trace
    assert shot.place.parent == statement.place.span
    assert (shot.place.remote, statement.place.parent) == (False, 0)
    assert statement.began <= shot.began <= shot.ended <= statement.ended
    assert abs(time_ns() - statement.ended) < 60e9
    facts = _facts(statement)
    assert facts.pop("dbmesh.digest")
    assert facts == {
        "db.system.name": "mysql",
        "db.namespace": "shop",
        "db.operation.name": "SELECT",
        "db.collection.name": "t_order",
        "db.query.text": "SELECT user_id FROM t_order WHERE user_id = ?",
        "db.query.summary": "SELECT t_order",
        "db.response.returned_rows": 1,
        "client.address": "localhost",
        "user.name": "",
        "dbmesh.session": 7,
        "dbmesh.shots": 1,
        "dbmesh.answer": "Relay",
    }
    config = world.pools["ds_0"].config
    assert _facts(shot) == {
        "db.system.name": "mysql",
        "db.namespace": config.database,
        "db.operation.name": "SELECT",
        "dbmesh.data_source": "ds_0",
        "server.address": config.host,
        "server.port": config.port,
    }
    await world.end()


async def test_a_merge_has_a_span_for_every_shot_and_no_value() -> None:
    world = Traced()
    *steps, statement = await world.ask(MERGED)
    names = sorted(span.name for span in steps)
    assert names == ["SELECT ds_0", "SELECT ds_0", "SELECT ds_1", "SELECT ds_1", "exchange RowMerge"]
    assert _facts(statement)["dbmesh.shots"] == 4
    assert "secret" not in repr((*steps, statement))
    await world.end()


async def test_what_is_executed_by_name_is_a_child_of_its_execute() -> None:
    world = Traced()
    await world.ask("PREPARE p FROM 'DELETE FROM t_order WHERE user_id = 5'")
    spans = await world.ask("EXECUTE p")
    inner, outer = spans[-2:]
    assert (inner.name, outer.name) == ("DELETE t_order", "EXECUTE")
    assert inner.place.trace == outer.place.trace
    assert inner.place.parent == outer.place.span
    assert _facts(inner)["dbmesh.affected_rows"] == 1
    await world.end()


@pytest.mark.parametrize("by", ["comment", "attribute", "execute"])
@pytest.mark.parametrize(
    ("ratio", "parent_based", "sampled", "traced"),
    [(0, True, True, True), (1, True, False, False), (1, False, False, True), (0, False, True, False)],
)
async def test_the_clients_trace(
    by: str, ratio: float, parent_based: bool, sampled: bool, traced: bool
) -> None:
    world = Traced(ratio, parent_based)
    text = PARENT.format(sampled)
    if by == "comment":
        spans = await world.ask(f"{POINT} /*route='a',traceparent='{text}'*/")
    elif by == "attribute":
        spans = await world.ask(POINT, traceparent=text)
    else:
        await world.command(b"\x16" + POINT.replace("5", "?").encode())
        attributes = ((b"traceparent", text),)
        await world.command(make_execute(1, [5], attributes=attributes, capabilities=world.capabilities))
        spans = world.taken()
    assert bool(spans) is traced
    for span in spans[-1:]:
        assert f"{span.place.trace:032x}" == text[3:35]
        assert f"{span.place.parent:016x}" == text[36:52]
        assert span.place.remote
    # The next one has no parent.
    assert all(span.place.parent == 0 for span in (await world.ask(POINT))[-1:])
    await world.end()


async def test_a_ratio_of_the_statements_is_traced() -> None:
    world = Traced(0.25, draw=0.2)
    # Below the ratio it is the very next one; beyond, as many more go by as are that improbable: 0.75 ** 8 > 0.1 > 0.75 ** 9.
    for draw, passing in ((0.25, 0), (0.9, 1), (0.0, 8), (0.0, 0)):
        world.draw = draw
        assert [bool(await world.ask(POINT)) for _ in range(passing + 1)] == [*([False] * passing), True]
    await world.end()


@pytest.mark.parametrize("ratio", [0.0, 1e-20, 0.01, 0.4, 1.0])
def test_each_statement_has_the_same_chance(ratio: float) -> None:
    settings = TracingSettings("http://x/", ratio, True, "dbmesh", 10)
    tracer = Tracer(settings, [].append, random.Random(5).random)
    session: Any = SimpleNamespace(running=None, attributes=())
    # One with a comment is looked at closer, and no other case.
    texts = (POINT, f"{POINT} /* a */")
    count = 40_000
    traced = [bool(tracer.find(session, (None, None, texts[number % 2]))) for number in range(count)]  # type: ignore[arg-type]
    both = sum(one and other for one, other in pairwise(traced))
    for found, chance in ((sum(traced), ratio), (sum(traced[::2]), ratio / 2), (both, ratio * ratio)):
        assert abs(found - chance * count) <= 5 * sqrt(count * chance * (1 - chance)) + 1


async def test_errors_have_their_numbers_and_no_texts() -> None:
    world = Traced()
    world.reply = lambda name, payload: canned.failure(1062)
    for sql in (POINT, MERGED):
        *_, shot, statement = [span for span in await world.ask(sql) if "exchange" not in span.name]
        for span in (shot, statement):
            assert (_facts(span)["error.type"], _facts(span)["db.response.status_code"]) == ("1062", "1062")
            assert span.failed
            assert "secret" not in repr(span)
    await world.running(b"\x03\0\1" + POINT.encode())
    await world.end()
    *_, statement = world.taken()
    assert _facts(statement)["error.type"] == "client_lost"


async def test_log_records_name_the_trace(caplog: pytest.LogCaptureFixture) -> None:
    world = Traced()
    world.mesh.observe([SlowStatements(0, perf_counter)])
    await world.running(b"\x03\0\1" + POINT.encode())
    told = fields_of(world.session, fault="x")
    await world.end()
    *_, statement = world.taken()
    assert [record.__dict__["trace_id"] for record in caplog.records] == [told["trace_id"]]
    assert told == {"session": 7, "fault": "x", "trace_id": f"{statement.place.trace:032x}"}


async def test_the_slow_log_names_the_trace_of_what_ended_as_planned(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = Traced()
    world.mesh.observe([SlowStatements(0, perf_counter)])
    *_, statement = await world.ask(POINT)
    [record] = caplog.records
    assert record.__dict__["trace_id"] == f"{statement.place.trace:032x}"
    await world.end()


@pytest.mark.parametrize("form", ["{c} {s}", "  {c}{s}", "{s} {c} ;\n", "{s}{c};", "{s}{c}\v\f"])
async def test_where_a_context_may_stand(form: str) -> None:
    world = Traced(0)
    comment = f"/*traceparent='{PARENT.format(1)}'*/"
    *_, statement = await world.ask(form.format(c=comment, s=POINT))
    assert f"{statement.place.parent:016x}" == PARENT[36:52]
    await world.end()


@pytest.mark.parametrize("sql", [POINT, f"{POINT} AND '/*traceparent=' <> ''", ""])
async def test_a_text_without_a_context_is_sampled_by_the_ratio(sql: str) -> None:
    for draw, traced in ((0.4, True), (0.6, False)):
        world = Traced(0.5, draw=draw)
        assert bool(await world.ask(sql)) is traced
        await world.end()


async def test_the_clients_trace_state_is_passed_on() -> None:
    world = Traced()
    spans = await world.ask(POINT, traceparent=PARENT.format(1), tracestate="congo=t61")
    assert [span.place.state for span in spans] == ["congo=t61"] * 2
    await world.end()
