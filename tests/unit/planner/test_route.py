"""Routes: which nodes a statement reaches, and what is refused."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from dbmesh.errors import MeshError
from dbmesh.model import Catalog, ColumnFamily, ColumnSchema, SqlValue, TableSchema
from dbmesh.planner.plan import BoundStatement, Call
from dbmesh.planner.planner import Planner
from dbmesh.planner.scans import Federation
from dbmesh.planner.select import SelectPlan
from dbmesh.planner.session_view import SessionValues
from dbmesh.planner.write_plan import WritePlan
from dbmesh.rules.loader import load_configuration
from dbmesh.sql.fingerprint import fingerprint
from dbmesh.sql.lexer import DEFAULT

Binder = Callable[..., BoundStatement]


def _nodes(bound: BoundStatement) -> list[str]:
    """The numbers of the first actual tables in the shots."""
    return [re.findall(r"t_order(?:_item)?_(\d)", shot.sql.decode())[0] for shot in bound.shots]


@pytest.mark.parametrize(
    ("where", "parameters", "nodes"),
    [
        ("user_id = ?", (5,), "1"),
        ("user_id = ?", ("5",), "1"),
        ("user_id = ?", (None,), "0"),
        ("user_id = ? AND user_id = ?", (5, 6), "0"),
        ("user_id IN (?, ?)", (5, 5), "1"),
        ("user_id IN (?, 2)", (1,), "12"),
        ("user_id BETWEEN ? AND ?", (1, 2), "12"),
        ("user_id BETWEEN ? AND ?", (None, 2), "0"),
        ("user_id > ? AND user_id < ?", (4, 6), "012"),
        ("? < user_id AND 6 >= user_id", (5,), "12"),
        ("(user_id = 1 OR user_id = 2) AND (user_id = 2 OR user_id = 3)", (), "2"),
        ("user_id = 1 XOR user_id = 2", (), "0123"),
        ("user_id NOT IN (1)", (), "0123"),
        ("user_id + 0 = 1", (), "0123"),
        ("user_id = order_id AND order_id = 6", (), "2"),
        ("user_id = status AND status = 6", (), "0123"),
        ("user_id = TRUE", (), "1"),
        ("user_id = - 1", (), "3"),
        ("user_id = - - 1", (), "1"),
        ("user_id = 1 AND user_id IN (SELECT 1)", (), "1"),
        ("user_id = (SELECT 1)", (), "0123"),
        ("t_order.user_id = 1", (), "1"),
        ("shop.t_order.USER_ID = 1", (), "1"),
    ],
)
def test_conditions(bind: Binder, where: str, parameters: tuple[SqlValue, ...], nodes: str) -> None:
    assert "".join(_nodes(bind(f"SELECT order_id FROM t_order WHERE {where}", *parameters))) == nodes


@pytest.mark.parametrize(
    ("source", "nodes"),
    [
        ("t_order o JOIN t_order_item i USING (user_id) WHERE i.user_id = 3", "3"),
        ("t_order o LEFT JOIN t_order_item i ON i.user_id = o.user_id AND i.user_id = 3", "0123"),
        ("t_order o LEFT JOIN t_order_item i ON i.user_id = o.user_id WHERE i.user_id = 3", "3"),
        ("t_order o LEFT JOIN t_order_item i ON i.user_id = o.user_id AND o.user_id = 3", "0123"),
        ("t_order o LEFT JOIN t_order_item i ON i.user_id = o.user_id WHERE i.user_id <=> 3", "0123"),
        ("t_order_item i RIGHT JOIN t_order o ON i.user_id = o.user_id AND i.user_id = 3", "0123"),
        ("t_order o STRAIGHT_JOIN t_order_item i ON i.user_id = o.user_id AND i.user_id = 3", "3"),
        ("t_order o, t_order_item i WHERE i.user_id = o.user_id AND (i.user_id = 1 OR i.user_id = 2)", "12"),
    ],
)
def test_joins(bind: Binder, source: str, nodes: str) -> None:
    assert "".join(_nodes(bind(f"SELECT o.order_id FROM {source}"))) == nodes


def test_a_subquery_that_matches_nothing_narrows_nothing(bind: Binder) -> None:
    sql = "SELECT * FROM t_order o WHERE NOT EXISTS (SELECT 1 FROM t_order_item i WHERE i.user_id = NULL)"
    answer = bind(sql).answer
    assert isinstance(answer, Federation)
    assert len(answer.scans[0].shots) == 4


def test_parameters_stay_where_a_shard_can_prepare(bind: Binder) -> None:
    bound = bind("SELECT * FROM t_order WHERE user_id = ? AND status = ? LIMIT 5", 2, "x", keep=True)
    assert bound.keeps_parameters
    assert (
        bound.shots[0].sql == b"SELECT * FROM t_order_2 AS t_order WHERE user_id = ? AND status = ? LIMIT 5"
    )


def test_several_shards_keep_their_parameters_or_have_them_written(bind: Binder) -> None:
    sql = "SELECT * FROM t_order WHERE status = ?"
    bound = bind(sql, "it's", keep=True)
    assert (bound.keeps_parameters, bound.parameters) == (True, (0,))
    assert bound.shots[0].sql.endswith(b"status = ?")
    assert bind(sql, "it's", keep=False).shots[0].sql.endswith(b"status = 'it\\'s'")


def test_each_shot_takes_the_parameters_that_stand_in_it(bind: Binder) -> None:
    """LIMIT and OFFSET become one number; what is ordered by is computed a second time in a hidden column."""
    bound = bind(
        "SELECT order_id FROM t_order WHERE amount > ? ORDER BY amount + ? LIMIT ? OFFSET ?",
        1,
        2,
        3,
        4,
        keep=True,
    )
    assert bound.shots[0].sql.endswith(b"LIMIT 7")
    assert bound.parameters == (1, 0, 1)


@pytest.mark.parametrize(
    ("sql", "own"),
    [
        ("SELECT status FROM t_order WHERE qty > 1", None),
        (
            "SELECT DISTINCT status FROM t_order ORDER BY 1 LIMIT 2, 3",
            "SELECT DISTINCT status FROM t_order_0 AS t_order ORDER BY 1 LIMIT 2, 3 ROWS EXAMINED 0",
        ),
        (
            "SELECT status, COUNT(*) FROM t_order GROUP BY status HAVING COUNT(*) > 1",
            "SELECT status, COUNT(*) FROM t_order_0 AS t_order GROUP BY status HAVING COUNT(*) > 1 LIMIT ROWS EXAMINED 0",
        ),
    ],
)
def test_columns_of_a_rewritten_statement_are_asked_for_with_the_clients_own(
    bind: Binder, sql: str, own: str | None
) -> None:
    question = bind(sql).own
    assert (question.statement(True).sql.decode() if question else None) == own
    if question is not None and own is not None:
        unlimited = own.replace(" LIMIT ROWS EXAMINED 0", "").replace(" ROWS EXAMINED 0", "")
        assert question.statement(False).sql.decode() == unlimited


def test_a_bound_statement_is_a_value(bind: Binder) -> None:
    bound = bind("SELECT 1")
    with pytest.raises(AttributeError):
        bound.shots = ()  # type: ignore[misc]


@pytest.mark.parametrize(
    ("sql", "prototype"),
    [
        (
            "SELECT * FROM t_order WHERE user_id = ? LIMIT ?",
            b"SELECT * FROM t_order_0 AS t_order WHERE user_id = ? LIMIT ?",
        ),
        ("SELECT 'a', x'AB', 1.5, DATABASE(), ?", b"SELECT '', x'', 0.0, DATABASE() AS `DATABASE()`, ?"),
        (
            "SELECT status FROM t_order ORDER BY amount",
            b"SELECT status FROM t_order_0 AS t_order ORDER BY amount",
        ),
        (
            "SELECT status, amount FROM t_order ORDER BY 2",
            b"SELECT status, amount FROM t_order_0 AS t_order ORDER BY 1",
        ),
    ],
)
def test_prototype(shop: Planner, sql: str, prototype: bytes) -> None:
    plan = shop.plan(fingerprint(sql), DEFAULT, "shop").plan
    assert plan.prototype().sql == prototype  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("condition", "shots"),
    [("id = 1", 1), ("id = 5", 2), ("id IN (0, 5)", 2), ("id IN (0, 0)", 1), ("id = 1 OR id = 5", 2)],
)
def test_a_value_without_a_node_is_looked_for_on_every_node(condition: str, shots: int) -> None:
    files = {
        "global.yaml": "authority: {users: [{user: root, password: a}]}",
        "database-shop.yaml": """
