"""Conditions: comparisons, IN, BETWEEN, LIKE, NULL tests, their combinations, and subqueries of every kind.

Decides how often each occurs. Sharding columns come often, so that routing is tried; the subqueries themselves come from
`subquery`, which a later part of the grammar gives.
"""

from __future__ import annotations

from tests.differential.grammar.choice import Scope
from tests.differential.grammar.expressions import Expressions
from tests.differential.schema import INTEGER, Check, Family
from tests.differential.tree import Call, ColumnRef, Expression, Listing, Part

_COMPARISONS = ("=", "=", "=", "<>", "<", "<=", ">", ">=", "<=>")
_PATTERNS = ("'%a%'", "'A%'", "'_'", "'%5'", "'k%'", "'%\\\\%%'")
_ROUTED = ("id", "owner", "code", "day")


class Predicates(Expressions):
    """Conditions on the rows of a scope."""

    def subquery(self, outer: Scope, families: list[ColumnRef], *, scalar: bool) -> Part:
        """A query whose columns are comparable with these; one row at most when `scalar`."""
        raise NotImplementedError

    def predicate(self, scope: Scope, depth: int = 2, subqueries: float = 0.0) -> Expression:
        """A condition."""
        if depth and self.chance(0.35):
            joint = self.weighted(
                (("({} AND {})", 6), ("({} OR {})", 4), ("({} XOR {})", 0.4), ("NOT ({} AND {})", 0.7))
            )
            parts = self.predicate(scope, depth - 1, subqueries), self.predicate(scope, depth - 1, subqueries)
            return Call(joint, parts, INTEGER)
        if self.chance(subqueries):
            return self.nested(scope)
        return self._simple(scope)

    def _compared(self, scope: Scope) -> ColumnRef:
        usable = scope.having(
            lambda type_: type_.family is not Family.JSON and type_.check in (Check.EXACT, Check.SPELLING)
        )
        if not usable:
            return self.column(scope)
        routed = [column for column in usable if column.name in _ROUTED]
        return self.pick(routed) if routed and self.chance(0.4) else self.pick(usable)

    def _simple(self, scope: Scope) -> Expression:
        column = self._compared(scope)
        form = self.weighted(
            (
                ("compare", 40),
                ("in", 18),
                ("between", 12),
                ("null", 10),
                ("like", 6),
                ("columns", 6),
                ("expression", 8),
                ("truth", 2),
                ("row", 2),
            )
        )
        if form == "in":
            members = Listing(tuple(self.odd_literal(column.type) for _ in range(self.between(1, 4))))
            return Call(f"{{}} {self.pick(('', '', '', 'NOT '))}IN ({{}})", (column, members), INTEGER)
        if form == "between":
            ends = self.odd_literal(column.type), self.odd_literal(column.type)
            return Call(f"{{}} {self.pick(('', '', 'NOT '))}BETWEEN {{}} AND {{}}", (column, *ends), INTEGER)
        if form == "null":
            return Call(self.pick(("{} IS NULL", "{} IS NOT NULL")), (column,), INTEGER)
        if form == "like" and column.type.family is Family.TEXT and column.type.check is Check.EXACT:
            return Call(f"{{}} {self.pick(('', '', 'NOT '))}LIKE {self.pick(_PATTERNS)}", (column,), INTEGER)
        if form == "columns":
            return self.column_pair(scope, scope) or Call("{} IS NOT NULL", (column,), INTEGER)
        if form == "truth" and column.type.numeric:
            return Call(
                self.pick(("{} IS TRUE", "{} IS NOT FALSE", "{} IS UNKNOWN", "({} AND TRUE)")),
                (column,),
                INTEGER,
            )
        if form == "row":
            return self._row_comparison(scope, column)
        if form == "expression":
            computed = self.expression(scope)
            if computed.type.family is not Family.JSON:
                return Call(
                    f"{{}} {self.pick(_COMPARISONS)} {{}}", (computed, self.literal(computed.type)), INTEGER
                )
        return Call(f"{{}} {self.pick(_COMPARISONS)} {{}}", (column, self.odd_literal(column.type)), INTEGER)

    def column_pair(
        self, left: Scope, right: Scope, operators: tuple[str, ...] = _COMPARISONS
    ) -> Expression | None:
        """A comparison of two columns of one family and collation, or nothing when there are none."""
        pairs = [
            (a, b)
            for a in left.columns
            for b in right.columns
            if a.type.family is b.type.family
            and a.type.collation == b.type.collation
            and a.text != b.text
            and a.type.family is not Family.JSON
            and Check.EXACT is a.type.check is b.type.check
        ]
        if not pairs:
            return None
        routed = [(a, b) for a, b in pairs if a.name == b.name and a.name in _ROUTED]
        a, b = self.pick(routed) if routed and self.chance(0.6) else self.pick(pairs)
        return Call(f"{{}} {self.pick(operators)} {{}}", (a, b), INTEGER)

    def _row_comparison(self, scope: Scope, first: ColumnRef) -> Expression:
        """Two columns compared with a row, or with several."""
        second = self._compared(scope)
        rows = [Listing((self.literal(first.type), self.literal(second.type))) for _ in range(2)]
        if self.chance(0.5):
            return Call("({}, {}) IN (({}), ({}))", (first, second, *rows), INTEGER)
        return Call(
            f"({{}}, {{}}) {self.pick(('=', '<>', '<=>', '<'))} ({{}})", (first, second, rows[0]), INTEGER
        )

    def nested(self, scope: Scope) -> Expression:
        """A condition with a subquery."""
        column = self._compared(scope)
        form = self.weighted((("exists", 4), ("in", 4), ("scalar", 3), ("any", 2), ("row", 1.5)))
        if form == "exists":
            return Call(
                f"{self.pick(('', '', 'NOT '))}EXISTS ({{}})",
                (self.subquery(scope, [], scalar=False),),
                INTEGER,
            )
        if form == "row":
            pair = self.some([c for c in scope.columns if c.type.family is not Family.JSON], 2, 2)
            if len(pair) == 2:
                query = self.subquery(scope, pair, scalar=False)
                return Call(f"({{}}, {{}}) {self.pick(('', 'NOT '))}IN ({{}})", (*pair, query), INTEGER)
        if form == "scalar":
            query = self.subquery(scope, [column], scalar=True)
            return Call(f"{{}} {self.pick(_COMPARISONS)} ({{}})", (column, query), INTEGER)
        query = self.subquery(scope, [column], scalar=False)
        if form == "any":
            operator = self.pick(("=", "<>", "<", "<=", ">", ">="))
            return Call(
                f"{{}} {operator} {self.pick(('ANY', 'ALL', 'SOME'))} ({{}})", (column, query), INTEGER
            )
        return Call(f"{{}} {self.pick(('', '', 'NOT '))}IN ({{}})", (column, query), INTEGER)
