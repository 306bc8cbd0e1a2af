"""Collations by id and name, MySQL's and MariaDB's."""

from __future__ import annotations

import codecs

import pytest

from dbmesh.wire.collations import (
    charset_of_collation,
    collation_id,
    collation_name,
    default_collation,
    encoding,
    wide_charset,
)


@pytest.mark.parametrize(
    ("number", "name", "charset"),
    [
        (8, "latin1_swedish_ci", "latin1"),
        (11, "ascii_general_ci", "ascii"),
        (33, "utf8mb3_general_ci", "utf8mb3"),
        (45, "utf8mb4_general_ci", "utf8mb4"),
        (46, "utf8mb4_bin", "utf8mb4"),
        (63, "binary", "binary"),
        (224, "utf8mb4_unicode_ci", "utf8mb4"),
        (255, "utf8mb4_0900_ai_ci", "utf8mb4"),
        (309, "utf8mb4_0900_bin", "utf8mb4"),
        (2304, "utf8mb4_uca1400_ai_ci", "utf8mb4"),
    ],
)
def test_known_collations(number: int, name: str, charset: str) -> None:
    assert collation_name(number) == name
    assert collation_id(name.upper()) == number
    assert charset_of_collation(name) == charset


def test_every_collation_has_a_usable_character_set() -> None:
    for number in range(3000):
        name = collation_name(number)
        if name is None:
            continue
        assert collation_id(name) == number
        charset = charset_of_collation(name)
        assert charset is not None
        codec = encoding(charset)
        assert codec is None or codecs.lookup(codec)
        default = default_collation(charset)
        assert default is not None
        assert charset_of_collation(default) == charset


def test_old_spellings_and_defaults() -> None:
    assert collation_id("utf8_general_ci") == 33
    assert default_collation("utf8") == "utf8mb3_general_ci"
    assert default_collation("utf8mb4") == "utf8mb4_general_ci"
    assert default_collation("utf8mb4", mysql_8=True) == "utf8mb4_0900_ai_ci"
    assert encoding("binary") is None


def test_unknown_names_are_none() -> None:
    assert collation_name(54321) is None
    assert collation_id("klingon_ci") is None
    assert charset_of_collation("klingon_ci") is None
    assert default_collation("klingon") is None
    assert encoding("klingon") is None


@pytest.mark.parametrize(
    ("number", "name"),
    [(35, "ucs2"), (128, "ucs2"), (54, "utf16"), (62, "utf16le"), (183, "utf32"), (45, None), (28, None)],
)
def test_wide_character_sets_are_known_by_their_collations(number: int, name: str | None) -> None:
    assert wide_charset(number) == name
