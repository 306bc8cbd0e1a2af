"""Types of encrypted columns: which declarations there are, which values they take, and as what text."""

from __future__ import annotations

import datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbmesh.model import SqlValue, UnsignedInteger
from dbmesh.rules.encryption.logic_type import LogicType, Unstorable, read_type


def made(text: str) -> LogicType:
    found = read_type(text)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("text", "declared"),
    [
        ("VARCHAR(255)", "varchar(255)"),
        ("varchar ( 10 )", "varchar(10)"),
        ("INTEGER UNSIGNED", "int unsigned"),
        ("int(11)", "int"),
        ("DECIMAL(10, 2)", "decimal(10,2)"),
        ("numeric", "decimal(10,0)"),
        ("Date", "date"),
        ("DATETIME(3)", "datetime(3)"),
        ("DATETIME(0)", "datetime"),
        ("TEXT", "text"),
        ("CHAR(5)", "char(5)"),
        ("char", "char(1)"),
    ],
)
def test_declarations(text: str, declared: str) -> None:
    assert made(text).declared == declared


@pytest.mark.parametrize(
    "text",
    [
        "", "CHAR(256)", "BINARY(5)", "VARCHAR", "VARCHAR(5) COLLATE utf8mb4_bin", "BLOB", "FLOAT", "TIME", "JSON", "DATETIME(7)",
        "DECIMAL(2,3)", "DECIMAL(70,0)", "VARCHAR(20000)", "TEXT(5)", "DATE UNSIGNED", "INT(1,2)", "VARCHAR(5) UNSIGNED",
    ],
)  # fmt: skip
def test_other_types_cannot_be_encrypted(text: str) -> None:
    assert read_type(text) is None


@pytest.mark.parametrize(
    ("declared", "value", "text"),
    [
        ("VARCHAR(3)", "äöü", "äöü"),
        ("INT", 5, "5"),
        ("INT", UnsignedInteger(5), "5"),
        ("INT", "-5", "-5"),
        ("TINYINT UNSIGNED", 255, "255"),
        ("DECIMAL(5,2)", 1, "1.00"),
        ("DECIMAL(5,2)", Decimal("-0.50"), "-0.50"),
        ("DECIMAL(5,2)", Decimal("-0.00"), "0.00"),
        ("DECIMAL(5,2)", "0999.9", "999.90"),
        ("DECIMAL(5,2)", Decimal("1.500"), "1.50"),
        ("DECIMAL(5)", "12", "12"),
        ("DATE", "2024-02-29", "2024-02-29"),
        ("DATE", datetime.date(2024, 2, 29), "2024-02-29"),
        ("DATETIME", "2024-02-29", "2024-02-29 00:00:00"),
        ("DATETIME(2)", "2024-02-29 01:02:03.500", "2024-02-29 01:02:03.50"),
        ("DATETIME", datetime.datetime(2024, 2, 29, 1, 2, 3), "2024-02-29 01:02:03"),
    ],
)
def test_values_and_their_text(declared: str, value: SqlValue, text: str) -> None:
    kind = made(declared)
    assert kind.text_of(value) == text
    assert kind.holds(text)
    assert len(text.encode()) <= kind.most_bytes


@pytest.mark.parametrize(
    ("declared", "value"),
    [
        ("VARCHAR(3)", "abcd"), ("VARCHAR(3)", 5), ("VARCHAR(3)", b"a"), ("VARCHAR(9)", "\udcff"), ("TINYTEXT", "ä" * 128),
        ("INT", "05"), ("INT", "5.0"), ("INT", 5.0), ("INT", 1 << 31), ("INT", " 5"), ("INT UNSIGNED", -1), ("INT", "x"),
        ("DECIMAL(5,2)", Decimal("1.234")), ("DECIMAL(5,2)", 1000), ("DECIMAL(5,2)", "1e2"), ("DECIMAL(5,2)", 1.5),
        ("DECIMAL(5,2) UNSIGNED", -1), ("DECIMAL(5,2)", Decimal("NaN")),
        ("DATE", "2024-02-30"), ("DATE", "2024-2-3"), ("DATE", "0000-00-00"), ("DATE", datetime.datetime(2024, 1, 1)),
        ("DATETIME", "2024-02-29 01:02:03.5"), ("DATETIME", "2024-02-29 24:00:00"), ("DATETIME", "2024-02-29T01:02:03"),
    ],
)  # fmt: skip
def test_what_a_server_would_have_to_convert_is_not_taken(declared: str, value: SqlValue) -> None:
    with pytest.raises(Unstorable):
        made(declared).text_of(value)


@given(
    st.integers()
    | st.text()
    | st.decimals(allow_nan=True)
    | st.dates()
    | st.datetimes()
    | st.floats()
    | st.binary()
)
def test_the_text_of_a_value_is_its_own_text(value: SqlValue) -> None:
    for declared in ("VARCHAR(20)", "INT", "BIGINT UNSIGNED", "DECIMAL(20,4)", "DATE", "DATETIME(6)", "TEXT"):
        kind = made(declared)
        try:
            text = kind.text_of(value)
        except Unstorable:
            continue
        assert kind.text_of(text) == text
