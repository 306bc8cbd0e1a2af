"""Where the conditions stand that a scan may carry: joined by AND, speaking of one table alone, and true for every row
that table contributes.

Decides by the place in the statement and leaves the rest: the final statement keeps all its conditions, so that one left
behind costs rows, never rightness. Works on the client's own text; `harmless` says which conditions are fit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlglot import exp
from sqlglot.tokenizer_core import Token, TokenType

from dbmesh.planner.conditions import joins_of
from dbmesh.planner.context import PlanContext
from dbmesh.planner.federation.harmless import Guard, read_harmless
from dbmesh.planner.resolve import Scopes, TableReference
from dbmesh.planner.subselects import scope_of
from dbmesh.sql.clauses import Span

_ENDS = frozenset(
    (
        "GROUP", "HAVING", "WINDOW", "ORDER", "LIMIT", "FOR", "LOCK", "UNION", "EXCEPT", "INTERSECT", "PROCEDURE",
        "INTO", "WHERE", "JOIN", "LEFT", "RIGHT", "INNER", "CROSS", "NATURAL", "STRAIGHT_JOIN", "ON", "USING",
        "RETURNING",
    )
)  # fmt: skip
_OPEN = frozenset((TokenType.L_PAREN, TokenType.L_BRACKET, TokenType.CASE))
_CLOSE = frozenset((TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.END))


@dataclass(frozen=True, slots=True)
class Pushed:
    """A condition in the text, and what its values must be when they are bound."""

    span: Span
    guards: tuple[Guard, ...]


def pushed_conditions(context: PlanContext, scopes: Scopes) -> dict[int, tuple[Pushed, ...]]:
    """Index of a reference → the conditions its scan may carry. O(tokens · conditions)."""
    found: dict[int, list[Pushed]] = {}
    seen: set[int] = set()
    for reference in scopes.references:
        scope = reference.scope
        if id(scope) in seen or not isinstance(scope, exp.Select):
            continue
        seen.add(id(scope))
        for target, pushed in _in_scope(context, scopes, scope):
            found.setdefault(target.index, []).append(pushed)
    return {index: tuple(conditions) for index, conditions in found.items()}


def _in_scope(
    context: PlanContext, scopes: Scopes, scope: exp.Select
) -> Iterator[tuple[TableReference, Pushed]]:
    joins = list(joins_of(scopes, scope))
    plain = {id(join) for join, _ in joins}
    every = [join for join in scope.find_all(exp.Join) if scope_of(join) is scope]
    sided = [join for join in every if join.side or join.kind in ("OUTER", "FULL")]
    if any(id(join) not in plain or join.side not in ("LEFT", "RIGHT") for join in sided):
        # An outer join inside brackets, or one of another kind: which rows it may fill with NULLs is not said here.
        return
    kept = [r for r in scopes.of(scope) if not _is_filled(r, joins)]
    where = scope.args.get("where")
    if isinstance(where, exp.Where):
        yield from _conjuncts(context, scopes, where.this, "WHERE", kept)
    for join, _ in joins:
        condition = join.args.get("on")
        if condition is None:
            continue
        if not join.side:
            yield from _conjuncts(context, scopes, condition, "ON", kept)
        elif join.side == "LEFT":
            # A row that its own ON refuses can be nobody's match.
            own = [r for r in scopes.of(scope) if r.node is join.this]
            yield from _conjuncts(context, scopes, condition, "ON", own)


def _is_filled(reference: TableReference, joins: Sequence[tuple[exp.Join, list[TableReference]]]) -> bool:
    """Whether an outer join may put NULLs in place of the reference's rows."""
    for join, left in joins:
        if join.side == "LEFT" and reference not in left and _stands_in(reference.node, join):
            return True
        if join.side == "RIGHT" and reference in left:
            return True
    return False


