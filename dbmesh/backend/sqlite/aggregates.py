"""Aggregate functions for SQLite: COUNT, SUM, AVG, MIN, MAX.

Decides their text and type. What their arguments mean is `expressions`' business.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sqlglot import exp

from dbmesh.backend.sqlite.comparisons import as_number, sortable
from dbmesh.backend.sqlite.place import PLACE
from dbmesh.backend.transpile import types
from dbmesh.backend.transpile.scope import Scope, Typed
from dbmesh.backend.transpile.types import COUNT, DOUBLE, Kind

if TYPE_CHECKING:
    from dbmesh.backend.sqlite.expressions import Expressions


def count(compiler: Expressions, node: exp.Expression, scope: Scope) -> Typed:
    """COUNT."""
    inner = node.this
    if isinstance(inner, exp.Star):
        return Typed("count(*)", COUNT, aggregate=True)
    if isinstance(inner, exp.Distinct):
        if len(inner.expressions) != 1:
            raise PLACE.refusal(
                "COUNT(DISTINCT a, b)",
                "count the rows of SELECT DISTINCT a, b",
            )
        return Typed(
            f"count(DISTINCT {sortable(compiler.compile(inner.expressions[0], scope))})",
            COUNT,
            aggregate=True,
        )
    return Typed(f"count({compiler.compile(inner, scope).sql})", COUNT, aggregate=True)


def total(compiler: Expressions, node: exp.Expression, scope: Scope) -> Typed:
    """SUM."""
    argument, distinct = _aggregated(compiler, node, scope)
    number = as_number(argument)
    if number.type.kind is Kind.DOUBLE:
        return Typed(f"sum({distinct}{number.sql})", DOUBLE, aggregate=True)
    kind = types.decimal(number.type.length + 22, number.type.decimals)
    return Typed(f"mysql_sum({distinct}{sortable(number)})", kind, aggregate=True)


def avg(compiler: Expressions, node: exp.Expression, scope: Scope) -> Typed:
    """AVG."""
    argument, distinct = _aggregated(compiler, node, scope)
    number = as_number(argument)
    if distinct:
        raise PLACE.refusal("AVG(DISTINCT)", "average a SELECT DISTINCT")
    if number.type.kind is Kind.DOUBLE:
        return Typed(f"avg({number.sql})", DOUBLE, aggregate=True)
    decimals = min(number.type.decimals + 4, 30)
    kind = types.decimal(number.type.length + 4, decimals)
    return Typed(f"mysql_avg({number.sql}, {decimals})", kind, aggregate=True)


def min_max(compiler: Expressions, node: exp.Expression, scope: Scope) -> Typed:
    """MIN and MAX."""
    if node.expressions:
        raise PLACE.refused(node)
    argument, _ = _aggregated(compiler, node, scope)
    name = "min" if isinstance(node, exp.Min) else "max"
    return Typed(f"{name}({sortable(argument)})", replace(argument.type, not_null=False), aggregate=True)


def _aggregated(compiler: Expressions, node: exp.Expression, scope: Scope) -> tuple[Typed, str]:
    inner = node.this
    if isinstance(inner, exp.Distinct):
        if len(inner.expressions) != 1:
            raise PLACE.refused(node)
        return compiler.compile(inner.expressions[0], scope), "DISTINCT "
    return compiler.compile(inner, scope), ""