databaseName: shop
dataSources: {ds_0: {url: 'mysql://a:b@127.0.0.1/shop'}}
rules:
- !SHARDING
  tables:
    t_own:
      actualDataNodes: ds_0.t_own_${0..1}
      tableStrategy: {standard: {shardingColumn: id, shardingAlgorithmName: own}}
  shardingAlgorithms:
    own: {type: INLINE, props: {algorithm-expression: "t_own_${id}"}}
""",
    }
    rules = load_configuration(files, lambda kind, name: None).databases["shop"]
    schema = TableSchema("t_own", (ColumnSchema("id", "bigint(20)", ColumnFamily.INTEGER),), ("id",))
    planner = Planner(rules, Catalog({"t_own": schema}, {}))
    for verb in ("SELECT * FROM t_own", "DELETE FROM t_own"):
        read = fingerprint(f"{verb} WHERE {condition}")
        plan = planner.plan(read, DEFAULT, "shop").plan
        assert isinstance(plan, SelectPlan | WritePlan)
        assert len(plan.bind(Call(read.literals, SessionValues("shop"))).shots) == shots
    read = fingerprint("INSERT INTO t_own (id) VALUES (5)")
    plan = planner.plan(read, DEFAULT, "shop").plan
    with pytest.raises(MeshError, match="no data node for the value 5"):
        plan.bind(Call(read.literals, SessionValues("shop")))  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "where",
    ["", "WHERE id = 1", "WHERE user_id = 1 OR id = 2", "WHERE NOT user_id = 1"],
)
def test_an_auditor_insists_on_a_condition_in_every_branch(bind: Binder, where: str) -> None:
    with pytest.raises(MeshError, match="without a sharding condition"):
        bind(f"SELECT * FROM t_log {where}")


@pytest.mark.parametrize(
    "where",
    ["WHERE user_id = 1", "WHERE user_id = 1 OR user_id = 2", "WHERE user_id > 1", "WHERE user_id IN (1, 2)"],
)
def test_an_auditor_lets_conditions_pass(bind: Binder, where: str) -> None:
    assert bind(f"SELECT * FROM t_log {where}").shots
