"""Columns a federated statement may look at."""

from __future__ import annotations

import pytest

from dbmesh.planner.federation.columns import needed_columns
from dbmesh.planner.resolve import resolve
from tests.plugins.planner_world import context_of


def needed(sql: str) -> list[list[str]]:
    context = context_of(sql)
    scopes = resolve(context)
    found = needed_columns(context, scopes)
    return [[column.name for column in found[reference.index]] for reference in scopes.references]


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT a.status FROM t_order a JOIN t_key b ON b.id = 1", [["status"], ["id"]]),
        ("SELECT * FROM t_order a JOIN t_key b", [["order_id", "user_id", "status"], ["id", "name"]]),
        ("SELECT b.* FROM t_order a JOIN t_key b", [["order_id"], ["id", "name"]]),
        ("SELECT COUNT(*) + 1 FROM t_order", [["order_id"]]),
        ("SELECT 1 FROM t_order a NATURAL JOIN t_key b", [["order_id", "user_id", "status"], ["id", "name"]]),
        ("SELECT STATUS, `User_Id` FROM t_order", [["user_id", "status"]]),
        ("SELECT x.name FROM (SELECT * FROM t_key) x JOIN t_order", [["id", "name"], ["order_id"]]),
        ("SELECT 'status' FROM t_order", [["order_id"]]),
    ],
)
def test_needed(sql: str, expected: list[list[str]]) -> None:
    assert needed(sql) == expected
