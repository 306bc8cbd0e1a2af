"""What a text tells by itself, and which patterns may look at it."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbmesh.rules.protection.patterns import changes_every_row, why_unsafe


@pytest.mark.parametrize(
    ("text", "every"),
    [
        ("DELETE FROM t", True),
        ("DELETE FROM t WHERE a = ?", False),
        ("delete from t where a = ?", False),
        ("UPDATE t SET a = (SELECT b FROM u WHERE c = ?)", True),
        ("UPDATE t SET a = (SELECT b FROM u WHERE c = ?) WHERE d = ?", False),
        ("UPDATE `where` SET a = ?", True),
        ("UPDATE t SET `a ( b` = ? WHERE c = ?", False),
        ('UPDATE t SET "where" = ?', True),
        ("UPDATE t SET elsewhere = ?", True),
        ("DELETE FROM t ORDER BY a LIMIT ?", True),
        ("WITH x AS (SELECT a FROM u WHERE b) DELETE FROM t", True),
    ],
)
def test_a_where_of_its_own(text: str, every: bool) -> None:
    assert changes_every_row(text) is every


@pytest.mark.parametrize(
    "pattern",
    ["drop\\s+table", "(foo|bar)", "a{3}", "[ab]*c", "(?>a+)+", "(?:ab)*+c", "^SELECT .* FROM t_user\\b", "(?i:union)", ""],
)  # fmt: skip
def test_patterns_that_may_be_used(pattern: str) -> None:
    assert why_unsafe(pattern) == ""


@pytest.mark.parametrize(
    "pattern",
    ["(a+)+", "(a*)*b", "(ab|cd)*", "(a{1,5}){2,9}", "((a*)b)*", "(?i:(x+)*)", "(?=(a+)+)b", "(a)(?(1)a+|b)*c", "(a+?)*"],
)  # fmt: skip
def test_patterns_whose_time_could_grow_exponentially(pattern: str) -> None:
    assert "exponentially" in why_unsafe(pattern)


@pytest.mark.parametrize("pattern", ["(", "a**", "[", "(?P<n>a"])
def test_patterns_that_cannot_be_read(pattern: str) -> None:
    assert why_unsafe(pattern).startswith("it cannot be read")


PIECES = st.sampled_from(
    ["a", "b", "[ab]", "a+", "b*", "(a", ")", ")+", ")*", "|", "(?:", ".", "a{2,3}", "?"]
)


@given(st.lists(PIECES, min_size=1, max_size=7).map("".join))
def test_whatever_may_be_used_is_fast(pattern: str) -> None:
    if why_unsafe(pattern):
        return
    compiled = re.compile(pattern, re.IGNORECASE)
    began = time.process_time()
    for text in ("a" * 30 + "c", "ab" * 15 + "c", "b" * 30 + "c"):
        compiled.search(text)
    assert time.process_time() - began < 1.0
