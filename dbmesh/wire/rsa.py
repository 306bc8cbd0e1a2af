"""caching_sha2_password's full login without TLS: the password under the server's RSA key.

Decides the encryption only. It stands apart because its library takes 8 MB and a tenth of a second to load, which a
sidecar whose accounts need no full login never pays: import it where it is used. Source: manual, "Caching_sha2_password
information".
"""

from __future__ import annotations

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from dbmesh.errors import ProtocolError
from dbmesh.wire.auth import obfuscate

_OAEP = padding.OAEP(mgf=padding.MGF1(algorithm=hashes.SHA1()), algorithm=hashes.SHA1(), label=None)


def rsa_encrypt(password: bytes, nonce: bytes, public_key: bytes) -> bytes:
    """The password for a server's PEM public key. Raises ProtocolError when that is no RSA key or too short."""
    try:
        key = serialization.load_pem_public_key(public_key)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ProtocolError("the server's public key cannot be read") from error
    if not isinstance(key, rsa.RSAPublicKey):
        raise ProtocolError("the server's public key is no RSA key")
    try:
        return key.encrypt(obfuscate(password + b"\0", nonce), _OAEP)
    except ValueError as error:
        raise ProtocolError("the password does not fit the server's public key") from error


class RsaKey:
    """A server's RSA key pair, for clients that have no TLS."""

    def __init__(self, private_key: rsa.RSAPrivateKey) -> None:
        self._private_key = private_key
        self.public_pem = private_key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        """What the client is sent."""

    def decrypt(self, encrypted: bytes, nonce: bytes) -> bytes | None:
        """The password a client encrypted with `rsa_encrypt`, without its closing zero; None when it is not one."""
        try:
            return obfuscate(self._private_key.decrypt(encrypted, _OAEP), nonce).removesuffix(b"\0")
        except ValueError:
            return None


def make_rsa_key() -> RsaKey:
    """A new key pair of 2,048 bits; takes up to a second."""
    return RsaKey(rsa.generate_private_key(public_exponent=65537, key_size=2048))
