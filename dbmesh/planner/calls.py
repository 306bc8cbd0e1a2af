"""Function calls in the text: where a call and each of its arguments stand.

Decides spans by brackets, from the position of the function's name. Knows nothing of what functions do.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlglot import exp

from dbmesh.planner.context import PlanContext
from dbmesh.sql.clauses import Span, split_list


@dataclass(frozen=True, slots=True)
class CallText:
    """Span of a whole call, name to closing bracket, and of each argument; a leading DISTINCT or ALL is left out."""

    span: Span
    arguments: tuple[Span, ...]


def find_call(context: PlanContext, call: exp.Expr) -> CallText | None:
    """The text of a call, None when the tree does not say where it is. O(tokens)."""
    tokens = context.statement.tokens
    start = call.meta.get("start")
    at = next((number for number, token in enumerate(tokens) if token.start == start), None)
    if at is None or at + 1 >= len(tokens) or tokens[at + 1].text != "(":
        return None
    depth = 0
    for number in range(at + 1, len(tokens)):
        depth += (tokens[number].text == "(") - (tokens[number].text == ")")
        if depth == 0:
            first = at + 2
            if tokens[first].text.upper() in ("DISTINCT", "ALL"):
                first += 1
            return CallText((tokens[at].start, tokens[number].end + 1), split_list(tokens, first, number))
    return None
