"""Password proofs: right ones pass, wrong ones do not, stored forms are read."""

from __future__ import annotations

import pytest

from dbmesh.wire.auth import (
    Secret,
    make_sha2_stored,
    native_hash,
    native_scramble,
    parse_secret,
    sha2_cache_entry,
    sha2_scramble,
    verify_native,
    verify_password,
    verify_sha2_fast,
)

NONCE = bytes(range(1, 21))
SALT = b"abcdefghijklmnopqrst"


def test_native_hash_is_the_servers() -> None:
    # SELECT PASSWORD('secret') on MariaDB
    assert native_hash(b"secret").hex().upper() == "14E65567ABDB5135D0CFD9A70B3032C179A49EE7"


@pytest.mark.parametrize("secret", [Secret(plain=b"secret"), Secret(native=native_hash(b"secret"))])
def test_native(secret: Secret) -> None:
    assert verify_native(native_scramble(b"secret", NONCE), NONCE, secret)
    assert not verify_native(native_scramble(b"Secret", NONCE), NONCE, secret)
    assert not verify_native(native_scramble(b"secret", NONCE[::-1]), NONCE, secret)
    assert not verify_native(b"", NONCE, secret)
    assert not verify_native(b"short", NONCE, secret)


@pytest.mark.parametrize(
    "secret", [Secret(plain=b"secret"), Secret(sha2=b"-", cached_sha2=sha2_cache_entry(b"secret"))]
)
def test_sha2_fast(secret: Secret) -> None:
    assert verify_sha2_fast(sha2_scramble(b"secret", NONCE), NONCE, secret)
    assert verify_sha2_fast(sha2_scramble(b"Secret", NONCE), NONCE, secret) is False
    assert verify_sha2_fast(b"", NONCE, secret) is False
    assert verify_sha2_fast(b"short", NONCE, secret) is False


def test_sha2_fast_needs_more_than_the_stored_digest() -> None:
    secret = Secret(sha2=make_sha2_stored(b"secret", SALT))
    assert verify_sha2_fast(sha2_scramble(b"secret", NONCE), NONCE, secret) is None


def test_an_account_without_password() -> None:
    secret = Secret(plain=b"")
    assert native_scramble(b"", NONCE) == sha2_scramble(b"", NONCE) == b""
    assert verify_native(b"", NONCE, secret)
    assert verify_sha2_fast(b"", NONCE, secret)
    assert not verify_native(native_scramble(b"x", NONCE), NONCE, secret)
    assert verify_sha2_fast(sha2_scramble(b"x", NONCE), NONCE, secret) is False


def test_nobody_is_never_proved() -> None:
    assert not verify_native(b"", NONCE, Secret())
    assert not verify_sha2_fast(b"", NONCE, Secret())
    assert not verify_password(b"", Secret())
    assert not Secret().known


@pytest.mark.parametrize(
    "secret",
    [
        Secret(plain=b"secret"),
        Secret(native=native_hash(b"secret")),
        Secret(sha2=make_sha2_stored(b"secret", SALT)),
    ],
)
def test_clear_passwords(secret: Secret) -> None:
    assert verify_password(b"secret", secret)
    assert not verify_password(b"Secret", secret)
    assert not verify_password(b"", secret)


@pytest.mark.parametrize("stored", [b"", b"$A$005$short", b"$A$0x5$" + b"a" * 63, b"$B$005$" + b"a" * 63])
def test_a_broken_digest_proves_nothing(stored: bytes) -> None:
    assert not verify_password(b"secret", Secret(sha2=stored))


def test_secrets_of_configuration_files() -> None:
    stored = make_sha2_stored(b"secret", SALT)
    assert len(stored) == 70
    assert parse_secret("root") == Secret(plain=b"root")
    assert parse_secret("") == Secret(plain=b"")
    assert parse_secret("*" + native_hash(b"x").hex().upper()) == Secret(native=native_hash(b"x"))
    assert parse_secret("*not a hash") == Secret(plain=b"*not a hash")
    assert parse_secret(stored.decode()) == Secret(sha2=stored)
    assert parse_secret("0x" + stored.hex().upper()) == Secret(sha2=stored)
    assert parse_secret("$A$5") == Secret(plain=b"$A$5")
