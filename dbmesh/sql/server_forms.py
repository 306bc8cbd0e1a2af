"""Clauses of MariaDB's own that say how a server works through rows: `GROUP BY a DESC`, `LIMIT … ROWS EXAMINED n`.

Decides where they stand; the tree does without them, and tells that they are there. A server reads them in the text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlglot import exp
from sqlglot.tokenizer_core import Token, TokenType

GROUP_ORDER: Final = "GROUP BY … ASC or DESC"
ROWS_EXAMINED: Final = "LIMIT … ROWS EXAMINED"
_META: Final = "server_forms"
_AFTER_GROUP: Final = frozenset(
    (
        "HAVING",
        "WINDOW",
        "ORDER BY",
        "LIMIT",
        "INTO",
        "FOR",
        "LOCK",
        "PROCEDURE",
        "UNION",
        "EXCEPT",
        "INTERSECT",
        "WITH",
    )
)


def without_server_forms(text: str, tokens: Sequence[Token]) -> tuple[str, tuple[str, ...]]:
    """The text with blanks in place of these clauses, and which of them it has. O(tokens)."""
    found: list[str] = []
    grouping = [False]
    for at, token in enumerate(tokens):
        word = " ".join(token.text.upper().split())
        if token.token_type is TokenType.L_PAREN:
            grouping.append(False)
        elif token.token_type is TokenType.R_PAREN and grouping[1:]:
            grouping.pop()
        elif token.token_type in (TokenType.STRING, TokenType.IDENTIFIER):
            continue
        elif word == "GROUP BY":
            grouping[-1] = True
        elif word in _AFTER_GROUP:
            grouping[-1] = False
        elif word in ("ASC", "DESC") and grouping[-1]:
            text = _blank(text, token, token)
            found.append(GROUP_ORDER)
        elif word == "EXAMINED" and _is_examined(tokens, at):
            first = tokens[at - 2] if tokens[at - 2].token_type is TokenType.LIMIT else tokens[at - 1]
            text = _blank(text, first, tokens[at + 1])
            found.append(ROWS_EXAMINED)
    return text, tuple(dict.fromkeys(found))


def _is_examined(tokens: Sequence[Token], at: int) -> bool:
    return 1 < at < len(tokens) - 1 and tokens[at - 1].text.upper() == "ROWS"


def _blank(text: str, first: Token, last: Token) -> str:
    return text[: first.start] + " " * (last.end + 1 - first.start) + text[last.end + 1 :]


def marked(tree: exp.Expression, forms: tuple[str, ...]) -> exp.Expression:
    """The tree, which tells from now on which of the clauses its text has."""
    tree.meta[_META] = forms
    return tree


def server_forms(tree: exp.Expr) -> tuple[str, ...]:
    """Which of the clauses a marked tree's text has."""
    forms: tuple[str, ...] = tree.meta.get(_META, ())
    return forms
