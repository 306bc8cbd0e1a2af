"""The rule set: every rule of one logic database as one immutable value, and the routing questions it answers.

Decides which data nodes may hold rows for given sharding conditions. Knows nothing of YAML (loading), of SQL
(planning) or of connections. The terms are ShardingSphere's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from dbmesh.errors import NO_ROUTE, MeshError
from dbmesh.model import DataNode, SqlValue
from dbmesh.rules.accounts import User
from dbmesh.rules.moving import Moving
from dbmesh.rules.protection.values import NOTHING, Protection
from dbmesh.rules.targets import NoTarget, Targets
from dbmesh.rules.values import UNKNOWN_KEY, Key

if TYPE_CHECKING:
    from dbmesh.rules.administration import AdminSettings
    from dbmesh.rules.encryption.rule import EncryptedTable
    from dbmesh.rules.masks.rule import MaskedTable
    from dbmesh.rules.mirroring import Mirror
    from dbmesh.rules.replica_groups import ReplicaGroup
    from dbmesh.rules.repositories import Repository
    from dbmesh.rules.shadow.rule import ShadowRule
    from dbmesh.rules.tracing import TracingSettings


@dataclass(frozen=True, slots=True)
class Values:
    """A sharding column equals one of these values (`=`, IN, an INSERT's value), as `coerce_key` made them. NULL is the
    value None."""

    values: tuple[Key, ...]


@dataclass(frozen=True, slots=True)
class Range:
    """A sharding column lies between two bounds; None is an open end."""

    lower: Key
    upper: Key
    lower_inclusive: bool = True
    upper_inclusive: bool = True


Condition = Values | Range


class ShardingAlgorithm(Protocol):
    """Maps sharding conditions to target names (data sources or actual tables).

    Results keep the targets' order, without repeats, and may name too many targets but never too few. Raises `NoTarget`
    when a value has no target. Standard algorithms read the single entry of `conditions`; complex ones all; hint ones
    read the entry named ''. Values are never NULL or unknown: tables send those to every target.
    """

    def route(self, targets: Targets, conditions: Mapping[str, Condition]) -> tuple[str, ...]:
        """Names of the targets that may hold matching rows."""
        ...


@runtime_checkable
class PointAlgorithm(Protocol):
    """A standard algorithm: one column's value has exactly one target."""

    def placer(self, targets: Targets, column: str) -> Callable[[Key], str]:
        """A fast function value → target, made once per table. It raises `NoTarget`, for NULL too."""
        ...


@dataclass(frozen=True, slots=True)
class Strategy:
    """A database or table strategy. `kind` is standard, complex, hint or none; `columns` are its sharding columns
    in lower case (empty for hint and none)."""

    kind: str
    columns: tuple[str, ...] = ()
    algorithm: ShardingAlgorithm | None = None
    algorithm_name: str | None = None


@dataclass(frozen=True, slots=True)
class Hints:
    """Routing hints of a statement (`SHARDING_DATABASE_VALUE`, …), values per logic table in lower case; the key ''
    holds for every table."""

    database_values: Mapping[str, tuple[SqlValue, ...]] = field(default_factory=dict)
    table_values: Mapping[str, tuple[SqlValue, ...]] = field(default_factory=dict)
    data_source: str | None = None
    write_route_only: bool = False
    disabled_auditors: tuple[str, ...] = ()


PointRouter = Callable[[Key], DataNode]
PairRouter = Callable[[Key, Key], DataNode]


@dataclass(frozen=True, slots=True)
class ShardedTable:
    """A logic table spread over `nodes` (in configuration order).

    Reads ask `route` (every node that may hold a match), INSERT asks `place` or a router (exactly one node).
    """

    name: str
    nodes: tuple[DataNode, ...]
    database_strategy: Strategy
    table_strategy: Strategy
    key_column: str | None = None
    key_generator: str | None = None
    auditors: tuple[str, ...] = ()
    allow_hint_disable: bool = True
    _columns: tuple[str, ...] = field(init=False, repr=False, compare=False)
    _sources: Targets = field(init=False, repr=False, compare=False)
    _tables: Targets = field(init=False, repr=False, compare=False)
    _point: PointRouter | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Computes what routing needs again and again, so that a route costs only its values."""
        columns = tuple(dict.fromkeys(self.database_strategy.columns + self.table_strategy.columns))
        object.__setattr__(self, "_columns", columns)
        object.__setattr__(self, "_sources", Targets.of([node.data_source for node in self.nodes]))
        object.__setattr__(self, "_tables", Targets.of([node.table for node in self.nodes], self.name))
        object.__setattr__(self, "_point", self._make_point_router())

    @property
    def sharding_columns(self) -> tuple[str, ...]:
        """Every column a strategy reads, in lower case, without repeats."""
        return self._columns

    def route(self, conditions: Mapping[str, Condition], hints: Hints) -> tuple[DataNode, ...]:
        """Data nodes that may hold rows matching `conditions` (sharding column in lower case → condition; a missing
        column means any value, and so do NULL and `UNKNOWN_KEY`: rows the mesh did not place may be anywhere).
        In configuration order. O(nodes + values). Raises MeshError(NO_ROUTE) when a value has no node."""
        known = {column: condition for column, condition in conditions.items() if _is_known(condition)}
        if self._point is not None:
            condition = known.get(self.sharding_columns[0])
            if isinstance(condition, Values):
                chosen = set(map(self._point, condition.values))
                if len(chosen) == 1:
                    return tuple(chosen)
                return tuple(node for node in self.nodes if node in chosen)
        sources = self._targets(self.database_strategy, self._sources, known, hints.database_values)
        tables = self._targets(self.table_strategy, self._tables, known, hints.table_values)
        nodes = self.nodes
        if sources is not None or tables is not None:
            nodes = tuple(
                node
                for node in nodes
                if (sources is None or node.data_source in sources)
                and (tables is None or node.table in tables)
            )
        if not nodes:
            raise self._no_route(_sample(known), "its data source has no such table")
        return nodes

    def place(self, values: Mapping[str, Key], hints: Hints) -> DataNode:
        """The one data node of a row with these sharding column values (lower-case names). Raises MeshError(NO_ROUTE)
        when a value is missing, NULL, unknown or without a node, or when several nodes remain."""
        columns = self.sharding_columns
        if self._point is not None:
            return self._point(values.get(columns[0]))
        for column in columns:
            if column not in values or values[column] is None or values[column] is UNKNOWN_KEY:
                raise self._no_route(
                    values.get(column), f"a row needs a value of sharding column '{column}' to be placed"
                )
        nodes = self.route({column: Values((values[column],)) for column in columns}, hints)
        if len(nodes) != 1:
            raise self._no_route(_sample(values), f"{len(nodes)} data nodes remain, a row needs exactly one")
        return nodes[0]

    def point_router(self) -> PointRouter | None:
        """A fast function value → node when exactly one column decides everything, else None.
        It raises MeshError(NO_ROUTE), for NULL and `UNKNOWN_KEY` too."""
        return self._point

    def pair_router(self) -> tuple[str, str, PairRouter] | None:
        """Database column, table column and a fast function of their values, when two different columns decide
        everything by standard strategies, else None."""
        source_of = self._placer(self.database_strategy, self._sources)
        table_of = self._placer(self.table_strategy, self._tables)
        if source_of is None or table_of is None or self._point is not None:
            return None
        place = _join(source_of, table_of, {(node.data_source, node.table): node for node in self.nodes})

        def route_pair(source_key: Key, table_key: Key) -> DataNode:
            try:
                return place(source_key, table_key)
            except NoTarget as missing:
                raise self._no_route(missing.value, missing.reason) from None

        return self.database_strategy.columns[0], self.table_strategy.columns[0], route_pair

    def _targets(
        self,
        strategy: Strategy,
        targets: Targets,
        conditions: Mapping[str, Condition],
        hint_values: Mapping[str, tuple[SqlValue, ...]],
    ) -> frozenset[str] | None:
        """The strategy's targets for these conditions, None for all of them."""
        if strategy.algorithm is None:
            return None
        if strategy.kind == "hint":
            values = hint_values.get(self.name.lower()) or hint_values.get("")
            if not values:
                return None
            wanted: Mapping[str, Condition] = {"": Values(values)}
        else:
            wanted = {column: conditions[column] for column in strategy.columns if column in conditions}
            if len(wanted) != len(strategy.columns):
                return None
        try:
            return frozenset(strategy.algorithm.route(targets, wanted))
        except NoTarget as missing:
            raise self._no_route(missing.value, missing.reason) from None

    def _placer(self, strategy: Strategy, targets: Targets) -> Callable[[Key], str] | None:
        if strategy.kind != "standard" or not isinstance(strategy.algorithm, PointAlgorithm):
            return None
        return strategy.algorithm.placer(targets, strategy.columns[0])

    def _make_point_router(self) -> PointRouter | None:
        if len(self.sharding_columns) != 1:
            return None
        source_of = self._placer(self.database_strategy, self._sources)
        table_of = self._placer(self.table_strategy, self._tables)
        if source_of is not None and table_of is not None:
            both = _join(source_of, table_of, {(node.data_source, node.table): node for node in self.nodes})

            def route_point(key: Key) -> DataNode:
                try:
                    return both(key, key)
                except NoTarget as missing:
                    raise self._no_route(missing.value, missing.reason) from None

            return route_point
        if source_of is not None and self.table_strategy.algorithm is None:
            return self._follow(source_of, {node.data_source: node for node in self.nodes})
        if table_of is not None and self.database_strategy.algorithm is None:
            return self._follow(table_of, {node.table: node for node in self.nodes})
        return None

    def _follow(self, target_of: Callable[[Key], str], nodes: Mapping[str, DataNode]) -> PointRouter | None:
        """value → node where one strategy alone decides; impossible when several nodes share a target."""
        if len(nodes) != len(self.nodes):
            return None

        def route_point(key: Key) -> DataNode:
            try:
                return nodes[target_of(key)]
            except NoTarget as missing:
                raise self._no_route(missing.value, missing.reason) from None

        return route_point

    def _no_route(self, value: object, reason: str) -> MeshError:
        shown = "NULL" if value is None else repr(value) if isinstance(value, str) else str(value)
        return MeshError(NO_ROUTE, table=self.name, value=shown, reason=reason)


def _is_known(condition: Condition) -> bool:
    if isinstance(condition, Values):
        return not any(value is None or value is UNKNOWN_KEY for value in condition.values)
    return condition.lower is not UNKNOWN_KEY and condition.upper is not UNKNOWN_KEY


def _sample(values: Mapping[str, object]) -> object:
    shown = [value.values if isinstance(value, Values) else value for value in values.values()]
    return shown[0] if len(shown) == 1 else tuple(shown)


def _join(
    source_of: Callable[[Key], str], table_of: Callable[[Key], str], nodes: Mapping[tuple[str, str], DataNode]
) -> PairRouter:
    """values → node where the database and the table strategy each decide their half."""

    by_source: dict[str, dict[str, DataNode]] = {}
    for (source, table), node in nodes.items():
        by_source.setdefault(source, {})[table] = node

    def place(source_key: Key, table_key: Key) -> DataNode:
        source, table = source_of(source_key), table_of(table_key)
        node = by_source[source].get(table)
        if node is None:
            raise NoTarget(table_key, f"'{source}.{table}' is not among its data nodes")
        return node

    return place


@dataclass(frozen=True, slots=True)
class BroadcastTable:
    """A logic table with the same rows on every data source. `nodes[0]` answers reads unless a join prefers another."""

    name: str
    nodes: tuple[DataNode, ...]


@dataclass(frozen=True, slots=True)
class SingleTable:
    """A table in one place. Which place is found by looking (Catalog.single_nodes)."""

    name: str
    node: DataNode

    @property
    def nodes(self) -> tuple[DataNode, ...]:
        """The one node."""
        return (self.node,)


TableRule = ShardedTable | BroadcastTable
AnyTable = TableRule | SingleTable


@dataclass(frozen=True, slots=True)
class DataSourceConfig:
    """One data source: a server and a schema, and the limits of its pool. Times in seconds."""

    name: str
    kind: str  # mysql | postgresql | sqlite
    host: str
    port: int
    database: str  # schema, or for sqlite the file path
    username: str
    password: str = field(repr=False, default="")
    properties: Mapping[str, str] = field(default_factory=dict)
    connection_timeout: float = 30.0
    idle_timeout: float = 60.0
    max_lifetime: float = 1800.0
    max_pool_size: int = 50
    min_pool_size: int = 1


@dataclass(frozen=True, slots=True)
class KeyGeneratorConfig:
    """A key generator's type (SNOWFLAKE, UUID, AUTO_INCREMENT) and properties."""

    type: str
    properties: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AlgorithmConfig:
    """A sharding algorithm as the rules write it."""

    type: str
    properties: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MadeTable:
    """The rule that CREATE TABLE made, in the form of the files: `section` is its entry of `autoTables`."""

    name: str
    section: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class DeclaredKey:
    """A foreign key that was declared and that no server has. `database` is the parent's, '' for the child's own; `on_delete`
    and `on_update` are CASCADE, SET NULL, NO ACTION, RESTRICT, SET DEFAULT or '' where nothing was written."""

    name: str
    columns: tuple[str, ...]
    parent: str
    referenced: tuple[str, ...]
    database: str = ""
    on_delete: str = ""
    on_update: str = ""


@dataclass(frozen=True, slots=True)
class DeclaredKeys:
    """All such keys of one table, its name as written."""

    table: str
    keys: tuple[DeclaredKey, ...] = ()


@dataclass(frozen=True, slots=True)
class RuleChange:
    """What a DDL statement changes in the rules: tables that get a rule and tables that lose theirs. `numbering` are
    tables whose AUTO_INCREMENT starts over, each with its least next number; `declared` are tables whose declared foreign
    keys become these."""

    made: tuple[MadeTable, ...] = ()
    gone: tuple[str, ...] = ()
    numbering: tuple[tuple[str, int], ...] = ()
    declared: tuple[DeclaredKeys, ...] = ()


NO_CHANGE = RuleChange()
"""What most DDL means for the rules."""


@dataclass(frozen=True, slots=True)
class RuleSet:
    """All rules of one logic database. Table keys are in lower case.

    * `binding_groups`: each a tuple of table names (lower case) whose i-th nodes belong together.
    * `single_tables`: `*.*`, `ds.*` or `ds.table` patterns of !SINGLE; `default_single_source` receives new ones.
    * `auto_shards`: how many actual tables a table gets that CREATE TABLE makes and no rule names; 0: it is single.
    * `made`: the rules (by table in lower case) that came about that way; they are among `tables` too.
    * `declared`: foreign keys (by table in lower case) that clients declared and no server has.
    * `exact_text_keys`: the operator promises that text keys are always written and compared in one spelling.
    * `merge_node`: the data source on which federated statements are merged, None for the one with most of their rows.
    * `joined`: other logic databases whose tables it knows too, by `key`, and which data sources are theirs alone;
      `schemas`: the schemas of the data sources then → logic database.
    * `groups`: the data sources that are a primary with replicas, by name.
    * `masks`: tables (in lower case, of `joined` ones by `key`) with columns that some users read masked.
    * `encrypted`: likewise tables with columns that are stored encrypted.
    * `shadow`: data sources that stand in for others, which no other rule knows, and when they do.
    * `algorithms`: the sharding algorithms by name, to be shown; what routes are the strategies'.
    * `hidden`: actual tables that no logic table is, though nobody wrote a rule for them.
    * `doubled`: tables (in lower case) whose changes are written elsewhere too: no statement that changes their rows is just sent.
    """

    database: str
    revision: int
    data_sources: Mapping[str, DataSourceConfig]
    tables: Mapping[str, TableRule]
    binding_groups: tuple[tuple[str, ...], ...] = ()
    single_tables: tuple[str, ...] = ()
    default_single_source: str | None = None
    key_generators: Mapping[str, KeyGeneratorConfig] = field(default_factory=dict)
    exact_text_keys: bool = False
    merge_node: str | None = None
    auto_shards: int = 0
    made: Mapping[str, MadeTable] = field(default_factory=dict)
    declared: Mapping[str, DeclaredKeys] = field(default_factory=dict)
    joined: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    schemas: Mapping[str, str] = field(default_factory=dict)
    groups: Mapping[str, ReplicaGroup] = field(default_factory=dict)
    masks: Mapping[str, MaskedTable] = field(default_factory=dict)
    encrypted: Mapping[str, EncryptedTable] = field(default_factory=dict)
    shadow: ShadowRule | None = None
    algorithms: Mapping[str, AlgorithmConfig] = field(default_factory=dict)
    hidden: frozenset[DataNode] = frozenset()
    doubled: frozenset[str] = frozenset()

    @property
    def own_sources(self) -> tuple[str, ...]:
        """The data sources of this database itself, in the order of the configuration."""
        others = {name for names in self.joined.values() for name in names}
        return tuple(name for name in self.data_sources if name not in others)

    def key(self, database: str, name: str) -> str:
        """What a table is known by: its name in lower case, one of another database behind that database's name."""
        lowered = name.lower()
        return lowered if database.lower() == self.database.lower() else f"{database.lower()}\0{lowered}"

    def table(self, name: str) -> TableRule | None:
        """The rule of a logic table, compared without case; None for single tables."""
        return self.tables.get(name.lower())

    @property
    def needs_no_rules(self) -> bool:
        """Whether any table may be made without a rule written for it: another database could be served likewise."""
        return bool(self.auto_shards) or "*.*" in self.single_tables

    def binding_group(self, name: str) -> tuple[str, ...] | None:
        """The binding group a logic table belongs to."""
        lowered = name.lower()
        for group in self.binding_groups:
            if lowered in group:
                return group
        return None


class TransactionType(Enum):
    """How a transaction that writes to several data sources commits."""

    XA = "XA"
    """As one, by two-phase commit."""
    LOCAL = "LOCAL"
    """One data source after another."""
    BASE = "BASE"
    """Each write at once, with what undoes it."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """A whole configuration directory: logic databases by lower-case name, users and properties.

    `repository` is where the store is, None where the configuration names none. `record_locks`: BASE
    transactions wait for rows that others have written and not ended. `fingerprint` is the same for the same files.
    `protection` is what statements, clients and data sources are protected by. `admin` are the operators' ports, `tracing` where spans go, None for none;
    `mirrors` are databases whose statements are run in others too.
    `properties` has every known property with its default filled in (docs/CONFIGURATION.md lists them). `files` are the texts it was made of.
    `moving` says whose rows are being moved, and `other` are the rules of that database on the side that is not read.
    """

    databases: Mapping[str, RuleSet]
    users: tuple[User, ...]
    properties: Mapping[str, int | float | str | bool]
    repository: Repository | None = None
    transaction_type: TransactionType = TransactionType.XA
    record_locks: bool = False
    fingerprint: str = ""
    protection: Protection = NOTHING
    admin: AdminSettings | None = None
    tracing: TracingSettings | None = None
    files: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    mirrors: tuple[Mirror, ...] = ()
    moving: Moving | None = None
    other: RuleSet | None = None
