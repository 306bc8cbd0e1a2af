"""HASH_MOD: Java's hash codes of every type a key can have."""

from __future__ import annotations

import datetime
from decimal import Decimal

import pytest

from dbmesh.rules.algorithms.properties import PropertyMistake
from dbmesh.rules.values import Key
from tests.plugins.placement import algorithm, place, standard

HUNDRED = {"sharding-count": "100"}
NAMES = tuple(f"t_{number}" for number in range(100))


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (2**31 - 1, "t_47"),
        (2**31, "t_48"),  # Long: the high word is 0, the low word becomes -2**31
        (-(2**31) - 1, "t_48"),  # Long: 0xFFFFFFFF ^ 0x7FFFFFFF is -2147483648
        (-(2**64), "t_61"),  # BigInteger: -961
        (Decimal("-5.5"), "t_4"),  # 31 * -55 + 1 is -1704
        ("", "t_0"),
        ("\u00e9", "t_33"),
        ("\U0001f600", "t_99"),  # two UTF-16 units: 31 * 0xD83D + 0xDE00 is 1772899
        (datetime.date(2024, 1, 5), "t_28"),  # the hash of "2024-01-05" is -613341628
        (datetime.datetime(2024, 1, 5, 10, 20, 30), "t_34"),
    ],
)
def test_hash_codes(key: Key, expected: str) -> None:
    assert place("HASH_MOD", HUNDRED, key, NAMES) == expected


def test_an_auto_table_has_as_many_tables_as_remainders() -> None:
    assert getattr(standard("HASH_MOD", {"sharding-count": "7"}), "auto_table_count", 0) == 7


def test_a_count_of_none_is_a_mistake() -> None:
    with pytest.raises(PropertyMistake, match="below 1"):
        algorithm("HASH_MOD", {"sharding-count": "0"})
