"""The new rules while a job runs: as they will be, but for the names of actual tables that the old ones still have.

Pure. What is planned by these rules reaches the tables that the job fills.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from types import MappingProxyType

from dbmesh.model import DataNode
from dbmesh.reshard.scope import Scope, TableMove, schema_of
from dbmesh.rules.joint import MovedTable
from dbmesh.rules.ruleset import BroadcastTable, DataSourceConfig, RuleSet, ShardedTable, Strategy, TableRule


def building(scope: Scope) -> RuleSet:
    """The rule set `scope.after` with the tables that move called what they are built as."""
    tables = dict(scope.after.tables)
    for move in scope.moves:
        tables[move.name.lower()] = _built(move)
    return replace(scope.after, tables=MappingProxyType(tables), hidden=frozenset(_former(scope)))


def serving(scope: Scope) -> RuleSet:
    """The rule set `scope.before`, which does not see the tables that are being filled, and whose writes go there too."""
    built = [
        (scope.after.data_sources[one.node.data_source], one.built_as)
        for move in scope.moves
        for one in move.targets
    ]
    return replace(
        scope.before,
        hidden=frozenset(_seen_in(scope.before, built)),
        doubled=frozenset(move.name.lower() for move in scope.moves),
    )


def _former(scope: Scope) -> Iterator[DataNode]:
    """The old actual tables, as the new rules would call them."""
    sources = scope.before.data_sources
    nodes = [(sources[node.data_source], node.table) for move in scope.moves for node in move.before.nodes]
    return _seen_in(scope.after, nodes)


def _seen_in(rules: RuleSet, tables: Sequence[tuple[DataSourceConfig, str]]) -> Iterator[DataNode]:
    """Actual tables by the data sources of a rule set that mean their schema."""
    for config, table in tables:
        for name, other in rules.data_sources.items():
            if schema_of(other) == schema_of(config):
                yield DataNode(name, table)


def _built(move: TableMove) -> TableRule:
    nodes = tuple(DataNode(one.node.data_source, one.built_as) for one in move.targets)
    rule = move.after
    if isinstance(rule, BroadcastTable):
        return BroadcastTable(rule.name, nodes)
    if isinstance(rule, ShardedTable):
        return MovedTable(
            rule.name,
            nodes,
            rule.database_strategy,
            rule.table_strategy,
            rule.key_column,
            rule.key_generator,
            rule.auditors,
            rule.allow_hint_disable,
            rule=rule,
        )
    # A table in one place under another name is one of a single data node, which nothing has to be known for.
    return ShardedTable(rule.name, nodes, Strategy("none"), Strategy("none"))
