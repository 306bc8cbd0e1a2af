"""What is wrong with the form of an INSERT … SELECT, which a server says before it reads a row.

Decides by the tables' schemas alone; what they do not tell is left to the servers that get the rows.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from dbmesh.errors import COLUMN_COUNT, COLUMN_TWICE, UNKNOWN_COLUMN, MeshError, not_supported
from dbmesh.model import ColumnFamily, TableSchema
from dbmesh.planner.columns import is_star
from dbmesh.planner.resolve import Scopes, TableReference
from dbmesh.rules.ruleset import ShardedTable


def check_columns(schema: TableSchema | None, columns: Sequence[str]) -> None:
    """The list of columns. Raises MeshError: UNKNOWN_COLUMN, COLUMN_TWICE."""
    seen: set[str] = set()
    for name in columns:
        if schema is not None and schema.column(name) is None:
            raise MeshError(UNKNOWN_COLUMN, column=name, clause="INSERT INTO")
        if name.lower() in seen:
            raise MeshError(COLUMN_TWICE, column=name)
        seen.add(name.lower())


def refuse_partitions(target: TableReference) -> None:
    """Statements of the mesh's own do not name partitions. Raises MeshError(NOT_SUPPORTED)."""
    if target.node.args.get("partition") is not None:
        raise not_supported(
            "PARTITION (…) of a table whose rows come from several data nodes or move between them",
            "leave it out",
        )


def check_width(tree: exp.Expr, scopes: Scopes, columns: Sequence[str]) -> None:
    """The query's columns against the list's. Raises MeshError(COLUMN_COUNT)."""
    query = tree.expression if isinstance(tree, exp.Insert) else None
    while isinstance(query, exp.SetOperation | exp.Subquery):
        query = query.this
    width = _width(query, scopes) if isinstance(query, exp.Select) else None
    if width is not None and width != len(columns):
        raise MeshError(COLUMN_COUNT, row=1)


def _width(query: exp.Select, scopes: Scopes) -> int | None:
    width = 0
    for item in query.expressions:
        if not is_star(item.unalias()):
            width += 1
            continue
        references = scopes.of(query)
        if len(references) != 1 or references[0].schema is None or query.args.get("joins"):
            return None
        width += len(references[0].schema.visible_columns)
    return width


def column_without_value(target: TableReference, columns: Sequence[str]) -> str:
    """The first column of the written table that has neither a value nor a default, '' where there is none."""
    given = {name.lower() for name in columns}
    if isinstance(target.table, ShardedTable) and target.table.key_column:
        # The mesh gives it one.
        given.add(target.table.key_column.lower())
    for column in () if target.schema is None else target.schema.columns:
        exempt = column.nullable or column.has_default or column.auto_increment or column.generated
        if not exempt and column.family is not ColumnFamily.ENUM and column.name.lower() not in given:
            return column.name
    return ""
