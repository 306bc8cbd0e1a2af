"""GET DIAGNOSTICS is read as servers read it."""

from __future__ import annotations

import pytest

from dbmesh.errors import MeshError
from dbmesh.planner.session_plan import GetDiagnostics
from dbmesh.planner.session_statements import plan_session_statement


@pytest.mark.parametrize(
    ("statement", "condition", "items"),
    [
        ("GET DIAGNOSTICS @n = NUMBER", "", [("n", "NUMBER")]),
        (
            "get current diagnostics @`a b` = row_count, @n = number",
            "",
            [("a b", "ROW_COUNT"), ("n", "NUMBER")],
        ),
        (
            "GET DIAGNOSTICS CONDITION 1 @s = RETURNED_SQLSTATE, @e = MYSQL_ERRNO",
            "1",
            [("s", "RETURNED_SQLSTATE"), ("e", "MYSQL_ERRNO")],
        ),
        ("GET DIAGNOSTICS CONDITION @`n` @m = MESSAGE_TEXT", "@n", [("m", "MESSAGE_TEXT")]),
    ],
)
def test_items_go_to_variables(statement: str, condition: str, items: list[tuple[str, str]]) -> None:
    assert plan_session_statement(statement) == GetDiagnostics(condition, tuple(items))


@pytest.mark.parametrize(
    ("statement", "number"),
    [
        ("GET DIAGNOSTICS", 1064),
        ("GET STACKED DIAGNOSTICS @n = NUMBER", 1064),
        ("GET DIAGNOSTICS @n = MESSAGE_TEXT", 1064),
        ("GET DIAGNOSTICS CONDITION 1 @n = NUMBER", 1064),
        ("GET DIAGNOSTICS CONDITION -1 @n = MYSQL_ERRNO", 1064),
        ("GET DIAGNOSTICS n = NUMBER", 1327),
        ("GET DIAGNOSTICS CONDITION 1 @n = ROW_NUMBER", 1235),
    ],
)
def test_what_is_no_item_is_an_error(statement: str, number: int) -> None:
    with pytest.raises(MeshError) as raised:
        plan_session_statement(statement)
    assert raised.value.number == number
