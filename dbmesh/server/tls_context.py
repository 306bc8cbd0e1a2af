"""The listener's TLS: the operator's certificate, or one made for this start.

Decides nothing about when TLS is used. A self-signed certificate protects against listeners, not against impostors.
"""

from __future__ import annotations

import datetime
import ssl
import tempfile
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def server_tls_context(certificate: str, key: str, authorities: str = "") -> ssl.SSLContext:
    """TLS 1.2 and later with the certificate and key of these PEM files, or with a new self-signed certificate when
    both are empty. With `authorities` clients may show a certificate that one of these has signed. Raises OSError for files that
    cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # A client must not be able to make a write wait for its handshake.
    context.options |= ssl.OP_NO_RENEGOTIATION
    for name in filter(None, (certificate, key, authorities)):
        # An error of ssl does not say which file it is about.
        Path(name).open("rb").close()
    if authorities:
        context.load_verify_locations(authorities)
        context.verify_mode = ssl.CERT_OPTIONAL
    if certificate:
        context.load_cert_chain(certificate, key or None)
        return context
    with tempfile.TemporaryDirectory(prefix="dbmesh-tls-") as directory:
        path = Path(directory) / "certificate.pem"
        path.touch(mode=0o600)
        path.write_bytes(_self_signed())
        context.load_cert_chain(path)
    return context


def _self_signed() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "dbmesh")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=825))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ) + certificate.public_bytes(serialization.Encoding.PEM)
