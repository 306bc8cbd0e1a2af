"""BOUNDARY_RANGE: borders in any order, each once."""

from __future__ import annotations

import pytest

from dbmesh.rules.algorithms.properties import PropertyMistake
from tests.plugins.placement import algorithm, place, standard

BORDERS = {"sharding-ranges": "10, 1,5"}


@pytest.mark.parametrize(("key", "expected"), [(0, "t_0"), (1, "t_1"), (4, "t_1"), (7, "t_2"), (10, "t_3")])
def test_borders_in_any_order(key: int, expected: str) -> None:
    assert place("BOUNDARY_RANGE", BORDERS, key) == expected


def test_an_auto_table_has_a_partition_on_either_side() -> None:
    assert getattr(standard("BOUNDARY_RANGE", BORDERS), "auto_table_count", 0) == 4


def test_a_border_twice_is_a_mistake() -> None:
    with pytest.raises(PropertyMistake, match="twice"):
        algorithm("BOUNDARY_RANGE", {"sharding-ranges": "1,5,1"})
