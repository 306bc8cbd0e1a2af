"""Federation plans: scans on the nodes that matter, parameters in place, the merge node, refusals."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dbmesh.errors import MeshError
from dbmesh.planner.plan import BoundStatement
from dbmesh.planner.scans import Federation
from dbmesh.planner.select import plan_select
from tests.plugins.planner_world import RULES, call_of, context_of


def bind(sql: str, *parameters: int | str) -> tuple[BoundStatement, Federation]:
    bound = plan_select(context_of(sql)).bind(call_of(sql, parameters))
    assert isinstance(bound.answer, Federation)
    return bound, bound.answer


def test_parameters_are_written_into_scans_and_final() -> None:
    sql = "SELECT a.order_id FROM t_order a JOIN t_key k ON k.id = a.order_id WHERE a.user_id = ? AND k.name = ?"
    bound, answer = bind(sql, 6, "it's")
    assert [shot.sql for shot in answer.scans[0].shots] == [
        b"SELECT `a`.`order_id`, `a`.`user_id` FROM `t_order_2` AS `a` WHERE (a.user_id = 6) LIMIT 18446744073709551615"
    ]
    assert b"WHERE (k.name = 'it\\'s')" in answer.scans[1].shots[0].sql
    assert answer.final == (
        b"SELECT a.order_id FROM dbmesh_f1 a JOIN dbmesh_f2 k ON k.id = a.order_id WHERE a.user_id = 6 AND k.name = 'it\\'s'"
    )
    assert not bound.keeps_parameters


def test_names_lead_back() -> None:
    bound, _ = bind("SELECT COUNT(*) + 1 FROM t_order")
    assert bound.names.tables["dbmesh_f1"] == "t_order"
    assert bound.names.tables["t_order_3"] == "t_order"


def test_the_merge_node_holds_most_of_the_rows() -> None:
    _, answer = bind("SELECT f.id FROM t_far f JOIN t_plain p ON p.id = f.id JOIN t_far g ON g.id = f.id")
    assert answer.merge_node == "ds_1"
    assert [scan.node.data_source for scan in answer.scans] == ["ds_1", "ds_0", "ds_1"]


def test_a_broadcast_table_is_read_once() -> None:
    _, answer = bind("SELECT c.code FROM t_country c LEFT JOIN t_order o ON o.status = c.code")
    assert [len(scan.shots) for scan in answer.scans] == [1, 4]


def test_a_contradiction_still_has_a_shot() -> None:
    _, answer = bind("SELECT o.order_id FROM t_order o JOIN t_key k WHERE o.user_id = 1 AND o.user_id = 2")
    assert [len(scan.shots) for scan in answer.scans] == [1, 4]


def test_a_lock_goes_to_the_scans_with_its_time() -> None:
    _, answer = bind("SELECT o.order_id FROM t_order o JOIN t_key k FOR UPDATE OF o WAIT 5")
    assert answer.scans[0].shots[0].sql.endswith(b"LIMIT 18446744073709551615 FOR UPDATE WAIT 5")
    assert answer.scans[1].shots[0].sql.endswith(b"LIMIT 18446744073709551615")
    assert answer.final == b"SELECT o.order_id FROM dbmesh_f1 o JOIN dbmesh_f2 k "


@pytest.mark.parametrize(
    ("sql", "locks"),
    [
        (
            "(SELECT order_id FROM t_order FOR UPDATE) UNION (SELECT id FROM t_key LOCK IN SHARE MODE)",
            ["FOR UPDATE", "LOCK IN SHARE MODE"],
        ),
        (
            (
                "SELECT o.order_id FROM t_order o JOIN (SELECT id FROM t_key FOR UPDATE WAIT 1) d JOIN t_far f "
                "WHERE o.order_id > (SELECT MIN(id) FROM t_plain LOCK IN SHARE MODE) FOR UPDATE WAIT 2"
            ),
            ["FOR UPDATE WAIT 2", "FOR UPDATE WAIT 1", "FOR UPDATE WAIT 2", "LOCK IN SHARE MODE"],
        ),
    ],
)
def test_each_part_has_its_own_lock(sql: str, locks: list[str]) -> None:
    _, answer = bind(sql)
    texts = [scan.shots[0].sql.decode().partition(" LIMIT 18446744073709551615 ")[2] for scan in answer.scans]
    assert texts == locks


@pytest.mark.parametrize(
    ("sql", "what"),
    [
        ("SELECT GET_LOCK('a', 1), COUNT(*) + 1 FROM t_order", "GET_LOCK"),
        ("SELECT 1 FROM t_plain PARTITION (p0) JOIN t_far ON 1", "PARTITION"),
    ],
)
def test_refusals(sql: str, what: str) -> None:
    with pytest.raises(MeshError, match=what):
        plan_select(context_of(sql)).bind(call_of(sql, (1,)))


def test_a_merge_node_that_is_named_is_taken() -> None:
    rules = replace(RULES, merge_node="ds_1")
    sql = "SELECT p.id FROM t_plain p JOIN t_order o ON o.order_id = p.id"
    answer = plan_select(context_of(sql, rules=rules)).bind(call_of(sql)).answer
    assert isinstance(answer, Federation)
    assert answer.merge_node == "ds_1"
