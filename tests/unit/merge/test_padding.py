from __future__ import annotations

from itertools import zip_longest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbmesh.errors import MeshError
from dbmesh.merge.padding import make_weight_key, make_weight_keys, space_weight


@pytest.mark.parametrize(
    ("collation", "weight"),
    [
        ("utf8mb4_general_ci", b"\x00\x20"),
        ("utf8mb3_bin", b"\x00\x20"),
        ("utf8mb4_bin", b"\x00\x00\x20"),
        ("utf8mb4_unicode_ci", b"\x02\x09"),
        ("utf8mb4_swedish_ci", b"\x02\x09"),
        ("utf8mb4_uca1400_ai_ci", b"\x02\x09"),
        ("utf8mb4_uca1400_swedish_ai_ci", b"\x02\x09"),
        ("utf8mb4_unicode_520_ci", b"\x02\x0a"),
        ("latin1_swedish_ci", b"\x20"),
        ("latin7_general_ci", b"\x30"),
        ("utf8mb4_0900_ai_ci", None),
        ("utf8mb4_ja_0900_as_cs_ks", None),
        ("utf8mb4_general_nopad_ci", None),
        ("binary", None),
    ],
)
def test_space_weight_by_collation(collation: str, weight: bytes | None) -> None:
    assert space_weight(collation) == weight


@pytest.mark.parametrize(
    "collation",
    [
        "latin2_czech_cs",
        "utf8mb4_thai_520_w2",
        "utf8mb4_uca1400_as_cs",
        "gbk_chinese_ci",
        "gb18030_bin",
        "klingon_ci",
    ],
)
def test_collation_whose_padding_is_unknown_is_refused(collation: str) -> None:
    with pytest.raises(MeshError, match=f"dbmesh: not supported: .*{collation}"):
        space_weight(collation)


def padded_less(left: list[int], right: list[int], space: int) -> bool:
    """The definition: both go on in spaces for ever."""
    return next((a < b for a, b in zip_longest(left, right, fillvalue=space) if a != b), False)


@pytest.mark.parametrize(
    ("collation", "width", "space"),
    [
        ("latin1_swedish_ci", 1, 0x20),
        ("utf8mb4_general_ci", 2, 0x0020),
        ("utf8mb4_unicode_ci", 2, 0x0209),
        ("utf8mb4_bin", 3, 0x000020),
    ],
)
@given(st.data())
def test_keys_compare_as_texts_that_go_on_in_spaces(
    collation: str, width: int, space: int, data: st.DataObject
) -> None:
    around = [0, 1, 9, space - 1, space, space, space, space + 1, 256**width - 1, 0x20, 0x02]
    units = st.lists(st.sampled_from([unit for unit in around if unit < 256**width]), max_size=6)
    left, right = data.draw(units), data.draw(units)
    key = make_weight_key(collation)
    keys = [key(b"".join(unit.to_bytes(width, "big") for unit in item)) for item in (left, right)]
    assert (keys[0] < keys[1]) == padded_less(left, right, space)
    assert (keys[1] < keys[0]) == padded_less(right, left, space)


@given(st.binary(max_size=6), st.binary(max_size=6))
def test_keys_without_padding_compare_as_bytes_and_are_not_empty(left: bytes, right: bytes) -> None:
    key = make_weight_key("utf8mb4_0900_ai_ci")
    assert (key(left) < key(right)) == (left < right)
    assert key(left)


@given(
    st.lists(st.none() | st.text("ab \t", max_size=6), max_size=6),
    st.sampled_from(["latin1_swedish_ci", "utf8mb4_bin", "utf8mb4_0900_ai_ci"]),
)
def test_many_weights_have_the_keys_of_each(texts: list[str | None], collation: str) -> None:
    weights = [None if text is None else text.encode("utf-16-be") for text in texts]
    key = make_weight_key(collation)
    assert make_weight_keys(collation)(weights) == [b"" if w is None else key(w) for w in weights]
