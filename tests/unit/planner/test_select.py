"""Which statements use no table, so that MariaDB's warnings before them stay."""

from __future__ import annotations

from typing import cast

import pytest

from dbmesh.planner.plan import ShardPlan
from dbmesh.planner.planner import Planner
from dbmesh.sql.fingerprint import fingerprint
from dbmesh.sql.lexer import DEFAULT
from tests.plugins.planner_world import CATALOG, RULES


@pytest.mark.parametrize(
    ("sql", "keeps"),
    [
        ("SELECT 2", True),
        ("SELECT 1 FROM DUAL", True),
        ("SELECT 1 UNION SELECT 2", True),
        ("SELECT 1 WHERE 1 IN (SELECT 1)", True),
        ("SELECT * FROM (SELECT 2) d", False),
        ("SELECT EXISTS (SELECT * FROM (SELECT 3) x)", False),
        ("WITH d AS (SELECT 2) SELECT * FROM d", False),
        ("SELECT user_id FROM t_order WHERE user_id = 1", False),
        ("SELECT COUNT(*) FROM t_order", False),
        ("UPDATE t_order SET status = 'x' WHERE user_id = 1", False),
        ("INSERT INTO t_order (user_id) VALUES (1)", False),
        ("EXPLAIN SELECT * FROM t_order", False),
        ("SHOW COLUMNS FROM t_order", False),
        ("TRUNCATE t_order", False),
    ],
)
def test_warnings_stay_where_no_table_is_used(sql: str, keeps: bool) -> None:
    plan = cast("ShardPlan", Planner(RULES, CATALOG).plan(fingerprint(sql), DEFAULT, "shop").plan)
    assert plan.keeps_warnings is keeps
