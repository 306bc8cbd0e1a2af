"""Statements are counted by what they have in common, in bounded room, and the slow ones are written down."""

from __future__ import annotations

import logging
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbmesh.errors import MERGE_LIMIT, UNKNOWN_COMMAND, MeshError
from dbmesh.governance import statistics
from dbmesh.governance.slow_statements import SlowStatements
from dbmesh.governance.statistics import BOUNDS, Histogram, Kind, Statistics
from dbmesh.planner.cache import PlanCache
from dbmesh.planner.plan import Verb
from dbmesh.planner.planner import Planner
from dbmesh.session.filtering import RunningStatement
from dbmesh.sql.digest import digest_of
from dbmesh.sql.lexer import DEFAULT
from dbmesh.wire.packets import ErrPacket
from tests.plugins.planner_world import CATALOG, RULES

PLANNED = "SELECT user_id FROM t_order WHERE user_id = 5"


SHOP: Any = SimpleNamespace(name="shop", plans=PlanCache(Planner(RULES, CATALOG)))


def _statement(text: str = "SELECT a FROM t WHERE b = 0", **changes: Any) -> Any:
    """One that began at 10."""
    error = changes.pop("error", None)
    session = SimpleNamespace(
        account="app@%", connection_id=7, row_count=changes.pop("affected", -1), found_rows=3
    )
    made = SimpleNamespace(
        session=session,
        database=SimpleNamespace(name="shop"),
        verb=Verb.SELECT,
        plan=changes.pop("plan", text),
        shots=changes.pop("shots", 1),
        answer=changes.get("answer", "Relay"),
        sent=changes.get("answer"),
        begun=10.0,
        error=None if error is None else ErrPacket(error, "42000", b"no"),
        digest=digest_of(text, DEFAULT),
        rows=3,
        trace=None,
        # What is inside another statement is not counted as planned.
        outer=changes.pop("outer", True),
        cause=None,
    )
    for name, value in changes.items():
        setattr(made, name, value)
    return cast("Any", made)


def _counted(ends: list[float], **changes: Any) -> Statistics:
    moments = iter(ends)
    made = Statistics(lambda: next(moments), lambda: 1000.0)
    for _ in ends:
        made.ended(_statement(**changes))
    return made


def test_a_digest_has_counts_times_and_rows() -> None:
    [(key, counts)] = _counted([10.5, 10.25]).digests.items()
    assert key == ("shop", "app@%", digest_of("SELECT a FROM t WHERE b = ?", DEFAULT).name)
    assert (counts.text, counts.count, counts.errors) == ("SELECT a FROM t WHERE b = ?", 2, 0)
    assert (counts.seconds, counts.least, counts.most) == (0.75, 0.25, 0.5)
    assert (counts.rows_sent, counts.rows_affected) == (6, 0)


def test_errors_and_affected_rows() -> None:
    failed = _counted([10.5], error=1054)
    assert failed.errors == {("shop", 1054): 1}
    [counts] = failed.digests.values()
    assert (counts.errors, counts.rows_sent) == (1, 0)
    [written] = _counted([10.5], affected=5).digests.values()
    assert (written.rows_affected, written.rows_sent) == (5, 0)


def test_limits_of_merges_and_merged_rows() -> None:
    too_much = MeshError(MERGE_LIMIT, limit="5 rows", setting="merge-max-rows")
    failed = _counted([10.5], error=1104, cause=too_much)
    assert (failed.limit_hits, failed.merged_rows) == ({("shop", "merge-max-rows"): 1}, {})
    assert _counted([10.5], error=1104, cause=MeshError(UNKNOWN_COMMAND)).limit_hits == {}
    assert _counted([10.5, 10.5], answer="RowMerge").merged_rows == {("shop", "RowMerge"): 6}


@pytest.mark.parametrize(
    ("shots", "label"),
    [(0, "0"), (1, "1"), (2, "2"), (3, "4"), (4, "4"), (5, "8"), (16, "16"), (17, "more"), (4000, "more")],
)
def test_kinds_are_few(shots: int, label: str) -> None:
    found = _counted([10.5], shots=shots, answer="RowMerge")
    assert list(found.durations) == [Kind("shop", "select", label, "RowMerge")]


