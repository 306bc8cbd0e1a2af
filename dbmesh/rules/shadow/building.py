"""The item `!SHADOW` to a rule.

Decides that every mistake is reported where it stands, and that a shadow belongs to one production data source and to nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from dbmesh.rules.algorithms.properties import PropertyMistake, PropertyReader
from dbmesh.rules.models import TypeAndProperties
from dbmesh.rules.protection.patterns import why_unsafe
from dbmesh.rules.readwrite_splitting import DataSources
from dbmesh.rules.ruleset import DataSourceConfig, TableRule
from dbmesh.rules.sections import report_unknown, suggestion
from dbmesh.rules.shadow.matching import RegexMatch, ValueMatch
from dbmesh.rules.shadow.rule import Matcher, Operation, ShadowedTable, ShadowRule
from dbmesh.rules.shadow.sections import ShadowedTableSection, ShadowSection
from dbmesh.rules.source import Path, SourceFile

_TYPES = ("VALUE_MATCH", "REGEX_MATCH", "SQL_HINT")
_PROPERTIES = {"VALUE_MATCH": "value", "REGEX_MATCH": "regex"}


@dataclass(frozen=True, slots=True)
class Pairs:
    """What `dataSources` says: by each name the production data source; and the shadow of each of these."""

    named: Mapping[str, str]
    shadow_of: Mapping[str, str]

    def without_shadows(self, all_sources: DataSources) -> DataSources:
        """The data sources that other rules may name."""
        shadows = frozenset(self.shadow_of.values())
        return DataSources(
            {name: config for name, config in all_sources.sources.items() if name not in shadows},
            {name: group for name, group in all_sources.groups.items() if name not in shadows},
        )


NO_PAIRS = Pairs({}, {})


def build_pairs(
    source: SourceFile, path: Path, section: ShadowSection, data_sources: Mapping[str, DataSourceConfig]
) -> Pairs:
    """The pairs; mistakes are reported."""
    named: dict[str, str] = {}
    shadow_of: dict[str, str] = {}
    role_of: dict[str, str] = {}
    for name, one in section.data_sources.items():
        place: Path = (*path, "dataSources", name)
        keys = {
            "productionDataSourceName": one.production_data_source_name,
            "shadowDataSourceName": one.shadow_data_source_name,
        }
        found = [_data_source(source, (*place, key), member, data_sources) for key, member in keys.items()]
        for key, member in keys.items():
            if member in role_of:
                text = f"'{member}' is in '{role_of[member]}' already"
                source.report((*place, key), text, "name it once")
            role_of[member] = name
        production, shadow = found
        if production is None or shadow is None or not _fit(source, place, production, shadow):
            continue
        named[name] = production.name
        shadow_of.setdefault(production.name, shadow.name)
    return Pairs(named, shadow_of)


def _data_source(
    source: SourceFile, path: Path, name: str, known: Mapping[str, DataSourceConfig]
) -> DataSourceConfig | None:
    if name not in known:
        report_unknown(source, path, "data source", name, known)
    return known.get(name)


def _fit(source: SourceFile, path: Path, production: DataSourceConfig, shadow: DataSourceConfig) -> bool:
    if production.kind != shadow.kind:
        source.report(
            path,
            f"'{shadow.name}' is {shadow.kind}, '{production.name}' {production.kind}",
            "use one kind for both",
        )
        return False
    places = {(one.host.lower(), one.port, one.database) for one in (production, shadow)}
    if len(places) == 1:
        source.report(
            path,
            f"'{shadow.name}' and '{production.name}' are one schema on one server",
            "give the shadow a schema of its own",
        )
        return False
    return True


def build_shadow(
    source: SourceFile,
    path: Path,
    section: ShadowSection,
    pairs: Pairs,
    all_sources: DataSources,
    tables: Mapping[str, TableRule],
) -> ShadowRule:
    """The rule; mistakes are reported."""
    algorithms = {
        name: _algorithm(source, (*path, "shadowAlgorithms", name), one)
        for name, one in section.shadow_algorithms.items()
    }
    default = section.default_shadow_algorithm_name
    if default is not None:
        place: Path = (*path, "defaultShadowAlgorithmName")
        if default not in algorithms:
            report_unknown(source, place, "shadow algorithm", default, algorithms)
        elif section.shadow_algorithms[default].type.upper() != "SQL_HINT":
            source.report(place, f"'{default}' is no SQL_HINT", "only a hint can decide about every table")
    found: dict[str, ShadowedTable] = {}
    for name, one in section.tables.items():
        table = _table(source, (*path, "tables", name), name, one, pairs, algorithms, default)
        found[name.lower()] = table
        rule = tables.get(name.lower())
        for missing in sorted({node.data_source for node in rule.nodes} - table.sources) if rule else ():
            source.report(
                (*path, "tables", name),
                f"table '{name}' has data nodes on '{missing}', which has no shadow here",
                "name its pair in dataSourceNames",
            )
    shadows = frozenset(pairs.shadow_of.values())
    return ShadowRule(
        MappingProxyType(dict(pairs.shadow_of)),
        MappingProxyType({name: one for name, one in all_sources.sources.items() if name in shadows}),
        MappingProxyType(found),
        default is not None,
        MappingProxyType({name: one for name, one in all_sources.groups.items() if name in shadows}),
    )


@dataclass(frozen=True, slots=True)
class _ByColumn:
    operation: Operation
    column: str
    matcher: Matcher


@dataclass(frozen=True, slots=True)
class _ByHint:
    pass


_Algorithm = _ByColumn | _ByHint | None
"""None for one with a mistake."""


def _table(
    source: SourceFile,
    path: Path,
    name: str,
    section: ShadowedTableSection,
    pairs: Pairs,
    algorithms: Mapping[str, _Algorithm],
    default: str | None,
) -> ShadowedTable:
    for index, pair in enumerate(section.data_source_names):
        if pair not in pairs.named:
            place: Path = (*path, "dataSourceNames", index)
            report_unknown(source, place, "pair of data sources", pair, pairs.named)
    names = section.data_source_names or list(pairs.named)
    sources = frozenset(pairs.named[pair] for pair in names if pair in pairs.named)
    if not section.shadow_algorithm_names and default is None:
        source.report(path, f"nothing decides about table '{name}'", "name one in shadowAlgorithmNames")
    matchers: dict[Operation, dict[str, tuple[Matcher, ...]]] = {}
    by_hint = default is not None and not section.shadow_algorithm_names
    for index, wanted in enumerate(section.shadow_algorithm_names):
        if wanted not in algorithms:
            place = (*path, "shadowAlgorithmNames", index)
            report_unknown(source, place, "shadow algorithm", wanted, algorithms)
        one = algorithms.get(wanted)
        if isinstance(one, _ByColumn):
            columns = matchers.setdefault(one.operation, {})
            columns[one.column] = (*columns.get(one.column, ()), one.matcher)
        by_hint = by_hint or isinstance(one, _ByHint)
    return ShadowedTable(name, sources, matchers, by_hint)


def _algorithm(source: SourceFile, path: Path, section: TypeAndProperties) -> _Algorithm:
    kind = section.type.upper()
    if kind not in _TYPES:
        source.report(
            (*path, "type"), f"unknown shadow algorithm type '{section.type}'", suggestion(kind, _TYPES)
        )
        return None
    known = () if kind == "SQL_HINT" else ("operation", "column", _PROPERTIES[kind])
    for name in section.props:
        if name not in known:
            source.report((*path, "props", name), f"unknown property '{name}'", suggestion(name, known))
    if kind == "SQL_HINT":
        return _ByHint()
    try:
        return _by_column(PropertyReader(section.props), kind)
    except PropertyMistake as mistake:
        source.report((*path, "props", mistake.key), mistake.message, mistake.fix)
        return None


def _by_column(properties: PropertyReader, kind: str) -> _ByColumn:
    written = properties.text("operation")
    operations = {one.value: one for one in Operation}
    operation = operations.get(written.lower())
    if operation is None:
        raise PropertyMistake(
            "operation", f"'{written}' is no operation", suggestion(written.lower(), operations)
        )
    column = properties.text("column").lower()
    wanted = properties.text(_PROPERTIES[kind])
    if kind == "VALUE_MATCH":
        return _ByColumn(operation, column, ValueMatch(wanted))
    reason = why_unsafe(wanted)
    if reason:
        raise PropertyMistake("regex", f"'{wanted}' is no pattern: {reason}", "write it in another way")
    return _ByColumn(operation, column, RegexMatch(wanted))
