"""MariaDB's ed25519: the documented key of a known password, and signatures another implementation accepts."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from dbmesh.wire.ed25519 import ed25519_public_key, ed25519_scramble


def test_the_documented_key() -> None:
    assert base64.b64encode(ed25519_public_key(b"secret")) == b"ZIgUREUg5PVgQ6LskhXmO+eZLS0nC8be6HPjYWR4YJY="


@pytest.mark.parametrize("password", [b"", b"secret", b"\xff" * 70])
def test_signatures_verify(password: bytes) -> None:
    nonce = bytes(range(32))
    key = Ed25519PublicKey.from_public_bytes(ed25519_public_key(password))
    key.verify(ed25519_scramble(password, nonce), nonce)
