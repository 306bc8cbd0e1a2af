"""SHA-crypt with SHA-256, as caching_sha2_password stores passwords.

Decides nothing but the digest. Written from Ulrich Drepper's public specification "Unix crypt using SHA-256 and
SHA-512" (the numbers in comments are its steps); MySQL uses it with 20-byte salts and prints 43 characters.
"""

from __future__ import annotations

from hashlib import sha256

_ALPHABET = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SIZE = 32


def _stretched(digest: bytes, length: int) -> bytes:
    """`digest` repeated up to `length` bytes."""
    return (digest * (length // _SIZE + 1))[:length]


def sha256_crypt(password: bytes, salt: bytes, rounds: int) -> bytes:
    """The 43 characters of the digest. Takes about 10 ms for 5,000 rounds."""
    alternate = sha256(password + salt + password).digest()  # 4-8
    first = sha256(password + salt + _stretched(alternate, len(password)))  # 1-3, 9, 10
    bits = len(password)
    while bits:  # 11
        first.update(alternate if bits & 1 else password)
        bits >>= 1
    digest = first.digest()  # 12
    p = _stretched(sha256(password * len(password)).digest(), len(password))  # 13-16
    s = _stretched(sha256(salt * (16 + digest[0])).digest(), len(salt))  # 17-20
    for number in range(rounds):  # 21
        odd = number & 1
        parts = p if odd else digest
        if number % 3:
            parts += s
        if number % 7:
            parts += p
        digest = sha256(parts + (digest if odd else p)).digest()
    return _printed(digest)


def _printed(digest: bytes) -> bytes:
    """Step 22: groups of three bytes in the specification's order, six bits a character, low bits first."""
    text = bytearray()
    first, second, third = 0, 10, 20
    for _ in range(10):
        group = digest[first] << 16 | digest[second] << 8 | digest[third]
        for _ in range(4):
            text.append(_ALPHABET[group & 63])
            group >>= 6
        first, second, third = third + 1, first + 1, second + 1
    group = digest[31] << 8 | digest[30]
    for _ in range(3):
        text.append(_ALPHABET[group & 63])
        group >>= 6
    return bytes(text)
