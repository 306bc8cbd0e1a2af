"""CREATE, ALTER, DROP and TRUNCATE: MySQL's declarations to PostgreSQL's, and to the record kept beside the tables.

Decides which declarations a PostgreSQL data source takes. Storage options without meaning here (ENGINE, …) are accepted;
what would change answers and is not offered is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sqlglot import exp

from dbmesh.backend.postgres import names, types
from dbmesh.backend.postgres.functions import NOW
from dbmesh.backend.postgres.place import PLACE
from dbmesh.backend.postgres.records import CREATE_CATALOG, forgotten, recorded
from dbmesh.backend.postgres.schema import PostgresTable, with_collation
from dbmesh.backend.transpile.declarations import (
    Draft,
    index_name,
    key_columns,
    read_column,
    read_create,
    read_key,
)
from dbmesh.backend.transpile.schema import Column, Index, Table
from dbmesh.backend.transpile.scope import find_table
from dbmesh.errors import ShardError

_BINARY = (types.COLLATION, "utf8mb4_0900_bin")


@dataclass(frozen=True, slots=True)
class Definition:
    """The statements that change the tables, records included; they run in one transaction."""

    statements: tuple[str, ...]


def compile_ddl(node: exp.Expression, tables: Mapping[str, PostgresTable], schema: str) -> Definition:
    """One statement. Raises MeshError or ShardError."""
    kind = str(node.args.get("kind") or "").upper()
    if isinstance(node, exp.Create) and kind == "TABLE":
        return _create(node, tables)
    if isinstance(node, exp.Create) and kind == "INDEX":
        return _create_index(node, tables, schema)
    if isinstance(node, exp.Drop) and kind == "TABLE":
        return _drop(node, tables, schema)
    if isinstance(node, exp.Drop) and kind == "INDEX" and node.args.get("cluster") is not None:
        table = find_table(tables, node.args["cluster"].this, schema, PLACE)
        index = next((index for index in table.indexes if index.name == node.args["tables"][0].name), None)
        if index is None or index.name == "PRIMARY":
            raise ShardError(
                1091, "42000", f"Can't DROP '{node.args['tables'][0].name}'; check that column/key exists"
            )
        return Definition((f"DROP INDEX {names.name(index_name(table.name, index.name))}",))
    if isinstance(node, exp.TruncateTable):
        found = [find_table(tables, part, schema, PLACE) for part in node.expressions]
        return Definition(
            tuple(f"TRUNCATE TABLE {names.name(table.name)} RESTART IDENTITY" for table in found)
        )
    if isinstance(node, exp.Alter):
        return _alter(find_table(tables, node.this, schema, PLACE), node)
    raise PLACE.refused(node)


def _create(node: exp.Create, tables: Mapping[str, PostgresTable]) -> Definition:
    if node.find(exp.TemporaryProperty):
        raise PLACE.refusal("temporary tables", "use an ordinary table")
    node = node.copy()
    for named in list(node.find_all(exp.CollateProperty, exp.CollateColumnConstraint)):
        if named.this.name.lower() not in _BINARY:
            raise PLACE.refusal(f"the collation {named.this.name}", f"use {types.COLLATION}, or name none")
        # A column's constraint stands in a node of its own.
        inner = isinstance(named, exp.CollateColumnConstraint) and named.parent is not None
        (named.parent if inner and named.parent is not None else named).pop()
    table = with_collation(read_create(node))
    if table.name.lower() in tables:
        if node.args.get("exists"):
            return Definition(())
        raise ShardError(1050, "42S01", f"Table '{table.name}' already exists")
    statements = [CREATE_CATALOG, _table_sql(table)]
    statements += [_index_sql(table.name, index) for index in table.indexes if index.name != "PRIMARY"]
    return Definition((*statements, *recorded(table)))


def _alter(table: PostgresTable, node: exp.Alter) -> Definition:
    """ADD COLUMN (last), DROP COLUMN and ADD of keys."""
    statements: list[str] = []
    changed: Table = Table(table.name, table.columns, table.indexes, table.foreign_keys, table.comment)
    target = names.name(table.name)
    for action in node.args["actions"]:
        if isinstance(action, exp.ColumnDef) and not action.args.get("position"):
            draft = Draft()
            read_column(action, draft, types.COLLATION)
            column = replace(draft.columns[0], collation=types.COLLATION)
            if draft.indexes or changed.column(column.name) is not None:
                raise PLACE.refusal(
                    "ADD COLUMN of a key or of a name that is taken", "add the key by CREATE INDEX"
                )
            statements.append(f"ALTER TABLE {target} ADD COLUMN {_column_sql(column)}")
            changed = replace(changed, columns=(*changed.columns, column))
        elif isinstance(action, exp.Drop) and str(action.args.get("kind")).upper() == "COLUMN":
            dropped = changed.column(action.args["tables"][0].name)
            if dropped is None or any(dropped.name in index.columns for index in changed.indexes):
                raise PLACE.refusal("DROP COLUMN of a key's column or of none", "drop the key first")
            statements.append(f"ALTER TABLE {target} DROP COLUMN {names.name(dropped.name)}")
            changed = replace(
                changed, columns=tuple(column for column in changed.columns if column is not dropped)
            )
        elif isinstance(action, exp.AddConstraint):
            draft = Draft(indexes=list(changed.indexes))
            for part in action.expressions:
                read_key(part, draft)
            new = [index for index in draft.indexes if index not in changed.indexes]
            if draft.foreign_keys or any(index.name == "PRIMARY" for index in new):
                raise PLACE.refusal("ADD of this constraint", "declare it in CREATE TABLE")
            statements += [_index_sql(table.name, index) for index in new]
        else:
            raise PLACE.refusal(
                f"this ALTER TABLE ({action.sql('mysql')[:60]})", "use PostgreSQL's own tools"
            )
    return Definition((*statements, *recorded(changed)))


def _table_sql(table: Table) -> str:
    parts = [_column_sql(column) for column in table.columns]
    if table.primary_key:
        parts.append(f"PRIMARY KEY ({_names(table.primary_key)})")
    parts += [
        f"FOREIGN KEY ({_names(key.columns)}) REFERENCES {names.name(key.table)} ({_names(key.references)})"
        for key in table.foreign_keys
    ]
    return f"CREATE TABLE {names.name(table.name)} ({', '.join(parts)})"


def _column_sql(column: Column) -> str:
    name = names.name(column.name)
    parts = [name, types.stored_as(column.declared, column.type)]
    if not column.nullable:
        parts.append("NOT NULL")
    if column.auto_increment:
        parts.append("GENERATED BY DEFAULT AS IDENTITY")
    elif column.default_now:
        unit = "microseconds" if column.type.decimals else "second"
        parts.append(f"DEFAULT date_trunc('{unit}', {NOW})")
    elif column.has_default:
        parts.append(f"DEFAULT {names.constant(column.default, column.type.kind)}")
    return " ".join(parts) + types.limits(name, column.type)


def _index_sql(table: str, index: Index) -> str:
    unique = "UNIQUE " if index.unique else ""
    return f"CREATE {unique}INDEX {names.name(index_name(table, index.name))} ON {names.name(table)} ({_names(index.columns)})"


def _names(columns: Sequence[str]) -> str:
    return ", ".join(map(names.name, columns))


def _create_index(node: exp.Create, tables: Mapping[str, PostgresTable], schema: str) -> Definition:
    index = node.this
    table = find_table(tables, index.args["table"], schema, PLACE)
    columns = []
    for name in key_columns(index.args["params"].args.get("columns") or ()):
        column = table.column(name)
        if column is None:
            raise ShardError(1072, "42000", f"Key column '{name}' doesn't exist in table")
        columns.append(column.name)
    if any(known.name.lower() == index.name.lower() for known in table.indexes):
        raise ShardError(1061, "42000", f"Duplicate key name '{index.name}'")
    made = Index(index.name, bool(node.args.get("unique")), tuple(columns))
    return Definition((_index_sql(table.name, made),))


def _drop(node: exp.Drop, tables: Mapping[str, PostgresTable], schema: str) -> Definition:
    statements = []
    for part in node.args["tables"]:
        table = tables.get(part.name.lower())
        if table is None:
            if node.args.get("exists"):
                continue
            raise ShardError(1051, "42S02", f"Unknown table '{schema}.{part.name}'")
        statements.append(f"DROP TABLE {names.name(table.name)}")
        statements.append(CREATE_CATALOG)
        statements += forgotten(table.name)
    return Definition(tuple(statements))
