"""Expressions that choose one of several values, for PostgreSQL: IF, CASE, COALESCE, NULLIF, GREATEST, LEAST.

Decides their text and common type. What their parts mean is `expressions`' business.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sqlglot import exp

from dbmesh.backend.postgres import types as postgres_types
from dbmesh.backend.postgres.place import PLACE
from dbmesh.backend.postgres.values import (
    as_condition,
    compared,
    known,
    unified,
)
from dbmesh.backend.transpile import types
from dbmesh.backend.transpile.inference import common_type
from dbmesh.backend.transpile.scope import Scope, Typed
from dbmesh.backend.transpile.types import NULL, Kind

if TYPE_CHECKING:
    from dbmesh.backend.postgres.expressions import Expressions


def _chosen(parts: list[Typed]) -> tuple[list[str], types.SqlType]:
    kind = common_type(parts)
    if kind.kind is Kind.TEXT:
        kind = replace(kind, collation=postgres_types.COLLATION)
    return unified(parts, kind), kind


def conditional_value(compiler: Expressions, node: exp.Expression, scope: Scope) -> Typed:
    """IF."""
    otherwise = node.args.get("false")
    if otherwise is not None and node.this == exp.Literal.number(0):
        # How the planner writes what the session answers: the branch left out is a function of MySQL's servers.
        return compiler.compile(otherwise, scope)
    test = compiler.compile(node.this, scope)
    branches = [compiler.value(node.args["true"], scope)]
    branches.append(compiler.value(otherwise, scope) if otherwise is not None else Typed("NULL", NULL))
    sql, kind = _chosen(branches)
    return Typed(
        f"CASE WHEN {as_condition(test)} THEN {sql[0]} ELSE {sql[1]} END",
        kind,
        aggregate=any(part.aggregate for part in (test, *branches)),
    )


def case(compiler: Expressions, node: exp.Expression, scope: Scope) -> Typed:
    """CASE."""
    subject = node.args.get("this")
    value = None if subject is None else compiler.compile(subject, scope)
    tests, results = [], []
    for branch in node.args["ifs"]:
        test = compiler.compile(branch.this, scope)
        tests.append(test if value is None else compared("=", value, test))
        results.append(compiler.value(branch.args["true"], scope))
    default = node.args.get("default")
    results.append(Typed("NULL", NULL) if default is None else compiler.value(default, scope))
    texts, kind = _chosen(results)
    parts = [f"WHEN {as_condition(test)} THEN {text}" for test, text in zip(tests, texts[:-1], strict=True)]
    sql = f"CASE {' '.join(parts)} ELSE {texts[-1]} END"
    return Typed(sql, kind, aggregate=any(part.aggregate for part in (*tests, *results)))


def coalesce(compiler: Expressions, node: exp.Expression, scope: Scope) -> Typed:
    """COALESCE and IFNULL."""
    parts = [compiler.value(part, scope) for part in (node.this, *node.expressions)]
    texts, kind = _chosen(parts)
    return Typed(
        f"coalesce({', '.join(texts)})",
        replace(kind, not_null=any(part.type.not_null for part in parts)),
        aggregate=any(part.aggregate for part in parts),
    )


def nullif(compiler: Expressions, node: exp.Expression, scope: Scope) -> Typed:
    """NULLIF."""
    left, right = compiler.value(node.this, scope), compiler.value(node.expression, scope)
    sql = f"CASE WHEN {compared('=', left, right).sql} THEN NULL ELSE {left.sql} END"
    return Typed(sql, replace(left.type, not_null=False), aggregate=left.aggregate)


def extreme(compiler: Expressions, node: exp.Expression, scope: Scope) -> Typed:
    """GREATEST and LEAST."""
    parts = [compiler.value(part, scope) for part in (node.this, *node.expressions)]
    kinds = {part.type.kind for part in parts}
    if Kind.NULL in kinds:
        return known(None)
    if not kinds <= {Kind.INTEGER, Kind.DECIMAL} and kinds not in ({Kind.DATE}, {Kind.DOUBLE}):
        raise PLACE.refused(node)
    name = "greatest" if isinstance(node, exp.Greatest) else "least"
    nulls = " OR ".join(f"{part.sql} IS NULL" for part in parts)
    sql = f"CASE WHEN {nulls} THEN NULL ELSE {name}({', '.join(part.sql for part in parts)}) END"
    return Typed(sql, common_type(parts), aggregate=any(part.aggregate for part in parts))
