"""User variables as SQL that gives a connection their values and types.

A variable has a type beside its value, which columns and comparisons show: unsigned integers, texts that
compare letter by letter, and NULLs of the type the variable had before (MariaDB knowledge base, "User-Defined Variables"). Decides how both are written. Knows no columns.
"""

from __future__ import annotations

from decimal import Decimal

from dbmesh.sql.literals import decode_literal

_UNSIGNED_HEAD, _UNSIGNED_TAIL = "CAST(", " AS UNSIGNED)"
_NULL_HEAD = "NULLIF("
_COLLATE = " COLLATE "
_LARGEST_SIGNED = (1 << 63) - 1


def unsigned(number: str) -> str:
    """An unsigned integer."""
    return f"{_UNSIGNED_HEAD}{number}{_UNSIGNED_TAIL}"


def binary_text(literal: str, character_set: str) -> str:
    """A text under a collation that compares letter by letter."""
    return f"{literal}{_COLLATE}{character_set}_bin"


def null_like(text: str) -> str:
    """NULL in a variable that held this before: as servers do, it keeps its type."""
    if text.upper() == "NULL" or text.startswith(_NULL_HEAD):
        return text
    if text.startswith(_UNSIGNED_HEAD):
        return _null(unsigned("1"))
    if _is_collated(text):
        return _null("''" + text[text.rindex(_COLLATE) :])
    try:
        value = decode_literal(text)
    except ValueError:
        # A word (TRUE): an integer.
        value = 1
    if isinstance(value, int):
        return _null("1") if value <= _LARGEST_SIGNED else _null(unsigned("1"))
    if isinstance(value, Decimal):
        return _null("1.0")
    if isinstance(value, float):
        return _null("1e0")
    return _null("x''" if isinstance(value, bytes) else "''")


def _null(example: str) -> str:
    return f"{_NULL_HEAD}{example},{example})"


def plain_literal(text: str) -> str:
    """The value alone, as a literal."""
    if text.startswith(_NULL_HEAD):
        return "NULL"
    if text.startswith(_UNSIGNED_HEAD):
        return text[len(_UNSIGNED_HEAD) : -len(_UNSIGNED_TAIL)]
    return text[: text.rindex(_COLLATE)] if _is_collated(text) else text


def _is_collated(text: str) -> bool:
    """A literal alone ends in its quote."""
    return text[:1] == "'" and text[-1] != "'"
