"""Literals: text to value and back."""

from __future__ import annotations

import datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbmesh.model import IncompleteDate, SqlValue, UnsignedInteger
from dbmesh.sql.literals import decode_literal, encode_literal, literal_text
from dbmesh.sql.shape import SlotKind


@pytest.mark.parametrize(
    ("raw", "kind", "value"),
    [
        ("12", None, 12),
        ("-12", None, -12),
        ("1.50", None, Decimal("1.50")),
        ("1e3", None, 1000.0),
        ("'a''b\\n\\%\\q'", None, "a'b\n\\%q"),
        ('"a""b"', None, 'a"b'),
        ("0x1F2", None, b"\x01\xf2"),
        ("0b101", None, b"\x05"),
        ("'AB'", SlotKind.HEX, b"\xab"),
        ("'1'", SlotKind.BIT, b"\x01"),
        ("x'AB'", None, b"\xab"),
        ("B'101'", None, b"\x05"),
        ("NULL", None, None),
    ],
)
def test_decode(raw: str, kind: SlotKind | None, value: SqlValue) -> None:
    assert decode_literal(raw, kind) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "NULL"),
        (True, "1"),
        (5, "5"),
        (UnsignedInteger(5), "CAST(5 AS UNSIGNED)"),
        (IncompleteDate("0000-00-00"), "'0000-00-00'"),
        (0.1, "0.1e0"),
        (1e300, "1e+300"),
        (Decimal("1E+3"), "1000."),
        (Decimal("-1.50"), "-1.50"),
        (b"\x00\xff", "x'00ff'"),
        (datetime.date(2024, 2, 29), "DATE'2024-02-29'"),
        (datetime.datetime(2024, 2, 29, 1, 2, 3, 4), "TIMESTAMP'2024-02-29 01:02:03.000004'"),
        (datetime.timedelta(hours=-30, microseconds=-5), "TIME'-30:00:00.000005'"),
        (datetime.timedelta(hours=1000), "'1000:00:00'"),
    ],
)
def test_encode(value: SqlValue, text: str) -> None:
    assert literal_text(value) == text


@given(st.text(), st.booleans())
def test_any_text_comes_back(text: str, plain: bool) -> None:
    raw = literal_text(text, no_backslash_escapes=plain)
    assert decode_literal(raw, no_backslash_escapes=plain) == text


def test_undecodable_bytes_pass_through() -> None:
    assert encode_literal(b"\xff\xfe".decode("utf-8", "surrogateescape")) == b"'\xff\xfe'"
