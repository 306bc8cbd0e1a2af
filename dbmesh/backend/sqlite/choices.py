"""Expressions that choose one of several values, for SQLite: IF, CASE, COALESCE, NULLIF, GREATEST, LEAST.

Decides their text and common type. What their parts mean is `expressions`' business.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sqlglot import exp

from dbmesh.backend.sqlite.comparisons import compared, condition
from dbmesh.backend.sqlite.place import PLACE
from dbmesh.backend.transpile.inference import common_collation, common_type
from dbmesh.backend.transpile.scope import Scope, Typed
from dbmesh.backend.transpile.types import NULL, Kind

if TYPE_CHECKING:
    from dbmesh.backend.sqlite.expressions import Expressions


def conditional_value(compiler: Expressions, node: exp.Expression, scope: Scope) -> Typed:
    """IF."""
    otherwise = node.args.get("false")
    if otherwise is not None and node.this == exp.Literal.number(0):
        # How the planner writes what the session answers: the branch left out is a function of MySQL's servers.
        return compiler.compile(otherwise, scope)
    branches = [compiler.compile(node.args["true"], scope)]
    branches.append(compiler.compile(otherwise, scope) if otherwise is not None else Typed("NULL", NULL))
    test = compiler.compile(node.this, scope)
    sql = f"CASE WHEN {condition(test)} THEN {branches[0].sql} ELSE {branches[1].sql} END"
    return Typed(sql, common_type(branches), aggregate=any(part.aggregate for part in (test, *branches)))


def case(compiler: Expressions, node: exp.Expression, scope: Scope) -> Typed:
    """CASE."""
    subject = node.args.get("this")
    value = None if subject is None else compiler.compile(subject, scope)
    results, parts = [], []
    for branch in node.args["ifs"]:
        test = compiler.compile(branch.this, scope)
        result = compiler.compile(branch.args["true"], scope)
        when = condition(test) if value is None else compared("=", value, test).sql
        parts.append(f"WHEN {when} THEN {result.sql}")
        results.append(replace(result, aggregate=result.aggregate or test.aggregate))
    default = node.args.get("default")
    results.append(Typed("NULL", NULL) if default is None else compiler.compile(default, scope))
    sql = f"CASE {' '.join(parts)} ELSE {results[-1].sql} END"
    return Typed(sql, common_type(results), aggregate=any(result.aggregate for result in results))


def coalesce(compiler: Expressions, node: exp.Expression, scope: Scope) -> Typed:
    """COALESCE and IFNULL."""
    parts = [compiler.compile(part, scope) for part in (node.this, *node.expressions)]
    sql = f"coalesce({', '.join(part.sql for part in parts)})" if len(parts) > 1 else parts[0].sql
    kind = replace(common_type(parts), not_null=any(part.type.not_null for part in parts))
    return Typed(sql, kind, aggregate=any(part.aggregate for part in parts))


def nullif(compiler: Expressions, node: exp.Expression, scope: Scope) -> Typed:
    """NULLIF."""
    left, right = compiler.compile(node.this, scope), compiler.compile(node.expression, scope)
    sql = f"CASE WHEN {compared('=', left, right).sql} THEN NULL ELSE {left.sql} END"
    return Typed(sql, replace(left.type, not_null=False), aggregate=left.aggregate)


def extreme(compiler: Expressions, node: exp.Expression, scope: Scope) -> Typed:
    """GREATEST and LEAST."""
    parts = [compiler.compile(part, scope) for part in (node.this, *node.expressions)]
    kinds = {part.type.kind for part in parts}
    if not kinds <= {Kind.INTEGER, Kind.DOUBLE} and kinds not in ({Kind.DATE}, {Kind.TEXT}):
        raise PLACE.refused(node)
    name = "max" if isinstance(node, exp.Greatest) else "min"
    first = f" COLLATE {common_collation(*parts)}" if kinds == {Kind.TEXT} else ""
    arguments = ", ".join(part.sql + (first if part is parts[0] else "") for part in parts)
    return Typed(f"{name}({arguments})", common_type(parts))
