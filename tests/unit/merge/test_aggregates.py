from __future__ import annotations

import pytest

from dbmesh.errors import MeshError, ProtocolError
from dbmesh.merge.aggregates import plan_aggregate
from dbmesh.merge.fields import Field
from dbmesh.merge.limits import Budget, MergeLimits
from dbmesh.planner.plan import Aggregate, SortKey
from dbmesh.planner.plan import AggregateFunction as F
from dbmesh.wire.constants import ColumnFlag, ColumnType
from dbmesh.wire.packets import ColumnDefinition
from dbmesh.wire.values import decode_text_row
from tests.plugins.merging import UTF8MB4, binary, column, decimal, double, integer, row, text

GENERAL = "utf8mb4_general_ci"


def combine(aggregate: Aggregate, columns: list[ColumnDefinition], rows: list[bytes]) -> list[Field]:
    plan = plan_aggregate(aggregate, columns, Budget(MergeLimits(max_rows=5, max_bytes=1000)))
    accumulator = plan.start()
    split = [decode_text_row(item) for item in rows]
    for fields in split:
        accumulator.add({index: fields[index] for index in plan.reads})
    result = split[0] if split else [None] * len(columns)
    accumulator.write(result)
    accumulator.close()
    return result


@pytest.mark.parametrize(
    ("function", "definition", "fields", "expected"),
    [
        (F.COUNT, integer("n"), ["2", "0", "40"], b"42"),
        (F.COUNT, integer("n"), [], b"0"),
        (F.SUM, integer("n"), ["9223372036854775807", "1"], b"9223372036854775808"),
        (F.SUM, integer("n"), [None, None], None),
        (F.SUM, decimal("n", 2), ["0.10", None, "-0.20"], b"-0.10"),
        (
            F.SUM,
            decimal("n", 0),
            ["12345678901234567890123456789012345", "1"],
            b"12345678901234567890123456789012346",
        ),
        (F.SUM, double("n"), ["0.1", "0.2"], b"0.30000000000000004"),
        (F.SUM, column("n", ColumnType.DOUBLE, decimals=2), ["1.25", "2.00"], b"3.25"),
        (F.SUM, column("n", ColumnType.NULL), [None], None),
        (F.BIT_AND, integer("n"), ["7", "18446744073709551615", "5"], b"5"),
        (F.BIT_AND, integer("n"), [], b"18446744073709551615"),
        (F.BIT_OR, integer("n"), ["1", "4"], b"5"),
        (F.BIT_OR, integer("n"), [], b"0"),
        (F.BIT_XOR, integer("n"), ["7", "2"], b"5"),
        (F.MIN, integer("n"), ["10", None, "9"], b"9"),
        (F.MAX, integer("n"), ["10", None, "9"], b"10"),
        (F.MAX, integer("n"), [None, None], None),
        (F.MIN, column("n", ColumnType.TIME), ["-01:00:00", "-10:00:00"], b"-10:00:00"),
        (F.MAX, column("n", ColumnType.FLOAT, decimals=31), ["1.23457", "1.5"], b"1.5"),
        (F.MIN, binary("n"), [b"b", b"a\xff"], b"a\xff"),
        (F.ANY, text("n"), [None, "x", "y"], b"x"),
    ],
)
def test_aggregate_of_one_column(
    function: F, definition: ColumnDefinition, fields: list[object], expected: bytes | None
) -> None:
    assert combine(Aggregate(0, function), [definition], [row(field) for field in fields])[0] == expected


@pytest.mark.parametrize(("function", "name", "weight"), [(F.MIN, b"b", b"\x00B"), (F.MAX, b"C", b"\x00C")])
def test_extreme_of_text_moves_with_its_weight(function: F, name: bytes, weight: bytes) -> None:
    rows = [row("b", b"\x00B"), row("C", b"\x00C"), row(None, None), row("c ", b"\x00C\x00\x20")]
    aggregate = Aggregate(0, function, weight=-1, collation=GENERAL)
    assert combine(aggregate, [text("n"), binary("w")], rows) == [name, weight]


def test_extreme_of_enum_is_that_of_its_text() -> None:
    enum = column("e", ColumnType.STRING, flags=ColumnFlag.ENUM, character_set=UTF8MB4)
    aggregate = Aggregate(0, F.MIN, weight=1, collation=GENERAL)
    assert combine(aggregate, [enum, binary("w")], [row("x", b"\x00X"), row("b", b"\x00B")])[0] == b"b"


def test_average_is_sum_over_count() -> None:
    columns = [decimal("a", 6), decimal("s", 2), integer("n")]
    aggregate = Aggregate(0, F.AVG, sum_column=-2, count_column=-1)
    rows = [row("1.000000", "1.00", 1), row("9.990000", "1.00", 2), row(None, None, 0)]
    assert combine(aggregate, columns, rows)[0] == b"0.666667"
    assert combine(aggregate, columns, [row(None, None, 0)])[0] is None


def test_a_sum_may_be_read_from_a_column_with_more_digits() -> None:
    aggregate = Aggregate(0, F.SUM, sum_column=1)
    rows = [row("0.3333", "0.333333333"), row("-0.6667", "-0.666666666"), row(None, None)]
    assert combine(aggregate, [decimal("a", 4), decimal("s", 9)], rows[:1] * 3)[0] == b"1.0000"
    assert combine(aggregate, [decimal("a", 4), decimal("s", 9)], rows)[0] == b"-0.3333"
    assert combine(aggregate, [double("a"), double("s")], [row("0.5", "0.4"), row("1", "1")])[0] == b"1.5"


