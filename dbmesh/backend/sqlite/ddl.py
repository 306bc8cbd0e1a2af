"""CREATE, ALTER and DROP: declarations to SQLite's statements, and to the record kept beside the tables.

Decides how SQLite stores a column, and which changes it takes. DECIMAL, dates and times are texts in MySQL's printed
form, so nothing is lost to floating point.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlglot import exp

from dbmesh.backend.sqlite import names
from dbmesh.backend.sqlite.place import PLACE
from dbmesh.backend.transpile.coerce import Coercion, Stored
from dbmesh.backend.transpile.collations import GENERAL_CI
from dbmesh.backend.transpile.declarations import (
    Draft,
    checked,
    index_name,
    key_columns,
    read_column,
    read_key,
)
from dbmesh.backend.transpile.schema import Column, Index, Table
from dbmesh.backend.transpile.types import Kind, SqlType
from dbmesh.errors import ShardError


def affinity(kind: SqlType) -> str:
    """How SQLite declares a column of this type, collation included."""
    if kind.kind is Kind.INTEGER:
        return "INTEGER"
    if kind.kind is Kind.DOUBLE:
        return "REAL"
    if kind.kind is Kind.BINARY:
        return "BLOB"
    if kind.kind is Kind.DECIMAL:
        return "TEXT COLLATE dbmesh_decimal"
    if kind.kind is Kind.TEXT:
        return f"TEXT COLLATE {kind.collation}"
    return "TEXT"


def create_statements(table: Table) -> list[str]:
    """The SQLite statements that make the table and its indexes."""
    parts = [_column_sql(table, column) for column in table.columns]
    if table.primary_key and table.auto_column is None:
        parts.append(f"PRIMARY KEY ({_names(table.primary_key)})")
    parts += [
        f"FOREIGN KEY ({_names(key.columns)}) REFERENCES {names.name(key.table)} ({_names(key.references)})"
        for key in table.foreign_keys
    ]
    statements = [f"CREATE TABLE {names.name(table.name)} ({', '.join(parts)})"]
    statements += [index_sql(table.name, index) for index in table.indexes if index.name != "PRIMARY"]
    return statements


def _column_sql(table: Table, column: Column) -> str:
    if column.auto_increment:
        return f"{names.name(column.name)} INTEGER PRIMARY KEY AUTOINCREMENT"
    return f"{names.name(column.name)} {affinity(column.type)}{'' if column.nullable else ' NOT NULL'}"


def index_sql(table: str, index: Index) -> str:
    """CREATE INDEX; SQLite's index names are one namespace per file, so the table's name goes in front."""
    unique = "UNIQUE " if index.unique else ""
    return f"CREATE {unique}INDEX {names.name(index_name(table, index.name))} ON {names.name(table)} ({_names(index.columns)})"


def _names(columns: Sequence[str]) -> str:
    return ", ".join(map(names.name, columns))


@dataclass(frozen=True, slots=True)
class Alteration:
    """What ALTER TABLE does: the table afterwards, and the statements that get there."""

    table: Table
    statements: tuple[str, ...]


def alter(table: Table, node: exp.Alter) -> Alteration:
    """ALTER TABLE: ADD COLUMN (last), DROP COLUMN, ADD/DROP INDEX, RENAME TO. Raises MeshError for the rest."""
    statements: list[str] = []
    for action in node.args["actions"]:
        if isinstance(action, exp.ColumnDef):
            table = _add_column(table, action, statements)
        elif isinstance(action, exp.AddConstraint):
            for part in action.expressions:
                table = _add_key(table, part, statements)
        elif isinstance(action, exp.Drop):
            table = _drop(table, action, statements)
        elif isinstance(action, exp.AlterRename):
            name = action.this.name
            statements += [
                f"DROP INDEX {names.name(index_name(table.name, i.name))}"
                for i in table.indexes
                if i.name != "PRIMARY"
            ]
            statements.append(f"ALTER TABLE {names.name(table.name)} RENAME TO {names.name(name)}")
            table = replace(table, name=name)
            statements += [index_sql(name, index) for index in table.indexes if index.name != "PRIMARY"]
        else:
            raise PLACE.refused(action)
    return Alteration(table, tuple(statements))


def _add_column(table: Table, node: exp.ColumnDef, statements: list[str]) -> Table:
    draft = Draft(indexes=list(table.indexes))
    before = len(draft.indexes)
    read_column(node, draft, GENERAL_CI)
    column = draft.columns[0]
    if (
        node.args.get("position")
        or len(draft.indexes) > before
        or column.auto_increment
        or column.default_now
    ):
        raise PLACE.refusal("ADD COLUMN with a position, a key or a clock", "add it plain")
    if table.column(column.name) is not None:
        raise ShardError(1060, "42S21", f"Duplicate column name '{column.name}'")
    default: Stored = column.default if column.has_default else None
    if default is None and not column.nullable:
        implicit: dict[Kind, Stored] = {Kind.INTEGER: 0, Kind.DOUBLE: 0.0, Kind.TEXT: ""}
        kind = column.type.kind
        implicit[Kind.DECIMAL] = "0"
        default = None if kind not in implicit else Coercion(column.name, column.type).store(implicit[kind])
        if default is None:
            raise PLACE.refusal("ADD COLUMN … NOT NULL of this type", "give it a DEFAULT")
    sql = f"ALTER TABLE {names.name(table.name)} ADD COLUMN {_column_sql(table, column)}"
    statements.append(sql + ("" if default is None else f" DEFAULT {names.literal(default)}"))
    return replace(table, columns=(*table.columns, column))


def _add_key(table: Table, node: exp.Expression, statements: list[str]) -> Table:
    draft = Draft(indexes=list(table.indexes))
    read_key(node, draft)
    added = draft.indexes[len(table.indexes) :]
    if draft.foreign_keys or any(index.name == "PRIMARY" for index in added):
        raise PLACE.refusal("adding this key by ALTER TABLE", "declare it in CREATE TABLE")
    statements += [index_sql(table.name, index) for index in added]
    return checked(replace(table, indexes=(*table.indexes, *added)))


def add_index(table: Table, node: exp.Create) -> Alteration:
    """CREATE INDEX."""
    params = node.this.args["params"]
    index = Index(node.this.name, bool(node.args.get("unique")), key_columns(params.args["columns"]))
    if any(known.name.lower() == index.name.lower() for known in table.indexes):
        raise ShardError(1061, "42000", f"Duplicate key name '{index.name}'")
    changed = checked(replace(table, indexes=(*table.indexes, index)))
    return Alteration(changed, (index_sql(table.name, index),))


def drop_index(table: Table, name: str) -> Alteration:
    """DROP INDEX."""
    found = next((index for index in table.indexes if index.name.lower() == name.lower()), None)
    if found is None:
        raise ShardError(1091, "42000", f"Can't DROP INDEX `{name}`; check that it exists")
    if found.name == "PRIMARY":
        raise PLACE.refusal("dropping the primary key", "make another table")
    rest = tuple(index for index in table.indexes if index is not found)
    return Alteration(
        replace(table, indexes=rest), (f"DROP INDEX {names.name(index_name(table.name, found.name))}",)
    )


def _drop(table: Table, action: exp.Drop, statements: list[str]) -> Table:
    kind, target = str(action.args.get("kind") or "").upper(), action.args["tables"][0].name
    if kind == "INDEX":
        alteration = drop_index(table, target)
        statements += alteration.statements
        return alteration.table
    column = table.column(target) if kind == "COLUMN" else None
    if kind != "COLUMN":
        raise PLACE.refused(action)
    if column is None:
        raise ShardError(1091, "42000", f"Can't DROP COLUMN `{target}`; check that it exists")
    if any(column.name in index.columns for index in table.indexes):
        raise PLACE.refusal("dropping a column of a key", "drop the key first")
    statements.append(f"ALTER TABLE {names.name(table.name)} DROP COLUMN {names.name(column.name)}")
    return replace(table, columns=tuple(known for known in table.columns if known is not column))
