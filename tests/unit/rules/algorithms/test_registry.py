"""Where keys go, stated shard by shard: the promise that rows ShardingSphere placed are found.

Expected shards follow the arithmetic of ShardingSphere's algorithm classes, worked out by hand.
"""

import datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dbmesh.rules.algorithms.properties import PropertyMistake, PropertyReader
from dbmesh.rules.algorithms.registry import ALGORITHMS
from dbmesh.rules.ruleset import Range, Values
from dbmesh.rules.targets import NoTarget, Targets
from dbmesh.rules.values import UNKNOWN_KEY, Key
from tests.plugins.placement import (
    AUTO_INTERVAL,
    INLINE,
    MOMENT,
    MONTHLY,
    MONTHS,
    NUMBERED,
    VOLUME,
    place,
    standard,
)

FOUR = {"sharding-count": "4"}
CASES: list[tuple[str, dict[str, str], Key, str]] = [
    ("MOD", FOUR, 5, "t_1"),
    ("MOD", FOUR, -1, "t_3"),  # BigInteger.mod is never negative
    ("MOD", FOUR, -4, "t_0"),
    ("MOD", FOUR, 2**63 - 1, "t_3"),
    ("MOD", {"sharding-count": "3"}, 2**64 - 1, "t_2"),  # longValue() is -1
    ("MOD", {"sharding-count": "3"}, 2**63, "t_1"),  # longValue() is -2**63
    ("MOD", FOUR, "5", "t_1"),
    ("MOD", FOUR, "-5", "t_3"),
    ("MOD", {"sharding-count": "3"}, "18446744073709551615", "t_0"),  # a text is never cut
    ("MOD", FOUR, Decimal("5.9"), "t_1"),
    ("MOD", FOUR, Decimal("-1.5"), "t_3"),
    ("MOD", {"sharding-count": "4", "start-offset": "1", "stop-offset": "2"}, 12345, "t_3"),  # 23
    ("MOD", {"sharding-count": "4", "start-offset": "2"}, "AB7", "t_3"),
    ("HASH_MOD", FOUR, 5, "t_1"),
    ("HASH_MOD", FOUR, -5, "t_1"),
    ("HASH_MOD", FOUR, -(2**31), "t_0"),
    ("HASH_MOD", {"sharding-count": "3"}, 2**40, "t_1"),  # 256
    ("HASH_MOD", FOUR, 2**64, "t_1"),  # BigInteger: 961
    ("HASH_MOD", FOUR, "abc", "t_2"),  # 96354
    ("HASH_MOD", {"sharding-count": "3"}, "polygenelubricants", "t_2"),  # 2147483648
    ("HASH_MOD", FOUR, Decimal("5.5"), "t_2"),  # 1706
    ("HASH_MOD", FOUR, "5", "t_1"),  # 53
    ("VOLUME_RANGE", VOLUME, -7, "t_0"),
    ("VOLUME_RANGE", VOLUME, 9, "t_0"),
    ("VOLUME_RANGE", VOLUME, 10, "t_1"),
    ("VOLUME_RANGE", VOLUME, 19, "t_1"),
    ("VOLUME_RANGE", VOLUME, "20", "t_2"),
    ("VOLUME_RANGE", VOLUME, 44, "t_4"),
    ("VOLUME_RANGE", VOLUME, 45, "t_5"),
    ("VOLUME_RANGE", VOLUME, 2**70, "t_5"),
    ("VOLUME_RANGE", VOLUME, Decimal("19.5"), "t_1"),
    ("BOUNDARY_RANGE", {"sharding-ranges": "10, 1,5"}, -3, "t_0"),
    ("BOUNDARY_RANGE", {"sharding-ranges": "10, 1,5"}, 7, "t_2"),
    ("BOUNDARY_RANGE", {"sharding-ranges": "1,5,10"}, 1, "t_1"),
    ("BOUNDARY_RANGE", {"sharding-ranges": "1,5,10"}, 4, "t_1"),
    ("BOUNDARY_RANGE", {"sharding-ranges": "1,5,10"}, "5", "t_2"),
    ("BOUNDARY_RANGE", {"sharding-ranges": "1,5,10"}, 2**70, "t_3"),
    ("AUTO_INTERVAL", AUTO_INTERVAL, "2019-12-31 23:59:59", "t_0"),
    ("AUTO_INTERVAL", AUTO_INTERVAL, MOMENT(2020, 1, 1), "t_0"),
    ("AUTO_INTERVAL", AUTO_INTERVAL, MOMENT(2020, 1, 1, 0, 0, 1), "t_1"),
    ("AUTO_INTERVAL", AUTO_INTERVAL, MOMENT(2020, 1, 1, 0, 0, 4), "t_1"),
    ("AUTO_INTERVAL", AUTO_INTERVAL, MOMENT(2020, 1, 1, 0, 0, 5), "t_2"),
    ("AUTO_INTERVAL", AUTO_INTERVAL, "2020-01-01 00:00:16", "t_4"),
    ("AUTO_INTERVAL", AUTO_INTERVAL, "2021-01-01 00:00:00", "t_5"),
    ("AUTO_INTERVAL", AUTO_INTERVAL, datetime.date(2021, 1, 1), "t_5"),
    ("INLINE", INLINE, 5, "t_1"),
    ("INLINE", INLINE, 2**62 + 3, "t_3"),
    ("INLINE", {"algorithm-expression": "t_${Math.abs(id % 4)}"}, -5, "t_1"),
    ("INLINE", {"algorithm-expression": "t_${id.hashCode() % 4}"}, "abc", "t_2"),
    ("INLINE", {"algorithm-expression": "T_$->{id[0..3].toInteger() % 4}"}, datetime.date(2023, 1, 5), "t_3"),
    ("INLINE", {"algorithm-expression": "t_${id.toLong() % 4}"}, Decimal("5.5"), "t_1"),
]


