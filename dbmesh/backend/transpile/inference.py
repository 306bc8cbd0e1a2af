"""The types of numbers as they are written, and of computed values.

Decides the type of a literal, of arithmetic and of a choice between several values. Source: manual, "Arithmetic
Operators", "Flow Control Functions".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from sqlglot import exp

from dbmesh.backend.transpile import types
from dbmesh.backend.transpile.collations import BINARY, GENERAL_CI
from dbmesh.backend.transpile.refusals import ANYWHERE
from dbmesh.backend.transpile.scope import Typed
from dbmesh.backend.transpile.types import DOUBLE, LONGLONG, NULL, Kind, SqlType


def number_of(text: str) -> tuple[float | str, SqlType]:
    """A number as it stands in a statement: its value, an exact one beyond 64 bits or with a point as text, and its
    type."""
    if "e" in text.lower():
        return float(text), DOUBLE
    if "." not in text and -(2**63) <= int(text) < 2**63:
        return int(text), replace(LONGLONG, length=len(str(int(text))), not_null=True)
    digits = len(text.replace("-", "").replace(".", ""))
    decimals = len(text) - text.index(".") - 1 if "." in text else 0
    return format(Decimal(text), "f"), types.decimal(digits, decimals)


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
        raise ANYWHERE.refusal("a choice between values of these types", "CAST them to one type")
    return types.text(max(length, 20), common_collation(*parts))


def common_collation(*operands: Typed) -> str:
    """The collation texts are compared under: a column's before a literal's, _bin before _ci (manual, "Collation
    Coercibility in Expressions")."""
    columns = [operand for operand in operands if operand.type.kind is Kind.TEXT and not operand.constant]
    collations = {operand.type.collation for operand in columns}
    return BINARY if BINARY in collations else GENERAL_CI
