"""MySQL expressions to SQLite expressions with types. Every form is handled by name; a form without a handler is
refused, so nothing is ever passed on as a guess.

Decides what an expression means and its type. SELECT's clauses are `selects`' business.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Protocol, cast

from sqlglot import exp

from dbmesh.backend.sqlite import aggregates, choices, names
from dbmesh.backend.sqlite.calls import FUNCTION_READERS
from dbmesh.backend.sqlite.comparisons import as_number, compared, condition
from dbmesh.backend.sqlite.constants import known, literal
from dbmesh.backend.sqlite.place import PLACE
from dbmesh.backend.transpile import types
from dbmesh.backend.transpile.calls import Call, call_of
from dbmesh.backend.transpile.coerce import Coercion, Stored
from dbmesh.backend.transpile.collations import TEXT_COLLATIONS
from dbmesh.backend.transpile.inference import arithmetic_type, common_collation
from dbmesh.backend.transpile.scope import Scope, Typed
from dbmesh.backend.transpile.types import BOOLEAN, DOUBLE, LONGLONG, NULL, UNSIGNED, Kind
from dbmesh.errors import ShardError
from dbmesh.sql.typed_literals import is_typed_literal

_COMPARISONS: Mapping[type, str] = {
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
    exp.NullSafeEQ: "IS",
}
_ARITHMETIC: Mapping[type, str] = {
    exp.Add: "add",
    exp.Sub: "subtract",
    exp.Mul: "multiply",
    exp.Mod: "modulo",
    exp.IntDiv: "whole_quotient",
}
_BITS: Mapping[type, str] = {
    exp.BitwiseAnd: "and",
    exp.BitwiseOr: "or",
    exp.BitwiseXor: "xor",
    exp.BitwiseLeftShift: "left",
    exp.BitwiseRightShift: "right",
}


Nested = Callable[[exp.Expression, Scope], tuple[str, list[Typed]]]


class Environment(Protocol):
    """What expressions ask of the statement around them."""

    def variable(self, name: str, *, user: bool) -> Stored:
        """A system or user variable. Raises MeshError for an unknown one."""
        ...

    def information(self, name: str) -> Typed | None:
        """VERSION(), DATABASE() …, or None for another name."""
        ...

    def subquery(self, query: exp.Expression, scope: Scope) -> tuple[str, list[Typed]]:
        """A nested SELECT: its SQL without brackets, and its columns."""
        ...

    def register(self, coercion: Coercion) -> str:
        """The key under which `mysql_store` and `mysql_cast` find a coercion."""
        ...


class Expressions:
    """Compiles the expressions of one statement. `values` answers VALUES(column) of ON DUPLICATE KEY UPDATE; `nested`
    compiles subqueries where the statement has names of its own for them."""

    def __init__(
        self, environment: Environment, values: Scope | None = None, nested: Nested | None = None
    ) -> None:
        self._environment = environment
        self._values = values
        self._nested = nested or environment.subquery

    def compile(self, node: exp.Expression, scope: Scope) -> Typed:
        """One expression. Raises MeshError (not supported) or ShardError (unknown name …)."""
        kind = type(node)
        if kind in _COMPARISONS:
            return self._comparison(node, scope)
        if kind in _ARITHMETIC:
            return self._arithmetic(node, scope)
        handler = _HANDLERS.get(kind)
        if handler is not None:
            return handler(self, node, scope)
        call = call_of(node)
        if call is not None:
            return self._call(call, scope)
        raise PLACE.refused(node)

    def condition(self, node: exp.Expression, scope: Scope) -> str:
        """An expression as a truth value."""
        return condition(self.compile(node, scope))

    # ------------------------------------------------------------------ names and literals

    def _column(self, node: exp.Expression, scope: Scope) -> Typed:
        if isinstance(node.this, exp.Star):
            raise PLACE.refused(node)
        return scope.resolve(node.name, node.text("table") or None)

    def _identifier(self, node: exp.Expression, scope: Scope) -> Typed:
        return scope.resolve(node.name, None)

    def _literal(self, node: exp.Expression, scope: Scope) -> Typed:
        return literal(node.name, is_string=bool(node.args.get("is_string")))

    def _null(self, node: exp.Expression, scope: Scope) -> Typed:
        return Typed("NULL", NULL, constant=True)

    def _boolean(self, node: exp.Expression, scope: Scope) -> Typed:
        value = int(bool(node.this))
        return Typed(str(value), BOOLEAN, constant=True, value=value)

    def _hex(self, node: exp.Expression, scope: Scope) -> Typed:
        digits = node.name
        value = bytes.fromhex("0" * (len(digits) % 2) + digits)
        return Typed(
            names.literal(value), replace(types.BINARY, length=len(value)), constant=True, value=value
        )

    def _introducer(self, node: exp.Expression, scope: Scope) -> Typed:
        if str(node.this).lower() not in ("_utf8mb4", "_utf8", "_utf8mb3"):
            raise PLACE.refused(node)
        return self.compile(node.expression, scope)

    def _national(self, node: exp.Expression, scope: Scope) -> Typed:
        return literal(node.name, is_string=True)

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
        parts = [
            compared("=", self.compile(left, scope), self.compile(right, scope)).sql for left, right in pairs
        ]
        return Typed(f"({' AND '.join(parts)})", BOOLEAN)

    def _arithmetic(self, node: exp.Expression, scope: Scope) -> Typed:
        if isinstance(node.expression, exp.Interval):
            interval = node.expression
            back = isinstance(node, exp.Sub)
            return self._call(
                Call("SHIFT", (node.this, interval.this), unit=interval.text("unit"), backwards=back), scope
            )
        left, right = (
            as_number(self.compile(node.this, scope)),
            as_number(self.compile(node.expression, scope)),
        )
        kind = arithmetic_type(type(node), left.type, right.type)
        name = _ARITHMETIC[type(node)]
        return Typed(
            f"mysql_{name}({left.sql}, {right.sql})", kind, aggregate=left.aggregate or right.aggregate
        )

    def _bits(self, node: exp.Expression, scope: Scope) -> Typed:
        left, right = (
            as_number(self.compile(node.this, scope)),
            as_number(self.compile(node.expression, scope)),
        )
        sql = f"mysql_bits_{_BITS[type(node)]}({left.sql}, {right.sql})"
        kind = replace(LONGLONG, unsigned=True)
        return Typed(sql, kind, aggregate=left.aggregate or right.aggregate)

    def _division(self, node: exp.Expression, scope: Scope) -> Typed:
        left, right = (
            as_number(self.compile(node.this, scope)),
            as_number(self.compile(node.expression, scope)),
        )
        if Kind.DOUBLE in (left.type.kind, right.type.kind):
            kind, decimals = DOUBLE, 0
        else:
            decimals = min(left.type.decimals + 4, 30)
            kind = types.decimal(
                left.type.length - left.type.decimals + right.type.decimals + decimals, decimals
            )
        sql = f"mysql_divide({left.sql}, {right.sql}, {decimals})"
        return Typed(sql, kind, aggregate=left.aggregate or right.aggregate)

    def _negation(self, node: exp.Expression, scope: Scope) -> Typed:
        if isinstance(node.this, exp.Literal) and not node.this.is_string:
            return literal("-" + node.this.name, is_string=False)
        inner = as_number(self.compile(node.this, scope))
        return Typed(f"mysql_negate({inner.sql})", inner.type, aggregate=inner.aggregate)

    def _logical(self, node: exp.Expression, scope: Scope) -> Typed:
        word = "AND" if isinstance(node, exp.And) else "OR"
        parts = [self.compile(cast("exp.Expression", part), scope) for part in node.flatten()]
        joined = f" {word} ".join(condition(part) for part in parts)
        return Typed(f"({joined})", BOOLEAN, aggregate=any(part.aggregate for part in parts))

    def _xor(self, node: exp.Expression, scope: Scope) -> Typed:
        left, right = self.condition(node.this, scope), self.condition(node.expression, scope)
        return Typed(f"(({left} <> 0) <> ({right} <> 0))", BOOLEAN)

    def _not(self, node: exp.Expression, scope: Scope) -> Typed:
        inner = self.compile(node.this, scope)
        return Typed(f"(NOT {condition(inner)})", BOOLEAN, aggregate=inner.aggregate)

    def _is(self, node: exp.Expression, scope: Scope) -> Typed:
        inner = self.compile(node.this, scope)
        if isinstance(node.expression, exp.Null):
            return Typed(f"({inner.sql} IS NULL)", replace(BOOLEAN, not_null=True), aggregate=inner.aggregate)
        if isinstance(node.expression, exp.Boolean):
            word = "TRUE" if node.expression.this else "FALSE"
            return Typed(
                f"({condition(inner)} IS {word})", replace(BOOLEAN, not_null=True), aggregate=inner.aggregate
            )
        raise PLACE.refused(node)

    def _between(self, node: exp.Expression, scope: Scope) -> Typed:
        value = self.compile(node.this, scope)
        low, high = self.compile(node.args["low"], scope), self.compile(node.args["high"], scope)
        sql = f"({compared('>=', value, low).sql} AND {compared('<=', value, high).sql})"
        return Typed(sql, BOOLEAN, aggregate=value.aggregate)

    def _in(self, node: exp.Expression, scope: Scope) -> Typed:
        query = node.args.get("query")
        if query is not None:
            return self._in_query(node, query, scope)
        value = node.this
        if isinstance(value, exp.Tuple):
            parts = [
                self._row_comparison(exp.EQ(this=value, expression=row), scope).sql
                for row in node.expressions
            ]
            return Typed(f"({' OR '.join(parts)})", BOOLEAN)
        left = self.compile(value, scope)
        members = [self.compile(member, scope) for member in node.expressions]
        if not members:
            raise PLACE.refused(node)
        if left.type.kind is Kind.INTEGER and all(
            m.constant and isinstance(m.value, int | None) for m in members
        ):
            return Typed(
                f"({left.sql} IN ({', '.join(m.sql for m in members)}))", BOOLEAN, aggregate=left.aggregate
            )
        if (
            left.type.kind is Kind.TEXT
            and left.origin
            and all(m.constant and m.type.kind is Kind.TEXT for m in members)
        ):
            return Typed(f"({left.sql} IN ({', '.join(m.sql for m in members)}))", BOOLEAN)
        parts = [compared("=", left, member).sql for member in members]
        return Typed(f"({' OR '.join(parts)})", BOOLEAN, aggregate=left.aggregate)

    def _in_query(self, node: exp.Expression, query: exp.Expression, scope: Scope) -> Typed:
        left = self.compile(node.this, scope)
        sql, columns = self._nested(query, scope)
        if len(columns) != 1:
            raise ShardError(1241, "21000", "Operand should contain 1 column(s)")
        kinds = {left.type.kind, columns[0].type.kind}
        if kinds == {Kind.TEXT}:
            return Typed(f"({left.sql} COLLATE {common_collation(left, columns[0])} IN ({sql}))", BOOLEAN)
        if kinds in ({Kind.INTEGER}, {Kind.DATE}):
            return Typed(f"({left.sql} IN ({sql}))", BOOLEAN)
        raise PLACE.refusal(
            "IN (SELECT …) between these types",
            "compare integers or texts",
        )

    def _exists(self, node: exp.Expression, scope: Scope) -> Typed:
        sql, _ = self._nested(node.this, scope)
        return Typed(f"EXISTS ({sql})", replace(BOOLEAN, not_null=True))

    def _scalar_query(self, node: exp.Expression, scope: Scope) -> Typed:
        query = node.this
        if not isinstance(query, exp.Select) or not _gives_one_row(query):
            raise PLACE.refusal(
                "a subquery for a value that may have several rows",
                "add LIMIT 1, aggregate without GROUP BY, or join the table",
            )
        sql, columns = self._nested(query, scope)
        if len(columns) != 1:
            raise ShardError(1241, "21000", "Operand should contain 1 column(s)")
        return Typed(f"({sql})", replace(columns[0].type, not_null=False))

    def _like(self, node: exp.Expression, scope: Scope, escape: str = "\\") -> Typed:
        left, right = self.compile(node.this, scope), self.compile(node.expression, scope)
        collation = common_collation(left, right)
        sql = f"mysql_like({left.sql}, {right.sql}, {names.literal(escape)}, '{collation}')"
        if node.args.get("negate"):
            sql = f"(NOT {sql})"
        return Typed(sql, BOOLEAN, aggregate=left.aggregate)

    def _escape(self, node: exp.Expression, scope: Scope) -> Typed:
        if not isinstance(node.this, exp.Like) or len(node.expression.name) != 1:
            raise PLACE.refused(node)
        return self._like(node.this, scope, node.expression.name)

    def _regexp(self, node: exp.Expression, scope: Scope) -> Typed:
        left, right = self.compile(node.this, scope), self.compile(node.expression, scope)
        return Typed(f"mysql_regexp({left.sql}, {right.sql}, '{common_collation(left, right)}')", BOOLEAN)

    def _collate(self, node: exp.Expression, scope: Scope) -> Typed:
        collation = node.expression.name.lower()
        inner = self.compile(node.this, scope)
        if collation not in TEXT_COLLATIONS or inner.type.kind is not Kind.TEXT:
            raise PLACE.refused(node)
        return Typed(f"({inner.sql} COLLATE {collation})", replace(inner.type, collation=collation))

    def _cast(self, node: exp.Expression, scope: Scope) -> Typed:
        inner = self.compile(node.this, scope)
        target = node.args["to"]
        name = target.this.name if isinstance(target.this, exp.DType) else str(target.this)
        if name == "CHARACTER_SET" and target.args["kind"].name.lower() in ("utf8mb4", "utf8", "utf8mb3"):
            return Typed(f"mysql_text({inner.sql})", types.text(inner.type.length), aggregate=inner.aggregate)
        if name in ("CHAR", "VARCHAR", "TEXT", "NCHAR"):
            return self._cast_text(inner, target)
        if name == "BINARY" and not target.expressions:
            return Typed(f"mysql_bytes({inner.sql})", replace(types.BINARY, length=inner.type.length * 4))
        if name in ("BIGINT", "INT", "UBIGINT", "UINT"):
            return self._cast_integer(inner, unsigned=name.startswith("U"))
        if name in ("DOUBLE", "FLOAT64"):
            return Typed(f"CAST({as_number(inner).sql} AS REAL)", DOUBLE, aggregate=inner.aggregate)
        declared = _CAST_TARGETS.get(name)
        if declared is None:
            raise PLACE.refused(node)
        arguments = ",".join(part.name for part in target.expressions)
        if is_typed_literal(node) and "." in node.this.name:
            arguments = "6"
        kind = types.declared(declared + (f"({arguments})" if arguments else ""))[1]
        if declared == "decimal" and inner.type.kind is Kind.TEXT:
            inner = Typed(f"mysql_number({inner.sql})", DOUBLE)
        key = self._environment.register(Coercion("CAST", kind))
        return Typed(f"mysql_cast({names.literal(key)}, {inner.sql})", kind, aggregate=inner.aggregate)

    def _cast_integer(self, inner: Typed, *, unsigned: bool) -> Typed:
        # A text gives the digits it starts with, a number is rounded: '2.9' is 2 and 2.9 is 3.
        sql = inner.sql if inner.type.kind in (Kind.TEXT, Kind.BINARY) else as_number(inner).sql
        kind = int(inner.type.kind in (Kind.TEXT, Kind.BINARY))
        return Typed(
            f"mysql_integer({sql}, {kind}, {int(unsigned)})",
            UNSIGNED if unsigned else LONGLONG,
            aggregate=inner.aggregate,
        )

    def _cast_text(self, inner: Typed, target: exp.Expression) -> Typed:
        sql = f"mysql_text({inner.sql})"
        length = max(inner.type.length, 1)
        if target.expressions:
            length = int(target.expressions[0].name)
            sql = f"mysql_left({sql}, {length})"
        return Typed(sql, types.text(length), aggregate=inner.aggregate)

    # ------------------------------------------------------------------ calls

    def _call(self, call: Call, scope: Scope) -> Typed:
        if call.name == "VALUES" and self._values is not None:
            return self._values.resolve(call.arguments[0].name, None)
        found = self._environment.information(call.name) if not call.arguments else None
        if found is not None:
            return found
        reader = FUNCTION_READERS.get(call.name)
        if reader is None:
            raise PLACE.refusal(f"{call.name}()", "use a MySQL or MariaDB data source")
        arguments = [self.compile(argument, scope) for argument in call.arguments]
        typed = reader(call, arguments)
        return replace(typed, aggregate=any(argument.aggregate for argument in arguments))


def _gives_one_row(query: exp.Select) -> bool:
    """Whether a query has at most one row whatever the tables hold: MySQL answers error 1242 to more, SQLite takes
    the first."""
    limit = query.args.get("limit")
    if isinstance(limit, exp.Limit) and limit.expression.name in ("0", "1"):
        return True
    if query.args.get("group") is not None:
        return False
    if query.args.get("from_") is None:
        return True
    return any(
        isinstance(node, exp.Count | exp.Sum | exp.Avg | exp.Min | exp.Max)
        for column in query.expressions
        for node in column.walk(prune=lambda inner: isinstance(inner, exp.Query))
    )


_CAST_TARGETS: Mapping[str, str] = {
    "DECIMAL": "decimal",
    "DATE": "date",
    "DATETIME": "datetime",
    "TIMESTAMPTZ": "datetime",
    "TIME": "time",
}
"""What the parser calls a type, and its name in a declaration; TIMESTAMP is that of a literal alone."""

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
    **dict.fromkeys(_BITS, Expressions._bits),
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
    exp.RegexpLike: Expressions._regexp,
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
}
