"""One canonical key for every way to write it."""

import datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dbmesh.model import ColumnFamily, ColumnSchema
from dbmesh.rules.values import UNKNOWN_KEY, coerce_key, compared_key, parse_temporal

DAY = datetime.date(2024, 1, 5)
MOMENT = datetime.datetime(2024, 1, 5, 10, 20, 30)


@pytest.mark.parametrize(
    ("family", "values", "expected"),
    [
        (ColumnFamily.INTEGER, [5, "5", " 5 ", "+5", "05", "5.0", "5e0", Decimal("5.0"), 5.0, b"5"], 5),
        (ColumnFamily.INTEGER, [-5, "-5", Decimal("-5.00")], -5),
        (ColumnFamily.INTEGER, [2**64 - 1, str(2**64 - 1)], 2**64 - 1),
        (
            ColumnFamily.INTEGER,
            ["abc", "", "5.5", 5.5, Decimal("5.5"), "1e999", "NaN", b"\xff", DAY],
            UNKNOWN_KEY,
        ),
        (ColumnFamily.DECIMAL, [5, "5", "5.00", Decimal("5.0"), 5.0], 5),
        (ColumnFamily.DECIMAL, ["5.50", Decimal("5.5"), 5.5], Decimal("5.5")),
        (ColumnFamily.FLOAT, [5, "5", 5.0], 5),
        (ColumnFamily.FLOAT, [0.5, 2**25, "x"], UNKNOWN_KEY),
        (ColumnFamily.TEXT, ["5", 5, Decimal("5"), b"5"], "5"),
        (ColumnFamily.TEXT, [b"\xff", 5.5], UNKNOWN_KEY),
        (ColumnFamily.TEXT, [DAY], "2024-01-05"),
        (ColumnFamily.TEMPORAL, [MOMENT, "2024-01-05 10:20:30", "2024-1-5T10:20:30"], MOMENT),
        (ColumnFamily.TEMPORAL, [DAY, "2024-01-05", b"2024-01-05"], DAY),
        (ColumnFamily.TEMPORAL, ["2024-02-30", "soon", 20240105], UNKNOWN_KEY),
        (ColumnFamily.BINARY, [b"a", "a"], b"a"),
        (ColumnFamily.JSON, ["{}"], UNKNOWN_KEY),
        (None, [5, Decimal("5.0")], 5),
        (None, ["5"], "5"),
    ],
)
def test_coerce_key(family: ColumnFamily | None, values: list[object], expected: object) -> None:
    for value in values:
        key = coerce_key(value, family)  # type: ignore[arg-type]
        assert key == expected, value
        assert type(key) is type(expected), value


@pytest.mark.parametrize("family", [*ColumnFamily, None])
def test_null_stays_null(family: ColumnFamily | None) -> None:
    assert coerce_key(None, family) is None


@pytest.mark.parametrize(
    ("declared", "family", "value", "expected"),
    [
        ("date", ColumnFamily.TEMPORAL, "2024-01-05 00:00:00", DAY),
        ("date", ColumnFamily.TEMPORAL, MOMENT, UNKNOWN_KEY),
        ("datetime", ColumnFamily.TEMPORAL, "2024-01-05", datetime.datetime(2024, 1, 5)),
        ("datetime", ColumnFamily.TEMPORAL, "2024-01-05 00:00:00.5", UNKNOWN_KEY),
        (
            "datetime(3)",
            ColumnFamily.TEMPORAL,
            "2024-01-05 00:00:00.5",
            datetime.datetime(2024, 1, 5, 0, 0, 0, 500000),
        ),
        ("decimal(10,2)", ColumnFamily.DECIMAL, "1.25", Decimal("1.25")),
        ("decimal(10,2)", ColumnFamily.DECIMAL, "1.255", UNKNOWN_KEY),
        ("year(4)", ColumnFamily.TEMPORAL, DAY, UNKNOWN_KEY),
        ("bigint(20)", ColumnFamily.INTEGER, "5", 5),
    ],
)
def test_a_declared_type_narrows(
    declared: str, family: ColumnFamily, value: object, expected: object
) -> None:
    column = ColumnSchema("k", declared, family)
    key = coerce_key(value, column)  # type: ignore[arg-type]
    assert key == expected
    assert type(key) is type(expected)


@settings(deadline=None)
@given(
    st.one_of(st.text(), st.binary(), st.integers(), st.decimals(), st.floats(), st.datetimes()),
    st.sampled_from(ColumnFamily),
)
def test_coercion_never_raises_and_is_idempotent(value: object, family: ColumnFamily) -> None:
    key = coerce_key(value, family)  # type: ignore[arg-type]
    if key is not UNKNOWN_KEY:
        assert coerce_key(key, family) == key


@settings(deadline=None)
@given(st.datetimes())
def test_mysql_text_of_a_moment_reads_back(moment: datetime.datetime) -> None:
    assert parse_temporal(str(moment)) == moment


def test_a_text_column_compared_with_a_number_may_match_anywhere() -> None:
    column = ColumnSchema("k", "varchar(20)", ColumnFamily.TEXT)
    assert coerce_key(5, column) == "5"
    for value in (5, Decimal("5"), 5.0, DAY):
        assert compared_key(value, column) is UNKNOWN_KEY
    assert compared_key("5", column) == "5"
    assert compared_key(None, column) is None
    assert compared_key("5", ColumnFamily.INTEGER) == 5
