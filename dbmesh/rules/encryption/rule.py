"""Which columns are stored encrypted, where their parts lie, and what turns values into them.

Decides which column a comparison may look at. Knows neither YAML nor statements.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

from dbmesh.rules.encryption.logic_type import LogicType


class Undecipherable(ValueError):
    """A stored value that no key makes a text of. It carries neither the value nor a key."""


class Encryptor(Protocol):
    """Turns the text of a value into what is stored. Two are equal where they store and read alike, by the same keys.

    * `nonce_size`: random bytes that each encryption takes; 0: equal texts are stored alike (deterministic).
    * `decrypts`: whether the text can be had back.
    """

    @property
    def nonce_size(self) -> int: ...
    @property
    def decrypts(self) -> bool: ...

    def encrypt(self, text: str, nonce: bytes) -> str:
        """What is stored, by the newest key. The same for the same arguments."""
        ...

    def forms(self, text: str) -> tuple[str, ...]:
        """Everything that may be stored for a text, by any of the keys, the newest one's first. Deterministic ones only."""
        ...

    def decrypt(self, stored: str) -> str:
        """The text. Raises Undecipherable."""
        ...

    def is_newest(self, stored: str) -> bool:
        """Whether a stored value was made by the newest key."""
        ...

    def longest(self, size: int) -> int:
        """The most characters that are stored for a text of so many bytes; all of them ASCII."""
        ...


class LikeDigest(Protocol):
    """Turns texts into others of which LIKE finds at least those that it would find of the texts."""

    def digest(self, text: str) -> str:
        """What is stored."""
        ...

    def pattern(self, pattern: str, escape: str) -> str:
        """A pattern, without an escape character, that matches the digest of each text that this pattern matches."""
        ...


@dataclass(frozen=True, slots=True)
class StoredColumn:
    """A column of the actual tables, and what its values are made by. `written` is that as the rules say it; it has no keys in
    it."""

    name: str
    encryptor: Encryptor = field(compare=False, repr=False)
    written: str


@dataclass(frozen=True, slots=True)
class LikeColumn:
    """The column that LIKE looks at. `written` as in `StoredColumn`."""

    name: str
    digest: LikeDigest = field(compare=False, repr=False)
    written: str


@dataclass(frozen=True, slots=True)
class EncryptedColumn:
    """A logic column: its type for clients, and the columns it is kept in. `plain`: the column of its own name still has the values
    as they are; it is read, and all are written."""

    name: str
    type: LogicType
    cipher: StoredColumn
    assisted: StoredColumn | None = None
    like: LikeColumn | None = None
    plain: bool = False

    @property
    def equality(self) -> StoredColumn | None:
        """The column whose values are equal where the values are; None where there is none."""
        if self.assisted is not None:
            return self.assisted
        return None if self.cipher.encryptor.nonce_size else self.cipher

    @property
    def stored(self) -> tuple[str, ...]:
        """The names of the columns it is kept in: cipher, assisted, like."""
        parts = (self.cipher, self.assisted, self.like)
        return tuple(part.name for part in parts if part is not None)


@dataclass(frozen=True)
class EncryptedTable:
    """The encrypted columns of one table, as written."""

    name: str
    columns: tuple[EncryptedColumn, ...]

    @cached_property
    def by_name(self) -> Mapping[str, EncryptedColumn]:
        """By logic name in lower case."""
        return {column.name.lower(): column for column in self.columns}

    @cached_property
    def hidden(self) -> frozenset[str]:
        """Names of columns, in lower case, that clients do not see."""
        names = {name.lower() for column in self.columns for name in column.stored}
        return frozenset(names - self.by_name.keys())
