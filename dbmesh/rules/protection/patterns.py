"""What can be told of a statement's text by itself: whether it changes every row, and whether a pattern may look at it.

Decides which regular expressions are refused: those whose time could grow exponentially with the text. Texts come without values
(`sql.digest`), and no longer than these are kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from re import _constants, _parser  # type: ignore[attr-defined]
from typing import Any

_REPEATS = frozenset((_constants.MAX_REPEAT, _constants.MIN_REPEAT))
_WORDS = re.compile(r"`(?:[^`]|``)*`|\"(?:[^\"]|\"\")*\"|[()]|[\w$]+", re.ASCII)


def changes_every_row(text: str) -> bool:
    """Whether an UPDATE or DELETE has no WHERE of its own: one in a subquery does not count. One that is cut off counts as having
    none. O(text)."""
    depth = 0
    for found in _WORDS.finditer(text):
        word = found[0]
        if word == "(":
            depth += 1
        elif word == ")":
            depth -= 1
        elif depth <= 0 and word.upper() == "WHERE":
            return False
    return True


def why_unsafe(pattern: str) -> str:
    """Why a regular expression is no pattern: it cannot be read, or its time could grow exponentially; '' where it may be used.
    A repetition without end that holds another or alternatives is refused, unless it is possessive or atomic."""
    try:
        parsed = _parser.parse(pattern, re.IGNORECASE)
    except (re.error, RecursionError, OverflowError) as error:
        return f"it cannot be read: {error}"
    if _is_slow(parsed, inside=False):
        return "its time could grow exponentially: a repetition holds another one, or alternatives"
    return ""


def _is_slow(items: Iterable[Any], *, inside: bool) -> bool:
    return any(_is_slow_step(operation, argument, inside=inside) for operation, argument in items)


def _is_slow_step(operation: Any, argument: Any, *, inside: bool) -> bool:
    if operation in _REPEATS:
        _, most, body = argument
        several = most > 1
        return (inside and several) or _is_slow(body, inside=inside or several)
    if operation is _constants.BRANCH:
        return inside or any(_is_slow(branch, inside=False) for branch in argument[1])
    if operation is _constants.GROUPREF_EXISTS:
        return inside or any(_is_slow(part, inside=False) for part in argument[1:] if part is not None)
    if operation is _constants.ATOMIC_GROUP:
        return _is_slow(argument, inside=False)
    if operation is _constants.POSSESSIVE_REPEAT:
        return _is_slow(argument[2], inside=False)
    body = argument[-1] if isinstance(argument, tuple) and argument else None
    return isinstance(body, _parser.SubPattern) and _is_slow(body, inside=inside)
