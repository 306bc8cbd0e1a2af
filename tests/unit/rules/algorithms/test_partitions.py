"""Partitions between borders: which texts are numbers, and what a range reaches."""

from __future__ import annotations

from decimal import Decimal

import pytest

from dbmesh.rules.algorithms.partitions import Partitions
from dbmesh.rules.ruleset import Range
from dbmesh.rules.targets import NoTarget, Targets
from dbmesh.rules.values import Key

TARGETS = Targets.of([f"t_{number}" for number in range(4)], "t")
MADE = Partitions("VOLUME_RANGE", (-5, 0, 5))


@pytest.mark.parametrize(
    ("key", "expected"),
    [(-6, "t_0"), ("-6", "t_0"), (-5, "t_1"), (Decimal("-0.5"), "t_1"), ("+0", "t_2"), (2**80, "t_3")],
)
def test_where_a_number_goes(key: Key, expected: str) -> None:
    assert MADE.placer(TARGETS, "id")(key) == expected


@pytest.mark.parametrize("key", ["", "1.5", "\u0665", Decimal("inf"), b"1", None])
def test_what_is_no_number_has_no_place(key: Key) -> None:
    with pytest.raises(NoTarget):
        MADE.placer(TARGETS, "id")(key)


def test_a_range_whose_partitions_have_no_target_reaches_every_target() -> None:
    few = Targets.of(["t_0", "t_1"], "t")
    assert MADE.route_range(few, Range(5, 9)) == few.names
