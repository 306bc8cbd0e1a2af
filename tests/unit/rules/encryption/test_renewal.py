"""What columns that keep an encrypted value should hold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbmesh.rules.encryption.aes import Aes, AesGcm, ecb_key, gcm_key
from dbmesh.rules.encryption.char_digest_like import CharDigestLike
from dbmesh.rules.encryption.digests import HmacSha256
from dbmesh.rules.encryption.keys import Key, KeyRing
from dbmesh.rules.encryption.logic_type import read_type
from dbmesh.rules.encryption.renewal import Unreadable, renewed
from dbmesh.rules.encryption.rule import EncryptedColumn, LikeColumn, StoredColumn

K1, K2 = Key("k1", gcm_key("one")), Key("k2", gcm_key("two"))


def column(*keys: Key, declared: str = "VARCHAR(20)", plain: bool = False) -> EncryptedColumn:
    kind = read_type(declared)
    assert kind is not None
    ring = KeyRing(keys)
    like = LikeColumn("c_like", CharDigestLike(1, 0xF7D, 0x4E00, {}), "like")
    return EncryptedColumn(
        "c",
        kind,
        StoredColumn("c_cipher", AesGcm(ring), "gcm"),
        StoredColumn("c_eq", HmacSha256(ring), "h"),
        like,
        plain,
    )


EMPTY = {"c_cipher": None, "c_eq": None, "c_like": None}


@given(st.text(alphabet="abc%ß", max_size=20))
def test_columns_are_filled_once_and_rotated_once(text: str) -> None:
    old, both = column(K1, plain=True), column(K1, K2)
    row: dict[str, str | None] = {"c": text, **EMPTY}
    changes = renewed([old], row, bytes)
    assert set(changes) == {"c_cipher", "c_eq", "c_like"}
    row |= changes
    assert renewed([old], row, bytes) == {}
    rotated = renewed([both], row, bytes)
    assert set(rotated) == {"c_cipher", "c_eq"}
    row |= rotated
    assert renewed([both], row, bytes) == {}
    assert renewed([column(K2)], row, bytes) == {}


def test_null_and_what_has_changed() -> None:
    plain = column(K1, plain=True)
    filled = {"c": "x", **EMPTY} | renewed([plain], {"c": "x", **EMPTY}, bytes)
    assert renewed([plain], filled | {"c": None}, bytes) == EMPTY
    assert set(renewed([plain], filled | {"c": "y"}, bytes)) == {"c_cipher", "c_eq", "c_like"}
    assert renewed([plain], {"c": None, **EMPTY}, bytes) == {}
    assert renewed([column(K1)], EMPTY, bytes) == {}


def test_a_value_that_is_none_tells_its_column_only() -> None:
    with pytest.raises(Unreadable, match="'c' does not fit its dataType") as found:
        renewed([column(K1, declared="VARCHAR(2)", plain=True)], {"c": "secret", **EMPTY}, bytes)
    assert "secret" not in str(found.value)
    with pytest.raises(Unreadable, match="'c' cannot be decrypted"):
        renewed([column(K2)], EMPTY | {"c_cipher": "k1:AAAA"}, bytes)


def test_deterministic_ciphers_of_shardingsphere_become_versioned() -> None:
    ring = KeyRing((Key("", ecb_key("test", "SHA-1")), Key("k2", ecb_key("new", "SHA-1"))))
    kind = read_type("VARCHAR(9)")
    assert kind is not None
    one = EncryptedColumn("c", kind, StoredColumn("c", Aes(ring), "aes"))
    assert renewed([one], {"c": "dSpPiyENQGDUXMKFMJPGWA=="}, bytes) == {
        "c": ring.keys and Aes(ring).encrypt("test", b"")
    }