def test_average_of_doubles() -> None:
    columns = [double("a"), double("s"), integer("n")]
    aggregate = Aggregate(0, F.AVG, sum_column=1, count_column=2)
    assert combine(aggregate, columns, [row(0, "1.5", 1), row(0, "0.5", 2)])[0] == b"0.6666666666666666"
    columns = [double("a"), decimal("s", 1), integer("n")]
    assert combine(aggregate, columns, [row(0, "1.5", 1), row(0, "0.5", 1)])[0] == b"1"


@pytest.mark.parametrize(
    ("function", "target", "expected"),
    [
        (F.COUNT_DISTINCT, integer("r"), b"3"),
        (F.SUM_DISTINCT, decimal("r", 2), b"1.35"),
        (F.SUM_DISTINCT, double("r"), b"1.35"),
        (F.AVG_DISTINCT, decimal("r", 6), b"0.450000"),
        (F.AVG_DISTINCT, double("r"), b"0.45"),
    ],
)
def test_distinct_values_count_once(function: F, target: ColumnDefinition, expected: bytes) -> None:
    columns = [target, decimal("x", 2)]
    rows = [row(1, value) for value in ("0.10", "0.25", "0.10", None, "1.00")]
    aggregate = Aggregate(0, function, arguments=(SortKey(1),))
    assert combine(aggregate, columns, rows)[0] == expected


@pytest.mark.parametrize(
    ("function", "expected"), [(F.COUNT_DISTINCT, b"0"), (F.SUM_DISTINCT, None), (F.AVG_DISTINCT, None)]
)
def test_distinct_aggregates_of_nothing(function: F, expected: bytes | None) -> None:
    aggregate = Aggregate(0, function, arguments=(SortKey(1),))
    assert combine(aggregate, [decimal("r", 4), integer("x")], [])[0] == expected


def test_count_of_distinct_pairs_skips_those_with_a_null_and_compares_text_by_weight() -> None:
    columns = [integer("r"), integer("x"), text("y"), binary("w")]
    rows = [
        row(1, 1, "a", b"\x00A"),
        row(1, 1, "A ", b"\x00A\x00\x20"),
        row(1, 2, "a", b"\x00A"),
        row(1, None, "a", b"\x00A"),
        row(1, 3, None, None),
    ]
    arguments = (SortKey(1), SortKey(2, weight=3, collation=GENERAL))
    assert combine(Aggregate(0, F.COUNT_DISTINCT, arguments=arguments), columns, rows)[0] == b"2"


def test_count_of_distinct_computed_texts_compares_by_the_weight_that_tells_its_collation() -> None:
    columns = [integer("r"), text("y"), binary("w")]
    described = GENERAL.encode() + b":"
    rows = [
        row(1, "a", described + b"\x00A"),
        row(1, "A ", described + b"\x00A\x00\x20"),
        row(1, "b", described + b"\x00B"),
        row(1, None, None),
    ]
    arguments = (SortKey(1, weight=2),)
    assert combine(Aggregate(0, F.COUNT_DISTINCT, arguments=arguments), columns, rows)[0] == b"2"


def test_repeated_values_take_no_room() -> None:
    columns = [integer("r"), integer("x")]
    aggregate = Aggregate(0, F.COUNT_DISTINCT, arguments=(SortKey(1),))
    assert combine(aggregate, columns, [row(0, number % 2) for number in range(50)])[0] == b"2"


def test_distinct_values_are_bounded_and_given_back() -> None:
    columns = [integer("r"), integer("x")]
    aggregate = Aggregate(0, F.COUNT_DISTINCT, arguments=(SortKey(1),))
    with pytest.raises(MeshError, match="merge-max-rows"):
        combine(aggregate, columns, [row(0, number) for number in range(6)])
    plan = plan_aggregate(aggregate, columns, Budget(MergeLimits(max_rows=5, max_bytes=10_000)))
    for _ in range(3):
        accumulator = plan.start()
        for number in range(5):
            accumulator.add({1: b"%d" % number})
        accumulator.close()


@pytest.mark.parametrize(
    ("aggregate", "columns"),
    [
        (Aggregate(0, F.SUM), [text("n")]),
        (Aggregate(0, F.BIT_OR), [binary("n")]),
        (Aggregate(0, F.MIN), [text("n")]),
        (Aggregate(0, F.MIN), [column("j", ColumnType.JSON)]),
        (Aggregate(0, F.AVG), [decimal("n", 4)]),
        (Aggregate(0, F.AVG, sum_column=1, count_column=2), [double("a"), text("s"), integer("n")]),
        (Aggregate(0, F.SUM_DISTINCT, arguments=(SortKey(1),)), [double("s"), column("d", ColumnType.DATE)]),
        (
            Aggregate(0, F.COUNT_DISTINCT, arguments=(SortKey(1),)),
            [integer("n"), column("f", ColumnType.FLOAT, decimals=31)],
        ),
    ],
)
def test_what_cannot_be_combined_exactly_is_refused(
    aggregate: Aggregate, columns: list[ColumnDefinition]
) -> None:
    with pytest.raises(MeshError, match="dbmesh: not supported"):
        plan_aggregate(aggregate, columns, Budget(MergeLimits()))


def test_text_too_long_for_its_weight_is_refused() -> None:
    with pytest.raises(MeshError, match="too long"):
        combine(
            Aggregate(0, F.MAX, weight=1, collation=GENERAL), [text("n"), binary("w")], [row("long", None)]
        )


def test_missing_column_is_a_protocol_error() -> None:
    with pytest.raises(ProtocolError):
        plan_aggregate(Aggregate(3, F.SUM), [integer("n")], Budget(MergeLimits()))
