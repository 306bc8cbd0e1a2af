"""What stands in the way of a reshard job, and what its operator should know before it begins.

Decides which findings stop a job, with the sentence and the cure of each. Pure: what there is comes in as a survey.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from dbmesh.errors import MeshError
from dbmesh.model import Catalog, ColumnFamily, DataNode, TableSchema
from dbmesh.planner.lexemes import split_lexemes
from dbmesh.reshard.binlogs.followable import unfollowed_server, unfollowed_table
from dbmesh.reshard.jobs.job import Mode
from dbmesh.reshard.jobs.scope import Scope, Seen, TableMove, schema_of, seen_by
from dbmesh.reshard.planning import postgres_obstacles
from dbmesh.reshard.planning.facts import ServerFacts, Survey, TableFacts
from dbmesh.reshard.rows.moved_rows import moved_rows
from dbmesh.rules.ruleset import (
    AnyTable,
    DataSourceConfig,
    RuleSet,
    ShardedTable,
    TransactionType,
)

LONG = 60
"""Seconds after which an open transaction is worth a word: the first writes to both sides wait for its end."""

LEAVING = frozenset(("SELECT", "INSERT", "UPDATE", "DELETE", "TRIGGER", "DROP"))
"""What the account of a source has to have; without TRIGGER it does not see triggers."""

ENTERING = frozenset(("SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "ALTER", "DROP"))
"""What that of a target has to have."""

FOLLOWING = frozenset(("REPLICATION SLAVE", "REPLICATION CLIENT"))

_OTHER_NAMES = {"REPLICATION CLIENT": "BINLOG MONITOR", "REPLICATION SLAVE": "REPLICATION REPLICA"}
"""What MariaDB calls them."""


_NOT_MOVED = MappingProxyType({"sqlite": "SQLite"})
"""They commit a write to both sides in two steps, if at all."""

_POSTGRES = "postgresql"


@dataclass(frozen=True, slots=True)
class Finding:
    """`about` is a table, a data node or a data source. `blocks`: the job cannot begin; else it is a remark. `cure` is what the
    operator can do."""

    about: str
    sentence: str
    cure: str
    blocks: bool = True


def findings(
    scope: Scope, found: Survey, catalog: Catalog, transactions: TransactionType, mode: Mode
) -> tuple[Finding, ...]:
    """Everything that stops a job or that should be known, in the order of tables and data sources. O(data nodes)."""
    return (
        *(Finding(table, sentence, "change the new rules") for table, sentence in scope.refusals),
        *_of_servers(scope, found, mode),
        *_of_pools(scope, found),
        *(one for move in scope.moves for one in _of_table(move, scope, found, catalog, mode)),
        *_of_transactions(transactions),
    )


def _of_transactions(kind: TransactionType) -> Iterator[Finding]:
    if kind is not TransactionType.XA:
        yield Finding(
            "transaction",
            f"transactions are of type {kind.value}: a write to both sides would not be one",
            "set transaction.defaultType to XA in global.yaml",
        )


# ---------------------------------------------------------------------------------------------- servers


def _of_servers(scope: Scope, found: Survey, mode: Mode) -> Iterator[Finding]:
    followed = {
        seen_by(scope.before.data_sources[node.data_source]) for move in scope.moves for node in move.sources
    }
    needs: dict[Seen, tuple[DataSourceConfig, frozenset[str]]] = {}
    leaving = [(scope.before, node, LEAVING) for move in scope.moves for node in move.before.nodes]
    entering = [(scope.after, target.node, ENTERING) for move in scope.moves for target in move.targets]
    for rules, node, wanted in (*leaving, *entering):
        config = rules.data_sources[node.data_source]
        _, before = needs.get(seen_by(config), (config, frozenset[str]()))
        needs[seen_by(config)] = config, before | wanted
    for seen, (config, wanted) in needs.items():
        facts = found[seen]
        essential = mode is Mode.CDC and seen in followed
        if essential and config.kind != "mysql":
            yield _unfollowed(
                config.name, "it is no MySQL or MariaDB server, and has no binlog", "", essential
            )
        if config.kind in _NOT_MOVED:
            yield Finding(
                config.name,
                f"tables of {_NOT_MOVED[config.kind]} data sources are not moved",
                "stop writing, then copy their rows",
            )
        elif facts.unreachable:
            yield Finding(config.name, facts.unreachable, "mend that first")
        elif facts.postgres is not None:
            entered = not wanted.isdisjoint(ENTERING - LEAVING)
            several = len({found_at.schema for found_at in needs}) > 1
            said = postgres_obstacles.of_server(
                facts.postgres, config.username, config.max_pool_size, entered=entered, several=several
            )
            yield from (Finding(config.name, *one) for one in said)
            yield from _of_age(config.name, facts)
        else:
            yield from _of_server(config, wanted, facts, essential=essential)


def _of_server(
    config: DataSourceConfig, wanted: frozenset[str], facts: ServerFacts, *, essential: bool
) -> Iterator[Finding]:
    name, account = config.name, config.username
    missing = _missing(wanted, facts)
    if missing:
        yield Finding(
            name,
            f"the account '{account}' has not got {', '.join(missing)}",
            f"GRANT {', '.join(missing)} ON `{config.database}`.* TO '{account}'",
        )
    for reason, cure in unfollowed_server(facts.binlog, config.database):
        yield _unfollowed(name, reason, cure, essential)
    blind = _missing(FOLLOWING, facts)
    if facts.binlog.format and blind:
        yield _unfollowed(
            name,
            f"the account '{account}' has not got {', '.join(blind)}",
            f"GRANT {', '.join(blind)} ON *.* TO '{account}'",
            essential,
        )
    yield from _of_age(name, facts)


def _of_age(name: str, facts: ServerFacts) -> Iterator[Finding]:
    if facts.oldest is not None and facts.oldest > LONG:
        yield Finding(
            name,
            f"a transaction has been open for {facts.oldest} s; copying begins when it has ended",
            "end it",
            blocks=False,
        )


def _missing(wanted: Iterable[str], facts: ServerFacts) -> list[str]:
    has = facts.granted
    if has is None or "ALL" in has:
        return []
    return sorted(one for one in wanted if one not in has and _OTHER_NAMES.get(one) not in has)


def _unfollowed(name: str, reason: str, cure: str, essential: bool) -> Finding:
    """`essential`: what is written meanwhile is told by the binlog alone."""
    if essential:
        other = "take the mode double-write"
        cure = f"{cure}; or {other}" if cure else other
        return Finding(name, f"{reason}: in the mode cdc nothing else tells what is written", cure)
    return Finding(
        name, f"{reason}: writes that bypass the mesh are found by verification only", cure, blocks=False
    )


def _of_pools(scope: Scope, found: Survey) -> Iterator[Finding]:
    """While a job runs every sidecar has the pools of both sides."""
    before, after = (dict(rules.data_sources) for rules in (scope.before, scope.after))
    kept = {name for name, config in before.items() if after.get(name) == config}
    pools: dict[tuple[str, int], dict[tuple[int, str], DataSourceConfig]] = {}
    for side, sources in enumerate((before, after)):
        for name, config in sources.items():
            if name not in (scope.before, scope.after)[side].groups and not (side and name in kept):
                pools.setdefault((config.host.lower(), config.port), {})[side, name] = config
    for own in pools.values():
        first = next(iter(own.values()))
        most = found[seen_by(first)].most_connections if seen_by(first) in found else 0
        wanted = sum(config.max_pool_size for config in own.values())
        added = sum(config.max_pool_size for (side, _), config in own.items() if side)
        if most and added and wanted > most:
            names = ", ".join(dict.fromkeys(config.name for config in own.values()))
            yield Finding(
                names,
                f"while it runs a sidecar may open {wanted} connections to their server, which takes {most}",
                "raise max_connections, or lower maxPoolSize",
                blocks=False,
            )


# ---------------------------------------------------------------------------------------------- tables


def _of_table(
    move: TableMove, scope: Scope, found: Survey, catalog: Catalog, mode: Mode
) -> Iterator[Finding]:
    present: list[tuple[DataNode, TableFacts]] = []
    for node in move.before.nodes:
        facts = _facts(scope.before, node, found)
        if facts is not None:
            present.append((node, facts))
        elif _is_known(scope.before, node, found):
            yield Finding(str(node), "the table is not there", "make it, or take it out of the rules")
    for target in move.targets:
        there = _facts(scope.after, DataNode(target.node.data_source, target.built_as), found)
        if there is not None:
            rows = "" if there.rows is None else f", with about {there.rows} rows"
            name = f"{target.node.data_source}.{target.built_as}"
            yield Finding(name, f"there is such a table already{rows}", "drop it, or name other data nodes")
    if not present:
        return
    schema = present[0][1].schema
    for node, facts in present:
        yield from _of_node(node, facts)
        yield from (Finding(str(node), *one) for one in postgres_obstacles.of_table(facts))
        if _form(facts.schema) != _form(schema):
            yield Finding(
                str(node), f"its columns or keys are not those of {present[0][0]}", "make them alike"
            )
    yield from _of_key(move.name, schema)
    yield from _of_products(move, scope, present)
    yield from _of_following(move, scope, found, schema, mode)
    yield from _of_hints(move)
    yield from _of_shadows(move, scope)
    yield from _of_encryption(move, scope)
    yield from _of_new_rule(move, schema)
    yield from _of_placing(move, schema)
    yield from _of_views(move, catalog)


def _of_views(move: TableMove, catalog: Catalog) -> Iterator[Finding]:
    """A server keeps a view by names of actual tables: those the mesh has made too."""
    for view, text in (*catalog.single_views.items(), *catalog.views.items()):
        if any(lexeme.value.lower() == move.name.lower() for lexeme in split_lexemes(text or "")):
            yield Finding(
                move.name,
                f"the view '{view}' reads it on its data source",
                "drop it; make it again afterwards",
            )


def _of_products(
    move: TableMove, scope: Scope, present: Sequence[tuple[DataNode, TableFacts]]
) -> Iterator[Finding]:
    """What PostgreSQL holds is seen, and written, otherwise than what others hold."""
    sources = [scope.before.data_sources[node.data_source] for node in move.before.nodes]
    targets = [scope.after.data_sources[target.node.data_source] for target in move.targets]
    kinds = {config.kind for config in (*sources, *targets)}
    if _POSTGRES not in kinds:
        return
    if len(kinds) > 1:
        yield Finding(
            move.name,
            "its rows would go between PostgreSQL and another product, whose values and keys are not the same",
            "stop writing, then copy its rows",
        )
        return
    given = all(
        isinstance(rule, ShardedTable) and rule.key_column is not None for rule in (move.before, move.after)
    )
    schemas = {schema_of(config) for config in sources}
    leaves = any(schema_of(config) not in schemas for config in targets)
    said = [*postgres_obstacles.of_numbers(present[0][1], given=given)]
    said += postgres_obstacles.of_types(present[0][1]) if leaves else ()
    yield from (Finding(move.name, *one) for one in said)
    names = (target.built_as for target in move.targets)
    yield from (Finding(name, *one) for name, one in postgres_obstacles.of_names(names))


def _of_placing(move: TableMove, schema: TableSchema) -> Iterator[Finding]:
    """What would keep rows from being read and placed one by one."""
    if not schema.primary_key or schema.guarded:
        # That has been said.
        return
    try:
        moved_rows(schema, move.before, move.after)
    except MeshError as error:
        yield Finding(move.name, str(error).removeprefix("dbmesh: "), "change the new rules")


def _facts(rules: RuleSet, node: DataNode, found: Survey) -> TableFacts | None:
    return found[seen_by(rules.data_sources[node.data_source])].table(node.table)


def _is_known(rules: RuleSet, node: DataNode, found: Survey) -> bool:
    return not found[seen_by(rules.data_sources[node.data_source])].unreachable


def _of_node(node: DataNode, facts: TableFacts) -> Iterator[Finding]:
    if facts.engine and facts.engine.lower() != "innodb":
        yield Finding(
            str(node),
            f"its engine {facts.engine} has no transactions",
            f"ALTER TABLE {node.table} ENGINE=InnoDB",
        )
    if facts.triggers:
        yield Finding(
            str(node),
            f"it has triggers ({', '.join(facts.triggers)}), which would run on both sides",
            "drop them",
        )
    if facts.programs:
        yield Finding(
            str(node),
            f"stored programs name it ({', '.join(facts.programs)}): what they write would be on one side alone",
            "drop them; make them again afterwards",
        )
    if facts.references:
        yield Finding(
            str(node),
            f"foreign keys ({', '.join(facts.references)}) bind it: their rows would have to move together",
            "drop them",
        )


def _form(schema: TableSchema) -> object:
    """What has to be the same on every data node."""
    columns = [
        (one.name, one.declared_type, one.nullable, one.collation, one.generated) for one in schema.columns
    ]
    return columns, schema.primary_key, schema.unique_keys


def _of_key(name: str, schema: TableSchema) -> Iterator[Finding]:
    if not schema.primary_key:
        yield Finding(name, "it has no primary key: its rows cannot be told apart", "give it one")
    for one in schema.primary_key:
        column = schema.column(one)
        if column is not None and column.generated:
            yield Finding(name, f"the column '{one}' of its primary key is generated", "use a stored column")
        if column is not None and column.family is ColumnFamily.FLOAT:
            yield Finding(
                name,
                f"the column '{one}' of its primary key is a {column.declared_type}",
                "use an exact type",
            )


def _of_following(
    move: TableMove, scope: Scope, found: Survey, schema: TableSchema, mode: Mode
) -> Iterator[Finding]:
    if not schema.primary_key:
        return
    wanted = sorted(_sharding_columns(move.before) | _sharding_columns(move.after))
    said: dict[tuple[str, str], None] = {}
    for node in move.sources:
        facts = found[seen_by(scope.before.data_sources[node.data_source])]
        if facts.binlog.format:
            said.update(dict.fromkeys(unfollowed_table(facts.binlog, schema, wanted)))
    for reason, cure in said:
        yield _unfollowed(move.name, reason, cure, mode is Mode.CDC)


def _of_hints(move: TableMove) -> Iterator[Finding]:
    for rule, which in ((move.before, "old"), (move.after, "new")):
        strategies = (rule.database_strategy, rule.table_strategy) if isinstance(rule, ShardedTable) else ()
        if any(strategy.kind == "hint" for strategy in strategies):
            yield Finding(
                move.name,
                f"by the {which} rules hints place its rows: nothing in a row tells where it belongs",
                "use a strategy that goes by columns",
            )


def _of_shadows(move: TableMove, scope: Scope) -> Iterator[Finding]:
    rules = [one.shadow for one in (scope.before, scope.after) if one.shadow is not None]
    if any(shadow.table(move.name) is not None for shadow in rules):
        yield Finding(
            move.name, "the rule !SHADOW names it, and rows in shadows would stay", "take it out of !SHADOW"
        )


def _of_encryption(move: TableMove, scope: Scope) -> Iterator[Finding]:
    former, new = (_encryption(rules, move.name) for rules in (scope.before, scope.after))
    if former != new:
        yield Finding(
            move.name,
            "its columns are encrypted otherwise by the new rules, and rows are moved as they are stored",
            "change !ENCRYPT before or afterwards",
        )


def _encryption(rules: RuleSet, table: str) -> object:
    """What tells how a table's columns are stored, keys included."""
    columns = rules.encrypted[table.lower()].columns if table.lower() in rules.encrypted else ()
    parts = [part for one in columns for part in (one.cipher, one.assisted) if part is not None]
    return columns, [part.encryptor for part in parts]


