"""One `!SHARDING` item: data nodes, defaults, key generation, audits, binding groups."""

from __future__ import annotations

from typing import Any

import pytest

from dbmesh.rules.models import ShardingSection
from dbmesh.rules.ruleset import KeyGeneratorConfig, ShardedTable
from dbmesh.rules.sharding import Sharding, build_sharding
from dbmesh.rules.source import SourceFile

COMMON: dict[str, Any] = {
    "shardingAlgorithms": {
        "two": {"type": "MOD", "props": {"sharding-count": "2"}},
        "five": {"type": "HASH_MOD", "props": {"sharding-count": "5"}},
        "source": {"type": "INLINE", "props": {"algorithm-expression": "ds_${id % 2}"}},
        "a": {"type": "INLINE", "props": {"algorithm-expression": "A_${id % 2}"}},
        "b": {"type": "INLINE", "props": {"algorithm-expression": "b_${id % 2}"}},
    },
    "keyGenerators": {"flakes": {"type": "snowflake", "props": {"worker-id": "3"}}, "ids": {"type": "UUID"}},
    "auditors": {"careful": {"type": "dml_sharding_conditions"}},
}


def build(**section: Any) -> tuple[Sharding, list[str]]:
    """What the item gives on two data sources, and the messages of what is wrong with it."""
    source = SourceFile("f")
    read = ShardingSection.model_validate(COMMON | section)
    made = build_sharding(source, (), read, ("ds_0", "ds_1"))
    return made, [mistake.message for mistake in source.mistakes]


def table(name: str = "t", **section: Any) -> ShardedTable:
    made, messages = build(**section)
    assert not messages
    return made.tables[name]


def nodes(one: ShardedTable) -> list[str]:
    return [str(node) for node in one.nodes]


def standard(name: str, column: str = "id") -> dict[str, Any]:
    return {"standard": {"shardingColumn": column, "shardingAlgorithmName": name}}


# ------------------------------------------------------------------------------------------------ data nodes


def test_data_nodes_are_expanded_in_order() -> None:
    given = {
        "actualDataNodes": "ds_${0..1}.t_$->{0..1}",
        "databaseStrategy": standard("source"),
        "tableStrategy": standard("two"),
    }
    assert nodes(table(tables={"t": given})) == ["ds_0.t_0", "ds_0.t_1", "ds_1.t_0", "ds_1.t_1"]


def test_without_data_nodes_a_table_has_its_name_on_every_data_source() -> None:
    one = table("t", tables={"T": {"databaseStrategy": standard("source")}})
    assert nodes(one) == ["ds_0.T", "ds_1.T"]


def test_an_auto_table_goes_round_the_data_sources() -> None:
    one = table(autoTables={"t": {"shardingStrategy": standard("five")}})
    assert nodes(one) == ["ds_0.t_0", "ds_1.t_1", "ds_0.t_2", "ds_1.t_3", "ds_0.t_4"]
    assert (one.database_strategy.kind, one.table_strategy.columns) == ("none", ("id",))
    one = table(autoTables={"t": {"actualDataSources": "ds_1,ds_0", "shardingStrategy": standard("two")}})
    assert nodes(one) == ["ds_1.t_0", "ds_0.t_1"]


def test_default_strategies_hold_where_a_table_has_none_of_its_own() -> None:
    defaults = {
        "defaultDatabaseStrategy": standard("source"),
        "defaultTableStrategy": standard("two", "order_id"),
    }
    spread = {"actualDataNodes": "ds_${0..1}.t_${0..1}"}
    assert table(tables={"t": spread}, **defaults).sharding_columns == ("id", "order_id")
    own = spread | {"tableStrategy": standard("two", "other")}
    assert table(tables={"t": own}, **defaults).sharding_columns == ("id", "other")
    none = {"actualDataNodes": "ds_0.t", "databaseStrategy": {"none": None}, "tableStrategy": {"none": None}}
    assert table(tables={"t": none}, **defaults).sharding_columns == ()


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"tables": {"t": {"actualDataNodes": "ds_7.t"}}}, "unknown data source 'ds_7'"),
        ({"tables": {"t": {"actualDataNodes": "ds_0.a.t"}}}, "'ds_0.a.t' is not a data node"),
        ({"tables": {"t": {"actualDataNodes": "ds_${0..}.t"}}}, "expected a value"),
        ({"autoTables": {"t": {"actualDataSources": "ds_7", "shardingStrategy": standard("two")}}}, "unknown data source 'ds_7'"),
        ({"autoTables": {"t": {"shardingStrategy": {"none": None}}}}, "an auto table needs data sources and an algorithm"),
        ({"tables": {"t": {"actualDataNodes": "ds_0.t"}, "T": {"actualDataNodes": "ds_0.t"}}}, "table 'T' is written twice"),
        ({"tables": {"t": {"actualDataNodes": "ds_0.t"}}, "autoTables": {"T": {"shardingStrategy": standard("two")}}}, "table 'T' is written twice"),
        (
            {"tables": {"t": {"actualDataNodes": "ds_${0..1}.t_${0..1}", "tableStrategy": standard("two")}}},
            "'t' has 2 data sources but no database strategy",
        ),
        (
            {"tables": {"t": {"actualDataNodes": "ds_${0..1}.t_${0..1}", "databaseStrategy": standard("source")}}},
            "'t' has 2 actual tables but no table strategy",
        ),
    ],
)  # fmt: skip
def test_mistakes_of_tables(section: dict[str, Any], message: str) -> None:
    messages = build(**section)[1]
    assert any(message in each for each in messages), messages


def test_one_strategy_is_enough_where_it_names_every_node() -> None:
    assert nodes(
        table(tables={"t": {"actualDataNodes": "ds_0.t_0,ds_1.t_1", "tableStrategy": standard("two")}})
    )


