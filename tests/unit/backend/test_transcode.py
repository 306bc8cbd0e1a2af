"""Python values as MySQL prints them."""

from __future__ import annotations

from decimal import Decimal

import pytest

from dbmesh.backend.transcode import decimal_printer, print_value, printer_of, row_payload, rows_payloads
from dbmesh.wire.constants import ColumnType
from tests.plugins.scripted import column


def test_values_by_their_own_type() -> None:
    assert [print_value(value) for value in (None, -7, "ä", b"\xff", Decimal("1.50"))] == [
        None,
        b"-7",
        "ä".encode(),
        b"\xff",
        b"1.50",
    ]
    assert row_payload([None, 12, "a"]) == b"\xfb\x0212\x01a"


def test_a_type_sql_does_not_have_is_refused() -> None:
    with pytest.raises(TypeError, match="list"):
        print_value([])


@pytest.mark.parametrize(
    ("value", "printed"),
    [(1, b"1.00"), (0.125, b"0.13"), ("2.345", b"2.35"), (Decimal("-0.001"), b"0.00"), (None, None)],
)
def test_decimals_show_all_their_digits(value: object, printed: bytes | None) -> None:
    assert decimal_printer(2)(value) == printed


def test_columns_choose_their_printer() -> None:
    printers = [printer_of(column("f", ColumnType.FLOAT)), printer_of(column("d", ColumnType.DOUBLE))]
    assert rows_payloads([[1.23456789, 3]], printers) == [b"\x071.23457\x013"]
