"""Which texts a collation may take for one another, and what that does to sharding keys."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbmesh.errors import MeshError
from dbmesh.model import ColumnFamily, ColumnSchema
from dbmesh.rules.loader import load_configuration
from dbmesh.rules.mistakes import ConfigurationError
from dbmesh.rules.text_keys import placed_as, stands_alone
from dbmesh.rules.values import UNKNOWN_KEY, compared_key, places_equals_together, stored_key

CI = "utf8mb4_general_ci"
BIN = "utf8mb4_bin"


def column(collation: str | None, family: ColumnFamily = ColumnFamily.TEXT) -> ColumnSchema:
    return ColumnSchema("name", "varchar(50)", family, collation=collation)


@pytest.mark.parametrize(
    ("text", "collation", "alone"),
    [
        ("abc", CI, False),
        ("ABC", BIN, True),
        ("abc ", BIN, False),
        ("5", CI, True),
        ("5", None, True),
        ("", CI, True),
        (" 5", CI, True),
        ("5 ", CI, False),
        ("2024-01-31 10:00:00", CI, True),
        ("+49 (30) 1", CI, True),
        ("[", "latin1_swedish_ci", False),
        ("５", CI, False),
        ("5\u200b", CI, False),
        ("5\n", CI, False),
    ],
)
def test_a_text_stands_alone(text: str, collation: str | None, alone: bool) -> None:
    assert stands_alone(text, collation) is alone
    column_key = compared_key(text, column(collation)) if collation else UNKNOWN_KEY
    if collation is not None:
        assert column_key == (text if alone else UNKNOWN_KEY)


@pytest.mark.parametrize("text", ["５", "5\u200b", "٥", "\u3164", "5\u0301", "５ ", "\U0001d7d3", "\u2460"])
def test_a_double_of_a_text_that_stands_alone_cannot_be_stored(text: str) -> None:
    assert placed_as(text, CI) is None
    with pytest.raises(MeshError) as refusal:
        stored_key(text, column(CI))
    assert "not supported: the sharding key" in str(refusal.value)
    assert stored_key(text, column(CI), exact_text=True) == text


@pytest.mark.parametrize("text", ["abc", "Ärger", "ab\u200bc", "日本", "ª", "１a", "😀"])
def test_texts_with_letters_can_be_stored(text: str) -> None:
    assert stored_key(text, column(CI)) == text


@pytest.mark.parametrize("text", ["5 ", "5   ", "abc ", " "])
@pytest.mark.parametrize("collation", [CI, BIN])
def test_spaces_at_the_end_are_no_part_of_the_place_where_they_mean_nothing(
    text: str, collation: str
) -> None:
    assert stored_key(text, column(collation)) == text.rstrip()
    assert compared_key(text, column(collation)) is UNKNOWN_KEY
    assert stored_key(text, column(collation), exact_text=True) == text


@pytest.mark.parametrize("collation", ["utf8mb4_nopad_bin", "utf8mb4_0900_bin"])
def test_spaces_at_the_end_tell_texts_apart_where_nothing_is_padded(collation: str) -> None:
    assert stored_key("abc ", column(collation)) == "abc "
    assert compared_key("abc ", column(collation)) == "abc "
    assert compared_key("5 ", column("utf8mb4_0900_ai_ci")) == "5 "
    fixed = ColumnSchema("name", "char(9)", ColumnFamily.TEXT, collation=collation)
    assert stored_key("abc ", fixed) == "abc", "CHAR forgets them"


@given(st.text(max_size=6))
def test_what_is_found_on_one_node_can_be_stored(text: str) -> None:
    for collation in (CI, BIN, None):
        assert placed_as(text, collation) == text or not stands_alone(text, collation)


def test_exact_keys_are_taken_as_written() -> None:
    assert compared_key("abc", column(CI), exact_text=True) == "abc"
    assert compared_key("abc", None, exact_text=True) == "abc"
    assert compared_key(5, column(CI), exact_text=True) is UNKNOWN_KEY


def test_other_families() -> None:
    assert compared_key("5", column(None, ColumnFamily.ENUM)) is UNKNOWN_KEY
    assert compared_key("5", None) is UNKNOWN_KEY
    assert compared_key(5, None) == 5
    fixed = ColumnSchema("b", "binary(4)", ColumnFamily.BINARY)
    assert compared_key(b"a\0\0\0", fixed) is UNKNOWN_KEY
    assert compared_key(b"a", ColumnSchema("b", "varbinary(4)", ColumnFamily.BINARY)) == b"a"


def test_a_double_beyond_exact_integers_may_equal_several_keys() -> None:
    assert compared_key(9007199254740994e0, ColumnFamily.INTEGER) is UNKNOWN_KEY
    assert compared_key(5e0, ColumnFamily.INTEGER) == 5


def test_where_equal_keys_are_together() -> None:
    assert places_equals_together(column(BIN))
    assert not places_equals_together(column(CI))
    assert places_equals_together(column(CI), exact_text=True)
    assert not places_equals_together(column(None, ColumnFamily.ENUM), exact_text=True)
    assert places_equals_together(column(None, ColumnFamily.INTEGER))
    assert not places_equals_together(None)


def _load(value: str) -> bool:
    files = {
        "global.yaml": f"authority: {{users: [{{user: root, password: a}}]}}\nprops: {{text-sharding-keys: {value}}}",
        "database-shop.yaml": "databaseName: shop\ndataSources: {ds_0: {url: 'mysql://a:b@127.0.0.1/shop'}}",
    }
    return load_configuration(files, lambda kind, name: None).databases["shop"].exact_text_keys


def test_the_property_chooses() -> None:
    assert _load("exact") is True
    assert _load("by-collation") is False
    with pytest.raises(ConfigurationError, match="write by-collation or exact"):
        _load("sometimes")