# ------------------------------------------------------------------------------------------------ keys, audits

PLAIN = {"actualDataNodes": "ds_0.t"}


def keys(own: dict[str, Any] | None = None, **section: Any) -> tuple[str | None, str | None]:
    given = PLAIN if own is None else PLAIN | {"keyGenerateStrategy": own}
    one = table(tables={"t": given}, **section)
    return one.key_column, one.key_generator


def test_where_keys_come_from() -> None:
    assert keys() == (None, None)
    assert keys({"column": "id", "keyGeneratorName": "flakes"}) == ("id", "flakes")
    default = {"column": "no", "keyGeneratorName": "ids"}
    assert keys(defaultKeyGenerateStrategy=default) == ("no", "ids")
    assert keys({"keyGeneratorName": "flakes"}, defaultKeyGenerateStrategy=default) == ("no", "flakes")
    assert keys({"column": "id"}, defaultKeyGenerateStrategy=default) == ("id", "ids")
    named = {"x": {"logicTable": "T", "keyGenerateColumn": "new", "keyGeneratorName": "ids"}}
    assert keys(keyGenerateStrategies=named) == ("new", "ids")
    assert keys({"column": "id", "keyGeneratorName": "flakes"}, keyGenerateStrategies=named) == (
        "id",
        "flakes",
    )


def test_a_generator_of_no_name_is_a_snowflake() -> None:
    made, messages = build(tables={"t": PLAIN | {"keyGenerateStrategy": {"column": "id"}}})
    assert not messages
    assert made.tables["t"].key_generator == "snowflake"
    assert made.key_generators["snowflake"] == KeyGeneratorConfig("SNOWFLAKE")
    assert made.key_generators["flakes"] == KeyGeneratorConfig("SNOWFLAKE", {"worker-id": "3"})
    assert made.key_generators["ids"] == KeyGeneratorConfig("UUID")


def test_auditors() -> None:
    own = {"auditorNames": "careful", "allowHintDisable": "false"}
    one = table(tables={"t": PLAIN | {"auditStrategy": own}})
    assert (one.auditors, one.allow_hint_disable) == (("careful",), False)
    one = table(tables={"t": PLAIN}, defaultAuditStrategy={"auditorNames": ["careful"]})
    assert (one.auditors, one.allow_hint_disable) == (("careful",), True)
    one = table(tables={"t": PLAIN | {"auditStrategy": {"auditorNames": []}}}, defaultAuditStrategy=own)
    assert one.auditors == ()
    assert table(tables={"t": PLAIN}).auditors == ()


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"tables": {"t": PLAIN | {"keyGenerateStrategy": {"keyGeneratorName": "ids"}}}}, "'column' is missing"),
        ({"tables": {"t": PLAIN | {"keyGenerateStrategy": {"column": "i", "keyGeneratorName": "isd"}}}}, "unknown key generator 'isd'"),
        ({"keyGenerateStrategies": {"x": {"logicTable": "u", "keyGenerateColumn": "c", "keyGeneratorName": "ids"}}}, "unknown table 'u'"),
        ({"keyGenerators": {"k": {"type": "UUID", "props": {"worker-id": "1"}}}}, "unknown property 'worker-id'"),
        ({"keyGenerators": {"k": {"type": "SNOWFLAKE", "props": {"max-vibration-offset": "4096"}}}}, "'4096' is not an integer of 0 to 4095"),
        ({"auditors": {"k": {"type": "DML_SHARDING_CONDITIONS", "props": {"a": "b"}}}}, "unknown property 'a'"),
        ({"tables": {"t": PLAIN | {"auditStrategy": {"auditorNames": "carefree"}}}}, "unknown auditor 'carefree'"),
    ],
)  # fmt: skip
def test_mistakes_of_keys_and_audits(section: dict[str, Any], message: str) -> None:
    assert message in build(**section)[1]


# ------------------------------------------------------------------------------------------------ binding


def pair(b: dict[str, Any], *groups: str) -> tuple[Sharding, list[str]]:
    a = {"actualDataNodes": "ds_0.A_${0..1}", "tableStrategy": standard("a")}
    return build(tables={"A": a, "b": b}, bindingTables=list(groups))


def test_binding_tables_place_alike_but_for_their_names() -> None:
    b = {"actualDataNodes": "ds_0.b_${0..1}", "tableStrategy": standard("b")}
    made, messages = pair(b, "A, B")
    assert (made.binding_groups, messages) == ((("a", "b"),), [])
    assert pair(b, "a,b", "b")[1] == ["table 'b' is in two binding groups"]


@pytest.mark.parametrize(
    ("b", "message"),
    [
        ({"actualDataNodes": "ds_0.b_${0..1}", "tableStrategy": standard("two")}, "different table strategy columns or algorithms"),
        ({"actualDataNodes": "ds_0.b_${0..1}", "tableStrategy": standard("five", "no")}, "different table strategy columns or algorithms"),
        ({"actualDataNodes": "ds_1.b_${0..1}", "tableStrategy": standard("b")}, "lie on different data sources"),
        ({"actualDataNodes": "ds_0.b_${0..2}", "tableStrategy": standard("b")}, "'A' has 2 data nodes, 'b' has 3"),
    ],
)  # fmt: skip
def test_tables_that_place_differently_are_not_bound(b: dict[str, Any], message: str) -> None:
    made, messages = pair(b, "a,b")
    assert made.binding_groups == ()
    assert any(message in each for each in messages), messages


def test_a_binding_of_a_broken_table_is_not_reported_twice() -> None:
    assert pair({"actualDataNodes": "ds_9.b"}, "a,b")[1] == ["unknown data source 'ds_9'"]
