"""The ciphers: ShardingSphere's known values, round trips, and what cannot be opened."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbmesh.rules.encryption.aes import DIGESTS, Aes, AesGcm, ecb_key, gcm_key
from dbmesh.rules.encryption.keys import Key, KeyRing
from dbmesh.rules.encryption.rule import Encryptor, Undecipherable

OLD = Aes(KeyRing((Key("", ecb_key("test", "SHA-1")),)))
NEW = Aes(KeyRing((*OLD.keys.keys, Key("k2", ecb_key("another", "SHA-256")))))
GCM = AesGcm(KeyRing((Key("k1", gcm_key("first")), Key("k2", gcm_key("second")))))
NONCE = bytes(range(12))


def test_aes_writes_what_shardingsphere_writes() -> None:
    # The value its own test expects for this key.
    assert OLD.encrypt("test", b"") == "dSpPiyENQGDUXMKFMJPGWA=="
    assert OLD.decrypt("dSpPiyENQGDUXMKFMJPGWA==") == "test"
    assert OLD.decrypt(" dSpPiyENQGDUXMKFMJPGWA==\n") == "test"


def test_the_newest_key_encrypts_and_all_decrypt() -> None:
    stored = NEW.encrypt("test", b"")
    assert stored.startswith("k2:")
    assert NEW.forms("test") == (stored, "dSpPiyENQGDUXMKFMJPGWA==")
    assert [NEW.decrypt(form) for form in NEW.forms("test")] == ["test", "test"]
    assert [NEW.is_newest(form) for form in NEW.forms("test")] == [True, False]
    assert [GCM.is_newest(one) for one in (GCM.encrypt("x", NONCE), "k1:abc", "abc")] == [True, False, False]


@pytest.mark.parametrize("cipher", [NEW, GCM])
@given(text=st.text(), nonce=st.binary(min_size=12, max_size=12))
def test_round_trip(cipher: Encryptor, text: str, nonce: bytes) -> None:
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        return
    stored = cipher.encrypt(text, nonce)
    assert stored.isascii()
    assert len(stored) <= cipher.longest(size)
    assert cipher.decrypt(stored) == text


@pytest.mark.parametrize(
    "stored",
    [
        "",
        "k2:",
        "k9:dSpPiyENQGDUXMKFMJPGWA==",
        "plain text",
        "k2:AAAA",
        "eSpPiyENQGDUXMKFMJPGWA==",
        "k2:ä",
        "AAAA",
    ],
)
def test_what_cannot_be_opened_tells_nothing(stored: str) -> None:
    for cipher in (NEW, GCM):
        with pytest.raises(Undecipherable) as found:
            cipher.decrypt(stored)
        assert str(found.value) == ""


@given(text=st.text(alphabet="abc", min_size=1), place=st.integers(0, 30))
def test_gcm_tells_a_changed_value_and_a_changed_key(text: str, place: int) -> None:
    stored = GCM.encrypt(text, NONCE)
    at = 3 + place % (len(stored) - 3)
    letter = "A" if stored[at] != "A" else "B"
    changed = stored[:at] + letter + stored[at + 1 :]
    if stored[at] == "=" or changed.rstrip("=")[:-1] == stored.rstrip("=")[:-1]:
        # The last digits of base64 have bits that say nothing.
        return
    with pytest.raises(Undecipherable):
        GCM.decrypt(changed)
    with pytest.raises(Undecipherable):
        GCM.decrypt("k1" + stored[2:])


def test_gcm_is_different_each_time() -> None:
    assert GCM.encrypt("x", NONCE) != GCM.encrypt("x", bytes(12))
    assert GCM.forms("x") == ()


@pytest.mark.parametrize("digest", DIGESTS)
def test_keys_are_of_every_digest(digest: str) -> None:
    assert len(ecb_key("test", digest)) == 16


def test_keys_are_not_shown() -> None:
    assert "secret" not in repr(AesGcm(KeyRing((Key("k1", b"secret"),))))
