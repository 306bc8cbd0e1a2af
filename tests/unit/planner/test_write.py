"""UPDATE and DELETE: prepared forms, and values that would move a row."""

import pytest

from dbmesh.errors import MeshError
from dbmesh.planner.plan import CountMerge, Relay, Verb
from dbmesh.planner.steps import DerivedWrite
from dbmesh.planner.write import plan_write
from tests.plugins.planner_world import call_of, context_of, shots_of


def test_one_plan_serves_every_value() -> None:
    plan = plan_write(context_of("UPDATE t_order SET status='a' WHERE user_id=1"))
    assert (plan.verb, plan.tables, plan.reads_only, plan.implicit_commit) == (
        Verb.UPDATE,
        ("t_order",),
        False,
        False,
    )
    for number in range(8):
        bound = plan.bind(call_of(f"UPDATE t_order SET status='b' WHERE user_id={number}"))
        assert shots_of(bound) == [
            f"ds_{number % 4 // 2}: UPDATE t_order_{number % 4} SET status='b' WHERE user_id={number}"
        ]
        assert bound.answer == Relay()


def test_counts_add_up_over_nodes() -> None:
    sql = "DELETE FROM t_order WHERE status='x'"
    assert plan_write(context_of(sql)).bind(call_of(sql)).answer == CountMerge()


def test_a_row_stays_where_it_is_or_is_moved_by_key() -> None:
    sql = "UPDATE t_order SET user_id=?, status='x' WHERE user_id=?"
    plan = plan_write(context_of(sql))
    assert len(plan.bind(call_of(sql, (5, 5))).shots) == 1
    assert len(plan.bind(call_of(sql, ("5", 5))).shots) == 1
    for new in (9, None, "x"):
        bound = plan.bind(call_of(sql, (new, 5)))
        assert isinstance(bound.answer, DerivedWrite)
        assert bound.shots == ()


def test_without_a_database_nothing_is_planned() -> None:
    with pytest.raises(MeshError, match="No database selected"):
        plan_write(context_of("DELETE FROM t_order", database=None))


def test_prototype_keeps_parameters() -> None:
    plan = plan_write(context_of("UPDATE t_order SET status=? WHERE user_id=?"))
    assert plan.prototype().sql == b"UPDATE t_order_0 SET status=? WHERE user_id=?"
