"""Names a statement may use, and compiled expressions with their types.

Decides what a column name means: select aliases where MySQL looks at them, then the tables of FROM, then those of the
statement around. Knows nothing of SQL text beyond quoting.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from sqlglot import exp

from dbmesh.backend.transpile import names
from dbmesh.backend.transpile.coerce import Stored
from dbmesh.backend.transpile.refusals import Place
from dbmesh.backend.transpile.schema import Column, Table
from dbmesh.backend.transpile.types import SqlType
from dbmesh.errors import ShardError

AnyTable = TypeVar("AnyTable", bound=Table)


def find_table(tables: Mapping[str, AnyTable], node: exp.Expression, database: str, place: Place) -> AnyTable:
    """The stored table a node names. Raises ShardError 1146, or MeshError for another schema."""
    schema = node.text("db")
    if schema and schema.lower() != database.lower():
        raise place.refusal(f"tables of schema {schema}", "use SHOW, or a MySQL data source")
    table = tables.get(node.name.lower())
    if table is None:
        raise ShardError(1146, "42S02", f"Table '{database}.{node.name}' doesn't exist")
    return table


@dataclass(frozen=True, slots=True)
class Origin:
    """The stored column an expression is, and nothing more."""

    table: Table
    column: Column
    alias: str


@dataclass(frozen=True, slots=True)
class Typed:
    """A compiled expression. `constant` tells that `value` is known; `origin` that it is a plain stored column;
    `derived` names the derived table whose column it is."""

    sql: str
    type: SqlType
    origin: Origin | None = None
    constant: bool = False
    value: Stored = None
    aggregate: bool = False
    derived: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """One table of FROM: its alias and its columns in order."""

    alias: str
    columns: tuple[tuple[str, Typed], ...]

    @staticmethod
    def of_table(table: Table, alias: str) -> Source:
        """A stored table."""
        quoted = names.name(alias)
        return Source(
            alias,
            tuple(
                (
                    column.name,
                    Typed(f"{quoted}.{names.name(column.name)}", column.type, Origin(table, column, alias)),
                )
                for column in table.columns
            ),
        )


@dataclass(slots=True)
class Scope:
    """The names of one SELECT. `place` names the clause for error 1054."""

    sources: list[Source] = field(default_factory=list)
    parent: Scope | None = None
    aliases: Mapping[str, Typed] = field(default_factory=dict)
    alias_first: bool = False
    merged: frozenset[str] = frozenset()
    place: str = "field list"

    def resolve(self, name: str, table: str | None) -> Typed:
        """The expression a name stands for. Raises ShardError 1054 (unknown) or 1052 (ambiguous)."""
        scope: Scope | None = self
        while scope is not None:
            found = scope._here(name.lower(), table)
            if found is not None:
                return found
            scope = scope.parent
        shown = f"{table}.{name}" if table else name
        raise ShardError(1054, "42S22", f"Unknown column '{shown}' in '{self.place}'")

    def _here(self, name: str, table: str | None) -> Typed | None:
        if table is None and self.alias_first and name in self.aliases:
            return self.aliases[name]
        found = [
            column
            for source in self.sources
            if table is None or source.alias.lower() == table.lower()
            for known, column in source.columns
            if known.lower() == name
        ]
        if len(found) > 1 and name not in self.merged:
            raise ShardError(1052, "23000", f"Column '{name}' in {self.place} is ambiguous")
        if found:
            return found[0]
        return self.aliases.get(name) if table is None else None

    def source(self, alias: str) -> Source:
        """The table of that alias. Raises ShardError 1051."""
        for source in self.sources:
            if source.alias.lower() == alias.lower():
                return source
        raise ShardError(1051, "42S02", f"Unknown table '{alias}'")