def test_a_plan_may_be_relayed_or_not() -> None:
    made = Statistics(lambda: 10.5, lambda: 1000.0)
    for answer in ({"answer": "RowMerge"}, {}, {"answer": "RowMerge"}, {}):
        made.ended(_statement(**answer))
    assert {kind.answer: sum(one.counts) for kind, one in made.durations.items()} == {
        "RowMerge": 2,
        "Relay": 2,
    }


def test_different_statements_take_bounded_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "MOST_DIGESTS", 2)
    made = Statistics(lambda: 11.0, lambda: 1000.0)
    for number in range(5):
        made.ended(_statement(f"SELECT a{number}"))
    assert [key.digest for key in made.digests][2:] == ["other"]
    assert [counts.count for counts in made.digests.values()] == [1, 1, 3]
    made.reset()
    assert made.digests == {}
    assert sum(next(iter(made.durations.values())).counts) == 5
    made.ended(_statement("SELECT a0"))
    assert [counts.count for counts in made.digests.values()] == [1]


def test_when_a_statement_was_seen() -> None:
    moments = iter([11.0, 31.0])
    made = Statistics(lambda: next(moments), lambda: 1000.0)
    made.ended(_statement())
    [counts] = made.digests.values()
    assert (counts.first_seen, made.last_seen(counts)) == (1000.0, 980.0)


@given(st.lists(st.floats(0, 100), max_size=20))
def test_every_duration_is_in_the_bucket_it_belongs_to(durations: list[float]) -> None:
    [histogram] = _counted(durations, begun=0.0).durations.values() or [Histogram()]
    edges = [-1.0, *BOUNDS, float("inf")]
    for low, high, count in zip(edges[:-1], edges[1:], histogram.counts, strict=True):
        assert count == sum(low < seconds <= high for seconds in durations)
    assert histogram.total == pytest.approx(sum(durations))


@given(st.lists(st.tuples(st.floats(0, 20), st.integers(-1, 5)), max_size=30), st.integers(1, 4))
def test_what_ended_as_planned_is_counted_like_any_other(ends: list[tuple[float, int]], at_once: int) -> None:
    moments = iter([moment for seconds, _ in ends for moment in [10.0 + seconds] * 2])
    one, other = (Statistics(lambda: next(moments), lambda: 1000.0) for _ in range(2))
    plan, _ = SHOP.plans.lookup(PLANNED, "shop")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(statistics, "_MOST_UNCOUNTED", at_once)
        for seconds, affected in ends:
            session = SimpleNamespace(
                account="app@%",
                row_count=affected,
                found_rows=3,
                arrived=10.0,
                lexer_flags=DEFAULT,
                running=None,
            )
            seen = SHOP, plan, PLANNED
            assert one.ended_as_planned(cast("Any", session), seen) == 10.0 + seconds - 10.0
            inner = RunningStatement(cast("Any", session), *seen)
            inner.outer = inner
            other.ended(inner)
    for kind, histogram in other.durations.items():
        assert kind == Kind("shop", "select", "1", "Relay")
        assert one.durations[kind].counts == histogram.counts
        assert one.durations[kind].total == pytest.approx(histogram.total)
    for key, counts in other.digests.items():
        assert replace(one.digests[key], seconds=0) == replace(counts, seconds=0)
        assert one.digests[key].seconds == pytest.approx(counts.seconds)
    assert one.durations.keys() == other.durations.keys()
    assert one.digests.keys() == other.digests.keys()


def test_only_slow_statements_are_written_down_and_without_their_values(
    caplog: pytest.LogCaptureFixture,
) -> None:
    moments = iter([10.05, 10.2, 10.2])
    log = SlowStatements(0.1, lambda: next(moments))
    with caplog.at_level(logging.WARNING):
        for number in (0, 1213, None):
            log.ended(_statement("SELECT a\nFROM t WHERE b = 0", error=number))
    assert [message.split(", ", 1)[0] for message in caplog.messages] == ["slow statement: 200.0 ms"] * 2
    assert "error 1213" in caplog.messages[0]
    assert caplog.messages[1].endswith(": SELECT a FROM t WHERE b = ?")
