"""Which statements ask for the time, and so need one moment for all their shots."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import pytest

from dbmesh.model import Catalog
from dbmesh.planner.plan import ShardPlan
from dbmesh.planner.planner import Planner
from dbmesh.sql.fingerprint import fingerprint
from dbmesh.sql.lexer import DEFAULT
from tests.plugins.planner_world import CATALOG, RULES


def _catalog() -> Catalog:
    """The world's catalog, with a `status` that takes the time by itself in t_order."""
    order = CATALOG.tables["t_order"]
    columns = tuple(replace(column, reads_clock=column.name == "status") for column in order.columns)
    return Catalog({**CATALOG.tables, "t_order": replace(order, columns=columns)}, CATALOG.single_nodes)


def asks(sql: str) -> bool:
    """Whether the plan of a statement reads the clock."""
    plan = Planner(RULES, _catalog()).plan(fingerprint(sql), DEFAULT, "shop").plan
    return cast("ShardPlan", plan).reads_clock


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT NOW() FROM t_log",
        "SELECT line FROM t_log WHERE line > NOW() - INTERVAL 1 DAY",
        "SELECT current_timestamp FROM t_log",
        "SELECT CURDATE() FROM t_log",
        "SELECT unix_timestamp() FROM t_log",
        "SELECT utc_time FROM t_log",
        "UPDATE t_log SET line = LOCALTIME",
        "DELETE FROM t_log WHERE line < CURRENT_DATE",
        "INSERT INTO t_log (id, user_id, line) VALUES (1, 1, NOW()), (2, 2, 'x')",
        "INSERT INTO t_order (user_id) VALUES (1), (2)",
        "INSERT INTO t_order (user_id, status) VALUES (1, 'x'), (2, DEFAULT)",
        "INSERT INTO t_order (user_id, status) VALUES (1, 'x') ON DUPLICATE KEY UPDATE order_id = order_id",
        "UPDATE t_order SET order_id = order_id + 1",
        "UPDATE t_country SET name = NOW()",
        "INSERT INTO t_country (code, name) VALUES ('DE', NOW())",
        "ALTER TABLE t_log ADD COLUMN made DATETIME DEFAULT CURRENT_TIMESTAMP",
    ],
)
def test_asks_for_the_time(sql: str) -> None:
    assert asks(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT line FROM t_log",
        "SELECT SYSDATE() FROM t_log",
        "SELECT 'NOW()' FROM t_log",
        "SELECT line AS now FROM t_log",
        "UPDATE t_log SET line = 'x'",
        "DELETE FROM t_order",
        "INSERT INTO t_log (id, user_id, line) VALUES (1, 1, 'x'), (2, 2, DEFAULT)",
        "INSERT INTO t_order (user_id, status) VALUES (1, 'x'), (2, 'y')",
    ],
)
def test_does_not(sql: str) -> None:
    assert not asks(sql)
