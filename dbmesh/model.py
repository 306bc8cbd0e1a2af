"""Frozen values every floor of the house shares: where rows live and what tables look like.

Decides nothing. A name here is the word the field uses, and has one meaning everywhere.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum
from typing import Self

SqlValue = int | float | Decimal | str | bytes | datetime.date | datetime.datetime | datetime.timedelta | None
"""A decoded SQL value: of a literal, of a bound parameter, of a sharding key."""


class UnsignedInteger(int):
    """A bound integer whose type is unsigned: what is computed with it is unsigned too."""

    __slots__ = ()


class IncompleteDate(str):
    """A bound date or datetime that no calendar knows (a zero date, a month of 0), as servers print it."""

    __slots__ = ()


DECISION_TABLE = "dbmesh_txn"
"""The mesh's own table on data sources, which no client sees (`transaction.decisions`)."""

UNDO_TABLE = "dbmesh_undo"
"""Another one (`transaction.undo`)."""

OWN_TABLES = (DECISION_TABLE, UNDO_TABLE)

VIEW_PREFIX = "dbmesh_v_"
"""What stands before the name of a mesh view on the data source that keeps it (`planner.views`)."""


@dataclass(frozen=True, slots=True)
class DataNode:
    """One actual table in one data source: `ds_1.t_order_3`."""

    data_source: str
    table: str

    def __str__(self) -> str:
        return f"{self.data_source}.{self.table}"


class QualifiedTable(str):
    """An actual table's name that statements write with its schema, because the connection they run on may stand in
    another one. Equal to the bare name."""

    __slots__ = ("schema",)

    def __new__(cls, schema: str, name: str) -> Self:
        made = super().__new__(cls, name)
        made.schema = schema
        return made

    schema: str


class ColumnFamily(Enum):
    """How values of a column compare and merge."""

    INTEGER = "integer"
    DECIMAL = "decimal"
    FLOAT = "float"
    TEXT = "text"
    BINARY = "binary"
    TEMPORAL = "temporal"
    ENUM = "enum"
    SET = "set"
    BIT = "bit"
    JSON = "json"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class ColumnSchema:
    """One column of a logic table, as information_schema.COLUMNS describes it.

    `declared_type` is COLUMN_TYPE in lower case (`bigint(20) unsigned`); `collation` is None where text rules do
    not apply. `generated`: computed from other columns; `renewed`: ON UPDATE CURRENT_TIMESTAMP; `reads_clock`: DEFAULT or
    ON UPDATE takes the current time; `invisible`: only statements that name it speak of it.
    """

    name: str
    declared_type: str
    family: ColumnFamily
    unsigned: bool = False
    nullable: bool = True
    collation: str | None = None
    auto_increment: bool = False
    has_default: bool = False
    reads_clock: bool = False
    generated: bool = False
    renewed: bool = False
    invisible: bool = field(default=False, repr=False)


@dataclass(frozen=True, slots=True)
class TableSchema:
    """A logic table's columns in order, its primary key, its other unique keys and its other indexes (each a tuple of column
    names). `guarded`: it has triggers, or foreign keys point to it; `reads_clock`: a trigger takes the current time;
    `foreign_keys` are the names of its own. `definition`: the query of a view as the server tells it, None for a table; a
    view that has become invalid has no columns. `checked`: a view WITH CHECK OPTION. `temporary`: only its session sees it."""

    name: str
    columns: tuple[ColumnSchema, ...]
    primary_key: tuple[str, ...] = ()
    unique_keys: tuple[tuple[str, ...], ...] = ()
    indexes: tuple[tuple[str, ...], ...] = field(default=(), repr=False)
    guarded: bool = False
    reads_clock: bool = False
    foreign_keys: tuple[str, ...] = field(default=(), repr=False)
    definition: str | None = None
    checked: bool = False
    temporary: bool = field(default=False, repr=False)

    @property
    def visible_columns(self) -> tuple[ColumnSchema, ...]:
        """The columns that `*` means, and an INSERT that names none."""
        return tuple(column for column in self.columns if not column.invisible)

    def column(self, name: str) -> ColumnSchema | None:
        """The column of that name, compared as MySQL compares column names: without case."""
        lowered = name.lower()
        for column in self.columns:
            if column.name.lower() == lowered:
                return column
        return None


@dataclass(frozen=True, slots=True)
class Catalog:
    """The schemas of one logic database at one moment: logic table name in lower case → schema.

    `single_nodes` tells where tables that no rule names were found; among them are the mesh views of `views`, each with
    its query in logic names, None where that names what is not there. `single_views` are the queries of views on one data
    source, as far as they can be told in logic names.
    """

    tables: Mapping[str, TableSchema]
    single_nodes: Mapping[str, DataNode]
    views: Mapping[str, str | None] = field(default_factory=dict)
    single_views: Mapping[str, str] = field(default_factory=dict)

    def table(self, name: str) -> TableSchema | None:
        """The schema of a logic table, or None while it is unknown."""
        return self.tables.get(name.lower())
