"""The password under RSA: there and back, and what is not one."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from dbmesh.errors import ProtocolError
from dbmesh.wire.auth import obfuscate
from dbmesh.wire.rsa import RsaKey, make_rsa_key, rsa_encrypt

NONCE = bytes(range(1, 21))


@pytest.fixture(scope="module")
def rsa_key() -> RsaKey:
    return RsaKey(rsa.generate_private_key(65537, 1024))


@pytest.mark.parametrize("password", [b"", b"secret", b"x" * 60])
def test_rsa_round_trips(rsa_key: RsaKey, password: bytes) -> None:
    assert rsa_key.decrypt(rsa_encrypt(password, NONCE, rsa_key.public_pem), NONCE) == password
    assert obfuscate(obfuscate(password, NONCE), NONCE) == password


def test_rsa_refuses_what_it_cannot_read(rsa_key: RsaKey) -> None:
    assert rsa_key.decrypt(b"x" * 128, NONCE) is None
    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    for pem in (b"", b"no key", other.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)):
        with pytest.raises(ProtocolError):
            rsa_encrypt(b"secret", NONCE, pem)
    with pytest.raises(ProtocolError):
        rsa_encrypt(b"x" * 500, NONCE, rsa_key.public_pem)


def test_a_made_key_works() -> None:
    key = make_rsa_key()
    assert key.decrypt(rsa_encrypt(b"secret", NONCE, key.public_pem), NONCE) == b"secret"
