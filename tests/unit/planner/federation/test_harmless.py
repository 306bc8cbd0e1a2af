"""Conditions that may run on a shard in the merge node's stead, by the values they are bound to."""

from __future__ import annotations

import datetime
from decimal import Decimal

import pytest

from dbmesh.model import SqlValue
from dbmesh.planner.federation.harmless import read_harmless
from dbmesh.planner.resolve import resolve
from tests.plugins.planner_world import call_of, context_of


def harmless(condition: str, *parameters: SqlValue) -> bool:
    sql = f"SELECT 1 FROM t_order WHERE {condition}"
    context = context_of(sql)
    where = context.statement.tree.args["where"].this
    guards = read_harmless(context.statement, resolve(context), where)
    if guards is None:
        return False
    call = call_of(sql, parameters)
    return all(guard.holds(call, context.flags) for guard in guards)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("user_id = 5", True),
        ("-5 < user_id", True),
        ("user_id = '5'", False),
        ("user_id IN (1, 2, NULL)", True),
        ("user_id IN (1, '2')", False),
        ("user_id BETWEEN 1 AND 2.5", True),
        ("status = 'x'", True),
        ("status = 5", False),
        ("status IN ('a', 'b')", True),
        ("status IN ('a', 7)", False),
        ("status LIKE 'a%'", True),
        ("user_id LIKE '5%'", False),
        ("status IS NULL OR NOT (user_id <=> 4)", True),
        ("status", False),
        ("user_id", True),
        ("user_id = order_id", True),
        ("user_id = status", False),
        ("user_id + 1 = 2", False),
        ("LOWER(status) = 'x'", False),
        ("status = @x", False),
        ("user_id IN (SELECT id FROM t_key)", False),
        ("status = NULL", True),
    ],
)
def test_literals(condition: str, expected: bool) -> None:
    assert harmless(condition) is expected


@pytest.mark.parametrize(
    ("condition", "value", "expected"),
    [
        ("user_id = ?", 5, True),
        ("user_id = ?", Decimal("5.5"), True),
        ("user_id = ?", "5", False),
        ("user_id = ?", None, True),
        ("status = ?", "x", True),
        ("status = ?", 5, False),
        ("status = ?", datetime.date(2024, 1, 1), False),
    ],
)
def test_parameters(condition: str, value: SqlValue, expected: bool) -> None:
    assert harmless(condition, value) is expected
