"""VOLUME_RANGE: how many partitions there are, and how many there may be."""

from __future__ import annotations

import pytest

from dbmesh.rules.algorithms.properties import PropertyMistake
from tests.plugins.placement import VOLUME, algorithm, place, standard


def test_an_auto_table_has_a_partition_on_either_side() -> None:
    assert getattr(standard("VOLUME_RANGE", VOLUME), "auto_table_count", 0) == 6


def test_the_last_volume_may_be_short() -> None:
    assert place("VOLUME_RANGE", VOLUME, 40) == "t_4"
    assert place("VOLUME_RANGE", VOLUME, 44) == "t_4"
    assert place("VOLUME_RANGE", VOLUME, 45) == "t_5"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"range-upper": "19"}, "smaller than one volume"),
        ({"range-upper": "2000000000", "sharding-volume": "1"}, "more than a million"),
        ({"sharding-volume": "0"}, "below 1"),
    ],
)
def test_mistakes(changed: dict[str, str], message: str) -> None:
    with pytest.raises(PropertyMistake, match=message):
        algorithm("VOLUME_RANGE", VOLUME | changed)
