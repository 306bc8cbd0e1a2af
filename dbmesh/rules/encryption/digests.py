"""Digests for equality: MD5 as ShardingSphere writes it, and HMAC_SHA256, which needs a key to be guessed at.

Decides the formats. Knows no columns.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import Final

from dbmesh.rules.encryption.keys import Key, KeyRing
from dbmesh.rules.encryption.rule import Undecipherable

_MD5_DIGITS: Final = 32
_HMAC_DIGITS: Final = 64
_LONGEST_ID: Final = 33


@dataclass(frozen=True, slots=True)
class Md5:
    """See `Encryptor`. Hexadecimal MD5 of the text with the salt behind it."""

    salt: str = field(repr=False)

    nonce_size = 0
    decrypts = False

    def encrypt(self, text: str, nonce: bytes) -> str:
        """See `Encryptor`."""
        return hashlib.md5((text + self.salt).encode("utf-8"), usedforsecurity=False).hexdigest()

    def forms(self, text: str) -> tuple[str, ...]:
        """See `Encryptor`."""
        return (self.encrypt(text, b""),)

    def decrypt(self, stored: str) -> str:
        """See `Encryptor`: never."""
        raise Undecipherable

    def is_newest(self, stored: str) -> bool:
        """See `Encryptor`."""
        return True

    def longest(self, size: int) -> int:
        """See `Encryptor`."""
        return _MD5_DIGITS


@dataclass(frozen=True, slots=True)
class HmacSha256:
    """See `Encryptor`. Hexadecimal HMAC (RFC 2104) of the text, the key's id before it."""

    keys: KeyRing

    nonce_size = 0
    decrypts = False

    def encrypt(self, text: str, nonce: bytes) -> str:
        """See `Encryptor`."""
        return self._made(self.keys.newest, text)

    def forms(self, text: str) -> tuple[str, ...]:
        """See `Encryptor`."""
        return tuple(self._made(key, text) for key in self.keys.newest_first())

    def decrypt(self, stored: str) -> str:
        """See `Encryptor`: never."""
        raise Undecipherable

    def is_newest(self, stored: str) -> bool:
        """See `Encryptor`."""
        found = self.keys.found(stored)
        return found is not None and found[0] is self.keys.newest

    def longest(self, size: int) -> int:
        """See `Encryptor`."""
        return _LONGEST_ID + _HMAC_DIGITS

    def _made(self, key: Key, text: str) -> str:
        return self.keys.marked(key, hmac.new(key.secret, text.encode("utf-8"), "sha256").hexdigest())
