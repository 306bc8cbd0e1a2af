"""AUTO_INTERVAL: rounding, both ends, ranges."""

from __future__ import annotations

import pytest

from dbmesh.rules.algorithms.properties import PropertyMistake
from dbmesh.rules.ruleset import Range
from tests.plugins.placement import AUTO_INTERVAL, MOMENT, NUMBERED, algorithm, place, routed, standard


def test_auto_interval_rounds_to_two_decimals_before_it_rounds_up() -> None:
    days = {
        "datetime-lower": "2020-01-01 00:00:00",
        "datetime-upper": "2020-01-04 00:00:00",
        "sharding-seconds": "86400",
    }
    assert (
        place("AUTO_INTERVAL", days, "2020-01-01 00:07:11") == "t_0"
    )  # 431 s of a day: 0.00498 becomes 0.00
    assert place("AUTO_INTERVAL", days, "2020-01-01 00:07:12") == "t_1"
    assert place("AUTO_INTERVAL", days, "2020-01-02 00:07:11") == "t_1"  # 1.00


@pytest.mark.parametrize("key", ["2019-12-31 23:59:59", "2019-12-01", "0001-01-01", MOMENT(1970, 1, 1)])
def test_everything_before_is_the_first_partition(key: str) -> None:
    assert place("AUTO_INTERVAL", AUTO_INTERVAL, key) == "t_0"


def test_fractions_of_a_second_are_cut_off() -> None:
    assert place("AUTO_INTERVAL", AUTO_INTERVAL, "2020-01-01 00:00:04.999999") == "t_1"


def test_an_auto_table_has_a_partition_on_either_side() -> None:
    made = standard("AUTO_INTERVAL", AUTO_INTERVAL)
    assert getattr(made, "auto_table_count", 0) == 6


@pytest.mark.parametrize(
    "condition", [Range("2020", None), Range(None, "2020"), Range(5, None), Range(None, 5)]
)
def test_texts_and_numbers_reach_every_partition(condition: Range) -> None:
    assert routed("AUTO_INTERVAL", AUTO_INTERVAL, condition) == NUMBERED


def test_a_range_in_time() -> None:
    condition = Range(MOMENT(2020, 1, 1, 0, 0, 5), MOMENT(2020, 1, 1, 0, 0, 9))
    assert routed("AUTO_INTERVAL", AUTO_INTERVAL, condition) == ("t_2", "t_3")


def test_too_many_partitions_are_a_mistake() -> None:
    long = AUTO_INTERVAL | {"datetime-upper": "2040-01-01 00:00:00", "sharding-seconds": "1"}
    with pytest.raises(PropertyMistake, match="more than a million"):
        algorithm("AUTO_INTERVAL", long)
