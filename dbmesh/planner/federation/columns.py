"""Which columns of each table a federated statement may look at.

Decides by the words of the text, not by the tree: a column whose name is written nowhere cannot be needed, and one too
many costs a little. Stars and NATURAL joins need all.
"""

from __future__ import annotations

from sqlglot import exp
from sqlglot.tokenizer_core import TokenType

from dbmesh.errors import not_supported
from dbmesh.model import ColumnSchema, TableSchema
from dbmesh.planner.context import PlanContext
from dbmesh.planner.resolve import Scopes, TableReference
from dbmesh.planner.subselects import scope_of


def needed_columns(context: PlanContext, scopes: Scopes) -> dict[int, tuple[ColumnSchema, ...]]:
    """Index of a reference → the columns its scan reads, in the table's order, at least one.

    Raises MeshError(NOT_SUPPORTED) for a table whose columns nobody could read.
    """
    words = {
        token.text.lower()
        for token in context.statement.tokens
        if token.token_type not in (TokenType.STRING, TokenType.NUMBER)
    }
    whole = _read_whole(context, scopes)
    return {
        reference.index: _of(reference, words, whole=reference.index in whole)
        for reference in scopes.references
    }


def _of(reference: TableReference, words: set[str], *, whole: bool) -> tuple[ColumnSchema, ...]:
    schema = reference.schema
    if schema is None or not schema.columns:
        raise not_supported(
            f"the table '{reference.table.name}', whose columns could not be read, in this statement",
            "send it again when its data source is back",
        )
    if whole:
        return schema.columns
    names = {column.name.lower() for column in schema.columns if column.name.lower() in words}
    names = names or {schema.columns[0].name.lower()}
    names |= _unique_partners(schema, names)
    return tuple(column for column in schema.columns if column.name.lower() in names)


def _unique_partners(schema: TableSchema, names: set[str]) -> set[str]:
    """The other columns of unique keys: a key with a part of its columns would hold different rows equal."""
    keys = [{name.lower() for name in key} for key in (schema.primary_key, *schema.unique_keys)]
    found = set(names)
    grown = True
    while grown:
        before = len(found)
        for key in keys:
            if key & found:
                found |= key
        grown = len(found) > before
    return found


def _read_whole(context: PlanContext, scopes: Scopes) -> set[int]:
    tree = context.statement.tree
    whole: set[int] = set()
    for star in tree.find_all(exp.Star):
        parent = star.parent
        if isinstance(parent, exp.Count):
            continue
        scope = scope_of(star)
        if isinstance(parent, exp.Column) and parent.table:
            named = parent.table.lower()
            whole |= {r.index for r in scopes.references if r.alias.lower() == named}
        elif scope is not None:
            whole |= {r.index for r in scopes.of(scope)}
    for join in tree.find_all(exp.Join):
        scope = scope_of(join)
        if join.method and scope is not None:
            whole |= {r.index for r in scopes.of(scope)}
    return whole
