"""The item `!SHARDING` to sharded tables and binding groups.

Decides which data nodes a table has, which strategy holds where several are given, and whether binding tables really
belong together. Knows nothing of files but where to report.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from dbmesh.model import DataNode
from dbmesh.rules.inline import InlineError, expand
from dbmesh.rules.keygen import KEY_GENERATORS
from dbmesh.rules.models import (
    AuditStrategy,
    AutoTableSection,
    KeyGenerateStrategy,
    ShardingSection,
    StrategySection,
    TableSection,
    TypeAndProperties,
)
from dbmesh.rules.ruleset import AlgorithmConfig, KeyGeneratorConfig, ShardedTable, Strategy
from dbmesh.rules.sections import report_unknown, suggestion
from dbmesh.rules.source import Path, SourceFile
from dbmesh.rules.strategies import NONE, StrategyBuilder, build_algorithms

AUDITOR: Final = "DML_SHARDING_CONDITIONS"
"""The one auditor type: refuses DML without a sharding condition."""

_DEFAULT_KEY_GENERATOR: Final = "SNOWFLAKE"


@dataclass(frozen=True, slots=True)
class Sharding:
    """What one `!SHARDING` item gives."""

    tables: Mapping[str, ShardedTable]
    binding_groups: tuple[tuple[str, ...], ...]
    key_generators: Mapping[str, KeyGeneratorConfig]
    algorithms: Mapping[str, AlgorithmConfig]


def build_sharding(
    source: SourceFile, path: Path, section: ShardingSection, data_sources: tuple[str, ...]
) -> Sharding:
    """Tables, binding groups and key generators; mistakes are reported."""
    return _Builder(source, path, section, data_sources).build()


class _Builder:
    def __init__(
        self, source: SourceFile, path: Path, section: ShardingSection, data_sources: tuple[str, ...]
    ) -> None:
        self._source = source
        self._path = path
        self._section = section
        self._data_sources = data_sources
        self._key_generators = self._build_key_generators()
        self._auditors = self._build_auditors()
        algorithms = build_algorithms(source, (*path, "shardingAlgorithms"), section.sharding_algorithms)
        self._strategies = StrategyBuilder(source, algorithms, section.default_sharding_column)
        self._default_database = self._default("defaultDatabaseStrategy", section.default_database_strategy)
        self._default_table = self._default("defaultTableStrategy", section.default_table_strategy)
        self._new_key_strategies = self._named_key_strategies()

    def _default(self, key: str, section: StrategySection | None) -> Strategy | None:
        return self._strategies.build((*self._path, key), section)

    def build(self) -> Sharding:
        tables: dict[str, ShardedTable] = {}
        broken: set[str] = set()
        for kind, sections in (("tables", self._section.tables), ("autoTables", self._section.auto_tables)):
            for name, section in sections.items():
                path: Path = (*self._path, kind, name)
                if name.lower() in tables or name.lower() in broken:
                    self._source.report(path, f"table '{name}' is written twice", "remove one")
                    continue
                table = self._table(path, name, section)
                if table is None:
                    broken.add(name.lower())
                else:
                    tables[name.lower()] = table
        groups = self._binding_groups(tables, broken)
        algorithms = {
            name: AlgorithmConfig(one.type.upper(), one.props)
            for name, one in self._section.sharding_algorithms.items()
        }
        return Sharding(tables, groups, self._key_generators, algorithms)

    def _table_names(self) -> set[str]:
        return {name.lower() for name in (*self._section.tables, *self._section.auto_tables)}

    # ------------------------------------------------------------------------------------------------ tables

    def _table(self, path: Path, name: str, section: TableSection | AutoTableSection) -> ShardedTable | None:
        if isinstance(section, AutoTableSection):
            table = self._auto_table(path, name, section)
        else:
            table = self._listed_table(path, name, section)
        key_column, key_generator = self._key_generation(path, name, section.key_generate_strategy)
        auditors, may_disable = self._audit(path, section.audit_strategy)
        if table is None:
            return None
        return replace(
            table,
            key_column=key_column,
            key_generator=key_generator,
            auditors=auditors,
            allow_hint_disable=may_disable,
        )

    def _listed_table(self, path: Path, name: str, section: TableSection) -> ShardedTable | None:
        database = self._default_database
        if section.database_strategy is not None:
            database = self._strategies.build((*path, "databaseStrategy"), section.database_strategy)
        table = self._default_table
        if section.table_strategy is not None:
            table = self._strategies.build((*path, "tableStrategy"), section.table_strategy)
        nodes = self._nodes((*path, "actualDataNodes"), name, section.actual_data_nodes)
        if database is None or table is None or not nodes:
            return None
        problem = _unplaceable(nodes, database, table)
        if problem is not None:
            self._source.report(path, f"'{name}' {problem}", "add the strategy or correct actualDataNodes")
        return ShardedTable(name, nodes, database, table)

    def _auto_table(self, path: Path, name: str, section: AutoTableSection) -> ShardedTable | None:
        if section.sharding_strategy is None:
            self._source.report(path, "'shardingStrategy' is missing", "add 'shardingStrategy'")
            return None
        strategy = self._strategies.build(
            (*path, "shardingStrategy"), section.sharding_strategy, automatic=True
        )
        key_path: Path = (*path, "actualDataSources")
        names: tuple[str, ...] | None = self._data_sources
        if section.actual_data_sources:
            names = self._expand(key_path, section.actual_data_sources)
        if names is None or strategy is None:
            return None
        for data_source in names:
            self._check_data_source(key_path, data_source)
        count = getattr(strategy.algorithm, "auto_table_count", 0)
        if not names or not count:
            self._source.report(path, "an auto table needs data sources and an algorithm", "give both")
            return None
        # Round robin over the data sources, as ShardingSphere's DataNodeUtils.getFormatDataNodes does.
        nodes = tuple(DataNode(names[index % len(names)], f"{name}_{index}") for index in range(count))
        return ShardedTable(name, nodes, NONE, strategy)

    def _nodes(self, path: Path, name: str, text: str | None) -> tuple[DataNode, ...]:
        if not text:
            return tuple(DataNode(data_source, name) for data_source in self._data_sources)
        names = self._expand(path, text)
        nodes: list[DataNode] = []
        for full in names or ():
            data_source, dot, table = full.partition(".")
            if not dot or not data_source or not table or "." in table:
                self._source.report(path, f"'{full}' is not a data node", "write dataSource.table")
                continue
            if self._check_data_source(path, data_source):
                nodes.append(DataNode(data_source, table))
        if len(set(nodes)) != len(nodes):
            twice = next(node for node in nodes if nodes.count(node) > 1)
            self._source.report(path, f"data node '{twice}' occurs twice", "name every data node once")
        return tuple(dict.fromkeys(nodes))

    def _expand(self, path: Path, text: str) -> tuple[str, ...] | None:
        try:
            return expand(text)
        except InlineError as mistake:
            self._source.report(
                path, str(mistake), "correct the expression (docs/RULES.md, Inline expressions)"
            )
            return None

    def _check_data_source(self, path: Path, name: str) -> bool:
        if name in self._data_sources:
            return True
        report_unknown(self._source, path, "data source", name, self._data_sources)
        return False

    # ------------------------------------------------------------------------------------------------ keys, audits

    def _build_key_generators(self) -> dict[str, KeyGeneratorConfig]:
        result: dict[str, KeyGeneratorConfig] = {}
        for name, section in self._section.key_generators.items():
            path: Path = (*self._path, "keyGenerators", name)
            known = KEY_GENERATORS.get(section.type.upper())
            if known is None:
                self._source.report(
                    (*path, "type"),
                    f"unknown key generator '{section.type}'",
                    suggestion(section.type.upper(), KEY_GENERATORS),
                )
                continue
            for key in section.props:
                if key not in known:
                    self._source.report(
                        (*path, "props", key), f"unknown property '{key}'", suggestion(key, known)
                    )
            self._check_snowflake(path, section)
            result[name] = KeyGeneratorConfig(section.type.upper(), section.props)
        return result

    def _check_snowflake(self, path: Path, section: TypeAndProperties) -> None:
        for key, most in (
            ("worker-id", 1023),
            ("max-vibration-offset", 4095),
            ("max-tolerate-time-difference-milliseconds", 1 << 31),
        ):
            raw = section.props.get(key)
            if raw is not None and not (raw.isascii() and raw.isdigit() and int(raw) <= most):
                self._source.report(
                    (*path, "props", key), f"'{raw}' is not an integer of 0 to {most}", "correct the number"
                )

    def _named_key_strategies(self) -> dict[str, KeyGenerateStrategy]:
        """Lower-case table → strategy, from the newer map `keyGenerateStrategies`."""
        known = self._table_names()
        result: dict[str, KeyGenerateStrategy] = {}
        for name, section in self._section.key_generate_strategies.items():
            path: Path = (*self._path, "keyGenerateStrategies", name)
            if section.logic_table.lower() not in known:
                report_unknown(self._source, (*path, "logicTable"), "table", section.logic_table, known)
            result[section.logic_table.lower()] = KeyGenerateStrategy.model_validate(
                {"column": section.key_generate_column, "keyGeneratorName": section.key_generator_name}
            )
            self._check_key_generator((*path, "keyGeneratorName"), section.key_generator_name)
        return result

    def _key_generation(
        self, path: Path, name: str, own: KeyGenerateStrategy | None
    ) -> tuple[str | None, str | None]:
        """Generated column and generator's name; a table without its own takes the defaults."""
        default = self._section.default_key_generate_strategy
        strategy = own or self._new_key_strategies.get(name.lower()) or default
        if strategy is None:
            return None, None
        where: Path = (*path, "keyGenerateStrategy") if own else (*self._path, "defaultKeyGenerateStrategy")
        column = strategy.column or (default.column if default else None)
        generator = strategy.key_generator_name or (default.key_generator_name if default else None)
        if not column:
            self._source.report(where, "'column' is missing", "name the generated column")
            return None, None
        if generator is None:
            generator = _DEFAULT_KEY_GENERATOR.lower()
            self._key_generators.setdefault(generator, KeyGeneratorConfig(_DEFAULT_KEY_GENERATOR))
        elif strategy is own or strategy is default:
            self._check_key_generator((*where, "keyGeneratorName"), generator)
        return column, self._of_table(generator, name)

    def _of_table(self, generator: str, table: str) -> str:
        """AUTO_INCREMENT counts each table's rows by itself: its generator becomes one of the table's own."""
        config = self._key_generators.get(generator)
        if config is None or config.type != "AUTO_INCREMENT":
            return generator
        own = f"{generator} of {table.lower()}"
        self._key_generators[own] = replace(config, properties={"table": table.lower()})
        return own

    def _check_key_generator(self, path: Path, name: str) -> None:
        if name not in self._section.key_generators:
            report_unknown(self._source, path, "key generator", name, self._section.key_generators)

    def _build_auditors(self) -> dict[str, str]:
        result: dict[str, str] = {}
        for name, section in self._section.auditors.items():
            path: Path = (*self._path, "auditors", name)
            if section.type.upper() != AUDITOR:
                self._source.report((*path, "type"), f"unknown auditor '{section.type}'", f"use {AUDITOR}")
            for key in section.props:
                self._source.report((*path, "props", key), f"unknown property '{key}'", "remove it")
            result[name] = section.type.upper()
        return result

    def _audit(self, path: Path, own: AuditStrategy | None) -> tuple[tuple[str, ...], bool]:
        """Names of the auditors of a table, and whether a hint may switch them off."""
        strategy = own or self._section.default_audit_strategy
        if strategy is None:
            return (), True
        where: Path = (*path, "auditStrategy") if own else (*self._path, "defaultAuditStrategy")
        for name in strategy.auditor_names:
            if name not in self._auditors:
                report_unknown(self._source, (*where, "auditorNames"), "auditor", name, self._auditors)
        return tuple(strategy.auditor_names), strategy.allow_hint_disable

    # ------------------------------------------------------------------------------------------------ binding

    def _binding_groups(
        self, tables: Mapping[str, ShardedTable], broken: set[str]
    ) -> tuple[tuple[str, ...], ...]:
        groups: list[tuple[str, ...]] = []
        seen: dict[str, int] = {}
        for index, text in enumerate(self._section.binding_tables):
            path: Path = (*self._path, "bindingTables", index)
            names = tuple(dict.fromkeys(part.strip().lower() for part in text.split(",") if part.strip()))
            members: list[ShardedTable] = []
            for name in names:
                if name in seen:
                    self._source.report(path, f"table '{name}' is in two binding groups", "keep it in one")
                seen[name] = index
                if name in tables:
                    members.append(tables[name])
                elif name not in broken:
                    report_unknown(self._source, path, "sharded table", name, self._table_names())
            if len(members) != len(names):
                continue
            if all(self._bind_together(path, members[0], other) for other in members[1:]):
                groups.append(names)
        return tuple(groups)

    def _bind_together(self, path: Path, first: ShardedTable, other: ShardedTable) -> bool:
        """Binding tables need equally many nodes, pairwise on the same data source, and the same placement."""
        if len(first.nodes) != len(other.nodes):
            self._source.report(
                path,
                f"'{first.name}' has {len(first.nodes)} data nodes, '{other.name}' has {len(other.nodes)}",
                "give binding tables equally many data nodes, or remove the binding",
            )
            return False
        for one, two in zip(first.nodes, other.nodes, strict=True):
            if one.data_source != two.data_source:
                self._source.report(
                    path,
                    f"'{one}' and '{two}' lie on different data sources",
                    "list the data nodes in the same order",
                )
                return False
        for level in ("database_strategy", "table_strategy"):
            if not _place_alike(first, other, level):
                self._source.report(
                    path,
                    f"'{first.name}' and '{other.name}' have different {level.replace('_', ' ')} columns or algorithms",
                    "use the same sharding columns and arithmetic in both, or remove the binding",
                )
                return False
        return True


