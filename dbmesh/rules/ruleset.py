"""The rule set: every rule of one logic database as one immutable value, and the routing questions it answers.

Decides which data nodes may hold rows for given sharding conditions. Knows nothing of YAML (loading), of SQL
(planning) or of connections. The terms are ShardingSphere's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from dbmesh.model import DataNode, SqlValue


@dataclass(frozen=True, slots=True)
class Values:
    """A sharding column equals one of these values (`=`, IN, an INSERT's value). NULL is the value None."""

    values: tuple[SqlValue, ...]


@dataclass(frozen=True, slots=True)
class Range:
    """A sharding column lies between two bounds; None is an open end."""

    lower: SqlValue
    upper: SqlValue
    lower_inclusive: bool = True
    upper_inclusive: bool = True


Condition = Values | Range


class ShardingAlgorithm(Protocol):
    """Maps sharding conditions to target names (data sources or actual tables).

    `targets` are the names to choose from, in configuration order. Results keep that order, without repeats.
    Raises MeshError(NO_ROUTE) when a value has no target. Standard algorithms read the single entry of
    `conditions`; complex ones all; hint ones read the entry named ''.
    """

    def route(self, targets: Sequence[str], conditions: Mapping[str, Condition]) -> tuple[str, ...]:
        """Names of the targets that may hold matching rows."""
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


@dataclass(frozen=True, slots=True)
class ShardedTable:
    """A logic table spread over `nodes` (in configuration order)."""

    name: str
    nodes: tuple[DataNode, ...]
    database_strategy: Strategy
    table_strategy: Strategy
    key_column: str | None = None
    key_generator: str | None = None
    auditors: tuple[str, ...] = ()
    allow_hint_disable: bool = True

    @property
    def sharding_columns(self) -> tuple[str, ...]:
        """Every column a strategy reads, in lower case, without repeats."""
        return tuple(dict.fromkeys(self.database_strategy.columns + self.table_strategy.columns))

    def route(self, conditions: Mapping[str, Condition], hints: Hints) -> tuple[DataNode, ...]:
        """Data nodes that may hold rows matching `conditions` (sharding column in lower case → condition; a missing
        column means any value). O(nodes + values). Raises MeshError(NO_ROUTE)."""
        raise NotImplementedError

    def point_router(self) -> Callable[[SqlValue], DataNode] | None:
        """A fast function value → node when exactly one column decides everything, else None."""
        raise NotImplementedError


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


TableRule = ShardedTable | BroadcastTable


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
    """A key generator's type (SNOWFLAKE, UUID) and properties."""

    type: str
    properties: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RuleSet:
    """All rules of one logic database. Table keys are in lower case.

    * `binding_groups`: each a tuple of table names (lower case) whose i-th nodes belong together.
    * `single_tables`: `*.*`, `ds.*` or `ds.table` patterns of !SINGLE; `default_single_source` receives new ones.
    """

    database: str
    revision: int
    data_sources: Mapping[str, DataSourceConfig]
    tables: Mapping[str, TableRule]
    binding_groups: tuple[tuple[str, ...], ...] = ()
    single_tables: tuple[str, ...] = ()
    default_single_source: str | None = None
    key_generators: Mapping[str, KeyGeneratorConfig] = field(default_factory=dict)

    def table(self, name: str) -> TableRule | None:
        """The rule of a logic table, compared without case; None for single tables."""
        return self.tables.get(name.lower())

    def binding_group(self, name: str) -> tuple[str, ...] | None:
        """The binding group a logic table belongs to."""
        lowered = name.lower()
        for group in self.binding_groups:
            if lowered in group:
                return group
        return None


@dataclass(frozen=True, slots=True)
class User:
    """A client account: `name`@`host` pattern ('%' and '_' as in MySQL). `password` is plain text, a native hash
    (`*` and 40 hex digits) or a caching_sha2 hash (`$A$005$…`)."""

    name: str
    host: str
    password: str = field(repr=False)
    plugin: str | None = None
    databases: tuple[str, ...] | None = None  # None: every database


@dataclass(frozen=True, slots=True)
class Configuration:
    """A whole configuration directory: logic databases by lower-case name, users and properties.

    `properties` has every known property with its default filled in (docs/CONFIGURATION.md lists them).
    """

    databases: Mapping[str, RuleSet]
    users: tuple[User, ...]
    properties: Mapping[str, int | float | str | bool]
