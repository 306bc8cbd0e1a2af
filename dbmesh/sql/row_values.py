"""VALUES as a query: where it begins and ends in a text.

Decides which VALUES are table value constructors rather than the function of ON DUPLICATE KEY UPDATE or the clause of an
INSERT. sqlglot takes all of them for the function, unless brackets of their own stand around them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from sqlglot import exp
from sqlglot.tokenizer_core import Token, TokenType

from dbmesh.sql.clauses import Span

_BEFORE_QUERY = frozenset(("UNION", "EXCEPT", "INTERSECT", "MINUS", "ALL", "DISTINCT"))
_BEFORE_BRACKET = frozenset(
    ("AS", "IN", "EXISTS", "ANY", "ALL", "SOME", "FROM", "JOIN", "SELECT", *_BEFORE_QUERY)
)


def value_queries(tokens: Sequence[Token]) -> list[Span]:
    """The spans of VALUES queries in the order of the text. ORDER BY and LIMIT are inside, unless they belong to a set
    operation."""
    spans: list[Span] = []
    for place, token in enumerate(tokens):
        if token.token_type is TokenType.VALUES and _begins_query(tokens, place):
            last = _last_row(tokens, place + 1)
            if last is None:
                continue
            if not (place and tokens[place - 1].text.upper() in _BEFORE_QUERY):
                last = _with_order(tokens, last)
            spans.append((token.start, tokens[last].end + 1))
    return spans


def _begins_query(tokens: Sequence[Token], place: int) -> bool:
    if not place:
        return True
    before = tokens[place - 1]
    if before.token_type is not TokenType.L_PAREN:
        return before.text.upper() in _BEFORE_QUERY
    if place == 1:
        return True
    outside = tokens[place - 2]
    # A bracket behind a name is a function's, or a list of columns.
    return outside.text.upper() in _BEFORE_BRACKET or not (
        outside.text[-1:].isalnum() or outside.text[-1:] in "_$`"
    )


def _last_row(tokens: Sequence[Token], place: int) -> int | None:
    """The closing bracket of the last of the rows that begin here; None when there is none."""
    last = None
    while place < len(tokens) and tokens[place].token_type is TokenType.L_PAREN:
        last = _closing(tokens, place)
        if last is None:
            return None
        place = last + 1
        if place < len(tokens) and tokens[place].token_type is TokenType.COMMA:
            place += 1
    return last


def _with_order(tokens: Sequence[Token], last: int) -> int:
    """The last token of ORDER BY and LIMIT behind the rows, or of the rows."""
    if last + 1 == len(tokens) or tokens[last + 1].text.upper() not in ("ORDER BY", "LIMIT"):
        return last
    depth = 0
    for place in range(last + 1, len(tokens)):
        kind = tokens[place].token_type
        depth += (kind is TokenType.L_PAREN) - (kind is TokenType.R_PAREN)
        if depth < 0 or kind is TokenType.SEMICOLON:
            return place - 1
    return len(tokens) - 1


def _closing(tokens: Sequence[Token], place: int) -> int | None:
    depth = 0
    for number in range(place, len(tokens)):
        kind = tokens[number].token_type
        depth += (kind is TokenType.L_PAREN) - (kind is TokenType.R_PAREN)
        if not depth:
            return number
    return None


def in_brackets(text: str, spans: Sequence[Span]) -> str:
    """The text with a bracket around each span."""
    pieces: list[str] = []
    done = 0
    for start, end in spans:
        pieces += (text[done:start], "(", text[start:end], ")")
        done = end
    return "".join((*pieces, text[done:]))


def without_brackets(tree: exp.Expression, spans: Sequence[Span]) -> exp.Expression:
    """The tree of a text `in_brackets` as if it had been read without them: positions are those of the text itself."""
    added: list[int] = []
    for number, (start, end) in enumerate(spans):
        added += (start + 2 * number, end + 2 * number + 1)
    nodes = list(tree.walk())
    for node in nodes:
        for place in ("start", "end"):
            if place in node.meta:
                node.meta[place] -= bisect_left(added, node.meta[place])
    for node in nodes:
        if isinstance(node, exp.Subquery) and isinstance(node.this, exp.Values) and _only(node):
            if node is tree:
                return node.this
            node.replace(node.this)
    return tree


def _only(node: exp.Subquery) -> bool:
    return not any(value for name, value in node.args.items() if name != "this")
