"""INLINE: what an expression is given, and what it may give back."""

from __future__ import annotations

import datetime
from decimal import Decimal

import pytest

from dbmesh.rules.targets import NoTarget
from dbmesh.rules.values import Key
from tests.plugins.placement import place


@pytest.mark.parametrize(
    ("expression", "key", "expected"),
    [
        ("t_${id[5..6].toInteger()}", datetime.date(2023, 3, 5), "t_3"),
        ("t_${id[11..12].toInteger()}", datetime.datetime(2023, 3, 5, 4, 30), "t_4"),
        ("t_${id[-1..-1].toInteger()}", "x5", "t_5"),
        ("t_${id.intValue() % 4}", Decimal("7.9"), "t_3"),
        ("T_${id % 4}", 2, "t_2"),
    ],
)
def test_a_value_becomes_a_name(expression: str, key: Key, expected: str) -> None:
    assert place("INLINE", {"algorithm-expression": expression}, key) == expected


@pytest.mark.parametrize("key", [6, -1])
def test_a_name_that_is_no_target_is_refused(key: int) -> None:
    with pytest.raises(NoTarget, match="not among its data nodes"):
        place("INLINE", {"algorithm-expression": "t_${id}"}, key)
