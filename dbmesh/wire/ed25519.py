"""The signature of MariaDB's client_ed25519 plugin.

Decides nothing but arithmetic. The plugin signs the server's nonce with Ed25519 (RFC 8032) where the SHA-512 of the
password takes the place of the SHA-512 of a private seed; common libraries only sign with a seed they hash
themselves, so this module does the curve itself. It signs one nonce per connection made: not constant time, and a
few milliseconds slow.
"""

from __future__ import annotations

from hashlib import sha512

_P = 2**255 - 19
_ORDER = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, _P - 2, _P) % _P

_Point = tuple[int, int, int, int]
"""Extended homogeneous coordinates (RFC 8032, 5.1.4)."""


def _base_point() -> _Point:
    y = 4 * pow(5, _P - 2, _P) % _P
    square = (y * y - 1) * pow(_D * y * y + 1, _P - 2, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    if (x * x - square) % _P:
        x = x * pow(2, (_P - 1) // 4, _P) % _P
    if x & 1:
        x = _P - x
    return x, y, 1, x * y % _P


def _add(left: _Point, right: _Point) -> _Point:
    x1, y1, z1, t1 = left
    x2, y2, z2, t2 = right
    a = (y1 - x1) * (y2 - x2) % _P
    b = (y1 + x1) * (y2 + x2) % _P
    c = 2 * t1 * t2 * _D % _P
    d = 2 * z1 * z2 % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _multiply(scalar: int, point: _Point) -> _Point:
    result: _Point = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            result = _add(result, point)
        point = _add(point, point)
        scalar >>= 1
    return result


def _compress(point: _Point) -> bytes:
    x, y, z, _ = point
    inverse = pow(z, _P - 2, _P)
    x, y = x * inverse % _P, y * inverse % _P
    return (y | (x & 1) << 255).to_bytes(32, "little")


_BASE = _base_point()


def _number(digest: bytes) -> int:
    return int.from_bytes(digest, "little") % _ORDER


def _secret_scalar(digest: bytes) -> int:
    scalar = int.from_bytes(digest[:32], "little")
    return scalar & (1 << 254) - 8 | 1 << 254


def ed25519_public_key(password: bytes) -> bytes:
    """The 32 bytes a server stores (as base64) for a password."""
    return _compress(_multiply(_secret_scalar(sha512(password).digest()), _BASE))


def ed25519_scramble(password: bytes, nonce: bytes) -> bytes:
    """The 64-byte answer to a nonce of 32 bytes."""
    digest = sha512(password).digest()
    scalar = _secret_scalar(digest)
    public_key = _compress(_multiply(scalar, _BASE))
    secret = _number(sha512(digest[32:] + nonce).digest())
    commitment = _compress(_multiply(secret, _BASE))
    challenge = _number(sha512(commitment + public_key + nonce).digest())
    return commitment + ((secret + challenge * scalar) % _ORDER).to_bytes(32, "little")
