"""Tables with masked columns in FROM, read as if they were views: each reference becomes a derived table whose masked columns
are expressions.

Decides the text of the derived table and where it stands. Everything around it, order and conditions too, sees masked values, whatever
functions, aliases or subqueries it is made of (`predicates` has the exception). Knows nothing of routes.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from dbmesh.planner.context import PlanContext
from dbmesh.planner.lexemes import Kind, Lexeme
from dbmesh.planner.masked.predicates import compare_real
from dbmesh.planner.masked.references import MaskedReference, quoted, unclear
from dbmesh.planner.row_locks import row_lock
from dbmesh.planner.template import Edits
from dbmesh.planner.written_clauses import index_hints, lock_clauses

_PLAIN = frozenset(("this", "db", "alias", "hints", "joins"))
"""Parts of a table reference that mean the same around a derived table."""


def read_masked(
    context: PlanContext,
    edits: Edits,
    tree: exp.Expr,
    references: Sequence[MaskedReference],
    lexemes: Sequence[Lexeme],
) -> None:
    """Edits that put derived tables in the places of these references. Raises MeshError(NOT_SUPPORTED)."""
    hints = _hints(context, tree)
    locks = lock_clauses(context.statement.tokens)
    for reference in references:
        node = reference.node
        if not {name for name, value in node.args.items() if value} <= _PLAIN or _renames(node):
            raise unclear(node.name)
        start, end = reference.span
        pieces = [context.statement.text[start:end]]
        for first, last in hints.get(reference.name_start, ()):
            edits.replace(first, last)
            pieces.append(context.statement.text[first:last])
        lock = row_lock(context, node, reference.alias, locks, unclear(node.name))
        if lock:
            pieces.append(lock)
        real = compare_real(context, edits, reference) if reference.real_predicates else ()
        columns = _columns(context, reference, real, tree, lexemes)
        own = "" if node.alias else f" AS {context.statement.text[reference.name_start : end]}"
        _as_select(edits, lexemes, start)
        edits.replace(start, end, f"(SELECT {columns} FROM {' '.join(pieces)}){own}")
        _unqualify(edits, tree, reference)


def _as_select(edits: Edits, lexemes: Sequence[Lexeme], start: int) -> None:
    """`TABLE t` as a SELECT: the word takes a name only."""
    before = [lexeme for lexeme in lexemes if lexeme.end <= start]
    if before and before[-1].word == "TABLE":
        edits.replace(before[-1].start, before[-1].end, "SELECT * FROM")


def _renames(node: exp.Table) -> bool:
    alias = node.args.get("alias")
    return alias is not None and bool(alias.args.get("columns"))


def _columns(
    context: PlanContext,
    reference: MaskedReference,
    real: Sequence[str],
    tree: exp.Expr,
    lexemes: Sequence[Lexeme],
) -> str:
    """What the derived table selects: of the table's columns, in their order, those that the statement may mean; behind them the
    `real` values of some."""
    written = {lexeme.value.lower() for lexeme in lexemes if lexeme.kind in (Kind.WORD, Kind.QUOTED)}
    everything = _means_all(tree)
    chosen = [
        column
        for column in reference.schema.columns
        if (everything and not column.invisible) or (not everything and column.name.lower() in written)
    ]
    items: list[str] = []
    for column in chosen or reference.schema.columns[:1]:
        name = quoted(context, column.name)
        mask = reference.masks.get(column.name.lower())
        items.append(name if mask is None else f"{mask.expression(name, column)} AS {name}")
    items += [f"{quoted(context, name)} AS {quoted(context, reference.real_name(name))}" for name in real]
    return ", ".join(items)


def _means_all(tree: exp.Expr) -> bool:
    """Whether some SELECT may mean columns that it does not name."""
    stars = any(not isinstance(star.parent, exp.Count) for star in tree.find_all(exp.Star))
    return stars or any(join.method for join in tree.find_all(exp.Join))


def _hints(context: PlanContext, tree: exp.Expr) -> dict[int, list[tuple[int, int]]]:
    """Where the table begins that an index hint stands behind → the hints' spans."""
    starts = [
        int(node.this.meta["start"])
        for node in tree.find_all(exp.Table)
        if isinstance(node.this, exp.Identifier) and "start" in node.this.meta
    ]
    found: dict[int, list[tuple[int, int]]] = {}
    for first, last in index_hints(context.statement.tokens):
        before = [start for start in starts if start < first]
        if before:
            found.setdefault(max(before), []).append((first, last))
    return found


def _unqualify(edits: Edits, tree: exp.Expr, reference: MaskedReference) -> None:
    """A derived table is of no database: columns are qualified by its name alone."""
    for column in tree.find_all(exp.Column):
        database = column.args.get("db")
        if isinstance(database, exp.Identifier) and column.table.lower() == reference.alias:
            first, table = int(database.meta["start"]), int(column.args["table"].meta["start"])
            if not edits.touches(first, table):
                edits.replace(first, table)
