"""Rows of embedded and foreign data sources as MySQL text rows.

Decides how a Python value becomes the bytes a MySQL server would have sent for a column of that kind. Knows nothing of
where the value came from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import ROUND_HALF_UP, Context, Decimal

from dbmesh.wire.constants import ColumnType
from dbmesh.wire.packets import ColumnDefinition
from dbmesh.wire.values import encode_text_row, text_value

Printer = Callable[[object], bytes | None]

_EXACT = Context(prec=130)


def row_payload(values: Sequence[object]) -> bytes:
    """A text row of values printed by their own Python types. Raises TypeError for a type SQL does not have."""
    return encode_text_row([print_value(value) for value in values])


def rows_payloads(rows: Sequence[Sequence[object]], printers: Sequence[Printer]) -> list[bytes]:
    """Text rows of many rows, each column by its printer."""
    return [
        encode_text_row([printer(value) for printer, value in zip(printers, row, strict=True)])
        for row in rows
    ]


def print_value(value: object) -> bytes | None:
    """A value in MySQL's printed form, by its own type."""
    if isinstance(value, int):
        return b"%d" % value
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    if value is None or isinstance(value, bytes | float | Decimal):
        return text_value(value)
    raise TypeError(f"no SQL type holds {type(value).__name__}")


def printer_of(column: ColumnDefinition) -> Printer:
    """The printer of a column: decimals show all their digits, FLOAT shows six."""
    if column.type == ColumnType.NEWDECIMAL:
        return decimal_printer(column.decimals)
    if column.type == ColumnType.FLOAT:
        return _print_single
    if column.type == ColumnType.DOUBLE:
        return _print_double
    return print_value


def decimal_printer(decimals: int) -> Printer:
    """Prints numbers (as int, float, Decimal or decimal text) with exactly `decimals` digits behind the point."""
    unit = Decimal(1).scaleb(-decimals)

    def print_decimal(value: object) -> bytes | None:
        if value is None:
            return None
        number = value if isinstance(value, Decimal) else Decimal(str(value))
        rounded = number.quantize(unit, ROUND_HALF_UP, _EXACT)
        return format(rounded if rounded else abs(rounded), "f").encode("ascii")

    return print_decimal


def _print_double(value: object) -> bytes | None:
    return print_value(float(value) if isinstance(value, int | str) else value)


def _print_single(value: object) -> bytes | None:
    return None if value is None else print_value(float(f"{float(str(value)):.6g}"))
