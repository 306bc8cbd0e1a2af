"""Compiled expressions brought to the form their place needs: conditions, numbers, texts, sort keys, comparisons.

Decides where PostgreSQL's own rules are MySQL's and what has to be written so that they are; what cannot be is refused.
Source: MySQL manual, "Type Conversion in Expression Evaluation", "Comparison Functions and Operators".
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from dbmesh.backend.postgres import names
from dbmesh.backend.postgres import types as postgres_types
from dbmesh.backend.postgres.place import PLACE
from dbmesh.backend.transpile import types
from dbmesh.backend.transpile.coerce import Stored, moment_of, moment_text, number_prefix
from dbmesh.backend.transpile.inference import number_of
from dbmesh.backend.transpile.scope import Typed
from dbmesh.backend.transpile.types import BOOLEAN, DOUBLE, LONGLONG, NULL, Kind
from dbmesh.errors import ShardError

BYTES_ORDER = ' COLLATE "C"'
_EXACT_DOUBLE = 2**53
_NUMBER = re.compile(r"\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\s*", re.ASCII)
_WORD = 9
_INCREMENT = 4


@dataclass(frozen=True, slots=True)
class Condition(Typed):
    """An expression whose SQL is a boolean; MySQL has none, to it the value is 0 or 1."""


@dataclass(frozen=True, slots=True)
class Exact(Typed):
    """A computed exact number. It carries more digits than its type shows, as MySQL's does until it is sent or
    stored: `fraction` is how many behind the point."""

    fraction: int = 0


def fraction_of(operand: Typed) -> int:
    """The digits behind the point an exact number really has."""
    return operand.fraction if isinstance(operand, Exact) else operand.type.decimals


def settled(operand: Typed) -> Typed:
    """The operand with the digits its type shows: what is sent, stored, sorted and grouped by."""
    if fraction_of(operand) <= operand.type.decimals or operand.type.kind is not Kind.DECIMAL:
        return operand
    sql = f"round({operand.sql}, {operand.type.decimals})"
    return Typed(sql, operand.type, aggregate=operand.aggregate)


def quotient(left: Typed, right: Typed, divisor: str, kind: types.SqlType) -> Exact:
    """`left / right` of exact numbers, cut where MySQL cuts it: behind whole words of nine digits. NULL for a zero
    divisor. `divisor` is right's SQL. Source: `do_div_mod` as the manual's "Precision Math" describes its results."""
    first, second = fraction_of(left), fraction_of(right)
    filled = -first % _WORD + -second % _WORD
    produced = first + second + filled + max(_INCREMENT - filled, 0)
    produced += -produced % _WORD
    unit = "0." + "0" * (produced - 1) + "1"
    sql = f"(div(({left.sql})::numeric * 1{'0' * produced}, NULLIF(({divisor})::numeric, 0)) * {unit})"
    return Exact(sql, kind, aggregate=left.aggregate or right.aggregate, fraction=produced)


def conditional(sql: str, *parts: Typed, not_null: bool = False) -> Condition:
    """A truth value computed from others."""
    return Condition(
        f"({sql})", replace(BOOLEAN, not_null=not_null), aggregate=any(part.aggregate for part in parts)
    )


def as_value(operand: Typed) -> Typed:
    """The operand where a value is needed: truth values become 0 and 1."""
    if not isinstance(operand, Condition):
        return operand
    return Typed(f"{operand.sql}::int", operand.type, aggregate=operand.aggregate)


def as_condition(operand: Typed) -> str:
    """The operand where a truth value is needed."""
    if isinstance(operand, Condition):
        return operand.sql
    if operand.type.kind is Kind.NULL:
        return "NULL::boolean"
    return f"({as_number(operand).sql} <> 0)"


def known(value: Stored) -> Typed:
    """A constant."""
    if value is None:
        return Typed("NULL", NULL, constant=True)
    if isinstance(value, float):
        return Typed(names.constant(value, Kind.DOUBLE), DOUBLE, constant=True, value=value)
    if isinstance(value, int):
        kind = replace(LONGLONG, length=max(len(str(value)), 1), not_null=True)
        return Typed(names.constant(value, Kind.INTEGER), kind, constant=True, value=value)
    if isinstance(value, bytes):
        kind = replace(types.BINARY, length=len(value))
        return Typed(names.constant(value, Kind.BINARY), kind, constant=True, value=value)
    return Typed(
        names.constant(value, Kind.TEXT), postgres_types.text(len(value)), constant=True, value=value
    )


def number(text: str) -> Typed:
    """A number as it stands in the statement."""
    value, kind = number_of(text)
    if isinstance(value, str):
        return Typed(f"{names.text(value)}::numeric", kind, constant=True, value=value)
    return known(value)


def as_number(operand: Typed) -> Typed:
    """The operand in a numeric context: constant texts by their leading digits."""
    operand = as_value(operand)
    if operand.type.numeric or operand.type.kind is Kind.NULL:
        return operand
    if operand.constant and isinstance(operand.value, str) and operand.type.kind is Kind.TEXT:
        found = number_prefix(operand.value)
        if not _NUMBER.fullmatch(operand.value):
            # A warning in a SELECT and error 1292 in a write: nothing this place knows about.
            raise PLACE.refusal(f"the text '{operand.value[:20]}' where a number is needed", "write a number")
        return known(int(found) if found == int(found) and abs(found) < _EXACT_DOUBLE else float(found))
    raise PLACE.refusal(f"a {operand.type.kind.value} where a number is needed", "CAST it, or compare a text")


def as_text(operand: Typed) -> Typed:
    """The operand in a text context, as MySQL prints it."""
    operand = as_value(operand)
    kind, sql = operand.type.kind, operand.sql
    if kind in (Kind.TEXT, Kind.NULL):
        return operand
    if kind is Kind.INTEGER:
        sql = f"({sql})::text"
    elif kind is Kind.DECIMAL:
        sql = f"round({sql}, {operand.type.decimals})::text"
    elif kind is Kind.DATE:
        sql = f"to_char({sql}, 'YYYY-MM-DD')"
    elif kind is Kind.DATETIME:
        sql = f"left(to_char({sql}, 'YYYY-MM-DD HH24:MI:SS.US'), {_shown(19, operand.type.decimals)})"
    elif kind is Kind.TIME:
        sql = f"left(to_char({sql}, 'HH24:MI:SS.US'), {_shown(8, operand.type.decimals)})"
    else:
        raise PLACE.refusal(f"a {kind.value} where a text is needed", "CAST it in the application")
    return Typed(sql, postgres_types.text(operand.type.length), aggregate=operand.aggregate)


def _shown(length: int, decimals: int) -> int:
    return length + 1 + decimals if decimals else length


def as_wide(operand: Typed) -> str:
    """A number in the width MySQL computes in: 64 bits."""
    if operand.type.kind is Kind.INTEGER and not operand.constant:
        return f"({operand.sql})::bigint"
    return f"{operand.sql}::bigint" if operand.type.kind is Kind.INTEGER else operand.sql


def sortable(operand: Typed) -> str:
    """SQL that sorts as MySQL does under `utf8mb4_nopad_bin`."""
    operand = as_value(operand)
    return operand.sql + (BYTES_ORDER if operand.type.kind is Kind.TEXT else "")


def sort_key(operand: Typed, *, descending: bool) -> str:
    """One member of ORDER BY; NULL is the lowest value in MySQL and the highest in PostgreSQL."""
    sql = sortable(operand) + (" DESC" if descending else "")
    if operand.type.not_null:
        return sql
    return f"{sql} NULLS {'LAST' if descending else 'FIRST'}"


def compared(operator: str, left: Typed, right: Typed) -> Condition:
    """`left operator right`; `<=>` is the NULL-safe one."""
    left, right = as_value(left), as_value(right)
    word = "IS NOT DISTINCT FROM" if operator == "<=>" else operator
    first, second = _comparable(left, right)
    order = BYTES_ORDER if operator in ("<", "<=", ">", ">=") and Kind.TEXT in _kinds(left, right) else ""
    if _kinds(left, right) - {Kind.NULL} != {Kind.TEXT}:
        order = ""
    return conditional(f"{first} {word} {second}{order}", left, right)


def _kinds(*operands: Typed) -> set[Kind]:
    return {operand.type.kind for operand in operands}


def _comparable(left: Typed, right: Typed) -> tuple[str, str]:
    kinds = _kinds(left, right)
    if Kind.NULL in kinds or len(kinds) == 1:
        return left.sql, right.sql
    if kinds <= {Kind.DATE, Kind.DATETIME, Kind.TEXT} and kinds != {Kind.TEXT}:
        return _moment(left, right), _moment(right, left)
    if Kind.TIME in kinds:
        return _clock(left), _clock(right)
    if kinds == {Kind.BINARY, Kind.TEXT}:
        return _bytes(left), _bytes(right)
    return as_number(left).sql, as_number(right).sql


def _moment(side: Typed, other: Typed) -> str:
    if side.type.kind is not Kind.TEXT:
        return side.sql
    if not side.constant:
        raise PLACE.refusal("comparing a date with a computed text", "CAST the text to DATETIME")
    moment = moment_of(side.value)
    if moment is None:
        word = "DATE" if other.type.kind is Kind.DATE else "DATETIME"
        raise ShardError(1525, "HY000", f"Incorrect {word} value: '{side.value!s}'")
    return names.constant(moment_text(moment, 6), Kind.DATETIME)


def moment(value: Typed) -> Typed:
    """A date or a moment; a constant text as the moment it names. Raises MeshError for a text that names none, whose
    value would be NULL and a warning."""
    if not value.constant or not isinstance(value.value, str):
        return value
    found = moment_of(value.value)
    if found is None:
        raise PLACE.refusal(f"'{value.value[:40]}' as a date", "write it as '2025-01-31 10:30:00'")
    is_day = len(value.value.strip()) <= 10
    shown = f"{found:%Y-%m-%d}" if is_day else f"{found:%Y-%m-%d %H:%M:%S.%f}"
    kind = types.DATE if is_day else types.datetime_of(6 if found.microsecond else 0)
    return Typed(names.constant(shown, kind.kind), kind)


def _clock(side: Typed) -> str:
    if side.type.kind is Kind.TIME:
        return side.sql
    if side.constant and isinstance(side.value, str):
        return names.constant(side.value, Kind.TIME)
    raise PLACE.refusal("comparing TIME with this", "write the time as '10:30:00'")


def _bytes(side: Typed) -> str:
    return side.sql if side.type.kind is Kind.BINARY else f"convert_to({side.sql}, 'UTF8')"


def unified(parts: list[Typed], kind: types.SqlType) -> list[str]:
    """The branches of a choice in the one type it has."""
    if kind.kind is Kind.TEXT:
        return [as_text(part).sql for part in parts]
    return [as_value(part).sql for part in parts]
