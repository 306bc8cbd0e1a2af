"""MySQL expressions to PostgreSQL expressions with types. Every form is handled by name; a form without a handler is
refused, so nothing is ever passed on as a guess.

Decides what an expression means and its type. SELECT's clauses are `selects`' business.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Protocol, cast

from sqlglot import exp

from dbmesh.backend.postgres import aggregates, choices, names
from dbmesh.backend.postgres import types as postgres_types
from dbmesh.backend.postgres.functions import FUNCTIONS
from dbmesh.backend.postgres.place import PLACE
from dbmesh.backend.postgres.values import (
    Exact,
    as_condition,
    as_number,
    as_text,
    as_value,
    as_wide,
    compared,
    conditional,
    fraction_of,
    known,
    moment,
    number,
    quotient,
)
from dbmesh.backend.transpile import types
from dbmesh.backend.transpile.calls import Call, call_of
from dbmesh.backend.transpile.coerce import Stored, number_prefix
from dbmesh.backend.transpile.inference import arithmetic_type
from dbmesh.backend.transpile.scope import Scope, Typed
from dbmesh.backend.transpile.types import DOUBLE, LONGLONG, UNSIGNED, Kind
from dbmesh.errors import ShardError
from dbmesh.sql.typed_literals import is_typed_literal

_COMPARISONS: Mapping[type, str] = {
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
    exp.NullSafeEQ: "<=>",
}
_ARITHMETIC: Mapping[type, str] = {exp.Add: "+", exp.Sub: "-", exp.Mul: "*", exp.Mod: "%", exp.IntDiv: "/"}
_INTEGERS = ("BIGINT", "INT", "UBIGINT", "UINT")
_CHARSETS = ("utf8mb4", "utf8", "utf8mb3")
Nested = Callable[[exp.Expression, Scope], tuple[str, list[Typed]]]


class Environment(Protocol):
    """What expressions ask of the statement around them."""

    def variable(self, name: str, *, user: bool) -> Stored:
        """A system or user variable. Raises MeshError for an unknown one."""
        ...

    def information(self, name: str) -> Stored | tuple[()]:
        """VERSION(), DATABASE() …, or () for another name."""
        ...

    @property
    def letters(self) -> str | None:
        """The server's collation that knows upper and lower case of all letters one by one, None when it has none."""
        ...


