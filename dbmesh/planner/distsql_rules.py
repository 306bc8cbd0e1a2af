"""What DistSQL shows of the rules of one logic database: columns and rows, as functions of the rules.

Decides names of columns (ShardingSphere's 5.5) and how a rule is written as text. Knows no session; shows no password.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from dbmesh.model import Catalog
from dbmesh.planner.like import matches_like
from dbmesh.planner.session_plan import ShowRules
from dbmesh.rules.ruleset import BroadcastTable, DataSourceConfig, RuleSet, ShardedTable, Strategy
from dbmesh.rules.shadow.rule import all_groups, all_sources
from dbmesh.rules.sharding import AUDITOR

Row = tuple[str | None, ...]

_KINDS = {"mysql": "MySQL", "postgresql": "PostgreSQL", "sqlite": "SQLite"}
_SECRET = ("password", "secret", "token", "key")


@dataclass(frozen=True, slots=True)
class Shown:
    """A logic database to be shown: its rules, its tables, and the names of the data sources and replicas that are out of service."""

    rule_set: RuleSet
    catalog: Catalog
    off: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Listing:
    """A table of DistSQL. `rows` are all of them, `key` the column that a name or a pattern is compared with."""

    columns: tuple[str, ...]
    rows: Callable[[Shown], Iterable[Row]]
    key: int = 0


def listed(statement: ShowRules, shown: Shown) -> tuple[tuple[str, ...], list[Row]]:
    """Columns and rows of a statement. O(rules)."""
    listing = LISTINGS[statement.form]
    rows = [
        row
        for row in listing.rows(shown)
        if (statement.name is None or (row[listing.key] or "").lower() == statement.name.lower())
        and (statement.pattern is None or matches_like(row[listing.key] or "", statement.pattern))
    ]
    if statement.usage is not None:
        used = _usage(shown.rule_set)
        rows = [row for row in rows if used.get(row[0] or "", 0) == statement.usage]
    # What is only there to be compared is not shown.
    width = len(listing.columns)
    return listing.columns, [row[:width] for row in rows]


def properties_text(properties: Mapping[str, object]) -> str:
    """`a=1,b=2`; values of keys that sound secret are hidden."""
    return ",".join(f"{name}={'******' if _is_secret(name) else value}" for name, value in properties.items())


def servers(rule_set: RuleSet) -> Iterator[DataSourceConfig]:
    """The data sources of the configuration, shadows too: of a group its members."""
    others = {name for names in rule_set.joined.values() for name in names}
    groups = all_groups(rule_set)
    for name, config in all_sources(rule_set).items():
        if name in others:
            continue
        group = groups.get(name)
        if group is None:
            yield config
        else:
            yield group.primary
            yield from group.replicas


def _is_secret(name: str) -> bool:
    return any(word in name.lower() for word in _SECRET)


def _storage_units(shown: Shown) -> Iterator[Row]:
    for config in servers(shown.rule_set):
        attributes = {name: value for name, value in config.properties.items() if not _is_secret(name)}
        yield (
            config.name,
            _KINDS.get(config.kind, config.kind),
            config.host,
            str(config.port),
            config.database,
            *(
                str(round(seconds * 1000))
                for seconds in (config.connection_timeout, config.idle_timeout, config.max_lifetime)
            ),
            str(config.max_pool_size),
            str(config.min_pool_size),
            "false",
            json.dumps({"dataSourceProperties": attributes}),
        )


def _usage(rule_set: RuleSet) -> dict[str, int]:
    """How many kinds of rules use each data source."""
    kinds: dict[str, set[str]] = {}
    for table in _own_tables(rule_set):
        for node in table.nodes:
            kinds.setdefault(node.data_source, set()).add(type(table).__name__)
    for pattern in rule_set.single_tables:
        source = pattern.partition(".")[0]
        for name in rule_set.own_sources if source == "*" else (source,):
            kinds.setdefault(name, set()).add("single")
    found = {name: len(used) for name, used in kinds.items()}
    for name, group in rule_set.groups.items():
        for member in (group.primary, *group.replicas):
            found[member.name] = 1 + len(kinds.get(name, ()))
    return found


def _own_tables(rule_set: RuleSet) -> list[ShardedTable | BroadcastTable]:
    return [
        table
        for key, table in rule_set.tables.items()
        if "\0" not in key and isinstance(table, (ShardedTable, BroadcastTable))
    ]


def _sharded(shown: Shown) -> list[ShardedTable]:
    return [table for table in _own_tables(shown.rule_set) if isinstance(table, ShardedTable)]


def _nodes(table: ShardedTable, separator: str) -> str:
    return separator.join(f"{node.data_source}.{node.table}" for node in table.nodes)


def _table_rules(shown: Shown) -> Iterator[Row]:
    rule_set = shown.rule_set
    for table in _sharded(shown):
        generator = rule_set.key_generators.get(table.key_generator or "")
        yield (
            table.name,
            _nodes(table, ","),
            "",
            *_strategy(rule_set, table.database_strategy),
            *_strategy(rule_set, table.table_strategy),
            table.key_column or "",
            "" if generator is None else generator.type,
            "" if generator is None else properties_text(generator.properties),
            ",".join(AUDITOR for _ in table.auditors),
            "true" if table.allow_hint_disable else "false",
        )


def _strategy(rule_set: RuleSet, strategy: Strategy) -> Row:
    if strategy.kind == "none":
        return ("", "", "", "")
    algorithm = rule_set.algorithms.get(strategy.algorithm_name or "")
    return (
        strategy.kind.upper(),
        ",".join(strategy.columns),
        "" if algorithm is None else algorithm.type,
        "" if algorithm is None else properties_text(algorithm.properties),
    )


def _references(shown: Shown) -> Iterator[Row]:
    for number, group in enumerate(shown.rule_set.binding_groups):
        names = [shown.rule_set.tables[name].name for name in group if name in shown.rule_set.tables]
        yield f"reference_{number}", ",".join(names)


def _single(shown: Shown) -> Iterator[Row]:
    for name, node in sorted(shown.catalog.single_nodes.items()):
        if "\0" not in name:
            yield node.table, node.data_source


def _groups(shown: Shown) -> Iterator[Row]:
    for group in shown.rule_set.groups.values():
        balancer = group.load_balancer
        yield (
            group.name,
            group.primary.name,
            ",".join(replica.name for replica in group.replicas),
            group.transactional_reads.value,
            balancer.type,
            properties_text(balancer.weights),
        )


def _group_status(shown: Shown) -> Iterator[Row]:
    for group in shown.rule_set.groups.values():
        for member in (group.primary, *group.replicas):
            yield member.name, "disabled" if member.name.lower() in shown.off else "enabled", group.name


def _masks(shown: Shown) -> Iterator[Row]:
    for key, table in shown.rule_set.masks.items():
        if "\0" in key:
            continue
        for column in table.columns:
            kind, _, properties = column.written.partition("(")
            yield table.name, column.name, kind, properties.removesuffix(")").replace(", ", ",")


def _encrypted(shown: Shown) -> Iterator[Row]:
    for key, table in shown.rule_set.encrypted.items():
        if "\0" in key:
            continue
        for column in table.columns:
            parts = (column.cipher, column.assisted, column.like)
            names = ["" if part is None else part.name for part in parts]
            kinds = ["" if part is None else _type(part.written) for part in parts]
            yield table.name, column.name, *names, *kinds


def _type(written: str) -> str:
    """Of an algorithm as the rules say it, `name: TYPE(properties)`."""
    return written.rpartition(": ")[2].partition("(")[0]


def _shadows(shown: Shown) -> Iterator[Row]:
    rule = shown.rule_set.shadow
    for production, shadow in () if rule is None else rule.shadow_of.items():
        assert rule is not None
        names = [table.name for table in rule.tables.values() if production in table.sources]
        yield production, shadow, ",".join(names)


def _logic_tables(shown: Shown) -> Iterator[Row]:
    kinds = {table.name.lower(): table.name for table in _own_tables(shown.rule_set)}
    found = kinds | {
        name: shown.catalog.single_nodes[name].table
        for name in shown.catalog.single_nodes
        if "\0" not in name
    }
    for key, name in sorted(found.items()):
        schema = shown.catalog.tables.get(key)
        is_view = key in shown.catalog.views or key in shown.catalog.single_views
        if schema is not None or key in kinds:
            yield name, "VIEW" if is_view else "BASE TABLE"


def _counted(
    *parts: tuple[str, Callable[[Shown], Iterable[object]]],
) -> Callable[[Shown], Iterator[Row]]:
    def rows(shown: Shown) -> Iterator[Row]:
        for name, listing in parts:
            yield name, shown.rule_set.database, str(sum(1 for _ in listing(shown)))

    return rows


def _broadcast(shown: Shown) -> Iterator[Row]:
    for table in _own_tables(shown.rule_set):
        if isinstance(table, BroadcastTable):
            yield (table.name,)


_TYPED = ("name", "type", "props")
_COUNTS = ("rule_name", "database", "count")
_TABLE_RULE = (
    "table",
    "actual_data_nodes",
    "actual_data_sources",
    *(
        f"{level}_{what}"
        for level in ("database", "table")
        for what in (
            "strategy_type",
            "sharding_column",
            "sharding_algorithm_type",
            "sharding_algorithm_props",
        )
    ),
    "key_generate_column",
    "key_generator_type",
    "key_generator_props",
    "auditor_types",
    "allow_hint_disable",
)
_STORAGE_UNIT = (
    *("name", "type", "host", "port", "db"),
    *("connection_timeout_milliseconds", "idle_timeout_milliseconds", "max_lifetime_milliseconds"),
    *("max_pool_size", "min_pool_size", "read_only", "other_attributes"),
)
_RULES = Listing(_TABLE_RULE, _table_rules)
_REFERENCES = Listing(("name", "sharding_table_reference"), _references)
_GROUPS = Listing(
    (
        *("name", "write_storage_unit_name", "read_storage_unit_names"),
        *("transactional_read_query_strategy", "load_balancer_type", "load_balancer_props"),
    ),
    _groups,
)
_STATUS = Listing(("resource", "status"), _group_status, key=2)
_MASKS = Listing(("table", "column", "algorithm_type", "algorithm_props"), _masks)
_ENCRYPTED = Listing(
    (
        "table",
        "logic_column",
        "cipher_column",
        "assisted_query_column",
        "like_query_column",
        "encryptor_type",
        "assisted_query_type",
        "like_query_type",
    ),
    _encrypted,
)
_SINGLE = Listing(("table_name", "storage_unit_name"), _single)

LISTINGS: Final[Mapping[str, Listing]] = {
    "STORAGE UNITS": Listing(_STORAGE_UNIT, _storage_units),
    "SHARDING TABLE RULES": _RULES,
    "SHARDING TABLE RULE": _RULES,
    "SHARDING TABLE NODES": Listing(
        ("name", "nodes"), lambda shown: ((table.name, _nodes(table, ", ")) for table in _sharded(shown))
    ),
    "SHARDING TABLE REFERENCE RULES": _REFERENCES,
    "SHARDING TABLE REFERENCE RULE": _REFERENCES,
    "SHARDING ALGORITHMS": Listing(
        _TYPED,
        lambda shown: (
            (name, one.type, properties_text(one.properties))
            for name, one in shown.rule_set.algorithms.items()
        ),
    ),
    "SHARDING KEY GENERATORS": Listing(
        _TYPED,
        lambda shown: (
            (name, one.type, properties_text(one.properties))
            for name, one in shown.rule_set.key_generators.items()
        ),
    ),
    "BROADCAST TABLE RULES": Listing(("broadcast_table",), _broadcast),
    "SINGLE TABLES": _SINGLE,
    "SINGLE TABLE": _SINGLE,
    "DEFAULT SINGLE TABLE STORAGE UNIT": Listing(
        ("storage_unit_name",), lambda shown: ((shown.rule_set.default_single_source or "RANDOM",),)
    ),
    "READWRITE_SPLITTING RULES": _GROUPS,
    "READWRITE_SPLITTING RULE": _GROUPS,
    "STATUS FROM READWRITE_SPLITTING RULES": _STATUS,
    "STATUS FROM READWRITE_SPLITTING RULE": _STATUS,
    "MASK RULES": _MASKS,
    "MASK RULE": _MASKS,
    "ENCRYPT RULES": _ENCRYPTED,
    "ENCRYPT TABLE RULE": _ENCRYPTED,
    "SHADOW RULES": Listing(("source_name", "shadow_name", "shadow_table"), _shadows),
    "LOGICAL TABLES": Listing(("table_name",), _logic_tables),
    "FULL LOGICAL TABLES": Listing(("table_name", "table_type"), _logic_tables),
    "COUNT SHARDING RULE": Listing(
        _COUNTS, _counted(("sharding_table", _sharded), ("sharding_table_reference", _references))
    ),
    "COUNT BROADCAST RULE": Listing(_COUNTS, _counted(("broadcast_table", _broadcast))),
    "COUNT SINGLE RULE": Listing(_COUNTS, _counted(("single", _single))),
    "COUNT READWRITE_SPLITTING RULE": Listing(_COUNTS, _counted(("readwrite_splitting", _groups))),
    "COUNT MASK RULE": Listing(_COUNTS, _counted(("mask", lambda shown: {row[0] for row in _masks(shown)}))),
    "COUNT ENCRYPT RULE": Listing(
        _COUNTS, _counted(("encrypt", lambda shown: {row[0] for row in _encrypted(shown)}))
    ),
    "COUNT SHADOW RULE": Listing(_COUNTS, _counted(("shadow", _shadows))),
}
"""Every form that shows rules, by its words behind SHOW (and COUNT)."""
