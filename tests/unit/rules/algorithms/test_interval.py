"""INTERVAL: every unit, the spans' borders, ranges, mistakes."""

from __future__ import annotations

import datetime

import pytest

from dbmesh.rules.algorithms.properties import PropertyMistake
from dbmesh.rules.ruleset import Range
from dbmesh.rules.targets import NoTarget, Targets
from dbmesh.rules.values import UNKNOWN_KEY, Key
from tests.plugins.placement import MOMENT, MONTHLY, MONTHS, algorithm, place, routed, standard


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (MOMENT(2024, 1, 1), "t_202401"),
        (MOMENT(2024, 2, 29, 23, 59, 59, 999999), "t_202402"),
        (datetime.date(2024, 3, 1), "t_202403"),
        ("2024-04-30 23:59:59", "t_202404"),
        ("2024-04-30 23:59:59.123", "t_202404"),
        ("2024-04-30", "t_202404"),
    ],
)
def test_interval_names_the_span(key: Key, expected: str) -> None:
    assert place("INTERVAL", MONTHS, key, MONTHLY) == expected


@pytest.mark.parametrize("key", [MOMENT(2023, 12, 31), MOMENT(2024, 5, 1), "soon", 5, None, UNKNOWN_KEY])
def test_interval_has_no_target_outside(key: Key) -> None:
    with pytest.raises(NoTarget):
        place("INTERVAL", MONTHS, key, MONTHLY)


def test_interval_counts_quarters_and_weeks() -> None:
    quarters = MONTHS | {"datetime-interval-amount": "3", "sharding-suffix-pattern": "yyyyQQ"}
    names = ("t_202401", "t_202402")
    assert place("INTERVAL", quarters, MOMENT(2024, 4, 1), names) == "t_202402"
    weeks = MONTHS | {"datetime-interval-unit": "WEEKS", "sharding-suffix-pattern": "MMdd"}
    assert place("INTERVAL", weeks, MOMENT(2024, 1, 15), ("t_0101", "t_0108", "t_0115")) == "t_0115"


def test_interval_refuses_a_suffix_two_targets_share() -> None:
    daily = MONTHS | {"datetime-interval-unit": "DAYS", "sharding-suffix-pattern": "d"}
    assert place("INTERVAL", daily, MOMENT(2024, 1, 1), ("t_1", "t_11")) == "t_1"
    with pytest.raises(NoTarget, match="2 data nodes"):
        place("INTERVAL", daily, MOMENT(2024, 1, 1), ("t_x1", "t_y1"))


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (Range(MOMENT(2024, 2, 10), MOMENT(2024, 3, 1)), ["t_202402", "t_202403"]),
        (Range(MOMENT(2024, 2, 10), MOMENT(2024, 3, 1), upper_inclusive=False), ["t_202402"]),
        (
            Range(MOMENT(2024, 2, 10), MOMENT(2024, 3, 1, 0, 0, 0, 1), upper_inclusive=False),
            ["t_202402", "t_202403"],
        ),
        (Range(None, datetime.date(2024, 1, 3)), ["t_202401"]),
        (Range(datetime.date(2024, 4, 1), None), ["t_202404"]),
        (Range("2024-01-01", "2024-01-02"), MONTHLY),
    ],
)
def test_ranges_of_spans(condition: Range, expected: list[str]) -> None:
    algorithm = standard("INTERVAL", MONTHS)
    assert list(algorithm.route(Targets.of(MONTHLY, "t"), {"id": condition})) == list(expected)


SECONDS = "yyyyMMddHHmmss"


@pytest.mark.parametrize(
    ("amount", "unit", "suffix", "moment", "expected"),
    [
        ("20", "SECONDS", SECONDS, MOMENT(2024, 1, 1, 0, 0, 45), "20240101000040"),
        ("15", "MINUTES", SECONDS, MOMENT(2024, 1, 1, 0, 50), "20240101004500"),
        ("6", "HOURS", "yyyyMMddHH", MOMENT(2024, 1, 2, 17), "2024010212"),
        ("1", "HALFDAYS", "yyyyMMddHH", MOMENT(2024, 1, 1, 13), "2024010112"),
        ("2", "DAYS", "yyyyMMdd", MOMENT(2024, 1, 4, 23), "20240103"),
        ("2", "WEEKS", "yyyyMMdd", MOMENT(2024, 1, 28), "20240115"),
        ("2", "MONTHS", "yyyyMM", MOMENT(2024, 4, 30), "202403"),
        ("2", "YEARS", "yyyy", MOMENT(2027, 12, 31), "2026"),
        ("1", "DECADES", "yyyy", MOMENT(2043, 12, 31), "2034"),
    ],
)
def test_every_unit(amount: str, unit: str, suffix: str, moment: datetime.datetime, expected: str) -> None:
    properties = MONTHS | {
        "datetime-upper": "2090-01-01 00:00:00",
        "datetime-interval-amount": amount,
        "datetime-interval-unit": unit,
        "sharding-suffix-pattern": suffix,
    }
    names = (f"t_{expected}", "t_99999999999999")
    assert place("INTERVAL", properties, moment, names) == f"t_{expected}"


def test_one_day_when_nothing_is_said() -> None:
    properties = {key: value for key, value in MONTHS.items() if not key.startswith("datetime-interval")}
    properties["sharding-suffix-pattern"] = "yyyyMMdd"
    assert place("INTERVAL", properties, MOMENT(2024, 1, 2, 23), ("t_20240101", "t_20240102")) == "t_20240102"


def test_months_count_from_the_day_of_the_lower_border() -> None:
    properties = MONTHS | {"datetime-lower": "2024-01-15 12:00:00"}
    assert place("INTERVAL", properties, MOMENT(2024, 2, 15, 11), MONTHLY) == "t_202401"
    assert place("INTERVAL", properties, MOMENT(2024, 2, 15, 12), MONTHLY) == "t_202402"


def test_a_range_ends_with_the_upper_border() -> None:
    properties = MONTHS | {"sharding-suffix-pattern": "MM", "datetime-upper": "2024-03-31 00:00:00"}
    names = tuple(f"t_{month:02d}" for month in range(1, 13))
    beyond = Range(MOMENT(2024, 3, 1), MOMENT(2024, 9, 1))
    assert routed("INTERVAL", properties, beyond, names) == ("t_03",)


@pytest.mark.parametrize(
    ("changed", "key"),
    [
        (
            {"datetime-pattern": "yyyy-MM-dd", "sharding-suffix-pattern": "yyyyMMddHH"},
            "sharding-suffix-pattern",
        ),
        ({"datetime-upper": "2023-12-31 00:00:00"}, "datetime-upper"),
        ({"datetime-interval-amount": "0"}, "datetime-interval-amount"),
        (
            {
                "datetime-pattern": "yyyy-MM-dd",
                "datetime-lower": "2024-01-01",
                "datetime-upper": "2024-04-30",
                "datetime-interval-unit": "HOURS",
            },
            "datetime-interval-unit",
        ),
    ],
)
def test_mistakes(changed: dict[str, str], key: str) -> None:
    with pytest.raises(PropertyMistake) as caught:
        algorithm("INTERVAL", MONTHS | changed)
    assert caught.value.key == key
