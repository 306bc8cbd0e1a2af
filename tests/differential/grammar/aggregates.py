"""Aggregate and window functions, and conditions on them.

Decides which functions are tried on which types, and what is open about their results.
"""

from __future__ import annotations

from dataclasses import replace

from tests.differential.grammar.choice import Scope
from tests.differential.grammar.sources import Sources
from tests.differential.schema import DECIMAL, FLOAT, INTEGER, TEXT, Check, Family, Type
from tests.differential.tree import Call, ColumnRef, Expression, Item, Part

_APPROXIMATE = replace(FLOAT, check=Check.APPROXIMATE)


class Aggregates(Sources):
    """Functions over several rows."""

    def aggregate(self, scope: Scope) -> Expression:
        """An aggregate of the scope's rows."""
        exact = scope.exact or list(scope.columns)
        form = self.weighted(
            (
                ("count", 5),
                ("numbers", 6),
                ("extremes", 5),
                ("bits", 1),
                ("spread", 1),
                ("concat", 1),
                ("json", 0.5),
                ("computed", 2),
            )
        )
        column = self.pick(exact)
        if form == "numbers":
            return self._numbers(scope)
        if form == "extremes" and column.type.family is not Family.JSON:
            # MIN and MAX compare ENUM and SET as the texts they show.
            argument = self._argument(scope, column)
            return Call(
                self.pick(("MIN({})", "MAX({})", "MAX(DISTINCT {})")),
                (argument,),
                replace(argument.type, declaration="").grouped(),
            )
        if form == "bits":
            number = self._number_column(scope, lambda t: t.family is Family.INTEGER)
            if number is not None:
                return Call(
                    self.pick(("BIT_AND({})", "BIT_OR({})", "BIT_XOR({})")),
                    (number,),
                    replace(INTEGER, huge=True),
                )
        if form == "spread":
            number = self._number_column(scope, lambda t: t.numeric and not t.huge)
            if number is not None:
                functions = (
                    "STD({})",
                    "STDDEV_SAMP({})",
                    "VAR_POP({})",
                    "VARIANCE({})",
                    "VAR_SAMP({})",
                    "STDDEV_POP({})",
                )
                return Call(self.pick(functions), (number,), _APPROXIMATE)
        if form == "concat":
            return self._concat(scope, column)
        if form == "json" and len(scope.key) == 1 and column.type.family is Family.INTEGER:
            named = (scope.key[0], column)
            return Call("JSON_OBJECTAGG({}, {})", named, Type(Family.JSON, TEXT.values, check=Check.ELEMENTS))
        if form == "json" and column.type.family in (Family.INTEGER, Family.TEXT, Family.DECIMAL):
            return Call("JSON_ARRAYAGG({})", (column,), Type(Family.JSON, TEXT.values, check=Check.ELEMENTS))
        if form == "computed":
            return self._computed(scope)
        return self._count(scope, column)

    def _number_column(self, scope: Scope, fits: object) -> ColumnRef | None:
        fitting = [column for column in scope.exact if fits(column.type)]  # type: ignore[operator]
        return self.pick(fitting) if fitting else None

    def _count(self, scope: Scope, column: ColumnRef) -> Expression:
        if self.chance(0.4):
            return Call("COUNT(*)", (), INTEGER)
        argument = self._argument(scope, column)
        if self.chance(0.2):
            return Call(
                "COUNT(DISTINCT {}, {})", (argument, self.pick(scope.exact or list(scope.columns))), INTEGER
            )
        return Call(self.pick(("COUNT({})", "COUNT(DISTINCT {})")), (argument,), INTEGER)

    def _argument(self, scope: Scope, column: ColumnRef) -> Expression:
        """The column, or something computed from it that has one value for it."""
        if column.type.family is Family.JSON or not self.chance(0.35):
            return column
        computed = self.computed(scope, column, 0)
        return computed if computed.type.check is Check.EXACT else column

    def _numbers(self, scope: Scope) -> Expression:
        number = self._number_column(scope, lambda t: t.numeric and not (t.huge and t.family is Family.FLOAT))
        if number is None:
            return Call("COUNT(*)", (), INTEGER)
        type_ = _APPROXIMATE if number.type.family is Family.FLOAT else DECIMAL
        function = self.pick(
            ("SUM({})", "SUM({})", "AVG({})", "AVG({})", "SUM(DISTINCT {})", "AVG(DISTINCT {})")
        )
        argument: Expression = number
        if self.chance(0.15):
            argument = self.computed(scope, number, 0)
            if argument.type.numeric:
                type_ = _APPROXIMATE if argument.type.family is Family.FLOAT else DECIMAL
            else:
                argument = number
        return Call(function, (argument,), type_)

    def _computed(self, scope: Scope) -> Expression:
        left, right = self._numbers(scope), self._numbers(scope)
        type_ = _APPROXIMATE if Check.APPROXIMATE in (left.type.check, right.type.check) else DECIMAL
        form = self.pick(("{} / {}", "{} - {}", "COALESCE({}, {})", "IFNULL({}, {})", "{} > {}"))
        if form == "{} > {}":
            return Call(form, (left, right), INTEGER) if type_ is DECIMAL else left
        return Call(form, (left, right), type_)

    def _concat(self, scope: Scope, column: ColumnRef) -> Expression:
        if column.type.family in (Family.BINARY, Family.BIT, Family.JSON):
            return Call("COUNT({})", (column,), INTEGER)
        check = Check.PARTS_SPELLING if column.type.folds else Check.PARTS
        distinct = "DISTINCT " if self.chance(0.3) else ""
        if distinct or not scope.key or self.chance(0.4):
            kind = check if distinct else Check.PARTS
            return Call(f"GROUP_CONCAT({distinct}{{}} SEPARATOR '|')", (column,), replace(TEXT, check=kind))
        keys = ", ".join("{}" for _ in scope.key)
        cut = " LIMIT 2" if self.chance(0.2) else ""
        return Call(
            f"GROUP_CONCAT({{}} ORDER BY {keys} SEPARATOR '|'{cut})",
            (column, *scope.key),
            replace(TEXT, check=Check.EXACT),
        )

    def aggregate_condition(self, scope: Scope, items: list[Part] | None = None) -> Expression:
        """A HAVING: an aggregate or a selected key compared with a literal."""
        for _ in range(5):
            aggregate = self.aggregate(scope)
            shown = [item for item in items or () if isinstance(item, Item)]
            if shown and self.chance(0.4):
                chosen = self.pick(shown)
                aggregate = chosen.body
            if aggregate.type.check is Check.EXACT and aggregate.type.family is not Family.JSON:
                operator = self.pick(("=", "<>", "<", "<=", ">", ">="))
                return Call(f"{{}} {operator} {{}}", (aggregate, self.literal(aggregate.type)), INTEGER)
        return Call("COUNT(*) > {}", (self.literal(INTEGER),), INTEGER)

    def windowed(self, scope: Scope) -> Expression:
        """A window function whose result is settled: ranks under any order, others under a total one."""
        usable = [column for column in scope.exact if column.type.family is not Family.JSON]
        if not usable:
            return self.column(scope)
        over: list[Expression] = []
        window = ""
        if self.chance(0.6):
            over.append(self.pick(usable))
            window += "PARTITION BY {} "
        if scope.key and self.chance(0.6):
            function = self.pick(
                (
                    "ROW_NUMBER()",
                    "NTILE(3)",
                    "LAG({})",
                    "LEAD({}, 2)",
                    "FIRST_VALUE({})",
                    "NTH_VALUE({}, 2)",
                    "SUM({})",
                    "COUNT({})",
                )
            )
            column = self.pick(usable)
            if function == "SUM({})":
                column = (
                    self._number_column(scope, lambda t: t.family in (Family.INTEGER, Family.DECIMAL))
                    or column
                )
                function = function if column.type.family in (Family.INTEGER, Family.DECIMAL) else "COUNT({})"
            window += "ORDER BY " + ", ".join("{}" for _ in scope.key)
            if function in ("SUM({})", "COUNT({})"):
                window += self.pick(("", " ROWS 1 PRECEDING", " ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING"))
            arguments = ((column,) if "{}" in function else ()) + tuple(over) + scope.key
            kept = column.type if function[:3] in ("LAG", "LEA", "FIR", "NTH") else INTEGER
            return Call(f"{function} OVER ({window})", arguments, replace(kept, declaration=""))
        window += "ORDER BY {}"
        over.append(self.pick(usable))
        return Call(
            f"{self.pick(('RANK()', 'DENSE_RANK()', 'CUME_DIST()', 'PERCENT_RANK()'))} OVER ({window})",
            tuple(over),
            FLOAT,
        )
