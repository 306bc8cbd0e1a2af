"""Texts of the same length that stand in for what sqlglot reads wrongly or not at all.

Decides which words are exchanged, and gives the tree its own names back. Every letter that counts stays where it is, so
that the nodes' positions are those of the client's text. String literals are out of the text already.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

import sqlglot
from sqlglot import exp
from sqlglot.tokenizer_core import Token, TokenType

_WORD = r"(?:HIGH_PRIORITY|STRAIGHT_JOIN|SQL_[A-Z_]+)"
_MODIFIERS_FIRST = re.compile(rf"\b((?:{_WORD}\s+)*{_WORD})(\s+)(DISTINCT(?:ROW)?|ALL)\b", re.IGNORECASE)
"""`SELECT SQL_NO_CACHE DISTINCT`: sqlglot reads it the other way round only."""
_JSON_OBJECT = re.compile(r"\bJSON_OBJECT(?:AGG)?\b.*\bVALUE\b", re.IGNORECASE | re.DOTALL)
_GROUP_CONCAT = re.compile(r"\bGROUP_CONCAT\b.*\bLIMIT\b", re.IGNORECASE | re.DOTALL)
_HINT_OF_UPDATE = re.compile(
    r"(?<=\s)(?:USE|FORCE|IGNORE)\s+(?:INDEX|KEY)\s*(?:FOR\s+(?:JOIN|ORDER\s+BY|GROUP\s+BY)\s*)?\([^()]*\)",
    re.IGNORECASE,
)
_UPDATE = re.compile(r"\s*UPDATE\b", re.IGNORECASE)
_DEFAULT_OF = re.compile(r"\bDEFAULT\s*\(", re.IGNORECASE)
_DEFINITION = re.compile(r"\s*(?:CREATE|ALTER)\b", re.IGNORECASE)
DEFAULT_OF = "_EFAULT"
"""What the function DEFAULT(column) is called in trees: sqlglot takes the word for a column, or for nothing."""
_ANY_NAME = "_alue"
"""Stands for a column called `value`."""


def stand_in(text: str) -> tuple[str, list[int]]:
    """The text for sqlglot, and where columns called `value` have another name in it. Raises SqlglotError."""
    places: list[int] = []
    if _JSON_OBJECT.search(text):
        places = _columns_called_value(_tokens(text))
        for place in places:
            text = text[:place] + _ANY_NAME + text[place + len(_ANY_NAME) :]
    if _GROUP_CONCAT.search(text):
        text = _without_inner_limits(text, _tokens(text))
    if _DEFAULT_OF.search(text) and not _DEFINITION.match(text):
        text = _with_function_default(text, _tokens(text))
    if _UPDATE.match(text):
        text = _HINT_OF_UPDATE.sub(lambda hint: " " * len(hint[0]), text)
    return _MODIFIERS_FIRST.sub(r"\3\2\1", text), places


def give_names_back(tree: exp.Expression, text: str, places: Sequence[int]) -> None:
    """Turns the names in the tree back to those of the client's text."""
    if places:
        for name in tree.find_all(exp.Identifier):
            if name.meta.get("start") in places:
                name.set("this", text[name.meta["start"] : name.meta["end"] + 1])


def _tokens(text: str) -> list[Token]:
    return sqlglot.tokenize(text, dialect="mysql")


def is_default_of(node: exp.Expr) -> bool:
    """Whether a node of a tree is DEFAULT(column)."""
    return isinstance(node, exp.Anonymous) and node.name == DEFAULT_OF


def _with_function_default(text: str, tokens: Sequence[Token]) -> str:
    for token, following in pairwise(tokens):
        if token.token_type is TokenType.DEFAULT and following.token_type is TokenType.L_PAREN:
            text = text[: token.start] + DEFAULT_OF + text[token.end + 1 :]
    return text


def _columns_called_value(tokens: Sequence[Token]) -> list[int]:
    """Where a column's name is read as the keyword of `JSON_OBJECT(KEY a VALUE b)`, which MySQL has not."""
    return [
        token.start
        for before, token in pairwise(tokens)
        if token.text.upper() == "VALUE"
        and token.end - token.start + 1 == len(_ANY_NAME)
        and before.token_type in (TokenType.COMMA, TokenType.L_PAREN)
    ]


def _without_inner_limits(text: str, tokens: Sequence[Token]) -> str:
    """`GROUP_CONCAT(a ORDER BY b LIMIT 2)` is MariaDB's own."""
    depth = 0
    inside: list[int] = []
    begins: int | None = None
    for before, token in pairwise(tokens):
        if token.token_type is TokenType.L_PAREN:
            depth += 1
            if before.text.upper() == "GROUP_CONCAT":
                inside.append(depth)
        elif token.token_type is TokenType.R_PAREN:
            if begins is not None and inside[-1:] == [depth]:
                text = text[:begins] + " " * (token.start - begins) + text[token.start :]
                begins = None
            if inside[-1:] == [depth]:
                inside.pop()
            depth -= 1
        elif token.token_type is TokenType.LIMIT and inside[-1:] == [depth]:
            begins = token.start
    return text
