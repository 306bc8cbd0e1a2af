"""Clauses of a query that are found by their words: locks, index hints and the times of versioned tables.

Decides where they begin and end in the text. Knows no tables.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlglot.tokenizer_core import Token, TokenType

from dbmesh.sql.clauses import Span

_HINT_WORDS = frozenset(("USE", "FORCE", "IGNORE"))
_BEHIND_TABLE = frozenset(
    (
        *(
            "JOIN",
            "INNER",
            "CROSS",
            "NATURAL",
            "STRAIGHT_JOIN",
            "LEFT",
            "RIGHT",
            "ON",
            "USING",
            "WHERE",
            "GROUP BY",
        ),
        *("HAVING", "WINDOW", "ORDER BY", "LIMIT", "PROCEDURE", "INTO", "FOR", "LOCK"),
        *("UNION", "EXCEPT", "INTERSECT"),
    )
)
"""Words that end what is said of a table in FROM; LEFT( and RIGHT( are functions."""
_WAITS = ("NOWAIT", "SKIP", "WAIT")


@dataclass(frozen=True, slots=True)
class LockClause:
    """FOR UPDATE and its like. `tables` are the aliases it names (lower case, none: all); `mode`, and the text at `waits` (NOWAIT
    …), go on to a scan."""

    span: Span
    mode: str
    tables: tuple[str, ...]
    waits: Span


def lock_clauses(tokens: Sequence[Token]) -> tuple[LockClause, ...]:
    """Every locking clause of the statement, in the order of the text."""
    return tuple(_locks(tokens))


def _locks(tokens: Sequence[Token]) -> Iterator[LockClause]:
    at = 0
    while at < len(tokens):
        if _looks_at(tokens, at, "FOR", "UPDATE") or _looks_at(tokens, at, "FOR", "SHARE"):
            end, tables = _locked_tables(tokens, at + 2)
            mode = f"FOR {word(tokens, at + 1)}"
        elif _looks_at(tokens, at, "LOCK", "IN", "SHARE", "MODE"):
            end, tables, mode = at + 4, (), "LOCK IN SHARE MODE"
        else:
            at += 1
            continue
        waits = tokens[end - 1].end + 1
        if word(tokens, end) in _WAITS:
            end += 1 if word(tokens, end) == "NOWAIT" else 2
        stop = tokens[end - 1].end + 1
        yield LockClause((tokens[at].start, stop), mode, tables, (waits, stop))
        at = end


def _locked_tables(tokens: Sequence[Token], at: int) -> tuple[int, tuple[str, ...]]:
    if word(tokens, at) != "OF":
        return at, ()
    names = [tokens[at + 1].text.lower()]
    at += 2
    while at < len(tokens) and tokens[at].text == ",":
        names.append(tokens[at + 1].text.lower())
        at += 2
    return at, tuple(names)


def index_hints(tokens: Sequence[Token]) -> Iterator[Span]:
    """`USE INDEX FOR JOIN (a, b)` and its like."""
    for at in range(len(tokens) - 2):
        if word(tokens, at) not in _HINT_WORDS or word(tokens, at + 1) not in ("INDEX", "KEY"):
            continue
        end = at + 2
        while end < len(tokens) and tokens[end].token_type is not TokenType.L_PAREN:
            end += 1
        while end < len(tokens) and tokens[end].token_type is not TokenType.R_PAREN:
            end += 1
        if end < len(tokens):
            yield tokens[at].start, tokens[end].end + 1


def system_time_end(tokens: Sequence[Token], position: int) -> int:
    """Where MariaDB's `FOR SYSTEM_TIME …` behind a table's name that ends at `position` ends, without the alias that may
    follow it; `position` where there is none."""
    at = next((at for at, token in enumerate(tokens) if token.start >= position), len(tokens))
    if not _looks_at(tokens, at, "FOR", "SYSTEM_TIME"):
        return position
    at += 3 if word(tokens, at + 2) == "ALL" else 4
    depth = 0
    while at < len(tokens) and (depth or not _ends_table(tokens, at)):
        depth += (tokens[at].token_type is TokenType.L_PAREN) - (tokens[at].token_type is TokenType.R_PAREN)
        at += 1
    return tokens[min(at, len(tokens)) - 1].end + 1


def _ends_table(tokens: Sequence[Token], at: int) -> bool:
    token = tokens[at]
    if token.token_type in (TokenType.COMMA, TokenType.R_PAREN, TokenType.SEMICOLON):
        return True
    called = at + 1 < len(tokens) and tokens[at + 1].token_type is TokenType.L_PAREN
    one = word(tokens, at)
    return one in _BEHIND_TABLE and not (one in ("LEFT", "RIGHT") and called)


def _looks_at(tokens: Sequence[Token], at: int, *words: str) -> bool:
    return all(word(tokens, at + number) == one for number, one in enumerate(words))


def word(tokens: Sequence[Token], at: int) -> str:
    """The word at this place in capitals, '' where a name, a text or the end stands."""
    if at >= len(tokens) or tokens[at].token_type in (TokenType.IDENTIFIER, TokenType.STRING):
        return ""
    if at and tokens[at - 1].text in (".", "@"):
        return ""
    return tokens[at].text.upper()
