"""Tables sharded without anybody writing a rule: the rule CREATE TABLE makes for one.

Decides which column and algorithm such a table gets, and that its rule has the form of a file's `autoTables` entry, so
that it can be stored, shown and read back as one. Source of the form: ShardingSphere's `!SHARDING`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final

from dbmesh.rules.mistakes import ConfigurationError
from dbmesh.rules.models import ShardingSection
from dbmesh.rules.ruleset import KeyGeneratorConfig, MadeTable, RuleSet, ShardedTable
from dbmesh.rules.sections import validate
from dbmesh.rules.sharding import build_sharding
from dbmesh.rules.source import SourceFile
from dbmesh.rules.text_keys import is_binary

GENERATOR: Final = "auto_increment"
MOST_NAME: Final = 64

_INTEGERS: Final = frozenset(
    [
        "TINYINT",
        "SMALLINT",
        "MEDIUMINT",
        "INT",
        "INTEGER",
        "BIGINT",
        "INT1",
        "INT2",
        "INT3",
        "INT4",
        "INT8",
        "MIDDLEINT",
        "BOOL",
        "BOOLEAN",
        "SERIAL",
    ]
)
_TEXTS: Final = frozenset(["CHAR", "VARCHAR", "CHARACTER", "NCHAR", "NVARCHAR", "NATIONAL"])
_HASHED: Final = frozenset(["DECIMAL", "DEC", "NUMERIC", "FIXED", "DATE", "DATETIME"])


def algorithm_for(column_type: str, collation: str = "", *, exact_text: bool = False) -> str | None:
    """MOD or HASH_MOD for a column of this type (its first word, upper case) and collation. None where one value can be
    written in ways that could not be told to be equal: such a table is not sharded, or 'a' and 'A' would be two keys on
    two data nodes. With `exact_text` the operator promises one spelling."""
    if column_type in _INTEGERS:
        return "MOD"
    if column_type in _TEXTS:
        return "HASH_MOD" if exact_text or is_binary(collation) else None
    return "HASH_MOD" if column_type in _HASHED else None


def make_table(
    rule_set: RuleSet, name: str, column: str, algorithm: str, *, numbered: str | None
) -> MadeTable | None:
    """The rule of a new table, its actual tables spread round robin over every data source; `numbered` is its
    AUTO_INCREMENT column. None when the names of its actual tables would be too long."""
    shards = rule_set.auto_shards
    if len(f"{name}_{shards - 1}") > MOST_NAME:
        return None
    section: dict[str, Any] = {
        "actualDataSources": ",".join(rule_set.own_sources),
        "shardingStrategy": {
            "standard": {
                "shardingColumn": column,
                "shardingAlgorithmName": f"auto_{algorithm.lower()}_{shards}",
            }
        },
    }
    if numbered is not None:
        section["keyGenerateStrategy"] = {"column": numbered, "keyGeneratorName": GENERATOR}
    return MadeTable(name, section)


def sharding_item(tables: Sequence[MadeTable]) -> dict[str, Any]:
    """A `!SHARDING` item of these tables, complete with algorithms and key generators."""
    algorithms: dict[str, Any] = {}
    generators: dict[str, Any] = {}
    for table in tables:
        used = table.section["shardingStrategy"]["standard"]["shardingAlgorithmName"]
        kind, _, count = used.removeprefix("auto_").rpartition("_")
        algorithms[used] = {"type": kind.upper(), "props": {"sharding-count": count}}
        if "keyGenerateStrategy" in table.section:
            generators[GENERATOR] = {"type": "AUTO_INCREMENT"}
    item: dict[str, Any] = {
        "autoTables": {table.name: dict(table.section) for table in tables},
        "shardingAlgorithms": algorithms,
    }
    return item | ({"keyGenerators": generators} if generators else {})


def built(table: MadeTable, data_sources: Sequence[str]) -> ShardedTable:
    """The table of a rule. Raises ConfigurationError when the data sources it names are no longer there."""
    source = SourceFile("the store")
    section = validate(source, (), sharding_item((table,)), ShardingSection)
    sharding = None if section is None else build_sharding(source, (), section, tuple(data_sources))
    if sharding is None or source.mistakes:
        raise ConfigurationError(tuple(source.mistakes))
    return sharding.tables[table.name.lower()]


def with_made(rule_set: RuleSet, made: Sequence[MadeTable], gone: Sequence[str] = ()) -> RuleSet:
    """The next revision of a rule set, with these tables made and those (without case) taken away. A table that a file
    has a rule for keeps that rule. Raises ConfigurationError."""
    known = dict(rule_set.made)
    tables = dict(rule_set.tables)
    generators = dict(rule_set.key_generators)
    for name in map(str.lower, gone):
        if known.pop(name, None) is not None:
            del tables[name]
    for table in made:
        name = table.name.lower()
        if name in tables and name not in known:
            continue
        rule = built(table, tuple(rule_set.data_sources))
        tables[name] = rule
        known[name] = table
        if rule.key_generator is not None:
            generators[rule.key_generator] = KeyGeneratorConfig("AUTO_INCREMENT", {"table": name})
    return replace(
        rule_set,
        revision=rule_set.revision + 1,
        tables=MappingProxyType(tables),
        key_generators=MappingProxyType(generators),
        made=MappingProxyType(known),
    )
