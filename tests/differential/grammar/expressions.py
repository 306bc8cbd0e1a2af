"""Values computed from one row: columns, literals, operators, functions, CASE, casts.

Decides which functions are tried on which types. Functions of texts whose spelling SQL leaves open are not formed.
"""

from __future__ import annotations

from dataclasses import replace

from tests.differential import values
from tests.differential.grammar.choice import TIMES, Chooser, Scope
from tests.differential.schema import DATE, DATETIME, DECIMAL, FLOAT, INTEGER, TEXT, Family, Type
from tests.differential.tree import Call, ColumnRef, Expression, Literal, Raw
from tests.differential.values import Value

# Values of another type than the column's.
_ODD: tuple[Value, ...] = (
    values.NULL,
    values.integer(0),
    values.integer(-1),
    values.text("5"),
    values.decimal("5.0"),
    values.decimal("5.5"),
    values.text(""),
    values.double(10.0),
    values.text("abc"),
)

_Functions = tuple[tuple[str, Type | None], ...]
# Cannot overflow.
_SAFE = (("({} IS NULL)", INTEGER), ("CAST({} AS CHAR)", TEXT), ("HEX({})", TEXT))
_NUMBER: _Functions = (
    ("ABS({})", None),
    ("-{}", None),
    ("ROUND({}, 1)", None),
    ("FLOOR({})", INTEGER),
    ("CEIL({})", INTEGER),
    ("SIGN({})", INTEGER),
    ("TRUNCATE({}, 1)", None),
    ("({} IS NULL)", INTEGER),
    ("CAST({} AS CHAR)", TEXT),
    ("CAST({} AS DECIMAL(12, 3))", DECIMAL),
    ("HEX({})", TEXT),
    ("NOT {}", INTEGER),
    ("({} | 1)", INTEGER),
    ("MOD({}, 3)", None),
    ("({} BETWEEN 1 AND 5)", INTEGER),
    ("FORMAT({}, 2)", TEXT),
)
_TEXT = (
    ("UPPER({})", None),
    ("LOWER({})", None),
    ("CONCAT({}, '!')", None),
    ("LENGTH({})", INTEGER),
    ("CHAR_LENGTH({})", INTEGER),
    ("LEFT({}, 2)", None),
    ("RIGHT({}, 1)", None),
    ("SUBSTRING({}, 2)", None),
    ("TRIM({})", None),
    ("REVERSE({})", None),
    ("HEX({})", TEXT),
    ("LPAD({}, 4, '*')", None),
    ("REPLACE({}, 'a', 'xyz')", None),
    ("INSTR({}, 'a')", INTEGER),
    ("ASCII({})", INTEGER),
    ("IFNULL({}, '-')", None),
    ("CONCAT_WS('-', {}, 'z')", None),
    ("SUBSTRING_INDEX({}, 'a', 1)", None),
    ("LOCATE('b', {})", INTEGER),
    ("STRCMP({}, 'b')", INTEGER),
    ("FIELD({}, 'a', 'b')", INTEGER),
    ("{} REGEXP '^[a-k]'", INTEGER),
    ("MD5({})", TEXT),
    ("{} COLLATE utf8mb4_bin", "utf8mb4_bin"),
)
_TIME: _Functions = (
    ("YEAR({})", INTEGER),
    ("MONTH({})", INTEGER),
    ("DAYOFWEEK({})", INTEGER),
    ("DATE({})", DATE),
    ("LAST_DAY({})", DATE),
    ("TO_DAYS({})", INTEGER),
    ("DATE_FORMAT({}, '%Y-%m')", TEXT),
    ("{} + INTERVAL 1 DAY", None),
    ("DATEDIFF({}, '2023-01-01')", INTEGER),
    ("CAST({} AS DATETIME)", DATETIME),
    ("EXTRACT(YEAR_MONTH FROM {})", INTEGER),
    ("TIMESTAMPDIFF(DAY, '2023-01-01', {})", INTEGER),
    ("DATE_SUB({}, INTERVAL 1 MONTH)", None),
    ("QUARTER({})", INTEGER),
)
_JSON = (
    "JSON_VALUE({}, '$.n')",
    "JSON_UNQUOTE(JSON_EXTRACT({}, '$.n'))",
    "JSON_TYPE({})",
    "JSON_CONTAINS({}, '1')",
)
_ANY: _Functions = (
    ("({} IS NULL)", INTEGER),
    ("({} IS NOT NULL)", INTEGER),
    ("CAST({} AS CHAR)", TEXT),
    ("COALESCE({}, NULL)", None),
)


