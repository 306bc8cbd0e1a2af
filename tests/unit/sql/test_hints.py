"""Routing hints: both spellings of the comment, both spellings of the keys, values of every type, and mistakes."""

from __future__ import annotations

from decimal import Decimal

import pytest

from dbmesh.errors import MeshError
from dbmesh.sql.fingerprint import fingerprint
from dbmesh.sql.hints import NO_HINTS, HintValues, parse_hints
from dbmesh.sql.lexer import DEFAULT
from dbmesh.sql.statement import Statement


def read(text: str) -> HintValues:
    """The hints in front of a statement, as a session reads them."""
    return Statement(fingerprint(text, DEFAULT).shape, DEFAULT).hints


@pytest.mark.parametrize(
    "comment",
    [
        "/* SHARDINGSPHERE_HINT: {} */",
        "/* DBMESH_HINT: {} */",
        "/*dbmesh_hint:{}*/",
        "/* ShardingSphere hint: {} */",
    ],
)
@pytest.mark.parametrize("key", ["SHARDING_TABLE_VALUE", "shardingTableValue", "sharding_table_value"])
def test_both_spellings(comment: str, key: str) -> None:
    hints = read(comment.format(f"T_Order.{key}=3") + " SELECT * FROM t_order")
    assert hints == HintValues(table_values={"t_order": (3,)})


@pytest.mark.parametrize(
    ("text", "value"),
    [("3", 3), ("-3", -3), ("1.50", Decimal("1.50")), ("east", "east"), ("'east'", "east"), ('"7"', "7")],
)
def test_values_have_types(text: str, value: object) -> None:
    hints = read(f"/* DBMESH_HINT: SHARDING_DATABASE_VALUE={text} */ SELECT 1")
    assert hints.database_values == {"": (value,)}
    assert type(hints.database_values[""][0]) is type(value)


def test_several_hints_add_up() -> None:
    hints = read(
        "/* DBMESH_HINT: t.SHARDING_TABLE_VALUE=1, t.SHARDING_TABLE_VALUE=2, SHARDING_DATABASE_VALUE=0 */ "
        "/* plain */ /* SHARDINGSPHERE_HINT: dataSourceName=ds_1, WRITE_ROUTE_ONLY=TRUE, "
        "DISABLE_AUDIT_NAMES=One two */ SELECT 1"
    )
    assert hints == HintValues({"": (0,)}, {"t": (1, 2)}, "ds_1", True, ("one", "two"))


@pytest.mark.parametrize(
    "text", ["SELECT 1", "/* a comment */ SELECT 1", "/*+ MAX_EXECUTION_TIME(1) */ SELECT 1"]
)
def test_other_comments_are_none(text: str) -> None:
    assert read(text) == NO_HINTS


@pytest.mark.parametrize("hint", ["SHARDING_TABEL_VALUE=1", "t.SHARDING_VALUE=1", "SHARDING_TABLE_VALUE"])
def test_a_hint_nobody_knows_is_never_passed_over(hint: str) -> None:
    with pytest.raises(MeshError) as caught:
        parse_hints(f"/* DBMESH_HINT: {hint} */")
    assert caught.value.number == 1064
