"""Names and session functions in a statement read as a tree: where they stand and what stands there on a shard.

Decides edits of UPDATE, DELETE and statements on one data source: the table itself, every column it qualifies, and
the targets of a multi-table DELETE. Knows no routes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlglot import exp

from dbmesh.errors import not_supported
from dbmesh.planner.context import PlanContext
from dbmesh.planner.names import session_answers
from dbmesh.planner.resolve import Scopes, TableReference, named
from dbmesh.planner.subselects import scope_of
from dbmesh.planner.template import Edits, TableName


def rename_references(
    context: PlanContext, scopes: Scopes, tree: exp.Expr, *, answers_from: int | None = 0
) -> Edits:
    """Edits that put the actual names of every reference into the statement, and the session's answers in place of
    its functions, of those from a position on or, with None, of none. Raises MeshError(NOT_SUPPORTED) for a qualifier nobody can follow."""
    edits = context.edits()
    for reference in scopes.references:
        edits.replace(reference.start, reference.end, TableName(reference.index, reference.quoted))
    for start, end, reference in qualifiers(scopes, tree):
        edits.replace(start, end, TableName(reference.index, reference.quoted))
    if answers_from is not None:
        session_answers(context, edits, answers_from)
    return edits


def qualifiers(scopes: Scopes, tree: exp.Expr) -> Iterator[tuple[int, int, TableReference]]:
    """Spans where a table's own name (not an alias) qualifies a column."""
    for column in tree.find_all(exp.Column):
        table = column.args.get("table")
        if not isinstance(table, exp.Identifier):
            continue
        database = column.args.get("db")
        reference = _named(scopes, scope_of(column) or tree, table.name, column.db)
        if reference is None:
            if database is not None:
                raise not_supported(f"the column name {column.sql()}", "qualify the column by its table only")
            continue
        if not reference.aliased:
            start = (database if isinstance(database, exp.Identifier) else table).meta["start"]
            yield start, table.meta["end"] + 1, reference


def rename_targets(edits: Edits, scopes: Scopes, tree: exp.Expr, targets: Sequence[exp.Table]) -> None:
    """Edits that put the actual names into the targets of a multi-table DELETE; aliases stay."""
    for target in targets:
        reference = _named(scopes, tree, target.name, target.db)
        if reference is None:
            raise not_supported(f"the DELETE target {target.sql()}", "name a table of the FROM clause")
        database = target.args.get("db")
        first = database if isinstance(database, exp.Identifier) else target.this
        end = target.this.meta["end"] + 1
        if not reference.aliased:
            edits.replace(first.meta["start"], end, TableName(reference.index, reference.quoted))


def _named(scopes: Scopes, scope: exp.Expr | None, name: str, database: str) -> TableReference | None:
    """The reference a qualifier means: the innermost scope that has one of that name."""
    while scope is not None:
        meant = named(scopes.of(scope), name, database)
        if meant:
            return meant[0]
        scope = scope_of(scope)
    return None
