from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbmesh.errors import MeshError
from dbmesh.merge.numbers import average_text, decimal_text, double_text, rescaled


@pytest.mark.parametrize(
    ("units", "decimals", "shown"),
    [
        (0, 0, b"0"),
        (0, 2, b"0.00"),
        (5, 2, b"0.05"),
        (-5, 2, b"-0.05"),
        (12345, 2, b"123.45"),
        (-7, 0, b"-7"),
    ],
)
def test_decimal_text(units: int, decimals: int, shown: bytes) -> None:
    assert decimal_text(units, decimals) == shown


def test_sum_beyond_the_digits_of_decimal_is_refused() -> None:
    assert len(decimal_text(10**65 - 1, 10)) == 66
    with pytest.raises(MeshError, match="65 digits"):
        decimal_text(10**65, 10)


@pytest.mark.parametrize(
    ("units", "source", "target", "expected"),
    [(125, 2, 1, 13), (-125, 2, 1, -13), (124, 2, 1, 12), (1, 0, 3, 1000)],
)
def test_rescaling_rounds_half_away_from_zero(units: int, source: int, target: int, expected: int) -> None:
    assert rescaled(units, source, target) == expected


@pytest.mark.parametrize(
    ("units", "decimals", "count", "shown_decimals", "shown"),
    [
        (2, 0, 3, 4, b"0.6667"),
        (-2, 0, 3, 4, b"-0.6667"),
        (1, 0, 32, 4, b"0.0313"),
        # Nine digits are one whole word of the server's division: cut off, not rounded.
        (200000, 5, 3, 9, b"0.666666666"),
        (2000000, 6, 3, 10, b"0.6666666667"),
        (2 * 10**14, 14, 3, 18, b"0.666666666666666666"),
    ],
)
def test_average_has_the_digits_of_the_server(
    units: int, decimals: int, count: int, shown_decimals: int, shown: bytes
) -> None:
    assert average_text(units, decimals, count, shown_decimals) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, b"0"),
        (-0.0, b"0"),
        (100.0, b"100"),
        (0.1 + 0.2, b"0.30000000000000004"),
        (1e14, b"100000000000000"),
        (1e15, b"1e15"),
        (999999999999999.9, b"999999999999999.9"),
        (1.2345e15, b"1.2345e15"),
        (4260710322751739.5, b"4260710322751739.5"),
        (9007199254740992.0, b"9.007199254740992e15"),
        (-1e16, b"-1e16"),
        (1.5e-7, b"0.00000015"),
        (1e-15, b"0.000000000000001"),
        (1.23456e-16, b"1.23456e-16"),
        (1.7976931348623157e308, b"1.7976931348623157e308"),
        (5e-324, b"5e-324"),
    ],
)
def test_double_text_is_the_servers(value: float, shown: bytes) -> None:
    assert double_text(value, 31) == shown


def test_double_with_fixed_decimals() -> None:
    assert double_text(1.625, 6) == b"1.625000"


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_double_text_reads_back_as_itself(value: float) -> None:
    assert float(double_text(value, 39)) == value


def test_infinite_sum_is_refused() -> None:
    with pytest.raises(MeshError, match="range of DOUBLE"):
        double_text(float("inf"), 31)
