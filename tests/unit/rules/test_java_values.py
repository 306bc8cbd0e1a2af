"""Java's hash codes, against values known from the Java platform."""

import datetime
from decimal import Decimal

import pytest

from dbmesh.rules.java_values import hash_code, wrap_int, wrap_long
from dbmesh.rules.values import UNKNOWN_KEY


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, 0),
        (7, 7),
        (-1, -1),
        (2**31 - 1, 2**31 - 1),
        (-(2**31), -(2**31)),
        (2**31, -(2**31)),  # Long: 0x80000000 ^ 0
        (2**32, 1),
        (-(2**31) - 1, -(2**31)),
        (2**63 - 1, -(2**31)),
        (2**64, 961),  # BigInteger
        (-(2**64), -961),
        ("", 0),
        ("abc", 96354),
        ("hello", 99162322),
        ("polygenelubricants", -(2**31)),
        ("é", 233),
        ("😀", 0xD83D * 31 + 0xDE00),
        (Decimal("5.5"), 31 * 55 + 1),
        (Decimal("-1.25"), -31 * 125 + 2),
        (Decimal("0"), 0),
        (1.5, 1073217536),
        (True, 1231),
        (datetime.date(2024, 1, 5), hash_code("2024-01-05")),
        (datetime.datetime(2024, 1, 5, 6, 7, 8), hash_code("2024-01-05 06:07:08")),
        (b"abc", None),
        (None, None),
        (UNKNOWN_KEY, None),
        (Decimal("NaN"), None),
    ],
)
def test_hash_code(value: object, expected: int | None) -> None:
    assert hash_code(value) == expected  # type: ignore[arg-type]


def test_wrapping_keeps_the_low_bits() -> None:
    assert wrap_int(2**31) == -(2**31)
    assert wrap_int(-(2**31) - 1) == 2**31 - 1
    assert wrap_long(2**64 - 1) == -1
    assert wrap_long(2**63) == -(2**63)