def _unplaceable(nodes: tuple[DataNode, ...], database: Strategy, table: Strategy) -> str | None:
    """Why a row could not be placed on exactly one of the nodes, or None when it can."""
    sources = len({node.data_source for node in nodes})
    tables = len({node.table for node in nodes})
    if database.kind == "none" and sources > 1 and (table.kind == "none" or tables < len(nodes)):
        return f"has {sources} data sources but no database strategy"
    if table.kind == "none" and tables > 1 and (database.kind == "none" or sources < len(nodes)):
        return f"has {tables} actual tables but no table strategy"
    return None


def _place_alike(first: ShardedTable, other: ShardedTable, level: str) -> bool:
    """Whether two strategies send equal keys to nodes of equal index: the same algorithm over the tables' own names.

    Expressions are compared with each table's own name taken out, so `t_order_${id % 2}` equals `t_item_${id % 2}`.
    """
    one: Strategy = getattr(first, level)
    two: Strategy = getattr(other, level)
    if one.kind != two.kind or one.columns != two.columns:
        return False
    return _without_name(one, first.name) == _without_name(two, other.name)


def _without_name(strategy: Strategy, name: str) -> object:
    template = getattr(strategy.algorithm, "template", None)
    if template is None:
        return strategy.algorithm
    parts = tuple(
        part.lower().replace(name.lower(), "\0") if isinstance(part, str) else part for part in template.parts
    )
    return type(strategy.algorithm), parts
