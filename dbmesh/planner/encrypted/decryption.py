"""What is to be done with an answer that has encrypted columns: a value that plans carry.

Decides nothing. `merge.decryption` does it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dbmesh.rules.encryption.rule import EncryptedColumn


@dataclass(frozen=True, slots=True)
class DecryptedColumn:
    """A column of the answer that holds ciphers. `place`: its index; `keys`: the flags (manual, "Column Definition Flags") that its
    keys give it."""

    place: int
    column: EncryptedColumn
    keys: int = 0


@dataclass(frozen=True, slots=True)
class TextCheck:
    """What a row's text at `place` must be LIKE; `pattern` has the backslash as its escape character. `negated`: must not be."""

    place: int
    pattern: str
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Decryption:
    """`checks`: rows that fail one are none of the answer. `hidden`: so many columns at the end are for them alone."""

    columns: Sequence[DecryptedColumn] = ()
    checks: Sequence[TextCheck] = ()
    hidden: int = 0
