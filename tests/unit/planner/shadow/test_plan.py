"""Production or shadow, statement by statement: what decides, what is refused, and that all shots go together."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from dbmesh.errors import MeshError
from dbmesh.model import ColumnFamily, ColumnSchema, SqlValue
from dbmesh.planner.plan import BoundStatement
from dbmesh.planner.planner import Planner
from dbmesh.planner.scans import Federation
from dbmesh.planner.session_plan import SessionStatement
from dbmesh.planner.shadow.choice import DecidingColumn
from dbmesh.planner.steps import DerivedWrite
from dbmesh.rules.ruleset import RuleSet
from dbmesh.rules.shadow.matching import RegexMatch, ValueMatch
from dbmesh.rules.shadow.rule import Operation, ShadowedTable, ShadowRule
from dbmesh.sql.fingerprint import fingerprint
from dbmesh.sql.lexer import DEFAULT
from tests.plugins.planner_world import CATALOG, DATABASES, RULES, SOURCES, call_of

HINT = "/* SHARDINGSPHERE_HINT: SHADOW=true */ "
BY_USER = {operation: {"user_id": (ValueMatch("9"), ValueMatch("11"))} for operation in Operation}
SHADOW = ShadowRule(
    {"ds_0": "sh_0", "ds_1": "sh_1"},
    {f"sh_{number}": replace(SOURCES[f"ds_{number}"], name=f"sh_{number}") for number in (0, 1)},
    {
        "t_order": ShadowedTable("t_order", frozenset(SOURCES), BY_USER, by_hint=True),
        "t_order_item": ShadowedTable("t_order_item", frozenset(SOURCES), BY_USER),
        "t_config": ShadowedTable(
            "t_config", frozenset(SOURCES), {Operation.SELECT: {"name": (RegexMatch("test_.*"),)}}
        ),
    },
)
DEFAULT_HINT = replace(SHADOW, by_hint=True)


def bind(sql: str, *parameters: SqlValue, rule: ShadowRule = SHADOW) -> BoundStatement:
    rules: RuleSet = replace(RULES, shadow=rule)
    plan = Planner(rules, CATALOG, {**DATABASES, "shop": rules}).plan(fingerprint(sql), DEFAULT, "shop").plan
    assert not isinstance(plan, SessionStatement)
    assert plan.direct is None or plan.tables[0] not in SHADOW.tables
    return plan.bind(call_of(sql, parameters))


def sources(bound: BoundStatement) -> set[str]:
    return {shot.data_source for shot in bound.shots}


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM t_order WHERE user_id = 9",
        "SELECT * FROM t_order WHERE user_id IN (9, 11) ORDER BY order_id",
        "SELECT * FROM t_order WHERE user_id = '9' AND status = 'NEW'",
        "SELECT * FROM t_order o JOIN t_order_item i ON i.user_id = o.user_id WHERE o.user_id = 9",
        "SELECT COUNT(*) FROM t_order WHERE user_id = 9 OR user_id = 11",
        "SELECT COUNT(*) FROM t_order WHERE user_id IN (9, NULL)",
        "SELECT * FROM (SELECT * FROM t_order WHERE user_id = 9) AS o",
        "SELECT * FROM t_order WHERE user_id = 9 FOR UPDATE",
        "INSERT INTO t_order (order_id, user_id) VALUES (1, 9)",
        "INSERT INTO t_order (order_id, user_id) VALUES (1, 9), (2, 11), (3, 9)",
        "INSERT INTO t_order SET order_id = 1, user_id = 9",
        "REPLACE INTO t_order (order_id, user_id) VALUES (1, 9)",
        "INSERT INTO t_order (order_id, user_id) VALUES (1, 9) ON DUPLICATE KEY UPDATE user_id = VALUES(user_id)",
        "UPDATE t_order SET status = 'x' WHERE user_id = 9",
        "UPDATE t_order SET user_id = 11 WHERE user_id = 11 AND status = 'x'",
        "DELETE FROM t_order WHERE user_id = 9",
        "SELECT * FROM t_config WHERE name = 'test_1'",
        HINT + "SELECT * FROM t_order",
        HINT + "INSERT INTO t_order (order_id, user_id) VALUES (1, 2)",
        HINT
        + "INSERT INTO t_order (order_id, user_id) SELECT order_id, user_id FROM t_order WHERE user_id = 2",
        HINT + "TRUNCATE TABLE t_order",
    ],
)
def test_for_the_shadow(sql: str) -> None:
    assert sources(bind(sql)) <= {"sh_0", "sh_1"}


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM t_order",
        "SELECT * FROM t_order WHERE user_id = 7",
        "SELECT * FROM t_order WHERE user_id > 7",
        "SELECT * FROM t_order WHERE user_id IN (1, 2, 3)",
        "SELECT * FROM t_order o JOIN t_country c ON c.code = o.status WHERE o.user_id = 7",
        "INSERT INTO t_order (order_id, user_id) VALUES (1, 2), (2, 3)",
        "INSERT INTO t_order (order_id, user_id) VALUES (1, 2) ON DUPLICATE KEY UPDATE status = 'x'",
        "UPDATE t_order SET status = 'x'",
        "UPDATE t_order SET user_id = 2 WHERE user_id = 2",
        "DELETE FROM t_order WHERE user_id = 4",
        "SELECT * FROM t_config WHERE name = 'real'",
        "SELECT * FROM t_log WHERE user_id = 9",
        "TRUNCATE TABLE t_order",
        "/* SHARDINGSPHERE_HINT: SHADOW=false */ SELECT * FROM t_order WHERE user_id = 7",
    ],
)
def test_for_production(sql: str) -> None:
    assert sources(bind(sql)) <= {"ds_0", "ds_1"}


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("SELECT * FROM t_order WHERE user_id IN (9, 10)", "values of 'user_id'"),
        ("SELECT * FROM t_order WHERE user_id = 9 OR user_id = 10", "for production and for the shadow"),
        ("SELECT * FROM t_order WHERE user_id = 9 OR order_id = 10", "for production and for the shadow"),
        (HINT + "EXECUTE p", "the hint SHADOW on EXECUTE"),
        (HINT + "EXECUTE IMMEDIATE 'DELETE FROM t_order'", "the hint SHADOW on EXECUTE"),
        (HINT + "PREPARE p FROM 'DELETE FROM t_order'", "the hint SHADOW on PREPARE"),
        ("SELECT * FROM t_order WHERE user_id = @a", "an expression"),
        ("SELECT * FROM t_order WHERE user_id = 8 + 1", "an expression"),
        ("SELECT * FROM t_order WHERE user_id IN (9, 8 + 1)", "an expression"),
        ("SELECT * FROM t_config WHERE name = 'TEST_1'", "may belong"),
        ("SELECT * FROM t_order o JOIN t_country c ON c.code = o.status WHERE o.user_id = 9", "'t_country', which has none"),
        ("SELECT * FROM t_order o, t_order_item i WHERE o.user_id = 9 AND i.user_id = 10", "rows of production and"),
        ("INSERT INTO t_order (order_id, user_id) VALUES (1, 9), (2, 2)", "values of 'user_id'"),
        ("INSERT INTO t_order (order_id, user_id) VALUES (1, @a)", "an expression"),
        ("INSERT INTO t_order (order_id, user_id) VALUES (1, 2) ON DUPLICATE KEY UPDATE user_id = 9", "a new value"),
        ("INSERT INTO t_order (order_id, user_id) SELECT order_id, user_id FROM t_order_item", "a query's rows"),
        ("INSERT INTO t_log (user_id) SELECT user_id FROM t_order WHERE user_id = 9", "'t_log', which has none"),
        ("UPDATE t_order SET user_id = 9 WHERE user_id = 2", "a new value"),
        ("UPDATE t_order SET user_id = 2 WHERE user_id = 9", "a new value"),
        ("UPDATE t_order SET user_id = user_id + 1 WHERE user_id = 9", "a new value"),
        (HINT + "SELECT * FROM t_log", "'t_log', which has none"),
        (HINT + "SELECT * FROM t_order_item", "on tables that it does not decide about"),
        (HINT + "ALTER TABLE t_order ADD COLUMN x INT", "the hint SHADOW on ALTER"),
        (HINT + "TRUNCATE TABLE t_order_item", "the hint SHADOW on TRUNCATE"),
        (HINT + "EXPLAIN SELECT * FROM t_order WHERE user_id = 9", "the hint SHADOW on EXPLAIN"),
        (HINT + "SELECT order_id FROM t_order WHERE user_id = 9 INTO @a", "the hint SHADOW on SELECT"),
    ],
)  # fmt: skip
def test_what_cannot_be_told_is_refused(sql: str, reason: str) -> None:
    if sql.startswith(HINT + "SELECT * FROM t_log"):
        assert sources(bind(sql, rule=DEFAULT_HINT)) <= {"sh_0", "sh_1"}
    with pytest.raises(MeshError, match=reason):
        bind(sql)


@pytest.mark.parametrize("value", [0, 7, Decimal("1.5"), 0.5])
def test_numbers_beside_texts_are_refused(value: float | Decimal) -> None:
    texts = DecidingColumn("t", "name", ColumnSchema("name", "varchar(9)", ColumnFamily.TEXT), ())
    with pytest.raises(MeshError, match="compared with a number"):
        texts.compared(value)
    assert texts.compared("0") == "0"
    assert (
        DecidingColumn("t", "id", ColumnSchema("id", "int(11)", ColumnFamily.INTEGER), ()).compared(value)
        == value
    )


def test_values_of_a_prepared_statement_decide() -> None:
    for value, expected in ((9, "sh_0"), (11, "sh_1"), (7, "ds_1"), ("9", "sh_0"), (None, "ds_0")):
        assert expected in sources(bind("SELECT * FROM t_order WHERE user_id = ?", value))
    insert = "INSERT INTO t_order (order_id, user_id) VALUES (?, ?)"
    assert sources(bind(insert, 1, 9)) == {"sh_0"}
    assert sources(bind(insert, 1, 7)) == {"ds_1"}


def test_definitions_go_to_both() -> None:
    assert sources(bind("ALTER TABLE t_order ADD COLUMN x INT")) == {"ds_0", "ds_1", "sh_0", "sh_1"}
    assert sources(bind("ALTER TABLE t_log ADD COLUMN x INT")) == {"ds_0", "ds_1"}
    assert sources(bind("ALTER TABLE t_log ADD COLUMN x INT", rule=DEFAULT_HINT)) == {
        "ds_0",
        "ds_1",
        "sh_0",
        "sh_1",
    }


def test_what_is_federated_is_so_in_the_shadow() -> None:
    bound = bind(
        "SELECT o.user_id FROM t_order o JOIN t_order_item i ON i.item_id = o.order_id WHERE o.user_id IN (9, 11) AND i.user_id IN (9, 11)"
    )
    if bound.alternative is not None:
        bound = bound.alternative(MeshError.__new__(MeshError))
    assert isinstance(bound.answer, Federation)
    assert bound.answer.merge_node in ("sh_0", "sh_1")
    assert {scan.node.data_source for scan in bound.answer.scans} <= {"sh_0", "sh_1"}
    assert {shot.data_source for scan in bound.answer.scans for shot in scan.shots} <= {"sh_0", "sh_1"}


def test_the_steps_of_a_write_stay_on_its_side() -> None:
    bound = bind("DELETE FROM t_order WHERE user_id IN (9, 11) LIMIT 2")
    if not isinstance(bound.answer, DerivedWrite):
        assert bound.in_steps is not None
        bound = bound.in_steps()
    assert bound.shadow is not None
    assert isinstance(bound.answer, DerivedWrite)


def test_a_table_that_lies_where_nothing_stands_in_is_refused() -> None:
    partly = replace(
        DEFAULT_HINT,
        shadow_of={"ds_0": "sh_0"},
        tables={},
    )
    assert sources(bind(HINT + "SELECT * FROM t_config", rule=partly)) == {"sh_0"}
    with pytest.raises(MeshError, match="'ds_1', which has none"):
        bind(HINT + "SELECT * FROM t_far", rule=partly)


def test_a_hint_without_shadows_is_refused() -> None:
    with pytest.raises(MeshError, match="without !SHADOW"):
        Planner(RULES, CATALOG, DATABASES).plan(fingerprint(HINT + "SELECT * FROM t_order"), DEFAULT, "shop")


def test_nothing_over_several_logic_databases_goes_to_the_shadow() -> None:
    with pytest.raises(MeshError, match="several logic databases"):
        bind("SELECT * FROM t_order WHERE user_id = 9", rule=replace(SHADOW, joint=True))
    assert sources(bind("SELECT * FROM t_order WHERE user_id = 7", rule=replace(SHADOW, joint=True))) == {
        "ds_1"
    }
