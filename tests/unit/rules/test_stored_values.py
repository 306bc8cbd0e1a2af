"""Where a row lies: at the place of the key it stores, not of the text it was written with."""

import datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbmesh.model import ColumnFamily, ColumnSchema
from dbmesh.rules.stored_values import as_stored, holds_already, most_integer
from dbmesh.rules.values import UNKNOWN_KEY, compared_key, stored_key
from dbmesh.sql.literals import decode_literal


def column(declared: str, family: ColumnFamily, collation: str | None = None) -> ColumnSchema:
    return ColumnSchema("k", declared, family, unsigned="unsigned" in declared, collation=collation)


TINY = column("tinyint(4)", ColumnFamily.INTEGER)
BIG = column("bigint(20) unsigned", ColumnFamily.INTEGER)
PRICE = column("decimal(6,2)", ColumnFamily.DECIMAL)
TEXT = column("varchar(4)", ColumnFamily.TEXT, "utf8mb4_bin")
LATIN = column("varchar(4)", ColumnFamily.TEXT, "latin1_bin")
BYTES = column("varbinary(2)", ColumnFamily.BINARY)
DAY = column("date", ColumnFamily.TEMPORAL)
MOMENT = column("datetime", ColumnFamily.TEMPORAL)


@pytest.mark.parametrize(
    ("schema", "written", "stored"),
    [
        (TINY, [127, 128, 300, "300", "1e2000", 1e30, Decimal("127.4")], 127),
        (TINY, [-128, -129, "-9e9"], -128),
        (TINY, [6, "6", "5.5", Decimal("5.5"), "6 apples", " 6", 5.5, 6.5], 6),
        (TINY, [0, "", "apples", "-0.4"], 0),
        (BIG, [-1, "-1.6", 0], 0),
        (BIG, [1 << 64, (1 << 64) - 1, "99999999999999999999999"], (1 << 64) - 1),
        (PRICE, [Decimal("1.51"), "1.505", Decimal("1.514")], Decimal("1.51")),
        (PRICE, [0, Decimal("-0.001"), "none"], 0),
        (PRICE, [Decimal("9999.99"), 99999, "1e99", Decimal("9999.999")], Decimal("9999.99")),
        (TEXT, ["abcd", "abcdef"], "abcd"),
        (TEXT, ["ä", "ä     "], "ä"),
        (LATIN, ["a?", "a😀"], "a?"),
        (BYTES, [b"ab", b"abc"], b"ab"),
        (DAY, ["2024-01-05", "20240105", 20240105, 240105, "24-1-5", "2024/1/5"], datetime.date(2024, 1, 5)),
        (DAY, ["2024-01-05 10:20", 20240105102030, "240105102030"], datetime.date(2024, 1, 5)),
        (DAY, ["1970-01-01", 700101, "70-01-01"], datetime.date(1970, 1, 1)),
        (MOMENT, ["2024-01-05 10:20:30", 240105102030], datetime.datetime(2024, 1, 5, 10, 20, 30)),
        (MOMENT, ["2024-01-05", 20240105], datetime.datetime(2024, 1, 5)),
    ],
)
def test_one_key_for_all_that_is_stored_alike(
    schema: ColumnSchema, written: list[object], stored: object
) -> None:
    for value in written:
        assert stored_key(value, schema) == stored, value  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("schema", "written"),
    [(DAY, ["2024-02-30", "0000-00-00", 5, -8870, "soon"]), (MOMENT, ["2024-01-05 10:20:30.6"])],
)
def test_what_servers_store_differently_has_no_key(schema: ColumnSchema, written: list[object]) -> None:
    for value in written:
        assert stored_key(value, schema) is UNKNOWN_KEY, value  # type: ignore[arg-type]


@pytest.mark.parametrize("raw", ["0x3132", "x'3132'", "b'110001'", "0b110001"])
def test_a_hexadecimal_literal_may_be_a_number_or_a_text(raw: str) -> None:
    value = decode_literal(raw)
    assert compared_key(value, BIG) is UNKNOWN_KEY
    assert stored_key(value, BIG) is UNKNOWN_KEY
    assert stored_key(value, BYTES) == value


@given(st.integers(), st.sampled_from([TINY, BIG]))
def test_a_number_in_range_is_stored_as_it_is(value: int, schema: ColumnSchema) -> None:
    most = most_integer(schema)
    assert most is not None
    stored = as_stored(value, schema)
    assert stored == value or not 0 <= value <= most


@given(st.text(), st.sampled_from([TINY, PRICE, TEXT, LATIN, DAY, MOMENT]))
def test_any_text_has_a_key_or_none(value: str, schema: ColumnSchema) -> None:
    stored_key(value, schema)


@pytest.mark.parametrize(
    ("value", "held", "kind", "holds"),
    [
        (Decimal("1.2"), 1, TINY, True),
        (Decimal("1.5"), 2, TINY, False),
        ("1", 1, TINY, False),
        (128, 127, TINY, False),
        (None, 1, TINY, False),
        (20240131, "2024-01-31", DAY, True),
        ("2024-1-31", "2024-01-31", DAY, True),
        ("2024-01-31 10:00:00", "2024-01-31", DAY, False),
        ("2024-02-30", "2024-01-31", DAY, False),
        ("a ", "a", column("char(3)", ColumnFamily.TEXT), True),
        ("a   ", "a", column("char(3)", ColumnFamily.TEXT), False),
        ("a ", "a", TEXT, False),
        ("A", "a", column("char(3)", ColumnFamily.TEXT), False),
        (Decimal("1.500"), Decimal("1.50"), PRICE, False),
    ],
)
def test_a_value_that_changes_nothing_is_known(
    value: object, held: object, kind: ColumnSchema, holds: bool
) -> None:
    """And what a server would speak of is left to it."""
    assert holds_already(value, held, kind) is holds  # type: ignore[arg-type]
