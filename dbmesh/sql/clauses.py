"""Where the clauses of a plain SELECT stand in its text.

Decides spans by keywords outside brackets; sqlglot's trees know what a clause means but not where it ends. Knows only
one SELECT without set operations and common table expressions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlglot.tokenizer_core import Token, TokenType

Span = tuple[int, int]
"""Start and end of a piece of text, end exclusive."""

_MODIFIERS = frozenset(
    (
        "ALL", "DISTINCT", "DISTINCTROW", "HIGH_PRIORITY", "STRAIGHT_JOIN", "SQL_SMALL_RESULT", "SQL_BIG_RESULT",
        "SQL_BUFFER_RESULT", "SQL_NO_CACHE", "SQL_CACHE", "SQL_CALC_FOUND_ROWS",
    )
)  # fmt: skip
_CLAUSES = (
    "FROM",
    "WHERE",
    "GROUP",
    "HAVING",
    "WINDOW",
    "ORDER",
    "LIMIT",
    "PROCEDURE",
    "INTO",
    "FOR",
    "LOCK",
)
_OPEN = frozenset((TokenType.L_PAREN, TokenType.L_BRACKET, TokenType.L_BRACE))
_CLOSE = frozenset((TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.R_BRACE))


@dataclass(frozen=True, slots=True)
class Clauses:
    """Spans of one SELECT: select items, and each clause from its keyword to the end of its last token."""

    items: tuple[Span, ...]
    spans: dict[str, Span]
    order_items: tuple[Span, ...]
    group_items: tuple[Span, ...]
    end: int

    def after(self, *clauses: str) -> int:
        """The end of the last of these clauses that exists."""
        return max(self.spans[name][1] for name in clauses if name in self.spans)


def find_clauses(tokens: Sequence[Token]) -> Clauses | None:
    """The clauses of a statement that is one plain SELECT, None when it does not begin with SELECT. O(tokens)."""
    if not tokens or tokens[0].text.upper() != "SELECT":
        return None
    starts = _clause_starts(tokens)
    first = 1
    while first < len(tokens) and (
        tokens[first].text.upper() in _MODIFIERS or tokens[first].token_type is TokenType.HINT
    ):
        first += 1
    bounds = [*(at for at, _ in starts), len(tokens)]
    spans: dict[str, Span] = {}
    pieces: dict[str, tuple[Span, ...]] = {}
    for number, (at, name) in enumerate(starts):
        spans[name] = (tokens[at].start, tokens[bounds[number + 1] - 1].end + 1)
        if name in ("ORDER", "GROUP"):
            pieces[name] = split_list(tokens, at + 1, bounds[number + 1])
    items = split_list(tokens, first, bounds[0])
    return Clauses(items, spans, pieces.get("ORDER", ()), pieces.get("GROUP", ()), tokens[-1].end + 1)


def _clause_starts(tokens: Sequence[Token]) -> list[tuple[int, str]]:
    """Token index and name of each clause, in order; each name once."""
    found: list[tuple[int, str]] = []
    depth = 0
    next_clause = 0
    for at, token in enumerate(tokens):
        if token.token_type in _OPEN:
            depth += 1
        elif token.token_type in _CLOSE:
            depth -= 1
        elif depth == 0 and token.token_type not in (TokenType.STRING, TokenType.IDENTIFIER):
            word = token.text.upper().split()[0] if token.text.strip() else ""
            # USE INDEX FOR ORDER BY and the like stand inside FROM; a clause is never followed by an earlier one.
            if word in _CLAUSES[next_clause:] and not _is_part_of_another(tokens, at, word):
                found.append((at, word))
                next_clause = _CLAUSES.index(word) + 1
    return found


def _is_part_of_another(tokens: Sequence[Token], at: int, word: str) -> bool:
    """`t.limit` is a column; `INDEX FOR ORDER BY` is an index hint; `FOR SYSTEM_TIME` belongs to a table."""
    if word == "FOR" and at + 1 < len(tokens) and tokens[at + 1].text.upper() == "SYSTEM_TIME":
        return True
    if not at or tokens[at - 1].token_type is TokenType.IDENTIFIER:
        return False
    before = tokens[at - 1].text.upper()
    return (
        before in (".", "@")
        or (word == "FOR" and before in ("INDEX", "KEY"))
        or (word in ("ORDER", "GROUP") and before == "FOR")
    )


def split_list(tokens: Sequence[Token], first: int, stop: int) -> tuple[Span, ...]:
    """Spans of the comma-separated pieces between two token indexes."""
    spans: list[Span] = []
    depth, begin = 0, first
    for at in range(first, stop):
        kind = tokens[at].token_type
        if kind in _OPEN:
            depth += 1
        elif kind in _CLOSE:
            depth -= 1
        elif kind is TokenType.COMMA and depth == 0:
            spans.append((tokens[begin].start, tokens[at - 1].end + 1))
            begin = at + 1
    if begin < stop:
        spans.append((tokens[begin].start, tokens[stop - 1].end + 1))
    return tuple(spans)
