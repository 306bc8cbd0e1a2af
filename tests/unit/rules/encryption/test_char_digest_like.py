"""The digest for LIKE: ShardingSphere's characters, and patterns that never miss a text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbmesh.merge.decryption import like_matcher
from dbmesh.rules.algorithms.properties import PropertyMistake, PropertyReader
from dbmesh.rules.encryption.char_digest_like import create

DEFAULT = create(PropertyReader({}))
_TEXTS = st.text(alphabet="aAbB01$%_\\[]^é日本🎉\ud83d\uffff ", max_size=8)


def test_characters_are_those_of_shardingsphere() -> None:
    # Computed by hand: (code + 1) & 0b111101111101, beyond Latin-1 plus 0x4e00; % and _ stay, and what would become one.
    assert DEFAULT.digest("Ada") == "@e`"
    assert DEFAULT.digest("100%_$^") == "011%_$]"
    assert DEFAULT.digest("日") == chr(((0x65E5 + 1) & 0b1111_0111_1101) + 0x4E00)
    assert create(PropertyReader({"dict": "本日"})).digest("日") == chr(((1 + 1) & 0b1111_0111_1101) + 0x4E00)
    assert create(PropertyReader({"delta": "2", "mask": "255", "start": "0"})).digest("a") == "c"


def test_properties_are_numbers() -> None:
    with pytest.raises(PropertyMistake):
        create(PropertyReader({"mask": "0b11"}))


@given(text=_TEXTS, pattern=_TEXTS)
def test_a_pattern_finds_every_digest_of_what_it_finds(text: str, pattern: str) -> None:
    if like_matcher(pattern)(text):
        assert like_matcher(DEFAULT.pattern(pattern, "\\"))(DEFAULT.digest(text))


@given(pattern=_TEXTS)
def test_a_pattern_has_no_escape_character(pattern: str) -> None:
    assert "\\" not in DEFAULT.pattern(pattern, "\\")
