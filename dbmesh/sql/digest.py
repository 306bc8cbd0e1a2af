"""Digests: what statements that differ only in their values have in common, for people and for rules.

Decides how such a statement reads (`?` for every value, one `?` for a list of them, one row for many) and what short
name it goes by. Knows nothing of what a statement means. Words that may be an account's password are left out (`sql.secrets`).
"""

from __future__ import annotations

from hashlib import blake2b
from typing import NamedTuple

from dbmesh.sql.lexer import LexerFlags
from dbmesh.sql.secrets import veiled
from dbmesh.sql.shape import cut

MOST_TEXT = 4096
"""Characters of a digest's text that are kept; its name is made of all."""


class Digest(NamedTuple):
    """A statement without its values. `name` is 16 hexadecimal digits, the same in every process."""

    name: str
    text: str


def digest_of(shape: str, flags: LexerFlags) -> Digest:
    """The digest of a shape (`sql.fingerprint`). Words in other cases and other spaces between them make another one.
    O(shape)."""
    parts: list[str] = []
    position = 0
    for slot in cut(shape, flags).slots:
        parts.append(shape[position : slot.start])
        parts.append("?")
        position = slot.end
    parts.append(shape[position:])
    text = veiled("".join(parts).strip())
    name = blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()
    return Digest(name, text[:MOST_TEXT])
