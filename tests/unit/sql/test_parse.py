"""Trees of statements, where sqlglot needs help: nodes stand where the client wrote them."""

from __future__ import annotations

import pytest
from sqlglot import exp

from dbmesh.errors import MeshError
from dbmesh.sql.parse import parse


@pytest.mark.parametrize(
    "text", ["VALUES (0)", "VALUES (0, ''), (0, 0)", "  values (0)", "VALUES\n(0) ORDER BY 1 LIMIT 0"]
)
def test_values_is_a_query_and_no_function(text: str) -> None:
    tree = parse(text)
    assert isinstance(tree, exp.Values)
    for literal in tree.find_all(exp.Literal):
        written = text[literal.meta["start"] : literal.meta["end"] + 1]
        assert written.strip("'") == literal.this


def test_values_may_begin_a_union() -> None:
    assert isinstance(parse("VALUES (0) UNION SELECT 0"), exp.Union)


def test_values_that_end_too_soon_are_no_statement() -> None:
    with pytest.raises(MeshError):
        parse("VALUES (0")


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