def _of_new_rule(move: TableMove, schema: TableSchema) -> Iterator[Finding]:
    wanted = _sharding_columns(move.after)
    for one in wanted:
        column = schema.column(one)
        if column is None:
            yield Finding(move.name, f"it has no column '{one}' to be sharded by", "change the new rules")
        elif column.nullable:
            yield Finding(
                move.name,
                f"its new sharding column '{one}' may be NULL, and such rows have no data node",
                f"ALTER TABLE {move.name} MODIFY {one} … NOT NULL",
                blocks=False,
            )
    counted = next((one.name for one in schema.columns if one.auto_increment), None)
    if counted is not None and isinstance(move.after, ShardedTable) and move.after.key_column is None:
        yield Finding(
            move.name,
            f"the new rules give its AUTO_INCREMENT column '{counted}' no numbers: an INSERT without it fails from the cutover on",
            "give the table a keyGenerateStrategy",
            blocks=False,
        )
    keys = [key for key in (schema.primary_key, *schema.unique_keys) if key]
    yield from _of_uniqueness(move, keys, wanted)


def _of_uniqueness(
    move: TableMove, keys: Sequence[Sequence[str]], wanted: frozenset[str]
) -> Iterator[Finding]:
    former = _sharding_columns(move.before)
    for key in keys:
        columns, named = {one.lower() for one in key}, ", ".join(key)
        if len(move.before.nodes) > 1 and not former <= columns:
            yield Finding(
                move.name,
                f"two rows of different data nodes may have the same ({named}), and meet in a new one: the job would stop there",
                "look for such rows first",
                blocks=False,
            )
        elif len(move.targets) > 1 and not wanted <= columns and isinstance(move.after, ShardedTable):
            yield Finding(
                move.name,
                f"({named}) will be unique on each data node only: it does not hold the sharding column",
                "let the key hold the sharding column, or make its values unique elsewhere",
                blocks=False,
            )


def _sharding_columns(rule: AnyTable) -> frozenset[str]:
    if not isinstance(rule, ShardedTable):
        return frozenset()
    return frozenset(column.lower() for column in rule.sharding_columns)
