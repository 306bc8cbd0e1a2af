"""HAVING over merged rows: the three-valued conditions the planner leaves to the merge.

Decides whether a row stays. Its columns are numeric by construction; anything else is refused when the condition is
made, before a row arrives. Source: manual, "Logical Operators", "Comparison Functions and Operators".
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from dbmesh.errors import not_supported
from dbmesh.merge.fields import Field, make_field_reader
from dbmesh.merge.keys import DECIMAL_TYPES, FLOAT_TYPES, INTEGER_TYPES, absolute, value_converter
from dbmesh.planner.plan import Having, HavingOperator
from dbmesh.wire.constants import ColumnType
from dbmesh.wire.packets import ColumnDefinition

Number = int | float | Decimal | None
Evaluate = Callable[[Mapping[int, Number]], Number]
"""From a row's numbers by absolute column to a number; a condition gives 1, 0 or None (unknown)."""
RowFilter = Callable[[Sequence[bytes]], list[bytes]]

_COMPARISONS: Final[Mapping[HavingOperator, Callable[[Any, Any], bool]]] = {
    HavingOperator.EQUAL: operator.eq,
    HavingOperator.NOT_EQUAL: operator.ne,
    HavingOperator.LESS: operator.lt,
    HavingOperator.LESS_EQUAL: operator.le,
    HavingOperator.GREATER: operator.gt,
    HavingOperator.GREATER_EQUAL: operator.ge,
}


def make_having_filter(having: Having, columns: Sequence[ColumnDefinition]) -> RowFilter:
    """A function that keeps the rows for which the condition is true. Raises MeshError for columns or values that
    are not numbers."""
    evaluate = _compile(having, columns)
    needed = sorted(_columns_of(having, columns))
    if not needed:
        return lambda rows: list(rows) if evaluate({}) else []
    read_fields = make_field_reader(needed)
    readers = [_number_reader(columns[column]) for column in needed]

    def keep(rows: Sequence[bytes]) -> list[bytes]:
        if not rows:
            return []
        fields, _ = read_fields(rows)
        numbers = [
            [None if field is None else read(field) for field in column]
            for read, column in zip(readers, fields, strict=True)
        ]
        kept = []
        for row, values in zip(rows, zip(*numbers, strict=True), strict=True):
            if evaluate(dict(zip(needed, values, strict=True))):
                kept.append(row)
        return kept

    return keep


def _columns_of(having: Having, columns: Sequence[ColumnDefinition]) -> set[int]:
    if having.operator is HavingOperator.COLUMN:
        return {absolute(having.column, columns)}
    return {column for operand in having.operands for column in _columns_of(operand, columns)}


def _number_reader(column: ColumnDefinition) -> Callable[[bytes], Number]:
    if column.type in INTEGER_TYPES:
        return int
    if column.type in DECIMAL_TYPES:
        return lambda field: Decimal(field.decode("ascii"))
    if column.type in FLOAT_TYPES:
        # What is shown of a float must be all there is to it.
        value_converter(column)
        return float
    if column.type == ColumnType.NULL:
        return _no_number
    raise not_supported(
        f"HAVING over several shards on a column of type {column.type}", "compare numbers, or filter in WHERE"
    )


def _no_number(field: Field) -> Number:
    return None


def _compile(having: Having, columns: Sequence[ColumnDefinition]) -> Evaluate:
    kind = having.operator
    if kind is HavingOperator.COLUMN:
        column = absolute(having.column, columns)
        return lambda row: row[column]
    if kind is HavingOperator.VALUE:
        return _constant(having.value)
    operands = [_compile(operand, columns) for operand in having.operands]
    if kind is HavingOperator.AND:
        return lambda row: _and(operands, row)
    if kind is HavingOperator.OR:
        return lambda row: _or(operands, row)
    if kind is HavingOperator.NOT:
        return lambda row: None if (value := operands[0](row)) is None else int(not value)
    if kind is HavingOperator.IS_NULL:
        return lambda row: int(operands[0](row) is None)
    left, right = operands
    if kind is HavingOperator.NULL_SAFE_EQUAL:
        return lambda row: _null_safe_equal(left(row), right(row))
    compare = _COMPARISONS[kind]
    return lambda row: _compared(compare, left(row), right(row))


def _constant(value: object) -> Evaluate:
    if value is not None and not isinstance(value, int | float | Decimal):
        raise not_supported("HAVING over several shards with a value that is no number", "compare numbers")
    return lambda row: value


def _and(operands: Sequence[Evaluate], row: Mapping[int, Number]) -> Number:
    unknown = False
    for operand in operands:
        value = operand(row)
        if value is None:
            unknown = True
        elif not value:
            return 0
    return None if unknown else 1


def _or(operands: Sequence[Evaluate], row: Mapping[int, Number]) -> Number:
    unknown = False
    for operand in operands:
        value = operand(row)
        if value is None:
            unknown = True
        elif value:
            return 1
    return None if unknown else 0


def _compared(compare: Callable[[Any, Any], bool], left: Number, right: Number) -> Number:
    """As MySQL: exact unless one side is a floating-point number, then both are."""
    if left is None or right is None:
        return None
    if isinstance(left, float) or isinstance(right, float):
        return int(compare(float(left), float(right)))
    return int(compare(left, right))


def _null_safe_equal(left: Number, right: Number) -> Number:
    if left is None or right is None:
        return int(left is right)
    return _compared(operator.eq, left, right)
