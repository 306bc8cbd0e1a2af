"""Both sides' rules while a job runs: the old ones, and the new ones as they will be, but for names of actual tables that the old ones
still have.

Decides what is planned by either side. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from types import MappingProxyType

from dbmesh.model import DataNode
from dbmesh.reshard.jobs.scope import Scope, TableMove, Target, schema_of
from dbmesh.rules.joint import MovedTable
from dbmesh.rules.moving import Moving, MovingTable, Side, former_name
from dbmesh.rules.ruleset import (
    BroadcastTable,
    DataSourceConfig,
    RuleSet,
    ShardedTable,
    SingleTable,
    Strategy,
    TableRule,
)


def building(scope: Scope) -> RuleSet:
    """The rule set `scope.after` with the tables that move called what they are built as."""
    tables = dict(scope.after.tables)
    for move in scope.moves:
        tables[move.name.lower()] = _built(move)
    return replace(scope.after, tables=MappingProxyType(tables), hidden=frozenset(_former(scope)))


def serving(scope: Scope) -> RuleSet:
    """The rule set `scope.before`, which does not see the tables that are being filled."""
    built = [
        (scope.after.data_sources[one.node.data_source], one.built_as)
        for move in scope.moves
        for one in move.targets
    ]
    return replace(scope.before, hidden=frozenset(_seen_in(scope.before, built)))


def generations(scope: Scope, reads: Side, *, doubled: bool) -> tuple[RuleSet, RuleSet]:
    """What statements are planned by, and the other side; the writes of the first go to the second too if they are `doubled`."""
    first, second = serving(scope), building(scope)
    if reads is Side.AFTER:
        first, second = second, first
    if doubled:
        first = replace(first, doubled=frozenset(move.name.lower() for move in scope.moves))
    return first, second


def moving_tables(scope: Scope) -> tuple[MovingTable, ...]:
    """How a revision names what moves."""
    return tuple(
        MovingTable(
            move.name, move.before.nodes, tuple((target.node, target.built_as) for target in move.targets)
        )
        for move in scope.moves
    )


def planned_by(moving: Moving, read: RuleSet, other: RuleSet) -> tuple[RuleSet, RuleSet | None]:
    """What statements are planned by, and what writes go by as well: the rule sets of the side that is read and of the other, as
    `moving` has them."""
    scope = scope_of_moving(moving, read, other)
    if moving.named:
        return named(scope, moving.job), None
    first, second = generations(scope, moving.reads, doubled=moving.doubled)
    # What is written there comes from data nodes: it is encrypted already.
    return first, replace(second, encrypted=MappingProxyType({})) if moving.fills else None


def named(scope: Scope, job: int) -> RuleSet:
    """The new rules when all tables have their final names, and the former ones are not gone: neither these nor the names that tables had
    meanwhile are anybody's."""
    sources = scope.before.data_sources
    final = {
        (schema_of(scope.after.data_sources[target.node.data_source]), target.node.table.lower())
        for move in scope.moves
        for target in move.targets
    }
    former = []
    for move in scope.moves:
        for node in move.before.nodes:
            config = sources[node.data_source]
            taken = (schema_of(config), node.table.lower()) in final
            former.append((config, former_name(node.table, job) if taken else node.table))
        former += [
            (scope.after.data_sources[target.node.data_source], target.built_as)
            for target in move.targets
            if target.built_as != target.node.table
        ]
    return replace(scope.after, hidden=frozenset(_seen_in(scope.after, former)))


def scope_of_moving(moving: Moving, read: RuleSet, other: RuleSet) -> Scope:
    """What a revision says; `read` are the rules of the side that statements are planned by."""
    before, after = (read, other) if moving.reads is Side.BEFORE else (other, read)
    return Scope(before, after, tuple(_move(table, before, after) for table in moving.tables))


def _move(table: MovingTable, before: RuleSet, after: RuleSet) -> TableMove:
    return TableMove(
        table.name,
        before.table(table.name) or SingleTable(table.name, table.sources[0]),
        after.table(table.name) or SingleTable(table.name, table.targets[0][0]),
        tuple(Target(node, built_as) for node, built_as in table.targets),
        (),
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
