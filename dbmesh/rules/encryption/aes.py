"""AES: the deterministic cipher of ShardingSphere, and AES_GCM: authenticated and random, dbmesh's own.

Decides the formats. AES is that of ShardingSphere: the key is the first 16 bytes of a digest of its text, blocks are encrypted one by one
(ECB) with PKCS #5 padding and written in base64. Equal texts have equal ciphers, and equal blocks too; nothing tells a changed one.
AES_GCM is base64 of nonce, cipher and tag (NIST SP 800-38D) under a key of 256 bits that HKDF (RFC 5869) makes of the key's text.
A key with an id puts it before the value, with a colon. Knows no columns.
"""

from __future__ import annotations

import binascii
import hashlib
from base64 import b64decode, b64encode
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from dbmesh.rules.encryption.keys import Key, KeyRing
from dbmesh.rules.encryption.rule import Undecipherable

DIGESTS: Final = {
    "MD5": "md5",
    "SHA-1": "sha1",
    "SHA-224": "sha224",
    "SHA-256": "sha256",
    "SHA-384": "sha384",
    "SHA-512": "sha512",
    "SHA3-224": "sha3_224",
    "SHA3-256": "sha3_256",
    "SHA3-384": "sha3_384",
    "SHA3-512": "sha3_512",
}
"""Names of digests as Java writes them."""

_BLOCK: Final = 16
_NONCE: Final = 12
_TAG: Final = 16
_LONGEST_ID: Final = 33


def ecb_key(text: str, digest: str) -> bytes:
    """The key ShardingSphere makes of a text."""
    return hashlib.new(DIGESTS[digest], text.encode("utf-8"), usedforsecurity=False).digest()[:_BLOCK]


def gcm_key(text: str) -> bytes:
    """A key of 256 bits."""
    return HKDF(SHA256(), 32, salt=None, info=b"dbmesh AES_GCM").derive(text.encode("utf-8"))


@dataclass(frozen=True, slots=True)
class Aes:
    """See `Encryptor`."""

    keys: KeyRing

    nonce_size = 0
    decrypts = True

    def encrypt(self, text: str, nonce: bytes) -> str:
        """See `Encryptor`."""
        return self._made(self.keys.newest, text)

    def forms(self, text: str) -> tuple[str, ...]:
        """See `Encryptor`."""
        return tuple(self._made(key, text) for key in self.keys.newest_first())

    def decrypt(self, stored: str) -> str:
        """See `Encryptor`."""
        key, cipher = _opened(self.keys, stored)
        if not cipher or len(cipher) % _BLOCK:
            raise Undecipherable
        opened = Cipher(algorithms.AES(key.secret), modes.ECB()).decryptor()
        padded = opened.update(cipher) + opened.finalize()
        count = padded[-1]
        if not 0 < count <= _BLOCK or padded[-count:] != bytes((count,)) * count:
            raise Undecipherable
        return _decoded(padded[:-count])

    def is_newest(self, stored: str) -> bool:
        """See `Encryptor`."""
        return _is_newest(self.keys, stored)

    def longest(self, size: int) -> int:
        """See `Encryptor`."""
        return _LONGEST_ID + _base64(size + _BLOCK - size % _BLOCK)

    def _made(self, key: Key, text: str) -> str:
        plain = text.encode("utf-8")
        count = _BLOCK - len(plain) % _BLOCK
        closed = Cipher(algorithms.AES(key.secret), modes.ECB()).encryptor()
        cipher = closed.update(plain + bytes((count,)) * count) + closed.finalize()
        return self.keys.marked(key, b64encode(cipher).decode("ascii"))


@dataclass(frozen=True, slots=True)
class AesGcm:
    """See `Encryptor`. The key's id is authenticated with the value."""

    keys: KeyRing

    nonce_size = _NONCE
    decrypts = True

    def encrypt(self, text: str, nonce: bytes) -> str:
        """See `Encryptor`."""
        key = self.keys.newest
        cipher = AESGCM(key.secret).encrypt(nonce, text.encode("utf-8"), key.id.encode("ascii"))
        return self.keys.marked(key, b64encode(nonce + cipher).decode("ascii"))

    def forms(self, text: str) -> tuple[str, ...]:
        """See `Encryptor`: it is not deterministic."""
        return ()

    def decrypt(self, stored: str) -> str:
        """See `Encryptor`."""
        key, sealed = _opened(self.keys, stored)
        if len(sealed) < _NONCE + _TAG:
            raise Undecipherable
        try:
            plain = AESGCM(key.secret).decrypt(sealed[:_NONCE], sealed[_NONCE:], key.id.encode("ascii"))
        except InvalidTag:
            raise Undecipherable from None
        return _decoded(plain)

    def is_newest(self, stored: str) -> bool:
        """See `Encryptor`."""
        return _is_newest(self.keys, stored)

    def longest(self, size: int) -> int:
        """See `Encryptor`."""
        return _LONGEST_ID + _base64(_NONCE + size + _TAG)


def _opened(keys: KeyRing, stored: str) -> tuple[Key, bytes]:
    found = keys.found(stored)
    if found is None:
        raise Undecipherable
    try:
        return found[0], b64decode(found[1].strip(), validate=True)
    except (binascii.Error, ValueError):
        raise Undecipherable from None


def _is_newest(keys: KeyRing, stored: str) -> bool:
    found = keys.found(stored)
    return found is not None and found[0] is keys.newest


def _decoded(plain: bytes) -> str:
    try:
        return plain.decode("utf-8")
    except UnicodeDecodeError:
        raise Undecipherable from None


def _base64(size: int) -> int:
    return (size + 2) // 3 * 4