class Expressions(Chooser):
    """Scalars of a scope."""

    def column(self, scope: Scope) -> ColumnRef:
        """Any column."""
        return self.pick(scope.columns)

    def odd_literal(self, type_: Type) -> Literal:
        """A literal to compare with: mostly of the type, sometimes of another."""
        if self.chance(0.08):
            return Literal(self.pick(_ODD), self.pick(_ODD), type_)
        return self.literal(type_)

    def expression(self, scope: Scope, depth: int = 2) -> Expression:
        """A value of one row."""
        exact = scope.exact
        if not exact or (depth and self.chance(0.08)):
            return self.literal(self.pick((INTEGER, DECIMAL, TEXT)))
        column = self.pick(exact)
        if self.chance(0.12):
            return self.choice_between(scope, column)
        return self.computed(scope, column, depth)

    def computed(self, scope: Scope, column: ColumnRef, depth: int) -> Expression:
        """A function of this column."""
        type_ = column.type
        if type_.numeric:
            return self._arithmetic(scope, column, depth)
        if type_.family is Family.TEXT:
            template, result = self.pick(_TEXT)
            if result == "utf8mb4_bin":
                if not type_.collation.startswith("utf8mb4"):
                    return column
                return Call(template, (column,), replace(type_, collation="utf8mb4_bin", declaration=""))
            result_type = replace(type_, declaration="") if result is None else result
            assert isinstance(result_type, Type)
            return Call(template, (column,), result_type)
        if type_.family in TIMES:
            template, known = self.pick(_TIME)
            return Call(template, (column,), known or replace(type_, declaration=""))
        if type_.family is Family.JSON:
            return Call(self.pick(_JSON), (column,), TEXT)
        if type_.family in (Family.BIT, Family.YEAR):
            return Call("{} + 0", (column,), INTEGER)
        template, known = self.pick(_ANY)
        return Call(template, (column,), known or replace(type_, declaration=""))

    def _arithmetic(self, scope: Scope, column: ColumnRef, depth: int) -> Expression:
        type_ = replace(column.type, declaration="")
        if type_.huge:
            template, result = self.pick(_SAFE)
            return Call(template, (column,), result)
        if self.chance(0.5):
            template, known = self.pick(_NUMBER)
            return Call(template, (column,), known or type_)
        operator = self.pick(
            ("{} + {}", "{} - {}", "{} * {}", "{} / {}", "{} DIV {}", "{} % {}", "NULLIF({}, {})")
        )
        others = [other for other in scope.exact if other.type.numeric and not other.type.huge]
        right = self.pick(others) if others and depth and self.chance(0.3) else self.literal(INTEGER)
        inexact = Family.FLOAT in (type_.family, right.type.family)
        result = (
            FLOAT
            if inexact
            else DECIMAL
            if operator == "{} / {}" or Family.DECIMAL in (type_.family, right.type.family)
            else INTEGER
        )
        return Call(f"({operator})", (column, right), result)

    def choice_between(self, scope: Scope, column: ColumnRef) -> Expression:
        """CASE, IF, COALESCE, GREATEST … of values of one family."""
        type_ = replace(column.type, declaration="")
        alike = [
            other
            for other in scope.exact
            if other.type.family is type_.family and other.type.collation == type_.collation
        ]
        left, right = self.pick(alike), self.literal(column.type)
        form = self.between(0, 5)
        if form == 0:
            return Call("COALESCE({}, {})", (left, right), type_)
        if form == 1:
            return Call("IF({} IS NULL, {}, {})", (column, right, left), type_)
        if form == 2:
            return Call("CASE {} WHEN {} THEN 'same' ELSE 'other' END", (left, right), TEXT)
        if form == 3:
            return Call("CASE WHEN {} > {} THEN 1 WHEN {} IS NULL THEN 2 END", (left, right, column), INTEGER)
        if form == 4 and type_.numeric:
            return Call(f"{self.pick(('GREATEST', 'LEAST'))}({{}}, {{}})", (left, right), type_)
        return Call("({} <=> {})", (left, right), INTEGER)


STAR = Raw("*")