class Expressions:
    """Compiles the expressions of one statement; `nested` compiles its subqueries. `values` answers VALUES(column) of
    ON DUPLICATE KEY UPDATE."""

    def __init__(self, environment: Environment, nested: Nested, values: Scope | None = None) -> None:
        self._environment = environment
        self._nested = nested
        self._values = values

    def compile(self, node: exp.Expression, scope: Scope) -> Typed:
        """One expression, perhaps a `Condition`. Raises MeshError (not supported) or ShardError (unknown name …)."""
        kind = type(node)
        if kind in _COMPARISONS:
            return self._comparison(node, scope)
        if kind in _ARITHMETIC:
            return self._arithmetic(node, scope)
        handler = _HANDLERS.get(kind)
        if handler is not None:
            return handler(self, node, scope)
        call = call_of(node)
        if call is None:
            raise PLACE.refused(node)
        return self._call(call, scope)

    def value(self, node: exp.Expression, scope: Scope) -> Typed:
        """An expression as a value."""
        return as_value(self.compile(node, scope))

    def condition(self, node: exp.Expression, scope: Scope) -> str:
        """An expression as a truth value."""
        return as_condition(self.compile(node, scope))

    # ------------------------------------------------------------------ names and literals

    def _column(self, node: exp.Expression, scope: Scope) -> Typed:
        if isinstance(node.this, exp.Star):
            raise PLACE.refused(node)
        return scope.resolve(node.name, node.text("table") or None)

    def _identifier(self, node: exp.Expression, scope: Scope) -> Typed:
        return scope.resolve(node.name, None)

    def _literal(self, node: exp.Expression, scope: Scope) -> Typed:
        return known(node.name) if node.args.get("is_string") else number(node.name)

    def _null(self, node: exp.Expression, scope: Scope) -> Typed:
        return known(None)

    def _boolean(self, node: exp.Expression, scope: Scope) -> Typed:
        return known(int(bool(node.this)))

    def _hex(self, node: exp.Expression, scope: Scope) -> Typed:
        return known(bytes.fromhex("0" * (len(node.name) % 2) + node.name))

    def _introducer(self, node: exp.Expression, scope: Scope) -> Typed:
        name, inner = str(node.this).lower().lstrip("_"), self.compile(node.expression, scope)
        if name == "binary" and isinstance(inner.value, bytes):
            return inner
        if name not in _CHARSETS:
            raise PLACE.refused(node)
        return known(inner.value.decode("utf-8", "replace")) if isinstance(inner.value, bytes) else inner

    def _national(self, node: exp.Expression, scope: Scope) -> Typed:
        return known(node.name)

    def _paren(self, node: exp.Expression, scope: Scope) -> Typed:
        inner = self.compile(node.this, scope)
        return inner if inner.constant or inner.origin else replace(inner, sql=f"({inner.sql})")

    def _session_parameter(self, node: exp.Expression, scope: Scope) -> Typed:
        return known(self._environment.variable(node.name, user=False))

    def _parameter(self, node: exp.Expression, scope: Scope) -> Typed:
        return known(self._environment.variable(node.name, user=True))

    # ------------------------------------------------------------------ operators

    def _comparison(self, node: exp.Expression, scope: Scope) -> Typed:
        if isinstance(node.this, exp.Tuple):
            return self._row_comparison(node, scope)
        if isinstance(node.expression, exp.Any | exp.All):
            raise PLACE.refused(node)
        left, right = self.compile(node.this, scope), self.compile(node.expression, scope)
        return compared(_COMPARISONS[type(node)], left, right)

    def _row_comparison(self, node: exp.Expression, scope: Scope) -> Typed:
        if not isinstance(node, exp.EQ) or not isinstance(node.expression, exp.Tuple):
            raise PLACE.refused(node)
        pairs = zip(node.this.expressions, node.expression.expressions, strict=True)
        parts = [compared("=", self.compile(one, scope), self.compile(other, scope)) for one, other in pairs]
        return conditional(" AND ".join(part.sql for part in parts), *parts)

    def _operands(self, node: exp.Expression, scope: Scope) -> tuple[Typed, Typed]:
        return as_number(self.compile(node.this, scope)), as_number(self.compile(node.expression, scope))

    def _arithmetic(self, node: exp.Expression, scope: Scope) -> Typed:
        if isinstance(node.expression, exp.Interval):
            interval = node.expression
            back = isinstance(node, exp.Sub)
            return self._call(
                Call("SHIFT", (node.this, interval.this), unit=interval.text("unit"), backwards=back), scope
            )
        left, right = self._operands(node, scope)
        if isinstance(node, exp.Sub) and (left.type.unsigned or right.type.unsigned):
            # MySQL refuses a result below zero then (error 1690), PostgreSQL would compute it.
            raise PLACE.refusal("a difference of unsigned numbers", "CAST them AS SIGNED")
        kind = arithmetic_type(type(node), left.type, right.type)
        sides = as_wide(left), as_wide(right)
        sql = f"({sides[0]} {_ARITHMETIC[type(node)]} {sides[1]})"
        if isinstance(node, exp.Mod | exp.IntDiv):
            if Kind.DOUBLE in (left.type.kind, right.type.kind):
                raise PLACE.refusal("DIV and % of floating-point numbers", "CAST them AS DECIMAL")
            divisor = f"NULLIF({sides[1]}, 0)"
            sql = f"({sides[0]} {_ARITHMETIC[type(node)]} {divisor})"
            if isinstance(node, exp.IntDiv) and Kind.DECIMAL in (left.type.kind, right.type.kind):
                sql = f"div({sides[0]}::numeric, {divisor}::numeric)::bigint"
        aggregate = left.aggregate or right.aggregate
        if kind.kind is not Kind.DECIMAL:
            return Typed(sql, kind, aggregate=aggregate)
        digits = fraction_of(left), fraction_of(right)
        fraction = min(sum(digits), 30) if isinstance(node, exp.Mul) else max(digits)
        return Exact(sql, kind, aggregate=aggregate, fraction=fraction)

    def _division(self, node: exp.Expression, scope: Scope) -> Typed:
        left, right = self._operands(node, scope)
        aggregate = left.aggregate or right.aggregate
        if Kind.DOUBLE in (left.type.kind, right.type.kind):
            sql = f"({left.sql}::float8 / NULLIF({right.sql}::float8, 0))"
            return Typed(sql, DOUBLE, aggregate=aggregate)
        decimals = min(left.type.decimals + 4, 30)
        length = left.type.length - left.type.decimals + right.type.decimals + decimals
        return quotient(left, right, right.sql, types.decimal(length, decimals))

    def _negation(self, node: exp.Expression, scope: Scope) -> Typed:
        if isinstance(node.this, exp.Literal) and not node.this.is_string:
            return number("-" + node.this.name)
        inner = as_number(self.compile(node.this, scope))
        sql, kind = f"(- {as_wide(inner)})", replace(inner.type, unsigned=False)
        return Exact(sql, kind, aggregate=inner.aggregate, fraction=fraction_of(inner))

    def _logical(self, node: exp.Expression, scope: Scope) -> Typed:
        word = " AND " if isinstance(node, exp.And) else " OR "
        parts = [self.compile(cast("exp.Expression", part), scope) for part in node.flatten()]
        return conditional(word.join(as_condition(part) for part in parts), *parts)

    def _xor(self, node: exp.Expression, scope: Scope) -> Typed:
        left, right = self.compile(node.this, scope), self.compile(node.expression, scope)
        return conditional(f"{as_condition(left)} <> {as_condition(right)}", left, right)

    def _not(self, node: exp.Expression, scope: Scope) -> Typed:
        inner = self.compile(node.this, scope)
        return conditional(f"NOT {as_condition(inner)}", inner)

    def _is(self, node: exp.Expression, scope: Scope) -> Typed:
        inner = self.compile(node.this, scope)
        if isinstance(node.expression, exp.Null):
            return conditional(f"{inner.sql} IS NULL", inner, not_null=True)
        if isinstance(node.expression, exp.Boolean):
            word = "TRUE" if node.expression.this else "FALSE"
            return conditional(f"{as_condition(inner)} IS {word}", inner, not_null=True)
        raise PLACE.refused(node)

    def _between(self, node: exp.Expression, scope: Scope) -> Typed:
        value = self.compile(node.this, scope)
        low = compared(">=", value, self.compile(node.args["low"], scope))
        high = compared("<=", value, self.compile(node.args["high"], scope))
        return conditional(f"{low.sql} AND {high.sql}", low, high)

    def _in(self, node: exp.Expression, scope: Scope) -> Typed:
        query = node.args.get("query")
        if query is not None:
            return self._in_query(node, query, scope)
        value = node.this
        if isinstance(value, exp.Tuple):
            rows = [
                self._row_comparison(exp.EQ(this=value, expression=row), scope) for row in node.expressions
            ]
            return conditional(" OR ".join(row.sql for row in rows), *rows)
        left = self.value(value, scope)
        members = [self.value(member, scope) for member in node.expressions]
        if not members:
            raise PLACE.refused(node)
        if all(member.constant and member.type.kind in (left.type.kind, Kind.NULL) for member in members):
            return conditional(f"{left.sql} IN ({', '.join(member.sql for member in members)})", left)
        parts = [compared("=", left, member) for member in members]
        return conditional(" OR ".join(part.sql for part in parts), *parts)

    def _in_query(self, node: exp.Expression, query: exp.Expression, scope: Scope) -> Typed:
        members = node.this.expressions if isinstance(node.this, exp.Tuple) else [node.this]
        values = [self.value(member, scope) for member in members]
        sql, columns = self._nested(query, scope)
        if len(columns) != len(values):
            raise ShardError(1241, "21000", f"Operand should contain {len(values)} column(s)")
        for left, right in zip(values, columns, strict=True):
            if left.type.kind is not right.type.kind and not (left.type.numeric and right.type.numeric):
                raise PLACE.refusal("IN (SELECT …) between different types", "CAST to one type")
        return conditional(f"({', '.join(value.sql for value in values)}) IN ({sql})", *values)

    def _exists(self, node: exp.Expression, scope: Scope) -> Typed:
        sql, _ = self._nested(node.this, scope)
        return conditional(f"EXISTS ({sql})", not_null=True)

    def _scalar_query(self, node: exp.Expression, scope: Scope) -> Typed:
        if not isinstance(node.this, exp.Select | exp.Union):
            raise PLACE.refused(node)
        sql, columns = self._nested(node.this, scope)
        if len(columns) != 1:
            raise ShardError(1241, "21000", "Operand should contain 1 column(s)")
        return Typed(f"({sql})", replace(columns[0].type, not_null=False))

    def _like(self, node: exp.Expression, scope: Scope, escape: str = "\\") -> Typed:
        left, right = as_text(self.compile(node.this, scope)), as_text(self.compile(node.expression, scope))
        if not right.constant or str(right.value).endswith(escape):
            raise PLACE.refusal(
                "LIKE with a computed pattern or an escape at its end", "write the pattern out"
            )
        word = "NOT LIKE" if node.args.get("negate") else "LIKE"
        return conditional(f"{left.sql} {word} {right.sql} ESCAPE {names.text(escape)}", left)

    def _escape(self, node: exp.Expression, scope: Scope) -> Typed:
        if not isinstance(node.this, exp.Like) or len(node.expression.name) != 1:
            raise PLACE.refused(node)
        return self._like(node.this, scope, node.expression.name)

    def _collate(self, node: exp.Expression, scope: Scope) -> Typed:
        inner = self.compile(node.this, scope)
        if (
            node.expression.name.lower() not in (postgres_types.COLLATION, "utf8mb4_0900_bin")
            or inner.type.kind is not Kind.TEXT
        ):
            raise PLACE.refusal(f"COLLATE {node.expression.name}", f"use {postgres_types.COLLATION}")
        return inner

    def _cast(self, node: exp.Expression, scope: Scope) -> Typed:
        inner = self.value(node.this, scope)
        target = node.args["to"]
        name = target.this.name if isinstance(target.this, exp.DType) else str(target.this)
        if name == "CHARACTER_SET" and target.args["kind"].name.lower() in _CHARSETS:
            return as_text(inner)
        if name in ("CHAR", "VARCHAR", "TEXT", "NCHAR"):
            text = as_text(inner)
            if not target.expressions:
                return text
            length = int(target.expressions[0].name)
            return replace(
                text, sql=f"left({text.sql}, {length})", type=postgres_types.text(length), constant=False
            )
        if name == "BINARY" and not target.expressions:
            text = as_text(inner) if inner.type.kind is not Kind.BINARY else inner
            sql = inner.sql if inner.type.kind is Kind.BINARY else f"convert_to({text.sql}, 'UTF8')"
            return Typed(sql, replace(types.BINARY, length=text.type.length * 4), aggregate=inner.aggregate)
        return self._cast_number(node, name, inner)

    def _cast_number(self, node: exp.Expression, name: str, inner: Typed) -> Typed:
        texts = inner.constant and isinstance(inner.value, str) and inner.type.kind is Kind.TEXT
        if texts and name in (*_INTEGERS, "DECIMAL", "DOUBLE", "FLOAT64"):
            found = number_prefix(str(inner.value))
            # A text gives the digits it starts with, a number is rounded: '2.9' is 2 and 2.9 is 3.
            inner = known(int(found)) if name in _INTEGERS else number(format(found, "f"))
        if name in _INTEGERS and (inner.type.numeric or inner.type.kind is Kind.NULL):
            # Doubles round half to even, exact numbers half away from zero: PostgreSQL's casts do as MySQL's.
            whole = f"({inner.sql})::bigint"
            if not name.startswith("U"):
                return Typed(whole, LONGLONG, aggregate=inner.aggregate)
            wrapped = f"({whole} + CASE WHEN {whole} < 0 THEN 18446744073709551616 ELSE 0 END)"
            return Typed(wrapped, UNSIGNED, aggregate=inner.aggregate)
        if name in ("DOUBLE", "FLOAT64") and inner.type.numeric:
            return Typed(f"({inner.sql})::float8", DOUBLE, aggregate=inner.aggregate)
        arguments = [part.name for part in node.args["to"].expressions]
        if name == "DECIMAL" and inner.type.numeric and inner.type.kind is not Kind.DOUBLE:
            kind = types.declared(f"decimal({','.join(arguments)})" if arguments else "decimal")[1]
            sql = f"({inner.sql})::numeric({kind.length},{kind.decimals})"
            return Typed(sql, kind, aggregate=inner.aggregate)
        if is_typed_literal(node) and name == "TIME":
            # A text is read as one where it meets one.
            return inner
        if is_typed_literal(node) and name != "DATE":
            name, arguments = "DATETIME", ["6"] if "." in str(inner.value) else []
        if name in ("DATE", "DATETIME") and inner.constant and isinstance(inner.value, str):
            inner = moment(inner)
        if name == "DATE" and inner.type.temporal:
            return Typed(f"({inner.sql})::date", types.DATE, aggregate=inner.aggregate)
        if name == "DATETIME" and inner.type.temporal:
            decimals = int(arguments[0]) if arguments else 0
            sql = f"({inner.sql})::timestamp({decimals})"
            return Typed(sql, types.datetime_of(decimals), aggregate=inner.aggregate)
        raise PLACE.refused(node)

    # ------------------------------------------------------------------ calls

    def _call(self, call: Call, scope: Scope) -> Typed:
        if call.name == "VALUES" and self._values is not None:
            return self._values.resolve(call.arguments[0].name, None)
        if not call.arguments:
            found = self._environment.information(call.name)
            if not isinstance(found, tuple):
                return known(found)
        function = FUNCTIONS.get(call.name)
        if function is None:
            raise PLACE.refusal(f"{call.name}()", "compute it in the application, or use a MySQL data source")
        arguments = [self.value(argument, scope) for argument in call.arguments]
        typed = function(call, arguments, self._environment.letters)
        return replace(typed, aggregate=any(argument.aggregate for argument in arguments))


