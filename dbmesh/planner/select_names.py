"""Column names: where an edit changes the text MySQL would name a column by, the old text becomes its alias.

Decides for the outermost SELECT only; nobody sees other names. Knows no routes.
"""

from __future__ import annotations

import re

from sqlglot import exp

from dbmesh.planner.context import PlanContext
from dbmesh.planner.template import Edits
from dbmesh.sql.clauses import find_clauses

_NO_NAME = re.compile("[\U00010000-\U0010ffff]")
"""Characters no identifier may have; a server too puts a question mark in their place when it names a column."""


def keep_column_names(context: PlanContext, edits: Edits) -> None:
    """Adds `AS` with the original text to every unnamed select item an edit falls into. Pins its literals."""
    tree = context.statement.tree
    while isinstance(tree, exp.SetOperation | exp.Subquery):
        tree = tree.this
    if not isinstance(tree, exp.Select):
        return
    clauses = find_clauses(context.statement.tokens)
    if clauses is None or len(clauses.items) != len(tree.expressions):
        return
    for item, (start, end) in zip(tree.expressions, clauses.items, strict=True):
        if isinstance(item, exp.Alias | exp.Column | exp.Star) or not edits.touches(start, end):
            continue
        name = _NO_NAME.sub("?", original_text(context, start, end)).replace("`", "``")
        edits.insert(end, f" AS `{name}`")


def original_text(context: PlanContext, start: int, end: int) -> str:
    """A span with its literals in place; pins them."""
    out: list[str] = []
    position = start
    for slot in context.statement.slots_between(start, end):
        out += (context.statement.text[position : slot.start], "?" if slot.parameter else context.raw(slot))
        position = slot.end
    out.append(context.statement.text[position:end])
    return "".join(out)
