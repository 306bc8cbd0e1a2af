"""Column names: where an edit changes the text MySQL would name a column by, the old text becomes its alias.

Decides for the outermost SELECT and for derived tables and common table expressions, whose names `*` shows. Knows no
routes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from sqlglot import exp
from sqlglot.tokenizer_core import Token, TokenType

from dbmesh.planner.context import PlanContext
from dbmesh.planner.session_values import WITHOUT_PARENTHESES
from dbmesh.planner.template import Edits
from dbmesh.sql.clauses import Span, find_clauses

_NO_NAME = re.compile("[\U00010000-\U0010ffff]")
"""Characters no identifier may have; a server too puts a question mark in their place when it names a column."""


def keep_column_names(context: PlanContext, edits: Edits) -> None:
    """Adds `AS` with the original text to every unnamed select item an edit falls into. Pins its literals."""
    for select in context.statement.tree.find_all(exp.Select):
        if _shows_names(select) and not all(map(_is_named, select.expressions)):
            _keep_in(context, edits, select)


def _shows_names(select: exp.Select) -> bool:
    """Whether somebody sees the columns' names: the client, or a statement around a derived table."""
    parent = select.parent
    while isinstance(parent, exp.SetOperation | exp.Subquery):
        parent = parent.parent
    return parent is None or isinstance(parent, exp.From | exp.Join | exp.Lateral | exp.CTE)


def _is_named(item: exp.Expr) -> bool:
    if isinstance(item, exp.Column) and item.name.upper() in WITHOUT_PARENTHESES:
        # A function, for servers.
        return bool(item.table) or bool(item.this.args.get("quoted"))
    return isinstance(item, exp.Alias | exp.Column | exp.Star)


def _keep_in(context: PlanContext, edits: Edits, select: exp.Select) -> None:
    spans = item_spans(context, select)
    if spans is None:
        return
    for item, (start, end) in zip(select.expressions, spans, strict=True):
        if _is_named(item) or not edits.touches(start, end):
            continue
        name = _NO_NAME.sub("?", original_text(context, start, end)).replace("`", "``")
        edits.insert(end, f" AS `{name}`")


def item_spans(context: PlanContext, select: exp.Select) -> tuple[Span, ...] | None:
    """Where the items of a SELECT stand, None where that is not certain."""
    tokens = context.statement.tokens
    at = _start(tokens, select)
    clauses = None if at is None else find_clauses(tokens[at : _end(tokens, at)])
    if clauses is None or len(clauses.items) != len(select.expressions):
        return None
    return clauses.items


def _start(tokens: Sequence[Token], select: exp.Select) -> int | None:
    """The index of a SELECT's own keyword: the nearest one before everything of it that has a place, whose SELECT holds
    all of that."""
    if select.parent is None and tokens and tokens[0].token_type is TokenType.SELECT:
        return 0
    with_ = select.args.get("with_")
    before = set() if with_ is None else {id(part) for part in with_.walk()}
    places = [
        part.meta["start"]
        for part in select.find_all(exp.Identifier, exp.Literal)
        if "start" in part.meta and id(part) not in before
    ]
    if not places:
        return None
    first, last = min(places), max(places)
    for at in range(len(tokens) - 1, -1, -1):
        # A SELECT inside the first item ends before the others begin.
        if tokens[at].start > first or tokens[at].token_type is not TokenType.SELECT:
            continue
        if tokens[_end(tokens, at) - 1].end >= last:
            return at
    return None


def _end(tokens: Sequence[Token], at: int) -> int:
    """Behind the last token of the SELECT that begins at `at`."""
    depth = 0
    for number in range(at, len(tokens)):
        kind = tokens[number].token_type
        if kind is TokenType.R_PAREN and depth == 0:
            return number
        if depth == 0 and kind in (TokenType.UNION, TokenType.EXCEPT, TokenType.INTERSECT):
            return number
        depth += (kind is TokenType.L_PAREN) - (kind is TokenType.R_PAREN)
    return len(tokens)


def original_text(context: PlanContext, start: int, end: int) -> str:
    """A span with its literals in place; pins them."""
    out: list[str] = []
    position = start
    for slot in context.statement.slots_between(start, end):
        out += (context.statement.text[position : slot.start], "?" if slot.parameter else context.raw(slot))
        position = slot.end
    out.append(context.statement.text[position:end])
    return "".join(out)
