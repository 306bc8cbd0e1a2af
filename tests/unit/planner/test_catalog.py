"""Which actual table describes a logic one, and where tables without a rule are."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dbmesh.model import ColumnFamily, ColumnSchema, DataNode, TableSchema
from dbmesh.planner.catalog import AmbiguousTable, build_catalog, is_single
from dbmesh.rules.ruleset import BroadcastTable, DataSourceConfig, RuleSet, ShardedTable, Strategy

NONE = Strategy("none")
SOURCES = {name: DataSourceConfig(name, "mysql", "h", 1, "s", "u") for name in ("ds_0", "ds_1")}
NODES = (DataNode("ds_0", "T_0"), DataNode("ds_1", "T_1"))
RULES = RuleSet(
    "shop",
    1,
    SOURCES,
    {
        "t": ShardedTable("T", NODES, NONE, NONE),
        "c": BroadcastTable("c", (DataNode("ds_0", "c"), DataNode("ds_1", "c"))),
    },
)


def schema(name: str, column: str = "id") -> TableSchema:
    return TableSchema(name, (ColumnSchema(column, "int", ColumnFamily.INTEGER),))


def found(*names: str) -> dict[str, TableSchema]:
    return {name: schema(name) for name in names}


def test_a_logic_table_takes_the_schema_of_its_first_node_that_exists() -> None:
    first, second = schema("T_0", "a"), schema("T_1", "b")
    catalog = build_catalog(RULES, {"ds_0": {"T_0": first}, "ds_1": {"T_1": second}})
    assert catalog.tables["t"] == replace(first, name="T")
    catalog = build_catalog(RULES, {"ds_1": {"T_1": second}})
    assert catalog.tables["t"] == replace(second, name="T")
    assert "t" not in build_catalog(RULES, {}).tables


def test_tables_without_a_rule_are_where_they_are_found() -> None:
    catalog = build_catalog(RULES, {"ds_0": found("T_0", "c", "Near"), "ds_1": found("T_1", "c", "far")})
    assert catalog.single_nodes == {"near": DataNode("ds_0", "Near"), "far": DataNode("ds_1", "far")}
    assert set(catalog.tables) == {"t", "c", "near", "far"}


def test_two_of_one_name_are_a_mistake_that_names_both_places() -> None:
    with pytest.raises(AmbiguousTable) as caught:
        build_catalog(RULES, {"ds_0": found("twice"), "ds_1": found("Twice")})
    for word in ("'Twice'", "'ds_0'", "'ds_1'", "!SINGLE"):
        assert word in str(caught.value)


def test_the_patterns_of_single_choose_between_them() -> None:
    rules = replace(RULES, single_tables=("ds_1.*", "ds_0.near"))
    catalog = build_catalog(rules, {"ds_0": found("twice", "near", "hidden"), "ds_1": found("twice")})
    assert catalog.single_nodes == {"twice": DataNode("ds_1", "twice"), "near": DataNode("ds_0", "near")}
    assert "hidden" not in catalog.tables


@pytest.mark.parametrize(
    ("patterns", "single"),
    [
        ((), True),
        (("*.*",), True),
        (("ds_0.*",), True),
        (("DS_0.T_X",), True),
        (("ds_1.*",), False),
        (("ds_0.y",), False),
    ],
)
def test_patterns(patterns: tuple[str, ...], single: bool) -> None:
    assert is_single(replace(RULES, single_tables=patterns), "ds_0", "t_x") is single
