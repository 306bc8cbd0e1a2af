"""INSERT, UPDATE and DELETE through a view: the view's table stands in its place, its condition in WHERE.

Decides that only views that pick columns of one table, by their own names, and rows of it can be written through: then every
name of the statement means the same column of the table. Knows no routes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlglot import exp
from sqlglot.tokenizer_core import Token, TokenType

from dbmesh.errors import MeshError, not_supported
from dbmesh.model import TableSchema
from dbmesh.planner.context import PlanContext
from dbmesh.planner.elsewhere import database_of
from dbmesh.planner.subselects import passing_query
from dbmesh.planner.template import Edits, quote_name
from dbmesh.sql.clauses import find_clauses
from dbmesh.sql.parse import parse, tokenize

_BEHIND_CONDITION = frozenset(("ORDER", "LIMIT", "RETURNING"))
_INSTEAD = "write its table"


@dataclass(frozen=True, slots=True)
class _Picked:
    """What a view picks: the `table`, its `columns` in lower case, and the `condition` on its rows: pieces of text between
    which the table is named, none for all rows."""

    table: exp.Table
    columns: tuple[str, ...]
    condition: tuple[str, ...]


class ThroughView:
    """One write through a view. `tree` is the statement's, `view` the target in it, `definition` the view's query."""

    def __init__(
        self, context: PlanContext, tree: exp.Expr, view: exp.Table, schema: TableSchema, definition: str
    ) -> None:
        self._context = context
        self._tree = tree
        self._view = view
        self._schema = schema
        picked = _picked(definition)
        if picked is None:
            raise self._refused("which does more than pick columns and rows of one table")
        if tree.args.get("joins") or view.args.get("joins") or self._is_named_again():
            raise self._refused("which is joined or named twice")
        self._picked = picked
        self._table = quote_name(picked.table.name, quoted=True)
        self._check()

    def edit(self, edits: Edits) -> str:
        """Edits that put the table in the view's place; the condition to be added, '' for none. Raises
        MeshError(NOT_SUPPORTED)."""
        start, end = _span(self._view)
        database = quote_name(self._picked.table.db, quoted=True)
        edits.replace(start, end, f"{database}.{self._table}")
        qualifier = self._table
        if self._view.alias:
            qualifier = quote_name(self._view.alias, quoted=True)
        else:
            for column in self._tree.find_all(exp.Column):
                written = column.args.get("table")
                if isinstance(written, exp.Identifier) and written.name.lower() == self._view.name.lower():
                    first = column.args.get("db") or written
                    edits.replace(first.meta["start"], written.meta["end"] + 1, self._table)
        if isinstance(self._tree, exp.Insert):
            if not isinstance(self._view.parent, exp.Schema):
                columns = ", ".join(quote_name(column.name, quoted=True) for column in self._schema.columns)
                edits.insert(end, f" ({columns})")
            return ""
        return qualifier.join(self._picked.condition)

    def _check(self) -> None:
        if self._schema.checked and not isinstance(self._tree, exp.Delete):
            raise self._refused("which has a CHECK OPTION")
        table = self._picked.table
        key = self._context.rule_set.key(database_of(self._context, table.db, table.name), table.name)
        base = self._context.catalog.table(key)
        if base is None or not base.columns:
            raise self._refused("whose table is unknown")
        hidden = {column.name.lower() for column in base.columns} - set(self._picked.columns)
        for name in _named_columns(self._tree, self._view):
            if name in hidden:
                raise self._refused(f"which does not show '{name}'")
        numbered = any(column.auto_increment and column.name.lower() in hidden for column in base.columns)
        if numbered and isinstance(self._tree, exp.Insert):
            raise self._refused("which does not show the numbered column")

    def _is_named_again(self) -> bool:
        """Whether a name may mean the view or something else of that name."""
        alias = (self._view.alias or self._view.name).lower()
        sources = self._tree.find_all(exp.Table, exp.Subquery, exp.CTE)
        return sum(source.alias_or_name.lower() == alias for source in sources) > 1

    def _refused(self, why: str) -> MeshError:
        return not_supported(f"writing through the view '{self._view.name}', {why}", _INSTEAD)


def add_condition(edits: Edits, tokens: Sequence[Token], target: exp.Table, condition: str) -> None:
    """Edits that let an UPDATE or DELETE look at rows of the condition only."""
    behind = (at for at, token in enumerate(tokens) if token.start >= _span(target)[1])
    first = next(behind, len(tokens))
    depth = 0
    where: int | None = None
    last = len(tokens)
    for at in range(first, len(tokens)):
        kind = tokens[at].token_type
        depth += (kind is TokenType.L_PAREN) - (kind is TokenType.R_PAREN)
        if depth or kind in (TokenType.IDENTIFIER, TokenType.STRING):
            continue
        word = tokens[at].text.upper().split()[:1]
        if where is None and word == ["WHERE"]:
            where = at
        elif word and word[0] in _BEHIND_CONDITION:
            last = at
            break
    end = tokens[last - 1].end + 1
    if where is None:
        edits.insert(end, f" WHERE {condition}")
        return
    edits.insert(tokens[where + 1].start, "(")
    edits.insert(end, f") AND ({condition})")


def _picked(definition: str) -> _Picked | None:
    tree = parse(definition)
    if not isinstance(tree, exp.Select):
        return None
    # A derived table of the query, so that what derived tables pass on is asked in one way.
    outer = parse(f"SELECT 1 FROM ({definition}) AS x")
    inner = passing_query(outer) if isinstance(outer, exp.Select) else None
    source = tree.args["from_"].this if tree.args.get("from_") is not None else None
    if inner is None or tree.args.get("joins") or tree.args.get("order") or not isinstance(source, exp.Table):
        return None
    items = tree.expressions
    if not all(
        isinstance(item, exp.Alias) and isinstance(item.this, exp.Column) and item.alias == item.this.name
        for item in items
    ):
        return None
    where = tree.args.get("where")
    if where is None:
        return _Picked(source, tuple(item.alias.lower() for item in items), ())
    clauses = find_clauses(tokenize(definition))
    if clauses is None or any(where.find_all(exp.Select)):
        return None
    begin, end = clauses.spans["WHERE"]
    pieces: list[str] = []
    position = begin + len("WHERE")
    for column in sorted(where.find_all(exp.Column), key=lambda one: int(one.this.meta["start"])):
        first = column.args.get("db") or column.args.get("table")
        if first is None:
            return None
        pieces.append(definition[position : first.meta["start"]])
        position = column.args["table"].meta["end"] + 1
    pieces.append(definition[position:end])
    pieces[0] = pieces[0].lstrip()
    return _Picked(source, tuple(item.alias.lower() for item in items), tuple(pieces))


def _named_columns(tree: exp.Expr, view: exp.Table) -> list[str]:
    """Columns that the statement may mean of the view, in lower case."""
    alias = (view.alias or view.name).lower()
    names = [c.name.lower() for c in tree.find_all(exp.Column) if not c.table or c.table.lower() == alias]
    listed = view.parent.expressions if isinstance(view.parent, exp.Schema) else ()
    return names + [one.name.lower() for one in listed]


def _span(table: exp.Table) -> tuple[int, int]:
    return (table.args.get("db") or table.this).meta["start"], table.this.meta["end"] + 1
