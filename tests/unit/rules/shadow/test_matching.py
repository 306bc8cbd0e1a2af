"""Values that are the shadow's, whatever their spelling; what a collation might take for one is neither."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbmesh.model import ColumnFamily, ColumnSchema, SqlValue
from dbmesh.rules.shadow.matching import RegexMatch, ValueMatch
from dbmesh.rules.shadow.rule import Verdict

NUMBER = ColumnSchema("n", "bigint(20)", ColumnFamily.INTEGER)
WORD = ColumnSchema("w", "varchar(20)", ColumnFamily.TEXT, collation="utf8mb4_general_ci")
EXACT = ColumnSchema("w", "varchar(20)", ColumnFamily.TEXT, collation="utf8mb4_bin")
YES, NO, UNSURE = Verdict.MATCHES, Verdict.DIFFERS, Verdict.UNSURE


@pytest.mark.parametrize(
    ("value", "column", "expected"),
    [
        (1, NUMBER, YES), ("1", NUMBER, YES), (Decimal("1.0"), NUMBER, YES), (2, NUMBER, NO), (None, NUMBER, NO),
        ("1x", NUMBER, UNSURE), ("1", WORD, YES), (1, None, YES), ("1 ", EXACT, UNSURE), ("2", EXACT, NO),
    ],
)  # fmt: skip
def test_a_value(value: SqlValue, column: ColumnSchema | None, expected: Verdict) -> None:
    assert ValueMatch("1").verdict(value, column) is expected


@pytest.mark.parametrize(
    ("value", "column", "expected"),
    [
        ("anna", WORD, YES),
        ("ANNA", WORD, UNSURE),
        ("ánna ", WORD, UNSURE),
        ("ANNA", EXACT, NO),
        ("otto", WORD, NO),
    ],
)
def test_a_text_is_compared_as_its_collation_may(value: str, column: ColumnSchema, expected: Verdict) -> None:
    assert ValueMatch("anna").verdict(value, column) is expected


def test_a_pattern_describes_the_whole_text() -> None:
    assert RegexMatch("test_.*").verdict("test_1", EXACT) is YES
    assert RegexMatch("test_.*").verdict("a test_1", EXACT) is NO
    assert RegexMatch("test_.*").verdict("TEST_1", WORD) is UNSURE
    assert RegexMatch("9[0-9]").verdict(95, NUMBER) is YES
    assert RegexMatch("9[0-9]").verdict("095", NUMBER) is YES
    assert RegexMatch("9[0-9]").verdict(5, NUMBER) is NO


@given(st.integers(-(2**62), 2**62), st.integers(-(2**62), 2**62))
def test_numbers_match_by_what_they_are(wanted: int, value: int) -> None:
    expected = YES if wanted == value else NO
    assert ValueMatch(str(wanted)).verdict(value, NUMBER) is expected
    assert ValueMatch(str(wanted)).verdict(Decimal(value), NUMBER) is expected


@given(st.text(), st.text())
def test_a_text_never_differs_from_itself(wanted: str, value: str) -> None:
    for column in (WORD, EXACT, None):
        assert ValueMatch(wanted).verdict(wanted, column) is YES
        assert (ValueMatch(wanted).verdict(value, column) is YES) == (value == wanted)
