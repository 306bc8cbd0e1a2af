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
from dbmesh.rules.algorithms.standard import StandardAlgorithm
from dbmesh.rules.ruleset import Range, Values
from dbmesh.rules.targets import NoTarget, Targets
from dbmesh.rules.values import UNKNOWN_KEY, Key

MOMENT = datetime.datetime
VOLUME = {"range-lower": "10", "range-upper": "45", "sharding-volume": "10"}
AUTO_INTERVAL = {
    "datetime-lower": "2020-01-01 00:00:00",
    "datetime-upper": "2020-01-01 00:00:16",
    "sharding-seconds": "4",
}
MONTHS = {
    "datetime-pattern": "yyyy-MM-dd HH:mm:ss",
    "datetime-lower": "2024-01-01 00:00:00",
    "datetime-upper": "2024-04-30 23:59:59",
    "sharding-suffix-pattern": "yyyyMM",
    "datetime-interval-amount": "1",
    "datetime-interval-unit": "MONTHS",
}
INLINE = {"algorithm-expression": "t_${id % 4}"}
NUMBERED = tuple(f"t_{number}" for number in range(6))
MONTHLY = ("t_202401", "t_202402", "t_202403", "t_202404")


def standard(kind: str, properties: dict[str, str]) -> StandardAlgorithm:
    made = ALGORITHMS[kind].create(PropertyReader(properties))
    assert isinstance(made, StandardAlgorithm)
    return made


def place(kind: str, properties: dict[str, str], key: Key, names: tuple[str, ...] = NUMBERED) -> str:
    return standard(kind, properties).placer(Targets.of(names, "t"), "id")(key)


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


def test_zero_padding_and_padded_names() -> None:
    padded = tuple(f"t_{number:02d}" for number in range(12))
    assert place("MOD", {"sharding-count": "12"}, 3, padded) == "t_03"
    assert place("MOD", {"sharding-count": "12", "zero-padding": "true"}, 3, padded) == "t_03"


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


def test_complex_inline_computes_every_combination() -> None:
    made = ALGORITHMS["COMPLEX_INLINE"].create(
        PropertyReader({"sharding-columns": "a,b", "algorithm-expression": "t_${(a + b) % 4}"})
    )
    targets = Targets.of(NUMBERED, "t")
    assert made.route(targets, {"a": Values((1, 2)), "b": Values((1,))}) == ("t_2", "t_3")
    assert made.route(targets, {"a": Range(1, 2), "b": Values((1,))}) == NUMBERED
    with pytest.raises(NoTarget):
        made.route(targets, {"a": Values((-1,)), "b": Values((-2,))})


def test_hint_inline_takes_the_hint_as_value() -> None:
    made = ALGORITHMS["HINT_INLINE"].create(PropertyReader({"algorithm-expression": "t_${value % 4}"}))
    targets = Targets.of(NUMBERED, "t")
    assert made.route(targets, {"": Values((5,))}) == ("t_1",)
    plain = ALGORITHMS["HINT_INLINE"].create(PropertyReader({}))
    assert plain.route(targets, {"": Values(("t_3",))}) == ("t_3",)
    with pytest.raises(NoTarget):
        plain.route(targets, {"": Values(("t_9",))})


class OddOnes:
    """A user's algorithm."""

    def __init__(self, properties: dict[str, str]) -> None:
        self.answer = properties.get("answer", "")

    def route(self, targets: list[str], conditions: dict[str, object]) -> list[str]:
        if self.answer == "fail":
            raise RuntimeError("no")
        return list(targets[1::2]) if self.answer == "many" else [self.answer]


class NoRoute:
    """Not an algorithm."""

    def __init__(self, properties: dict[str, str]) -> None:
        pass


def user_class(strategy: str, answer: str, monkeypatch: pytest.MonkeyPatch) -> object:
    import sys
    import types

    module = types.ModuleType("shop_sharding")
    module.OddOnes = OddOnes  # type: ignore[attr-defined]
    module.NoRoute = NoRoute  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "shop_sharding", module)
    name = "NoRoute" if answer == "absent" else "OddOnes"
    return ALGORITHMS["CLASS_BASED"].create(
        PropertyReader(
            {"strategy": strategy, "algorithmClassName": f"shop_sharding.{name}", "answer": answer}
        )
    )


def test_class_based_asks_the_users_class(monkeypatch: pytest.MonkeyPatch) -> None:
    targets = Targets.of(NUMBERED, "t")
    made = user_class("STANDARD", "t_1", monkeypatch)
    assert isinstance(made, StandardAlgorithm)
    assert made.placer(targets, "id")(5) == "t_1"
    for answer in ("fail", "t_9", "many"):
        wrong = user_class("STANDARD", answer, monkeypatch)
        assert isinstance(wrong, StandardAlgorithm)
        with pytest.raises(NoTarget):
            wrong.placer(targets, "id")(5)
    many = user_class("COMPLEX", "many", monkeypatch)
    assert many.route(targets, {"a": Values((1,))}) == ("t_1", "t_3", "t_5")  # type: ignore[attr-defined]
    with pytest.raises(PropertyMistake, match="no method 'route'"):
        user_class("HINT", "absent", monkeypatch)
