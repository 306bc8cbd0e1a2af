"""What a reshard job moves: the tables whose rows new rules look for elsewhere, and their actual tables on both sides.

Decides which tables belong to a job, and what new actual tables are called while old ones have their names. Pure; knows rules and
which tables there are, neither connections nor the store.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from dbmesh.model import Catalog, DataNode
from dbmesh.planner.catalog import is_single
from dbmesh.rules.auto_tables import MOST_NAME
from dbmesh.rules.diff import is_elsewhere, is_placed_otherwise, table_details
from dbmesh.rules.ruleset import AnyTable, BroadcastTable, DataSourceConfig, RuleSet, SingleTable


class Schema(NamedTuple):
    """A schema on a server, however many data sources mean it."""

    kind: str
    host: str
    port: int
    name: str


class Seen(NamedTuple):
    """A schema as one account sees it."""

    schema: Schema
    account: str


def schema_of(config: DataSourceConfig) -> Schema:
    """Where a data source is."""
    inner = config.properties.get("currentSchema") if config.kind == "postgresql" else None
    name = config.database if inner is None else f"{config.database}.{inner}"
    return Schema(config.kind, config.host.lower(), config.port, name)


def seen_by(config: DataSourceConfig) -> Seen:
    """Where a data source is, and who looks."""
    return Seen(schema_of(config), config.username)


@dataclass(frozen=True, slots=True)
class Target:
    """A data node of the new rules. `built_as` is what its actual table is called until the old ones are gone."""

    node: DataNode
    built_as: str


@dataclass(frozen=True, slots=True)
class TableMove:
    """One logic table: its rules, and its actual tables, before and after. `details` say what changes."""

    name: str
    before: AnyTable
    after: AnyTable
    targets: tuple[Target, ...]
    details: tuple[str, ...]

    @property
    def sources(self) -> tuple[DataNode, ...]:
        """The data nodes whose rows are read: of a broadcast table one has them all."""
        return self.before.nodes[:1] if isinstance(self.before, BroadcastTable) else self.before.nodes


@dataclass(frozen=True, slots=True)
class Scope:
    """What a job from `before` to `after` moves, and why it cannot (`refusals`: table and sentence)."""

    before: RuleSet
    after: RuleSet
    moves: tuple[TableMove, ...]
    refusals: tuple[tuple[str, str], ...] = ()


def scope_of(before: RuleSet, after: RuleSet, catalog: Catalog, job: str) -> Scope:
    """The tables that move from one rule set to the next; `job` is part of names that would be taken. `catalog` is that of
    `before`. O(data nodes)."""
    moving: list[tuple[str, AnyTable, AnyTable]] = []
    refusals: list[tuple[str, str]] = []
    for key, schema in sorted(catalog.tables.items()):
        old = _rule(before, catalog, key)
        if old is None or schema.definition is not None:
            continue
        new = after.table(key) or _single(after, old, schema.name)
        if new is None:
            refusals.append((schema.name, "the new rules have no place for it: name one under !SINGLE"))
        elif _moves(before, after, old, new):
            moving.append((schema.name, old, new))
    taken = {_place(before, node) for _, old, _ in moving for node in old.nodes}
    moves: list[TableMove] = []
    for name, old, new in moving:
        targets = tuple(_target(after, node, taken, job) for node in new.nodes)
        too_long = next((one.built_as for one in targets if len(one.built_as) > MOST_NAME), None)
        if too_long is not None:
            refusals.append((name, f"'{too_long}' is longer than the {MOST_NAME} characters of a name"))
        moves.append(TableMove(name, old, new, targets, table_details(old, new)))
    return Scope(before, after, tuple(moves), tuple(refusals))


def _rule(rules: RuleSet, catalog: Catalog, key: str) -> AnyTable | None:
    rule = rules.table(key)
    if rule is not None:
        return rule
    node = catalog.single_nodes.get(key)
    return None if node is None else SingleTable(catalog.tables[key].name, node)


def _single(rules: RuleSet, old: AnyTable, name: str) -> SingleTable | None:
    """A table that rules say nothing of: where they name it, else where it is, else where new tables come."""
    for pattern in rules.single_tables:
        source, _, table = pattern.rpartition(".")
        if table.lower() == name.lower() and source in rules.data_sources:
            return SingleTable(name, DataNode(source, name))
    if isinstance(old, SingleTable) and old.node.data_source in rules.data_sources:
        node = old.node
    else:
        node = DataNode(rules.default_single_source or next(iter(rules.data_sources)), name)
    return SingleTable(name, node) if is_single(rules, node.data_source, node.table) else None


def _moves(before: RuleSet, after: RuleSet, old: AnyTable, new: AnyTable) -> bool:
    if is_placed_otherwise(old, new):
        return True
    used = {node.data_source for node in old.nodes}
    return any(is_elsewhere(before.data_sources[name], after.data_sources[name]) for name in used)


def _place(rules: RuleSet, node: DataNode) -> tuple[Schema, str]:
    return schema_of(rules.data_sources[node.data_source]), node.table.lower()


def _target(rules: RuleSet, node: DataNode, taken: set[tuple[Schema, str]], job: str) -> Target:
    return Target(node, f"{node.table}__s{job}" if _place(rules, node) in taken else node.table)
