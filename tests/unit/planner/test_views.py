"""Views over several data nodes: their definitions in logic names, and statements that name them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dbmesh.errors import INVALID_VIEW, NOT_INSERTABLE, NOT_UPDATABLE, MeshError
from dbmesh.model import DataNode, TableSchema
from dbmesh.planner.cache import PlanCache
from dbmesh.planner.catalog import build_catalog
from dbmesh.planner.plan import Call
from dbmesh.planner.planner import Planner
from dbmesh.planner.scans import Federation
from dbmesh.planner.select import SelectPlan
from dbmesh.planner.session_view import SessionValues
from dbmesh.planner.views import logic_definition
from dbmesh.rules.ruleset import DataSourceConfig, RuleSet
from dbmesh.sql.lexer import LexerFlags
from tests.unit.planner.conftest import Binder

_NAMES = {"shop_0": {"t_0": "t", "dbmesh_v_w": "w", "o`k": "o`k"}, "shop_1": {"far": "far"}}


@pytest.mark.parametrize(
    ("told", "logic"),
    [
        ("select 1 AS `1`", "select 1 AS `1`"),
        ("select sql_no_cache 'sql_cache ' AS `1`", "select 'sql_cache ' AS `1`"),
        ("select distinct sql_cache `a` AS `1`", "select distinct `a` AS `1`"),
        ("select `shop_0`.`t_0`.`id` AS `t_0` from `shop_0`.`t_0`", "select `shop`.`t`.`id` AS `t_0` from `shop`.`t`"),
        ("select `a`.`t_0` AS `x` from `shop_0`.`t_0` `a`", "select `a`.`t_0` AS `x` from `shop`.`t` `a`"),
        ("select '`shop_0`.`t_0`' AS `x` from `shop_1`.`far`", "select '`shop_0`.`t_0`' AS `x` from `shop`.`far`"),
        (
            "select `dbmesh_v_w`.`id` AS `id` from `shop_0`.`dbmesh_v_w`",
            "select `w`.`id` AS `id` from `shop`.`w`",
        ),
        ("select `shop_0`.`twice`(1) AS `x`", "select `twice`(1) AS `x`"),
        ("select 1 AS `1` from `shop_0`.`o``k`", "select 1 AS `1` from `shop`.`o``k`"),
        ("select 1 AS `1` from `shop_0`.`gone_0`", None),
        ("select `shop_0`.`gone_0`.`id` AS `id` from `shop_0`.`t_0` join `x`", None),
        ("select `shop_0`.`id` AS `id` from `shop_0`.`t_0` `shop_0`", "select `shop_0`.`id` AS `id` from `shop`.`t` `shop_0`"),
        ("select 1 AS `1` from `mysql`.`user`", "select 1 AS `1` from `mysql`.`user`"),
    ],
)  # fmt: skip
def test_what_a_server_tells_in_logic_names(told: str, logic: str | None) -> None:
    assert logic_definition(told, _NAMES, "shop") == logic


def test_a_view_reaches_the_schemas_of_its_own_server() -> None:
    sources = {
        name: DataSourceConfig(name, "mysql", host, 3306, name, "root")
        for name, host in (("shop_0", "a"), ("shop_1", "a"), ("shop_2", "b"))
    }
    rules = RuleSet("shop", 1, sources, {})

    def view(definition: str) -> TableSchema:
        return replace(TableSchema("x", ()), definition=definition)

    findings = {
        "shop_0": {"one": TableSchema("one", ()), "dbmesh_v_both": view("select * from `shop_0`.`one` join `shop_1`.`two`")},
        "shop_1": {"two": TableSchema("two", ()), "plain": view("select * from `shop_1`.`two`")},
        "shop_2": {"dbmesh_v_lost": view("select * from `shop_2`.`nothing`")},
    }  # fmt: skip
    catalog = build_catalog(rules, findings)
    assert catalog.views == {"both": "select * from `shop`.`one` join `shop`.`two`", "lost": None}
    assert catalog.single_views == {"plain": "select * from `shop`.`two`"}
    assert catalog.single_nodes["both"] == DataNode("shop_0", "dbmesh_v_both")
    assert catalog.single_nodes["plain"] == DataNode("shop_1", "plain")
    assert catalog.tables["both"].name == "both"


def test_a_view_is_found_again_with_other_values(shop: Planner) -> None:
    cache = PlanCache(shop)
    first = cache.lookup("SELECT * FROM v_big WHERE order_id IN (1, 2) AND user_id = ?", "shop")
    misses = cache.misses
    again = cache.lookup("SELECT * FROM v_big WHERE order_id IN (3, 4, 5) AND user_id = ?", "shop")
    assert again[0] is first[0]
    assert cache.misses == misses
    assert [str(literal) for literal in again[1]] == ["100", "3, 4, 5"]


def test_a_session_reads_a_definition_as_it_reads_its_own_text(bind: Binder) -> None:
    flags = LexerFlags(ansi_quotes=True)
    [first, *_] = bind('SELECT COUNT(*) FROM v_big AS "x" WHERE 1', flags=flags).shots
    assert b'where "t_order"."amount" > 100' in first.sql
    bind("SELECT * FROM v_big", flags=LexerFlags(no_backslash_escapes=True))


def test_views_without_rows_to_give(bind: Binder) -> None:
    for sql, kind in (
        ("SELECT * FROM v_lost", INVALID_VIEW),
        ("INSERT INTO v_sums VALUES (1, 2)", NOT_INSERTABLE),
        ("REPLACE INTO v_sums VALUES (1, 2)", NOT_INSERTABLE),
        ("DELETE FROM v_sums", NOT_UPDATABLE),
    ):
        with pytest.raises(MeshError) as refused:
            bind(sql)
        assert refused.value.kind is kind


def test_a_column_named_by_its_text_keeps_its_name(shop: Planner) -> None:
    cache = PlanCache(shop)
    for number in ("1", "2"):
        plan, literals = cache.lookup(f"SELECT (SELECT MAX(amount) + {number} FROM v_big)", "shop")
        assert isinstance(plan, SelectPlan)
        final = plan.bind(Call(literals, SessionValues("shop"))).answer
        assert isinstance(final, Federation)
        assert f" AS `(SELECT MAX(amount) + {number} FROM v_big)`".encode() in final.final
