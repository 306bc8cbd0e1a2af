"""`!SHADOW`: what it means, and every mistake it can have."""

from __future__ import annotations

import pytest

from dbmesh.rules.loader import load_configuration
from dbmesh.rules.mistakes import ConfigurationError
from dbmesh.rules.ruleset import RuleSet
from dbmesh.rules.shadow.rule import Operation, all_sources

GLOBAL = "authority:\n  users:\n  - {user: root@%, password: root}\n"
PAIRS = "{a: {productionDataSourceName: ds_0, shadowDataSourceName: sh_0}, b: {productionDataSourceName: ds_1, shadowDataSourceName: sh_1}}"
ALGORITHMS = (
    "{new: {type: VALUE_MATCH, props: {operation: insert, column: User_ID, value: 1}},"
    " read: {type: regex_match, props: {operation: SELECT, column: user_id, regex: '1.'}}, hint: {type: SQL_HINT}}"
)
SHARDING = (
    "- !SHARDING\n  tables:\n    t_order:\n      actualDataNodes: ds_${0..1}.t_order\n"
    "      databaseStrategy: {standard: {shardingColumn: user_id, shardingAlgorithmName: by}}\n"
    "  shardingAlgorithms:\n    by: {type: INLINE, props: {algorithm-expression: 'ds_${user_id % 2}'}}\n"
)


def load(tables: str, algorithms: str = ALGORITHMS, pairs: str = PAIRS, more: str = "") -> RuleSet:
    sources = "".join(
        f"  {name}: {{url: 'jdbc:mysql://h:3306/{name}', username: root}}\n"
        for name in ("ds_0", "ds_1", "sh_0", "sh_1", "ds_2")
    )
    text = (
        f"databaseName: shop\ndataSources:\n{sources}rules:\n{SHARDING}- !SHADOW\n  dataSources: {pairs}\n"
        f"  tables: {tables}\n  shadowAlgorithms: {algorithms}\n{more}"
    )
    files = {"global.yaml": GLOBAL, "database-shop.yaml": text}
    return load_configuration(files, lambda kind, name: None).databases["shop"]


def mistakes(*arguments: str, **more: str) -> list[str]:
    with pytest.raises(ConfigurationError) as found:
        load(*arguments, **more)
    return [f"{one.key_path}: {one.message}" for one in found.value.mistakes]


def test_shadows_are_known_to_no_other_rule() -> None:
    rules = load("{T_Order: {dataSourceNames: [a, b], shadowAlgorithmNames: [new, read, hint]}}")
    assert set(rules.data_sources) == {"ds_0", "ds_1", "ds_2"}
    assert set(all_sources(rules)) == {"ds_0", "ds_1", "ds_2", "sh_0", "sh_1"}
    shadow = rules.shadow
    assert shadow is not None
    assert dict(shadow.shadow_of) == {"ds_0": "sh_0", "ds_1": "sh_1"}
    table = shadow.table("t_order")
    assert table is not None
    assert table.by_hint
    assert set(table.of(Operation.INSERT)) == set(table.of(Operation.SELECT)) == {"user_id"}
    assert not table.of(Operation.DELETE)
    assert not shadow.by_hint


def test_a_default_hint_decides_about_every_table() -> None:
    shadow = load("{t_order: {}}", more="  defaultShadowAlgorithmName: hint\n").shadow
    assert shadow is not None
    assert shadow.by_hint
    table = shadow.table("t_order")
    assert table is not None
    assert table.by_hint


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("{t: {shadowAlgorithmNames: [other]}}",), "unknown shadow algorithm 'other'"),
        (("{t: {dataSourceNames: [c], shadowAlgorithmNames: [hint]}}",), "unknown pair of data sources 'c'"),
        (("{t: {}}",), "nothing decides about table 't'"),
        (
            ("{t_order: {dataSourceNames: [a], shadowAlgorithmNames: [hint]}}",),
            "table 't_order' has data nodes on 'ds_1', which has no shadow here",
        ),
        (("{}", "{x: {type: OTHER}}"), "unknown shadow algorithm type 'OTHER'"),
        (("{}", "{x: {type: SQL_HINT, props: {a: 1}}}"), "unknown property 'a'"),
        (("{}", "{x: {type: VALUE_MATCH, props: {operation: merge, column: c, value: 1}}}"), "'merge' is no operation"),
        (("{}", "{x: {type: VALUE_MATCH, props: {operation: insert, column: c}}}"), "property 'value' is missing"),
        (("{}", "{x: {type: REGEX_MATCH, props: {operation: insert, column: c, regex: '(a+)+'}}}"), "is no pattern"),
        (("{}", ALGORITHMS, "{a: {productionDataSourceName: ds_9, shadowDataSourceName: sh_0}}"), "unknown data source 'ds_9'"),
        (
            ("{}", ALGORITHMS, "{a: {productionDataSourceName: ds_0, shadowDataSourceName: ds_0}}"),
            "are one schema on one server",
        ),
        (
            ("{}", ALGORITHMS, PAIRS.replace("ds_1", "ds_2").replace("sh_1", "sh_0")),
            "'sh_0' is in 'a' already",
        ),
        (
            ("{}", ALGORITHMS, "{a: {productionDataSourceName: ds_2, shadowDataSourceName: ds_1}}"),
            "unknown data source 'ds_1'",
        ),
    ],
)  # fmt: skip
def test_mistakes(arguments: tuple[str, ...], expected: str) -> None:
    assert any(expected in one for one in mistakes(*arguments))


def test_only_a_hint_can_be_the_default() -> None:
    assert "'new' is no SQL_HINT" in mistakes("{}", more="  defaultShadowAlgorithmName: new\n")[0]
