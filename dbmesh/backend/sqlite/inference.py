"""Constants, and the types of computed values.

Decides the type of a literal, of arithmetic and of a choice between several values. Source: manual, "Arithmetic
Operators", "Flow Control Functions".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from sqlglot import exp

from dbmesh.backend.sqlite import names, types
from dbmesh.backend.sqlite.coerce import Stored
from dbmesh.backend.sqlite.comparisons import common_collation
from dbmesh.backend.sqlite.scope import Typed
from dbmesh.backend.sqlite.types import DOUBLE, LONGLONG, NULL, Kind, SqlType
from dbmesh.errors import not_supported


def literal(text: str, *, is_string: bool) -> Typed:
    """A string or number as it stands in the statement."""
    if is_string:
        return Typed(names.literal(text), types.text(len(text)), constant=True, value=text)
    if "e" in text.lower():
        return known(float(text))
    if "." in text:
        number = Decimal(text)
        digits = len(text.replace("-", "").replace(".", ""))
        decimals = len(text) - text.index(".") - 1
        shown = format(number, "f")
        return Typed(names.literal(shown), types.decimal(digits, decimals), constant=True, value=shown)
    return known(int(text))


def known(value: Stored) -> Typed:
    """A constant."""
    if value is None:
        return Typed("NULL", NULL, constant=True)
    if isinstance(value, float):
        return Typed(repr(value), DOUBLE, constant=True, value=value)
    if isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            shown = str(value)
            return Typed(names.literal(shown), types.decimal(len(shown), 0), constant=True, value=shown)
        kind = replace(LONGLONG, length=max(len(str(value)), 1), not_null=True)
        return Typed(str(value), kind, constant=True, value=value)
    if isinstance(value, bytes):
        return Typed(
            names.literal(value), replace(types.BINARY, length=len(value)), constant=True, value=value
        )
    return literal(value, is_string=True)


def arithmetic_type(operator: type, left: SqlType, right: SqlType) -> SqlType:
    """The type of a sum, difference, product, remainder or whole quotient."""
    if operator is exp.IntDiv:
        return LONGLONG
    if Kind.DOUBLE in (left.kind, right.kind):
        return DOUBLE
    if Kind.DECIMAL not in (left.kind, right.kind):
        return LONGLONG
    if operator is exp.Mul:
        return types.decimal(left.length + right.length, left.decimals + right.decimals)
    decimals = max(left.decimals, right.decimals)
    whole = max(left.length - left.decimals, right.length - right.decimals)
    return types.decimal(whole + decimals + 1, decimals)


def common_type(parts: Sequence[Typed]) -> SqlType:
    """The type of a choice between several (manual, "Flow Control Functions")."""
    found = [part.type for part in parts if part.type.kind is not Kind.NULL]
    nullable = len(found) < len(parts) or any(not kind.not_null for kind in found)
    if not found:
        return NULL
    kinds = {kind.kind for kind in found}
    length = max(kind.length for kind in found)
    if len(kinds) == 1:
        decimals = max(kind.decimals for kind in found)
        result = found[0] if found[0].kind is not Kind.TEXT else types.text(length, common_collation(*parts))
        if result.kind is Kind.INTEGER:
            result = replace(LONGLONG, unsigned=all(kind.unsigned for kind in found))
        return replace(result, length=length, decimals=max(decimals, result.decimals), not_null=not nullable)
    if kinds <= {Kind.INTEGER, Kind.DECIMAL}:
        decimals = max(kind.decimals for kind in found)
        whole = max(kind.length - kind.decimals for kind in found)
        return replace(types.decimal(whole + decimals, decimals), not_null=not nullable)
    if kinds <= {Kind.INTEGER, Kind.DECIMAL, Kind.DOUBLE}:
        return replace(DOUBLE, not_null=not nullable)
    if Kind.BINARY in kinds or Kind.JSON in kinds or Kind.DOUBLE in kinds:
        raise not_supported(
            "a choice between values of these types on the embedded SQLite data source",
            "CAST them to one type",
        )
    return types.text(max(length, 20), common_collation(*parts))
