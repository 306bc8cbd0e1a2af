"""Digests for equality: known values, keys, and that nobody reads a text out of them."""

from __future__ import annotations

import pytest

from dbmesh.rules.encryption.digests import HmacSha256, Md5
from dbmesh.rules.encryption.keys import Key, KeyRing
from dbmesh.rules.encryption.rule import Undecipherable

HMAC = HmacSha256(KeyRing((Key("k1", b"Jefe"), Key("k2", b"\x0b" * 20))))


def test_md5_is_that_of_shardingsphere() -> None:
    assert Md5("").encrypt("test", b"") == "098f6bcd4621d373cade4e832627b4f6"
    assert Md5("202cb962ac5907").encrypt("test", b"") == "0c243d2934937738f36514035d95344a"


def test_hmac_has_the_known_values() -> None:
    # RFC 4231, test cases 1 and 2.
    assert HMAC.encrypt("Hi There", b"") == (
        "k2:b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
    )
    assert HMAC.forms("what do ya want for nothing?")[1] == (
        "k1:5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    )


def test_newest_and_longest() -> None:
    assert [HMAC.is_newest(one) for one in (*HMAC.forms("x"), "k9:00")] == [True, False, False]
    assert Md5("").is_newest("anything")
    assert all(len(form) <= HMAC.longest(1) for form in HMAC.forms("x"))
    assert Md5("").longest(9) == len(Md5("").forms("x")[0])


@pytest.mark.parametrize("digest", [Md5(""), HMAC])
def test_digests_are_not_decrypted(digest: Md5 | HmacSha256) -> None:
    assert not digest.decrypts
    with pytest.raises(Undecipherable):
        digest.decrypt("k1:00")
