"""What sqlglot reads with help: the trees are right, and nodes stand where the client wrote them."""

from __future__ import annotations

import pytest
from sqlglot import exp

from dbmesh.sql.parse import parse
from dbmesh.sql.stand_ins import is_default_of, stand_in


@pytest.mark.parametrize("name", ["value", "Value", "`value`"])
def test_json_objects_are_made_of_columns_called_value(name: str) -> None:
    text = f"SELECT JSON_OBJECTAGG(id, {name}), JSON_OBJECT('VALUE', {name} + 0), {name} FROM t"
    columns = [column for column in parse(text).find_all(exp.Column) if column.name != "id"]
    assert [column.name for column in columns] == [name.strip("`")] * 3
    for column in columns:
        assert text[column.this.meta["start"] : column.this.meta["end"] + 1].strip("`") == column.name


@pytest.mark.parametrize(
    "modifiers", ["SQL_CALC_FOUND_ROWS DISTINCT", "HIGH_PRIORITY  SQL_NO_CACHE\nDISTINCT", "sql_no_cache ALL"]
)
def test_modifiers_stand_before_distinct_or_behind(modifiers: str) -> None:
    text = f"SELECT {modifiers} a FROM t"
    tree = parse(text)
    assert (tree.args.get("distinct") is not None) == ("DISTINCT" in modifiers)
    [column] = tree.find_all(exp.Column)
    assert text[column.this.meta["start"] :] == "a FROM t"


@pytest.mark.parametrize(
    "call",
    [
        "GROUP_CONCAT(a ORDER BY b LIMIT 22)",
        "GROUP_CONCAT(DISTINCT a SEPARATOR '' LIMIT 22, 33)",
        "CONCAT(GROUP_CONCAT(a ORDER BY (b) LIMIT 22), GROUP_CONCAT((SELECT a FROM t LIMIT 44) LIMIT 55))",
    ],
)
def test_group_concat_may_have_a_limit(call: str) -> None:
    text = f"SELECT {call}, c FROM t LIMIT 66"
    tree = parse(text)
    assert isinstance(tree, exp.Select)
    assert tree.find(exp.GroupConcat) is not None
    assert tree.args["limit"].expression.this == "66"
    for column in tree.find_all(exp.Column):
        assert text[column.this.meta["start"] : column.this.meta["end"] + 1] == column.name


def test_an_update_may_have_index_hints() -> None:
    text = "UPDATE t USE INDEX (k0, k1) IGNORE KEY FOR ORDER BY (k2) SET a = 0 WHERE b = 0"
    tree = parse(text)
    assert isinstance(tree, exp.Update)
    for column in tree.find_all(exp.Column):
        assert text[column.this.meta["start"] : column.this.meta["end"] + 1] == column.name


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("SELECT DEFAULT(a), b FROM t WHERE t.c = default (t.d) + 0", 2),
        ("UPDATE t SET a = DEFAULT(b) + 0, c = DEFAULT WHERE d = 0", 1),
        ("DELETE FROM t WHERE a IN (SELECT DEFAULT(b) FROM t)", 1),
        ("SELECT `DEFAULT`(a), `x DEFAULT(b)` FROM t", 0),
    ],
)
def test_default_of_a_column_is_a_function(text: str, count: int) -> None:
    tree = parse(text)
    assert len([node for node in tree.walk() if is_default_of(node)]) == count
    for name in tree.find_all(exp.Identifier):
        assert text[name.meta["start"] : name.meta["end"] + 1].strip("`") == name.name


def test_a_definition_may_have_a_default_in_brackets() -> None:
    assert "_EFAULT" not in stand_in("CREATE TABLE t (a INT DEFAULT (1 + 1))")[0]
