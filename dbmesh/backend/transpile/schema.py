"""Tables as MySQL declared them, kept beside the data as records.

Decides how declared types, defaults and keys survive in a database whose own schema cannot express them. Knows nothing of
statements; each data source reads and writes the records itself.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from functools import lru_cache

from dbmesh.backend.transpile import types
from dbmesh.backend.transpile.types import Kind, SqlType
from dbmesh.model import ColumnSchema, TableSchema
from dbmesh.wire.constants import ColumnFlag

CATALOG_TABLE = "dbmesh_tables"


@dataclass(frozen=True, slots=True)
class Column:
    """A column. `default` is its value in storage form; `default_now` fills it with the clock instead, and
    `on_update_now` does so at every change of the row."""

    name: str
    declared: str
    collation: str
    nullable: bool = True
    auto_increment: bool = False
    has_default: bool = False
    default: int | float | str | None = None
    default_now: bool = False
    on_update_now: bool = False
    comment: str = ""

    @property
    def type(self) -> SqlType:
        """Its type, with its own collation and nullability."""
        return _column_type(self.declared, self.collation, self.nullable)


@lru_cache(maxsize=1024)
def _column_type(declared: str, collation: str, nullable: bool) -> SqlType:
    """Asked for every value of every INSERT."""
    return replace(types.declared(declared)[1], collation=collation, not_null=not nullable)


@dataclass(frozen=True, slots=True)
class Index:
    """A key: PRIMARY, unique or plain. `columns` in order."""

    name: str
    unique: bool
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A reference to another table of the same data source."""

    name: str
    columns: tuple[str, ...]
    table: str
    references: tuple[str, ...]
    on_delete: str = ""
    on_update: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A table as it was declared."""

    name: str
    columns: tuple[Column, ...]
    indexes: tuple[Index, ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    comment: str = ""

    def column(self, name: str) -> Column | None:
        """The column of that name, compared without case."""
        lowered = name.lower()
        return next((column for column in self.columns if column.name.lower() == lowered), None)

    @property
    def primary_key(self) -> tuple[str, ...]:
        """The primary key's columns."""
        return next((index.columns for index in self.indexes if index.name == "PRIMARY"), ())

    @property
    def auto_column(self) -> Column | None:
        """The AUTO_INCREMENT column."""
        return next((column for column in self.columns if column.auto_increment), None)

    def flags(self, column: Column) -> int:
        """The key and default flags of a column definition."""
        flags = 0
        for index in self.indexes:
            if index.name == "PRIMARY" and column.name in index.columns:
                flags |= ColumnFlag.PRIMARY_KEY
            elif index.columns[0] == column.name:
                flags |= (
                    ColumnFlag.UNIQUE_KEY
                    if index.unique and len(index.columns) == 1
                    else ColumnFlag.MULTIPLE_KEY
                )
        if column.auto_increment:
            flags |= ColumnFlag.AUTO_INCREMENT
        if not column.nullable and not column.has_default and not column.auto_increment:
            flags |= ColumnFlag.NO_DEFAULT_VALUE
        return int(flags)

    def as_schema(self) -> TableSchema:
        """The table as the rest of the mesh knows tables."""
        return TableSchema(
            name=self.name,
            columns=tuple(
                ColumnSchema(
                    name=column.name,
                    declared_type=column.declared,
                    family=types.family(column.type),
                    unsigned=column.type.unsigned,
                    nullable=column.nullable,
                    collation=column.collation if column.type.kind is Kind.TEXT else None,
                    auto_increment=column.auto_increment,
                    has_default=column.has_default or column.default_now,
                    reads_clock=column.default_now or column.on_update_now,
                )
                for column in self.columns
            ),
            primary_key=self.primary_key,
            unique_keys=tuple(
                index.columns for index in self.indexes if index.unique and index.name != "PRIMARY"
            ),
        )


def dump(table: Table) -> str:
    """The record kept beside the table."""
    return json.dumps(asdict(table))


def restore(record: str) -> Table:
    """The table of a record."""
    found = json.loads(record)
    return Table(
        found["name"],
        tuple(Column(**column) for column in found["columns"]),
        tuple(Index(index["name"], index["unique"], tuple(index["columns"])) for index in found["indexes"]),
        tuple(
            ForeignKey(**{**key, "columns": tuple(key["columns"]), "references": tuple(key["references"])})
            for key in found["foreign_keys"]
        ),
        found["comment"],
    )
