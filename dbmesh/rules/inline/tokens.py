"""Inline expressions, step one: characters to tokens.

Decides the lexical rules of the Groovy subset. Knows no meaning.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from dbmesh.rules.inline.errors import InlineError

_TOKEN = re.compile(
    r"""(?P<space>\s+)
      | (?P<number>\d+(?:\.\d+)?[lLgGiI]?)
      | (?P<name>[^\W\d]\w*)
      | (?P<text>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")
      | (?P<symbol>\.\.<|>>>|\*\*|<=>|\?:|\?\.|\.\.|==|!=|<=|>=|&&|\|\||<<|>>|[-+*/%()\[\],.?:<>!&|^~{}])""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", "'": "'", '"': '"', "$": "$"}
_MOST_TOKENS = 300


@dataclass(frozen=True, slots=True)
class Token:
    """`kind` is number, name, text, symbol or end; `start` and `stop` are positions in the source."""

    kind: str
    value: str
    start: int
    stop: int


def tokenize(source: str, start: int = 0, closing: bool = False) -> list[Token]:
    """Tokens from `start` on, ended by a token of kind end. With `closing` the end is the `}` that closes the
    expression, else the end of the source. Raises InlineError."""
    tokens: list[Token] = []
    position = start
    while position < len(source):
        match = _TOKEN.match(source, position)
        if match is None:
            raise InlineError(f"unexpected character {source[position]!r} at position {position + 1}")
        kind = match.lastgroup or "symbol"
        value = match.group()
        if value == "}" and closing:
            tokens.append(Token("end", "}", position, match.end()))
            return tokens
        if kind == "text":
            value = _unescape(value)
        if kind != "space":
            tokens.append(Token(kind, value, position, match.end()))
        if len(tokens) > _MOST_TOKENS:
            raise InlineError(f"the expression has more than {_MOST_TOKENS} tokens")
        position = match.end()
    if closing:
        raise InlineError("'${' is never closed by '}'")
    tokens.append(Token("end", "", position, position))
    return tokens


def _unescape(quoted: str) -> str:
    body = quoted[1:-1]
    if quoted[0] == '"' and re.search(r"(?<!\\)\$", body):
        raise InlineError('an expression inside "…" is not supported; use + to join texts')

    def replace(match: re.Match[str]) -> str:
        character = _ESCAPES.get(match.group(1))
        if character is None:
            raise InlineError(f"unknown escape \\{match.group(1)} in a text")
        return character

    return re.sub(r"\\(.)", replace, body, flags=re.DOTALL)
