"""Schemas found on data sources to the catalog of a logic database.

Decides which actual table describes a logic table and where tables without a rule live. Pure: the findings come in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

from dbmesh.model import Catalog, DataNode, TableSchema
from dbmesh.planner.views import logic_definition, logic_name, on_same_server
from dbmesh.rules.joint import Joint
from dbmesh.rules.ruleset import RuleSet

Findings = Mapping[str, Mapping[str, TableSchema]]
"""Data source name → actual table name → schema."""


class AmbiguousTable(Exception):
    """A table without a rule exists on two data sources: nobody can say which one a statement means."""

    def __init__(self, table: str, first: str, second: str) -> None:
        super().__init__(
            f"table '{table}' has no rule and exists on both '{first}' and '{second}'; "
            "write a rule for it, name the one you mean under !SINGLE, or drop the other"
        )


def build_catalog(rule_set: RuleSet, findings: Findings) -> Catalog:
    """The catalog of `rule_set`. A logic table takes the schema of its first data node that exists. O(tables found).

    Raises AmbiguousTable.
    """
    tables: dict[str, TableSchema] = {}
    owned: set[tuple[str, str]] = set()
    for key, rule in rule_set.tables.items():
        for node in rule.nodes:
            owned.add((node.data_source, node.table.lower()))
        for node in rule.nodes:
            schema = findings.get(node.data_source, {}).get(node.table)
            if schema is not None:
                tables[key] = replace(schema, name=rule.name)
                break
    single_nodes: dict[str, DataNode] = {}
    hidden = {
        name: {node.table.lower() for node in rule_set.hidden if node.data_source == name}
        for name in rule_set.data_sources
    }
    for data_source in rule_set.data_sources:
        for table, schema in findings.get(data_source, {}).items():
            name = logic_name(table) if schema.definition is not None else table
            key = name.lower()
            if (data_source, key) in owned or key in rule_set.tables or key in hidden[data_source]:
                continue
            if name == table and not is_single(rule_set, data_source, table):
                continue
            if key in single_nodes:
                raise AmbiguousTable(name, single_nodes[key].data_source, data_source)
            single_nodes[key] = DataNode(data_source, table)
            tables[key] = replace(schema, name=name)
    definitions = _definitions(rule_set, tables, single_nodes)
    mesh = {key for key in definitions if single_nodes[key].table != tables[key].name}
    return Catalog(
        tables,
        single_nodes,
        {key: definitions[key] for key in mesh},
        {key: text for key, text in definitions.items() if key not in mesh and text is not None},
    )


def _definitions(
    rule_set: RuleSet, tables: Mapping[str, TableSchema], single_nodes: Mapping[str, DataNode]
) -> dict[str, str | None]:
    """The definitions of all views in logic names."""
    found = {key: node for key, node in single_nodes.items() if tables[key].definition is not None}
    if not found:
        return {}
    names: dict[str, dict[str, str]] = {name: {} for name in rule_set.data_sources}
    for key, schema in tables.items():
        rule = rule_set.tables.get(key)
        for node in rule.nodes if rule is not None else (single_nodes[key],):
            names[node.data_source][node.table] = schema.name
    definitions: dict[str, str | None] = {}
    for key, node in found.items():
        home = rule_set.data_sources[node.data_source]
        beside = {
            config.database: names[name]
            for name, config in rule_set.data_sources.items()
            if on_same_server(home, config)
        }
        definitions[key] = logic_definition(tables[key].definition or "", beside, rule_set.database)
    return definitions


def is_single(rule_set: RuleSet, data_source: str, table: str) -> bool:
    """Whether the patterns of !SINGLE take this table in. Without any pattern every unruled table is taken."""
    if not rule_set.single_tables:
        return True
    name = f"{data_source}.{table}".lower()
    return any(fnmatchcase(name, pattern.lower()) for pattern in rule_set.single_tables)


def join_catalogs(joint: Joint, parts: Sequence[tuple[RuleSet, Catalog]]) -> Catalog:
    """The catalogs of the databases of a joint rule set, in its order and with its names."""
    tables: dict[str, TableSchema] = {}
    nodes: dict[str, DataNode] = {}
    views: dict[str, str | None] = {}
    single_views: dict[str, str] = {}
    for rule_set, catalog in parts:
        for name, schema in catalog.tables.items():
            tables[joint.rule_set.key(rule_set.database, name)] = schema
        for name, node in catalog.single_nodes.items():
            nodes[joint.rule_set.key(rule_set.database, name)] = joint.node(rule_set, node)
        for name, definition in catalog.views.items():
            views[joint.rule_set.key(rule_set.database, name)] = definition
        for name, text in catalog.single_views.items():
            single_views[joint.rule_set.key(rule_set.database, name)] = text
    return Catalog(tables, nodes, views, single_views)
