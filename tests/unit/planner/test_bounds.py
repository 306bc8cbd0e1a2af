"""Conditions that meet."""

from __future__ import annotations

import pytest

from dbmesh.planner.bounds import meet
from dbmesh.rules.ruleset import Condition, Range, Values


@pytest.mark.parametrize(
    ("left", "right", "both"),
    [
        (Values((1, 2)), Values((2, 3)), Values((2,))),
        (Values((1,)), Values((2,)), Values(())),
        (Values(("a",)), Values(("A", "b")), Values(("a",))),
        (Values((1, 5)), Range(2, None), Values((5,))),
        (Range(None, 5, upper_inclusive=False), Values((5,)), Values(())),
        (Values(("m",)), Range("x", None), Values(("m",))),
        (Range(1, None), Range(None, 9), Range(1, 9)),
        (Range(1, 5), Range(3, 9), Range(3, 5)),
        (Range(1, 5), Range(6, 9), Values(())),
        (Range(5, None, lower_inclusive=False), Range(None, 5), Values(())),
        (Range("a", "b"), Range("c", "d"), Range("a", "b")),
    ],
)
def test_meet(left: Condition, right: Condition, both: Condition) -> None:
    assert meet(left, right) == both