_Handler = Callable[[Expressions, exp.Expression, Scope], Typed]
_HANDLERS: Mapping[type, _Handler] = {
    exp.Column: Expressions._column,
    exp.Identifier: Expressions._identifier,
    exp.Literal: Expressions._literal,
    exp.Null: Expressions._null,
    exp.Boolean: Expressions._boolean,
    exp.HexString: Expressions._hex,
    exp.Introducer: Expressions._introducer,
    exp.National: Expressions._national,
    exp.Paren: Expressions._paren,
    exp.SessionParameter: Expressions._session_parameter,
    exp.Parameter: Expressions._parameter,
    exp.Div: Expressions._division,
    exp.Neg: Expressions._negation,
    exp.And: Expressions._logical,
    exp.Or: Expressions._logical,
    exp.Xor: Expressions._xor,
    exp.Not: Expressions._not,
    exp.Is: Expressions._is,
    exp.Between: Expressions._between,
    exp.In: Expressions._in,
    exp.Exists: Expressions._exists,
    exp.Subquery: Expressions._scalar_query,
    exp.Like: lambda self, node, scope: self._like(node, scope),
    exp.Escape: Expressions._escape,
    exp.Collate: Expressions._collate,
    exp.If: choices.conditional_value,
    exp.Case: choices.case,
    exp.Coalesce: choices.coalesce,
    exp.Nullif: choices.nullif,
    exp.Greatest: choices.extreme,
    exp.Least: choices.extreme,
    exp.Cast: Expressions._cast,
    exp.Count: aggregates.count,
    exp.Sum: aggregates.total,
    exp.Avg: aggregates.avg,
    exp.Min: aggregates.min_max,
    exp.Max: aggregates.min_max,
    exp.BitwiseXorAgg: aggregates.bit_xor,
}
