"""Comparing expressions of any two types as MySQL does, in SQLite's terms.

Decides which comparison SQLite can do by itself (and by index) and which goes through a function. Source: manual,
"Type Conversion in Expression Evaluation", "Comparison Functions and Operators".
"""

from __future__ import annotations

from dbmesh.backend.sqlite import names, temporal
from dbmesh.backend.sqlite.collation import DECIMAL
from dbmesh.backend.sqlite.place import PLACE
from dbmesh.backend.transpile.coerce import moment_of, moment_text, number_prefix
from dbmesh.backend.transpile.inference import common_collation
from dbmesh.backend.transpile.scope import Typed
from dbmesh.backend.transpile.types import BOOLEAN, DOUBLE, Kind
from dbmesh.errors import ShardError

_INEXACT = 2**53


def compared(operator: str, left: Typed, right: Typed) -> Typed:
    """`left operator right` for =, <>, <, <=, >, >=, IS, IS NOT (the last two for the NULL-safe operator)."""
    return Typed(
        f"({_compared(operator, left, right)})", BOOLEAN, aggregate=left.aggregate or right.aggregate
    )


def _compared(operator: str, left: Typed, right: Typed) -> str:
    kinds = {left.type.kind, right.type.kind}
    if Kind.NULL in kinds:
        return f"{left.sql} {operator} {right.sql}"
    if Kind.JSON in kinds:
        raise PLACE.refusal("comparing JSON", "compare a text or a number")
    if kinds == {Kind.TEXT}:
        return _texts(operator, left, right)
    if kinds & {Kind.DATE, Kind.DATETIME}:
        return _moments(operator, left, right)
    if Kind.TIME in kinds:
        if kinds == {Kind.TIME} and operator in ("=", "<>"):
            return f"{left.sql} {operator} {right.sql}"
        raise PLACE.refusal("comparing TIME", "use DATETIME, or a MySQL data source")
    if Kind.BINARY in kinds and kinds <= {Kind.BINARY, Kind.TEXT}:
        return (
            f"mysql_bytes({left.sql}) {operator} mysql_bytes({right.sql})"
            if kinds != {Kind.BINARY}
            else (f"{left.sql} {operator} {right.sql}")
        )
    return _numbers(operator, as_number(left), as_number(right))


def as_number(operand: Typed) -> Typed:
    """An operand in a numeric context: texts by their leading digits, as doubles."""
    if operand.type.numeric or operand.type.kind is Kind.NULL:
        return operand
    if operand.type.kind in (Kind.TEXT, Kind.BINARY):
        if operand.constant and isinstance(operand.value, str):
            value = number_prefix(operand.value)
            if value == int(value) and abs(value) < _INEXACT:
                return Typed(str(int(value)), BOOLEAN, constant=True, value=int(value))
            return Typed(repr(float(value)), DOUBLE, constant=True, value=float(value))
        return Typed(f"mysql_number({operand.sql})", DOUBLE, aggregate=operand.aggregate)
    raise PLACE.refusal(
        f"a {operand.type.kind.value} where a number is needed",
        "convert it with UNIX_TIMESTAMP, YEAR, DATEDIFF …",
    )


def _numbers(operator: str, left: Typed, right: Typed) -> str:
    if Kind.DECIMAL not in (left.type.kind, right.type.kind):
        return f"{left.sql} {operator} {right.sql}"
    for one, other in ((left, right), (right, left)):
        if one.origin is not None and (other.constant or other.origin is not None):
            if other.constant and not isinstance(other.value, float):
                return " ".join(
                    (names.literal(str(side.value)) if side is other else side.sql) if side else operator
                    for side in (left, None, right)
                )
            if other.origin is not None and other.type.kind is Kind.DECIMAL:
                return f"{left.sql} {operator} {right.sql}"
    return _by_sign(f"mysql_compare({left.sql}, {right.sql})", operator, left, right)


def _by_sign(sign: str, operator: str, left: Typed, right: Typed) -> str:
    if operator == "IS":
        return f"CASE WHEN {left.sql} IS NULL OR {right.sql} IS NULL THEN {left.sql} IS {right.sql} ELSE {sign} = 0 END"
    return f"{sign} {operator} 0"


def _texts(operator: str, left: Typed, right: Typed) -> str:
    collation = common_collation(left, right)
    plain = (left.origin or right.origin) and not (left.origin and right.origin and left.type != right.type)
    if plain:
        return f"{left.sql} {operator} {right.sql}"
    return f"{left.sql} COLLATE {collation} {operator} {right.sql}"


def _moments(operator: str, left: Typed, right: Typed) -> str:
    sides = []
    for side, other in ((left, right), (right, left)):
        sides.append(_moment_side(side, other))
    return f"{sides[0]} {operator} {sides[1]}"


def _moment_side(side: Typed, other: Typed) -> str:
    """One side as text that orders as moments do."""
    if side.type.kind not in (Kind.DATE, Kind.DATETIME, Kind.TEXT):
        raise PLACE.refusal(
            "comparing a date with a number",
            "write the date as '2025-01-31'",
        )
    if side.constant:
        moment = moment_of(side.value)
        if moment is None:
            kind = "DATE" if other.type.kind is Kind.DATE else "DATETIME"
            raise ShardError(1525, "HY000", f"Incorrect {kind} value: '{side.value!s}'")
        if other.type.kind is Kind.DATE and not (
            moment.hour or moment.minute or moment.second or moment.microsecond
        ):
            return names.literal(moment_text(moment, 0)[:10])
        return names.literal(temporal.moment_key(side.value))
    same = other.type.kind is side.type.kind
    if side.type.kind is Kind.DATE and (same or _is_day(other)):
        return side.sql
    if side.type.kind is Kind.DATETIME and not side.type.decimals and side.origin is not None:
        return side.sql
    return f"mysql_moment({side.sql})"


def _is_day(operand: Typed) -> bool:
    if not operand.constant:
        return False
    moment = moment_of(operand.value)
    return moment is not None and not (moment.hour or moment.minute or moment.second or moment.microsecond)


def sortable(operand: Typed) -> str:
    """SQL that sorts, groups and tells apart as MySQL does. Stored columns carry their collation themselves."""
    kind = operand.type.kind
    if kind is Kind.JSON:
        raise PLACE.refusal("sorting by JSON", "sort by a text or a number")
    if kind is Kind.TIME:
        raise PLACE.refusal("sorting by TIME", "use DATETIME")
    if operand.origin is not None:
        return operand.sql
    if kind is Kind.TEXT:
        return f"{operand.sql} COLLATE {operand.type.collation}"
    if kind is Kind.DECIMAL:
        return f"{operand.sql} COLLATE {DECIMAL}"
    return operand.sql


def condition(operand: Typed) -> str:
    """An operand where a truth value is needed."""
    if operand.type.kind in (Kind.INTEGER, Kind.DOUBLE, Kind.NULL):
        return operand.sql
    return f"mysql_truth({as_number(operand).sql})"
