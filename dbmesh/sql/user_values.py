"""User variables as SQL that gives a connection their values and types.

A variable has a type beside its value, which columns and comparisons show: unsigned integers, texts of a character set and
collation of their own, whatever the session's are since, and NULLs of the type the variable had before (MariaDB knowledge base,
"User-Defined Variables"). Decides how both are written. Knows no columns.
"""

from __future__ import annotations

import re
from decimal import Decimal

from dbmesh.model import SqlValue, UnsignedInteger
from dbmesh.sql.literals import UNSIGNED_HEAD, UNSIGNED_TAIL, decode_literal, literal_text, unsigned
from dbmesh.wire.collations import encoding

_NULL_HEAD = "NULLIF("
_LARGEST_SIGNED = (1 << 63) - 1

_TEXT = re.compile(r"_(\w+)\s*(?:'((?:[^'\\]|'')*)'|x'([0-9a-f]*)')( COLLATE \w+)?")
"""What `collated` writes: the character set, the text in letters or in hexadecimal digits, the collation."""

_IN_LETTERS = re.compile(rb"[ -\[\]-~]*")


def collated(value: bytes, character_set: str, collation: str = "") -> str:
    """A text, given as bytes of its character set; without a collation it has the default one. Every sql_mode and character set
    of a session read it alike."""
    if _IN_LETTERS.fullmatch(value) is None:
        written = f" x'{value.hex()}'"
    else:
        written = "'" + value.decode("ascii").replace("'", "''") + "'"
    return f"_{character_set}{written}{_collate(collation)}"


def null_like(text: str) -> str:
    """NULL in a variable that held this before: as servers do, it keeps its type."""
    if text.upper() == "NULL" or text.startswith(_NULL_HEAD):
        return text
    if text.startswith(UNSIGNED_HEAD):
        return _null(unsigned("1"))
    if (found := _TEXT.fullmatch(text)) is not None:
        return _null(f"_{found[1]}''{found[4] or ''}")
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


def plain_literal(text: str) -> str:
    """The value alone, as a literal."""
    if text.startswith(_NULL_HEAD):
        return "NULL"
    if text.startswith(UNSIGNED_HEAD):
        return text[len(UNSIGNED_HEAD) : -len(UNSIGNED_TAIL)]
    if (found := _TEXT.fullmatch(text)) is None:
        return text
    letters, digits = found[2], found[3]
    value = (
        bytes.fromhex(digits)
        if letters is None
        else letters.replace("''", "'").encode("utf-8", "surrogateescape")
    )
    codec = encoding(found[1])
    return literal_text(value if codec is None else value.decode(codec, "surrogateescape"))


def value_of(text: str) -> SqlValue:
    """The value. Raises ValueError for what is no literal."""
    value = decode_literal(plain_literal(text))
    return UnsignedInteger(value) if isinstance(value, int) and text.startswith(UNSIGNED_HEAD) else value


def _collate(collation: str) -> str:
    return f" COLLATE {collation}" if collation else ""


def _null(example: str) -> str:
    return f"{_NULL_HEAD}{example},{example})"
