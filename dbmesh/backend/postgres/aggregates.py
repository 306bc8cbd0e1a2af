"""Aggregate functions for PostgreSQL: COUNT, SUM, AVG, MIN, MAX, BIT_XOR.

Decides their text and type. What their arguments mean is `expressions`' business.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sqlglot import exp

from dbmesh.backend.postgres.place import PLACE
from dbmesh.backend.postgres.values import (
    Exact,
    as_number,
    fraction_of,
    known,
    quotient,
    sortable,
)
from dbmesh.backend.transpile import types
from dbmesh.backend.transpile.scope import Scope, Typed
from dbmesh.backend.transpile.types import COUNT, DOUBLE, UNSIGNED, Kind

if TYPE_CHECKING:
    from dbmesh.backend.postgres.expressions import Expressions


def count(compiler: Expressions, node: exp.Expression, scope: Scope) -> Typed:
    """COUNT."""
    inner = node.this
    if isinstance(inner, exp.Star):
        return Typed("count(*)", COUNT, aggregate=True)
    if isinstance(inner, exp.Distinct):
        if len(inner.expressions) != 1:
            raise PLACE.refusal("COUNT(DISTINCT a, b)", "count the rows of SELECT DISTINCT a, b")
        return Typed(
            f"count(DISTINCT {compiler.value(inner.expressions[0], scope).sql})", COUNT, aggregate=True
        )
    return Typed(f"count({compiler.value(inner, scope).sql})", COUNT, aggregate=True)


def bit_xor(compiler: Expressions, node: exp.Expression, scope: Scope) -> Typed:
    """BIT_XOR of integers."""
    argument, distinct = _aggregated(compiler, node, scope)
    if argument.type.kind is not Kind.INTEGER:
        raise PLACE.refusal("BIT_XOR of what is no integer", "CAST it")
    combined = f"coalesce(bit_xor({distinct}({argument.sql})::bigint), 0)"
    wrapped = f"({combined} + CASE WHEN {combined} < 0 THEN 18446744073709551616 ELSE 0 END)"
    return Typed(wrapped, replace(UNSIGNED, not_null=True), aggregate=True)


def total(compiler: Expressions, node: exp.Expression, scope: Scope) -> Typed:
    """SUM."""
    argument, distinct = _aggregated(compiler, node, scope)
    if argument.type.kind is Kind.DOUBLE:
        return Typed(f"sum({distinct}{argument.sql}::float8)", DOUBLE, aggregate=True)
    kind = types.decimal(argument.type.length + 22, argument.type.decimals)
    sql = f"sum({distinct}({argument.sql})::numeric)"
    return Exact(sql, kind, aggregate=True, fraction=fraction_of(argument))


def avg(compiler: Expressions, node: exp.Expression, scope: Scope) -> Typed:
    """AVG."""
    argument, distinct = _aggregated(compiler, node, scope)
    if argument.type.kind is Kind.DOUBLE:
        return Typed(f"avg({distinct}{argument.sql}::float8)", DOUBLE, aggregate=True)
    decimals = min(argument.type.decimals + 4, 30)
    total = Exact(
        f"sum({distinct}({argument.sql})::numeric)",
        argument.type,
        aggregate=True,
        fraction=fraction_of(argument),
    )
    kind = types.decimal(argument.type.length + 4, decimals)
    return quotient(total, known(0), f"count({distinct}{argument.sql})", kind)


def min_max(compiler: Expressions, node: exp.Expression, scope: Scope) -> Typed:
    """MIN and MAX."""
    inner = node.this
    argument = compiler.value(inner.expressions[0] if isinstance(inner, exp.Distinct) else inner, scope)
    if node.expressions:
        raise PLACE.refused(node)
    name = "min" if isinstance(node, exp.Min) else "max"
    sql = f"{name}({sortable(argument)})"
    if argument.type.kind is Kind.BINARY:
        # PostgreSQL has no least bytes; their hexadecimal digits order as they do.
        sql = f"decode({name}(encode({argument.sql}, 'hex') COLLATE \"C\"), 'hex')"
    return Typed(sql, replace(argument.type, not_null=False), aggregate=True)


def _aggregated(compiler: Expressions, node: exp.Expression, scope: Scope) -> tuple[Typed, str]:
    inner = node.this
    if isinstance(inner, exp.Distinct):
        if len(inner.expressions) != 1:
            raise PLACE.refused(node)
        return as_number(compiler.compile(inner.expressions[0], scope)), "DISTINCT "
    return as_number(compiler.compile(inner, scope)), ""
