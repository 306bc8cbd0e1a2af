"""Authentication plugins as functions of password and nonce: the client's answer, and its check.

Decides whether an answer proves a password. Refuses to know who asks: packets are `handshake` modules' business and
nonces are arguments. Sources: manual, "Native Authentication", "Caching_sha2_password information"; MariaDB knowledge
base, "Authentication Plugin - ed25519".
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from hashlib import sha1, sha256
from typing import Final

from dbmesh.wire.sha_crypt import sha256_crypt

NATIVE: Final = "mysql_native_password"
CACHING_SHA2: Final = "caching_sha2_password"
SHA256: Final = "sha256_password"
CLEAR: Final = "mysql_clear_password"
ED25519: Final = "client_ed25519"

NONCE_LENGTH: Final = 20
ED25519_NONCE_LENGTH: Final = 32

_SALT_LENGTH: Final = 20
_STORED_PREFIX: Final = b"$A$"


@dataclass(frozen=True, slots=True)
class Secret:
    """What is known about a user's password; exactly one of the fields is set, or none when the user is unknown.

    * `plain`: the password (b"" is an account without one).
    * `native`: SHA1(SHA1(password)), from a stored `*HEX`.
    * `sha2`: stored `$A$005$` salt and digest of caching_sha2_password.
    * `cached_sha2`: SHA256(SHA256(password)) beside `sha2`, once a full authentication has shown it.
    """

    plain: bytes | None = None
    native: bytes | None = None
    sha2: bytes | None = None
    cached_sha2: bytes | None = None

    @property
    def known(self) -> bool:
        """There is such a user."""
        return self.plain is not None or self.native is not None or self.sha2 is not None


def parse_secret(text: str) -> Secret:
    """A password as configuration files hold it: `*` and 40 hexadecimal digits, `$A$…` in caching_sha2_password's
    stored form (or in hexadecimal behind 0x, as SHOW CREATE USER prints it), or plain text."""
    if len(text) == 41 and text[0] == "*" and _is_hex(text[1:]):
        return Secret(native=bytes.fromhex(text[1:]))
    if text.startswith("0x244124") and _is_hex(text[2:]) and len(text) == 2 + 2 * 70:
        return Secret(sha2=bytes.fromhex(text[2:]))
    if text.startswith("$A$") and len(text) == 70 and text.isascii():
        return Secret(sha2=text.encode("ascii"))
    return Secret(plain=text.encode("utf-8"))


def _is_hex(text: str) -> bool:
    return all(digit in "0123456789abcdefABCDEF" for digit in text)


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))


# ---------------------------------------------------------------------------------------------- native


def native_hash(password: bytes) -> bytes:
    """SHA1(SHA1(password)), what servers store."""
    return sha1(sha1(password).digest()).digest()


def native_scramble(password: bytes, nonce: bytes) -> bytes:
    """The client's answer: 20 bytes, or none for an empty password."""
    if not password:
        return b""
    stage1 = sha1(password).digest()
    stage2 = sha1(stage1).digest()
    return _xor(stage1, sha1(nonce + stage2).digest())


def verify_native(answer: bytes, nonce: bytes, secret: Secret) -> bool:
    """Whether a native answer proves `secret`, which must hold `plain` or `native`; False otherwise."""
    if secret.plain == b"":
        return not answer
    stored = secret.native if secret.plain is None else native_hash(secret.plain)
    if stored is None or len(answer) != 20:
        return False
    stage1 = _xor(answer, sha1(nonce + stored).digest())
    return hmac.compare_digest(sha1(stage1).digest(), stored)


# ---------------------------------------------------------------------------------------------- caching_sha2


def sha2_cache_entry(password: bytes) -> bytes:
    """SHA256(SHA256(password)), what makes the fast path possible."""
    return sha256(sha256(password).digest()).digest()


def sha2_scramble(password: bytes, nonce: bytes) -> bytes:
    """The client's fast answer: 32 bytes, or none for an empty password."""
    if not password:
        return b""
    stage1 = sha256(password).digest()
    return _xor(stage1, sha256(sha256(stage1).digest() + nonce).digest())


def verify_sha2_fast(answer: bytes, nonce: bytes, secret: Secret) -> bool | None:
    """Whether a fast answer proves `secret`; None when that cannot be told without the password itself."""
    if secret.plain == b"":
        return not answer
    if not answer:
        return False
    entry = secret.cached_sha2 if secret.plain is None else sha2_cache_entry(secret.plain)
    if entry is None:
        return None
    if len(answer) != 32:
        return False
    stage1 = _xor(answer, sha256(entry + nonce).digest())
    return hmac.compare_digest(sha256(stage1).digest(), entry)


def make_sha2_stored(password: bytes, salt: bytes, thousands: int = 5) -> bytes:
    """The stored form of a password: `$A$005$`, 20 bytes of salt (none of them zero or `$`), 43 characters."""
    return b"$A$%03X$" % thousands + salt + sha256_crypt(password, salt, thousands * 1000)


def verify_password(password: bytes, secret: Secret) -> bool:
    """Whether a password that came in the clear (or by RSA) is the one. About 10 ms for a stored sha2 digest."""
    if secret.plain is not None:
        return hmac.compare_digest(password, secret.plain)
    if secret.native is not None:
        return hmac.compare_digest(native_hash(password), secret.native)
    return secret.sha2 is not None and _verify_stored(password, secret.sha2)


def _verify_stored(password: bytes, stored: bytes) -> bool:
    """A stored form that is not one proves nothing."""
    head, rounds, separator, rest = stored[:3], stored[3:6], stored[6:7], stored[7:]
    if head != _STORED_PREFIX or separator != b"$" or len(rest) != _SALT_LENGTH + 43:
        return False
    try:
        thousands = int(rounds, 16)
    except ValueError:
        return False
    return hmac.compare_digest(make_sha2_stored(password, rest[:_SALT_LENGTH], thousands), stored)


def obfuscate(password: bytes, nonce: bytes) -> bytes:
    """The password with its closing zero, XORed with the nonce over and over; its own inverse."""
    size = len(password)
    return _xor(password, (nonce * (size // len(nonce) + 1))[:size])
