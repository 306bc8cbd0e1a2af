"""The keys of an encryptor: each with an id, the newest last. The newest one encrypts, all of them decrypt.

Decides how a stored value says which key it was made by. What is done with a key is the algorithm's business.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

ID: Final = re.compile(r"[A-Za-z0-9_.-]{1,32}")


@dataclass(frozen=True, slots=True)
class Key:
    """One key. Without an `id` ('') it is that of ShardingSphere's format, which says nothing of keys."""

    id: str
    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The keys in the order of the rules, the newest last."""

    keys: tuple[Key, ...]

    @property
    def newest(self) -> Key:
        """The key that encrypts."""
        return self.keys[-1]

    def newest_first(self) -> Iterator[Key]:
        """All keys."""
        return reversed(self.keys)

    def marked(self, key: Key, value: str) -> str:
        """A value with its key's id in front."""
        return f"{key.id}:{value}" if key.id else value

    def found(self, stored: str) -> tuple[Key, str] | None:
        """The key a stored value was made by, and the value without its id; None for a key that is not there."""
        id_, mark, rest = stored.rpartition(":")
        for key in self.keys:
            if key.id == id_:
                return key, rest if mark else stored
        return None