@pytest.mark.parametrize(("kind", "properties", "key", "expected"), CASES)
def test_a_key_lands_on_its_shard(kind: str, properties: dict[str, str], key: Key, expected: str) -> None:
    assert place(kind, properties, key) == expected


@pytest.mark.parametrize(("kind", "properties", "key", "_expected"), CASES[::4])
def test_null_and_unknown_keys_have_no_place(
    kind: str, properties: dict[str, str], key: Key, _expected: str
) -> None:
    for nothing in (None, UNKNOWN_KEY):
        with pytest.raises(NoTarget):
            place(kind, properties, nothing)


@pytest.mark.parametrize(
    ("kind", "properties", "key"),
    [
        ("MOD", FOUR, "abc"),
        ("MOD", FOUR, "1.5"),
        ("MOD", FOUR, b"1"),
        ("MOD", FOUR, Decimal("NaN")),
        ("MOD", {"sharding-count": "4", "start-offset": "3"}, 12),
        ("MOD", {"sharding-count": "9"}, 8),
        ("HASH_MOD", FOUR, b"1"),
        ("HASH_MOD", {"sharding-count": "9"}, 8),
        ("VOLUME_RANGE", VOLUME, "x"),
        ("BOUNDARY_RANGE", {"sharding-ranges": "1,2,3,4,5,6"}, 7),
        ("AUTO_INTERVAL", AUTO_INTERVAL, 5),
        ("INLINE", INLINE, -1),
        ("INLINE", INLINE, "5"),
        ("INLINE", INLINE, b"5"),
        ("INLINE", {"algorithm-expression": "t_${id / 2}"}, 5),
    ],
)
def test_no_target_is_said_and_never_guessed(kind: str, properties: dict[str, str], key: Key) -> None:
    with pytest.raises(NoTarget):
        place(kind, properties, key)


@pytest.mark.parametrize(
    ("kind", "properties", "condition", "expected"),
    [
        ("MOD", FOUR, Range(4, 5), ["t_0", "t_1"]),
        ("MOD", FOUR, Range(3, 4), ["t_0", "t_3"]),
        ("MOD", FOUR, Range(Decimal("4.5"), Decimal("5.5")), ["t_0", "t_1"]),
        ("MOD", FOUR, Range(4, None), NUMBERED),
        ("MOD", FOUR, Range("1", "2"), NUMBERED),
        ("HASH_MOD", FOUR, Range(4, 5), NUMBERED),
        ("INLINE", INLINE, Range(4, 5), NUMBERED),
        ("VOLUME_RANGE", VOLUME, Range(15, 25), ["t_1", "t_2"]),
        ("VOLUME_RANGE", VOLUME, Range(None, 9), ["t_0"]),
        ("VOLUME_RANGE", VOLUME, Range(44, None), ["t_4", "t_5"]),
        ("VOLUME_RANGE", VOLUME, Range("1", "2"), NUMBERED),
        ("AUTO_INTERVAL", AUTO_INTERVAL, Range(None, MOMENT(2020, 1, 1, 0, 0, 5)), ["t_0", "t_1", "t_2"]),
        ("AUTO_INTERVAL", AUTO_INTERVAL, Range("2020", None), NUMBERED),
        ("MOD", FOUR, Values((1, 6, 5)), ["t_1", "t_2"]),
    ],
)
def test_ranges_and_lists(
    kind: str, properties: dict[str, str], condition: Range | Values, expected: tuple[str, ...]
) -> None:
    assert list(standard(kind, properties).route(Targets.of(NUMBERED, "t"), {"id": condition})) == list(
        expected
    )


