"""The item `!SHADOW` as values: pairs of a production data source and its shadow, and what sends a statement there.

Decides their shape. What a value of a column matches is `matching`'s business; where statements show such values, the planner's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from dbmesh.model import ColumnSchema, SqlValue
    from dbmesh.rules.replica_groups import ReplicaGroup
    from dbmesh.rules.ruleset import DataSourceConfig, RuleSet


class Operation(Enum):
    """What a statement does to the rows that an algorithm looks at."""

    INSERT = "insert"
    UPDATE = "update"
    DELETE = "delete"
    SELECT = "select"


class Verdict(Enum):
    """Whether a value belongs to the shadow."""

    MATCHES = "matches"
    DIFFERS = "differs"
    UNSURE = "unsure"
    """A server might take it for one that matches, or for one that does not."""


class Matcher(Protocol):
    """What sends a value of a column to the shadow."""

    def verdict(self, value: SqlValue, column: ColumnSchema | None) -> Verdict:
        """Of one value that is compared with the column, or stored in it."""
        ...


@dataclass(frozen=True, slots=True)
class ShadowedTable:
    """A table that may be asked in the shadow. `sources` are production data sources with a shadow for it; `matchers` look at
    columns (in lower case), for each operation; `by_hint`: the hint decides too."""

    name: str
    sources: frozenset[str]
    matchers: Mapping[Operation, Mapping[str, tuple[Matcher, ...]]]
    by_hint: bool = False

    @property
    def columns(self) -> frozenset[str]:
        """Columns whose values decide about any operation."""
        return frozenset(column for columns in self.matchers.values() for column in columns)

    def of(self, operation: Operation) -> Mapping[str, tuple[Matcher, ...]]:
        """What looks at the columns for an operation."""
        return self.matchers.get(operation, {})


@dataclass(frozen=True, slots=True)
class ShadowRule:
    """All shadows of one logic database. `shadow_of`: production data source → its shadow; `data_sources` and `groups` are the shadows
    themselves, by their names. `tables` in lower case. `by_hint`: the hint alone decides about tables that are not named.
    `joint`: of several logic databases, whose shadows no statement can meet together."""

    shadow_of: Mapping[str, str]
    data_sources: Mapping[str, DataSourceConfig]
    tables: Mapping[str, ShadowedTable]
    by_hint: bool = False
    groups: Mapping[str, ReplicaGroup] = field(default_factory=dict)
    joint: bool = False

    def table(self, key: str) -> ShadowedTable | None:
        """What is said of a table."""
        return self.tables.get(key.lower())


def all_sources(rules: RuleSet) -> Mapping[str, DataSourceConfig]:
    """The data sources of a logic database and their shadows."""
    return rules.data_sources if rules.shadow is None else {**rules.data_sources, **rules.shadow.data_sources}


def all_groups(rules: RuleSet) -> Mapping[str, ReplicaGroup]:
    """Those of `all_sources` that are groups."""
    return rules.groups if rules.shadow is None else {**rules.groups, **rules.shadow.groups}