def _stands_in(node: exp.Expr, ancestor: exp.Expr) -> bool:
    current: exp.Expr | None = node
    while current is not None and current is not ancestor:
        current = current.parent
    return current is ancestor


def _conjuncts(
    context: PlanContext,
    scopes: Scopes,
    condition: exp.Expr,
    keyword: str,
    targets: Sequence[TableReference],
) -> Iterator[tuple[TableReference, Pushed]]:
    parts = list(_parts(condition))
    owners = [_owner(scopes, part) for part in parts]
    if not any(owner in targets for owner in owners):
        return
    fit = [read_harmless(context.statement, scopes, part) for part in parts]
    spans = _spans(context.statement.tokens, condition, keyword, split=len(parts) > 1)
    if len(spans) != len(parts):
        return
    for part, owner, guards, span in zip(parts, owners, fit, spans, strict=True):
        if owner is not None and owner in targets and guards is not None and _covers(span, part):
            yield owner, Pushed(span, guards)


def _parts(condition: exp.Expr) -> Iterator[exp.Expr]:
    if isinstance(condition, exp.And):
        yield from _parts(condition.left)
        yield from _parts(condition.right)
    else:
        yield condition


def _owner(scopes: Scopes, condition: exp.Expr) -> TableReference | None:
    """The only reference a condition speaks of."""
    owner: TableReference | None = None
    for node in condition.find_all(exp.Column):
        found = scopes.column(node)
        if found is None or found[1] is None or (owner is not None and found[0] is not owner):
            return None
        owner = found[0]
    return owner


def _positions(node: exp.Expr) -> list[tuple[int, int]]:
    return [
        (part.meta["start"], part.meta["end"] + 1)
        for part in node.find_all(exp.Identifier, exp.Literal)
        if "start" in part.meta
    ]


def _covers(span: Span, condition: exp.Expr) -> bool:
    """Whether text and tree speak of the same condition."""
    places = _positions(condition)
    return bool(places) and all(span[0] <= start and end <= span[1] for start, end in places)


def _spans(tokens: Sequence[Token], condition: exp.Expr, keyword: str, *, split: bool) -> list[Span]:
    """The spans of the conditions joined by AND behind `keyword`, around the place where `condition` stands."""
    places = _positions(condition)
    if not places:
        return []
    first = min(start for start, _ in places)
    at = next((number for number, token in enumerate(tokens) if token.start >= first), len(tokens) - 1)
    depth = 0
    while at >= 0 and not (depth <= 0 and _word(tokens, at) == keyword):
        depth += (tokens[at].token_type in _CLOSE) - (tokens[at].token_type in _OPEN)
        at -= 1
    if at < 0:
        return []
    begin = at + 1
    cuts: list[Span] = []
    depth = ranges = 0
    piece = begin
    for number in range(begin, len(tokens) + 1):
        kind = tokens[number].token_type if number < len(tokens) else None
        ends = kind is None or (depth == 0 and (kind is TokenType.COMMA or _word(tokens, number) in _ENDS))
        if kind in _CLOSE and depth == 0:
            ends = True
        if ends:
            cuts.append((tokens[piece].start, tokens[number - 1].end + 1))
            break
        depth += (kind in _OPEN) - (kind in _CLOSE)
        if depth == 0 and kind is TokenType.BETWEEN:
            ranges += 1
        elif depth == 0 and kind is TokenType.AND and ranges:
            ranges -= 1
        elif depth == 0 and kind is TokenType.AND and split:
            cuts.append((tokens[piece].start, tokens[number - 1].end + 1))
            piece = number + 1
    return cuts


def _word(tokens: Sequence[Token], at: int) -> str:
    """A keyword in upper case, '' for names and strings and what follows a dot or @."""
    token = tokens[at]
    if token.token_type in (TokenType.IDENTIFIER, TokenType.STRING):
        return ""
    if at and tokens[at - 1].text in (".", "@"):
        return ""
    words = token.text.upper().split()
    return words[0] if words else ""
