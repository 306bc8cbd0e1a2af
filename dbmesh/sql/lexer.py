"""The one regular expression that finds literals, quoted names and comments in MySQL text.

Decides where a literal begins and ends under the sql_mode flags that change it (MySQL manual, "Lexical structure",
"Server SQL Modes"). Knows nothing of statements.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from typing import Final


@dataclass(frozen=True, slots=True)
class LexerFlags:
    """How a session's text is read: the parts of sql_mode that change how it is cut (ANSI_QUOTES, NO_BACKSLASH_ESCAPES),
    and Python's codec for the client's character set, None for UTF-8. `recoded` is the character set whose text was made UTF-8
    before it is read; answers come in it."""

    ansi_quotes: bool = False
    no_backslash_escapes: bool = False
    encoding: str | None = field(default=None, repr=False)
    recoded: str | None = field(default=None, repr=False)


DEFAULT = LexerFlags()

# Characters of an unquoted name; MySQL takes every character from U+0080 to U+FFFF.
_NAME = r"\w$\x80-\uffff"
# The first digit has been consumed already.
_NUMBER_REST = (
    r"(?:(?<=0)x[0-9a-fA-F]++|(?<=0)b[01]++|[0-9]*+(?:\.[0-9]*+)?+(?:[eE][+-]?+[0-9]++)?+)"
    rf"(?![{_NAME}.])"
)
_FRACTION = rf"[0-9]++(?:[eE][+-]?+[0-9]++)?+(?![{_NAME}.])"
_SIGNED = rf"(?:(?<=[(,=<>]-)|(?<=[(,=<>][ ]-))(?:[0-9]{_NUMBER_REST}|\.{_FRACTION})"

_INSERT_HEAD = re.compile(
    r"(?:\s++|/\*.*?\*/|\(|--\s[^\n]*+|\#[^\n]*+)*+(?:INSERT|REPLACE)\b", re.IGNORECASE | re.DOTALL
)
_STATEMENT_END = ";"


def _quoted(quote: str, backslash: bool) -> str:
    """The rest of a quoted run whose opening quote has been consumed."""
    if backslash:
        return rf"(?<={quote})[^{quote}\\]*+(?:(?:\\.|{quote}{quote})[^{quote}\\]*+)*+{quote}"
    return rf"(?<={quote})[^{quote}]*+(?:{quote}{quote}[^{quote}]*+)*+{quote}"


def _alternatives(flags: LexerFlags) -> list[str]:
    backslash = not flags.no_backslash_escapes
    return [
        rf"(?<=[0-9])(?<![{_NAME}@.].){_NUMBER_REST}",
        _quoted("'", backslash),
        _quoted("`", False),
        _quoted('"', backslash and not flags.ansi_quotes),
        rf"(?<=\.)(?<![{_NAME}`'\".].){_FRACTION}",
        rf"(?<=-)(?:-(?:(?=\s)|\Z)[^\n]*+|{_SIGNED})",
        r"(?<=/)\*(?:.*?\*/|.*\Z)",
        r"(?<=\#)[^\n]*+",
    ]


def pattern(flags: LexerFlags, inserting: bool) -> re.Pattern[str]:
    """The pattern for `re.split`: texts at even positions, tokens at odd ones.

    With `inserting`, a NULL that stands alone between commas or brackets is a token as well. The pattern starts with
    one character class so that the engine can skip to the next candidate without trying alternatives.
    """
    if flags is DEFAULT and not inserting:
        return _DEFAULT_PATTERN
    return _compiled(flags, inserting)


@cache
def _compiled(flags: LexerFlags, inserting: bool) -> re.Pattern[str]:
    alternatives = _alternatives(flags)
    starts = r"0-9'`\".\-/#"
    if inserting:
        starts += "nN"
        alternatives.append(r"(?<=[nN])(?:(?<=[(,].)|(?<=[(,][ ].))[uU][lL][lL](?=\s*+[,)])")
    return re.compile(rf"([{starts}](?:{'|'.join(alternatives)}))", re.DOTALL)


_DEFAULT_PATTERN = _compiled(DEFAULT, False)


@cache
def _splitter(flags: LexerFlags) -> re.Pattern[str]:
    alternatives = [*_alternatives(flags), r"(?<=;)"]
    return re.compile(rf"([0-9'`\".\-/#;](?:{'|'.join(alternatives)}))", re.DOTALL)


def starts_insert(sql: str) -> bool:
    """Whether the first word is INSERT or REPLACE."""
    return _INSERT_HEAD.match(sql) is not None


def sentinel(token: str) -> str:
    """What stands for a literal in a shape; it parses as the same kind of literal."""
    first = token[0]
    if first in "'\"":
        return "''"
    if first in "nN":
        return "NULL"
    if token.isdigit():
        return "0"
    if "x" in token or "b" in token:
        return "0x0"
    if "e" in token or "E" in token:
        return "0e0"
    return "0.0" if "." in token else "0"


_ROUTINE_HEAD: Final = re.compile(
    r"\s*CREATE\s+(?:OR\s+REPLACE\s+)?(?:DEFINER\s*=\s*\S+\s+)?(?:AGGREGATE\s+)?(?:PROCEDURE|FUNCTION|TRIGGER|EVENT)\b",
    re.IGNORECASE,
)


def split_statements(sql: str, flags: LexerFlags = DEFAULT) -> list[str]:
    """The statements of a text with several, in order, without their semicolons; empty ones are left out. The body of a
    routine goes on to the end of the text."""
    statements: list[str] = []
    current: list[str] = []
    for piece in _splitter(flags).split(sql):
        if piece == _STATEMENT_END and not _ROUTINE_HEAD.match("".join(current)):
            statements.append("".join(current).strip())
            current.clear()
        else:
            current.append(piece)
    statements.append("".join(current).strip())
    return [statement for statement in statements if statement]
