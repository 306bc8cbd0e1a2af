"""The direct way gives the shot that `bind` gives, or leaves it to `bind`."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbmesh.model import SqlValue
from dbmesh.planner.context import PlanContext
from dbmesh.planner.plan import Relay, ShardPlan
from dbmesh.planner.select import plan_select
from dbmesh.planner.write import plan_write
from tests.plugins.planner_world import RULES, call_of, context_of

TEXTS = [
    "SELECT order_id FROM t_order WHERE user_id = {}",
    "SELECT order_id FROM t_order AS o WHERE o.user_id = {} AND status = 'x' LIMIT 3",
    "SELECT name FROM t_plain WHERE id = {}",
    "SELECT name FROM t_config WHERE value = {} AND name = DATABASE()",
    "UPDATE t_order SET status = 'y' WHERE user_id = {}",
    "DELETE FROM t_order WHERE user_id = {} AND order_id = 7",
]


def _plan(context: PlanContext) -> ShardPlan:
    reads = context.statement.text.startswith("SELECT")
    return plan_select(context) if reads else plan_write(context)


@given(
    st.sampled_from(TEXTS),
    st.one_of(st.integers(-5, 2**66).map(str), st.sampled_from(["'7'", "NULL", "0x1", "1.5"])),
)
def test_of_a_text(text: str, literal: str) -> None:
    sql = text.format(literal)
    plan = _plan(context_of(sql))
    call = call_of(sql)
    direct = plan.direct
    found = None if direct is None else direct.text(call.literals)
    if found is None:
        return
    bound = plan.bind(call)
    assert bound.shots == (found,)
    assert bound.answer == Relay()
    assert direct is not None
    assert bound.names == direct.names


@given(st.sampled_from(TEXTS), st.one_of(st.none(), st.integers(-5, 2**66), st.text(max_size=3)))
def test_of_a_prepared_statement(text: str, value: SqlValue) -> None:
    sql = text.format("?")
    plan = _plan(context_of(sql))
    call = call_of(sql, (value,), keep_parameters=True)
    found = None if plan.direct is None else plan.direct.prepared(call.literals, call.parameters)
    if found is None:
        return
    bound = plan.bind(call)
    assert bound.keeps_parameters
    assert bound.shots == (found,)


@pytest.mark.parametrize("text", [TEXTS[0], TEXTS[2], TEXTS[4]])
def test_common_statements_have_it(text: str) -> None:
    sql = text.format(7)
    direct = _plan(context_of(sql)).direct
    assert direct is not None
    assert direct.text(call_of(sql).literals) is not None
    if "'" not in text:
        prepared = _plan(context_of(text.format("?"))).direct
        assert prepared is not None
        assert prepared.prepared([], (7,)) is not None


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1",
        "SELECT GET_LOCK('a', 1) FROM t_order WHERE user_id = 7",
        "SELECT SQL_CALC_FOUND_ROWS order_id FROM t_order WHERE user_id = 7",
        "SELECT order_id FROM t_order WHERE user_id IN (1, 2)",
        "UPDATE t_order SET user_id = 7 WHERE user_id = 7",
    ],
)
def test_statements_with_more_to_do_have_none(sql: str) -> None:
    direct = _plan(context_of(sql)).direct
    assert direct is None or direct.text(call_of(sql).literals) is None


def test_a_question_mark_in_a_text_is_left_to_bind() -> None:
    for text in TEXTS:
        direct = _plan(context_of(text.format("?"))).direct
        assert direct is None or direct.text(call_of(text.format("?")).literals) is None


def test_other_kinds_of_data_sources_have_none() -> None:
    sources = {name: replace(source, kind="sqlite") for name, source in RULES.data_sources.items()}
    rules = replace(RULES, data_sources=sources)
    assert _plan(context_of(TEXTS[0].format(7), rules=rules)).direct is None
