"""Java's date patterns."""

import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dbmesh.rules.datetime_pattern import PatternError, parse_pattern

MOMENT = datetime.datetime(2024, 5, 6, 7, 8, 9, 123456)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("yyyy-MM-dd HH:mm:ss", "2024-05-06 07:08:09"),
        ("yyyyMM", "202405"),
        ("yyMM", "2405"),
        ("uuuu_M_d", "2024_5_6"),
        ("yyyy'T'HH''", "2024T07'"),
        ("ss.SSS", "09.123"),
        ("yyyyQQ", "202402"),
        ("yyyyDDD", "2024127"),
    ],
)
def test_format(pattern: str, expected: str) -> None:
    assert parse_pattern(pattern).format(MOMENT) == expected


@pytest.mark.parametrize("pattern", ["", "-", "MMM", "ww", "yyy", "yyyy[MM]", "hh a", "EEE"])
def test_letters_without_meaning(pattern: str) -> None:
    with pytest.raises(PatternError):
        parse_pattern(pattern)


def test_a_pattern_to_read_has_no_quarter() -> None:
    with pytest.raises(PatternError):
        parse_pattern("yyyyQQ", to_read=True)


@pytest.mark.parametrize("text", ["2024", "2024-13-01 00:00:00", "x", "2024/05/06 07:08:09"])
def test_texts_that_do_not_match(text: str) -> None:
    assert parse_pattern("yyyy-MM-dd HH:mm:ss", to_read=True).parse(text) is None


@settings(deadline=None)
@given(st.datetimes(datetime.datetime(2000, 1, 1), datetime.datetime(2099, 1, 1)))
def test_what_is_written_reads_back(moment: datetime.datetime) -> None:
    for text in ("yyyy-MM-dd HH:mm:ss.SSSSSS", "yyyy-MM-dd HH:mm", "yyMMdd", "yyyy-MM", "yyyy"):
        pattern = parse_pattern(text, to_read=True)
        assert pattern.parse(pattern.format(moment)) == pattern.truncate(moment)