NUMERIC = [
    ("MOD", FOUR),
    ("HASH_MOD", FOUR),
    ("VOLUME_RANGE", VOLUME),
    ("BOUNDARY_RANGE", {"sharding-ranges": "1,5,9"}),
]
NUMBERS = st.integers(-60, 60) | st.decimals(-60, 60, places=1)


@settings(deadline=None)
@given(st.sampled_from(NUMERIC), NUMBERS, NUMBERS, NUMBERS)
def test_a_range_never_misses_a_contained_value(
    algorithm: tuple[str, dict[str, str]], one: Key, two: Key, three: Key
) -> None:
    lower, key, upper = sorted([one, two, three])  # type: ignore[type-var]
    made = standard(*algorithm)
    targets = Targets.of(NUMBERED, "t")
    expected = made.placer(targets, "id")(key)
    for condition in (Range(lower, upper), Range(None, upper), Range(lower, None)):
        assert expected in made.route(targets, {"id": condition})


SOME_TIME = st.datetimes(MOMENT(2024, 1, 1), MOMENT(2024, 4, 30))


@settings(deadline=None)
@given(SOME_TIME, SOME_TIME, SOME_TIME)
def test_a_range_of_time_never_misses_a_contained_moment(one: MOMENT, two: MOMENT, three: MOMENT) -> None:
    lower, key, upper = sorted([one, two, three])
    for kind, properties, names in (
        ("INTERVAL", MONTHS, MONTHLY),
        ("AUTO_INTERVAL", AUTO_INTERVAL, NUMBERED),
    ):
        made = standard(kind, properties)
        targets = Targets.of(names, "t")
        assert made.placer(targets, "id")(key) in made.route(targets, {"id": Range(lower, upper)})


@pytest.mark.parametrize(
    ("kind", "properties", "key"),
    [
        ("MOD", {}, "sharding-count"),
        ("MOD", {"sharding-count": "0"}, "sharding-count"),
        ("MOD", {"sharding-count": "4", "zero-padding": "yes"}, "zero-padding"),
        ("VOLUME_RANGE", {"range-lower": "1", "range-upper": "5", "sharding-volume": "10"}, "range-upper"),
        ("VOLUME_RANGE", {"range-lower": "x"}, "range-lower"),
        ("BOUNDARY_RANGE", {"sharding-ranges": "1,a"}, "sharding-ranges"),
        ("BOUNDARY_RANGE", {"sharding-ranges": "1,1"}, "sharding-ranges"),
        ("AUTO_INTERVAL", AUTO_INTERVAL | {"datetime-upper": "2019-01-01 00:00:00"}, "datetime-upper"),
        ("AUTO_INTERVAL", AUTO_INTERVAL | {"datetime-lower": "2020"}, "datetime-lower"),
        ("INLINE", {"algorithm-expression": "t_${a + }"}, "algorithm-expression"),
        ("INLINE", {"algorithm-expression": "t_${a + b}"}, "algorithm-expression"),
        ("INTERVAL", MONTHS | {"datetime-interval-unit": "MOONS"}, "datetime-interval-unit"),
        ("INTERVAL", MONTHS | {"datetime-lower": "2024-01-31 00:00:00"}, "datetime-lower"),
        ("INTERVAL", MONTHS | {"datetime-pattern": "HH:mm"}, "datetime-pattern"),
        ("INTERVAL", MONTHS | {"sharding-suffix-pattern": "ww"}, "sharding-suffix-pattern"),
        ("HINT_INLINE", {"algorithm-expression": "t_${id}"}, "algorithm-expression"),
        (
            "CLASS_BASED",
            {"strategy": "STANDARD", "algorithmClassName": "no.such.Class"},
            "algorithmClassName",
        ),
        ("CLASS_BASED", {"strategy": "OTHER", "algorithmClassName": "x.Y"}, "strategy"),
    ],
)
def test_bad_properties_are_mistakes(kind: str, properties: dict[str, str], key: str) -> None:
    with pytest.raises(PropertyMistake) as caught:
        ALGORITHMS[kind].create(PropertyReader(properties))
    assert caught.value.key == key
    assert caught.value.fix
