"""SHA-crypt against the specification's vector and digests of another implementation."""

from __future__ import annotations

import pytest

from dbmesh.wire.sha_crypt import sha256_crypt


@pytest.mark.parametrize(
    ("password", "salt", "rounds", "digest"),
    [
        (b"Hello world!", b"saltstring", 5000, b"5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5"),
        (b"", b"a", 5000, b"CZ9Csdk0HaS3TQcxgDHTwM2gwOEDCViPn83i6BpFdH."),
        (
            b"we have a longer password than thirty-two bytes",
            b"0123456789abcdef",
            5000,
            b"574cNZVr9lLX7e28.yOXmuoQaol6qy1948ZVESY9a2A",
        ),
        (b"x" * 64, b"saltsalt", 1000, b"pYvNLblPnAfckeK9P3El3lAHWCSAia.LDkWRk2H8DH8"),
    ],
)
def test_vectors(password: bytes, salt: bytes, rounds: int, digest: bytes) -> None:
    assert sha256_crypt(password, salt, rounds) == digest
