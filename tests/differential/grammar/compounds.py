"""Set operations, common table expressions (recursive ones too), VALUES, and queries without a table.

Decides how queries are put together from queries. Members of a set operation agree in number and kind of columns.
"""

from __future__ import annotations

from dataclasses import replace

from tests.differential.compare import output_types
from tests.differential.grammar.choice import NOTHING, Scope
from tests.differential.grammar.queries import Queries
from tests.differential.schema import INTEGER, Check, Family, Type, quoted
from tests.differential.tree import (
    Call,
    ColumnRef,
    Compound,
    Cte,
    Expression,
    Item,
    Join,
    Listing,
    OrderKey,
    Part,
    Query,
    Raw,
    Select,
    Star,
    TableRef,
    Values,
)

_OPERATORS = (
    ("UNION", 4),
    ("UNION ALL", 5),
    ("UNION DISTINCT", 1),
    ("EXCEPT", 2),
    ("EXCEPT ALL", 1),
    ("INTERSECT", 2),
    ("INTERSECT ALL", 1),
)
_Shape = list[tuple[Family, str]]


class Compounds(Queries):
    """Queries of queries."""

    def compound(self) -> Compound:
        """A set operation, ordered by all its columns or not at all."""
        table = self.table_scope(self._named(), None, qualify=False)
        shape = [
            (column.type.family, column.type.collation)
            for column in self.some(table.having(lambda t: t.family is not Family.JSON), 1, 3)
        ]
        made = self._members(shape, 2)
        types = output_types(made)
        if self.chance(0.5):
            return made
        order = [
            OrderKey(Raw(str(place + 1)), self.chance(0.3), place)
            for place in self.some(range(len(types)), 1, 3)
        ]
        made = replace(made, order=tuple(order))
        complete = len(order) == len(types) and all(type_.check is Check.EXACT for type_ in types)
        return replace(made, limit=self.limit()) if complete and self.chance(0.5) else made

    def derived_query(self) -> tuple[Part, list[ColumnRef], list[ColumnRef]]:
        """A query for FROM, rarely a set operation."""
        if not self.chance(0.1):
            return super().derived_query()
        table = self.table_scope(self._named(), None, qualify=False)
        shape = [
            (column.type.family, column.type.collation)
            for column in self.some(table.having(lambda t: t.family is not Family.JSON), 1, 3)
        ]
        made = self._members(shape, 0)
        assert isinstance(made.left, Select)
        named = tuple(
            replace(item, alias=f"f{place}")
            for place, item in enumerate(made.left.items)
            if isinstance(item, Item)
        )
        made = replace(made, left=Select(named, made.left.source, made.left.where))
        types = output_types(made)
        columns = [
            ColumnRef(f"f{place}", replace(type_, declaration=""), f"f{place}")
            for place, type_ in enumerate(types)
        ]
        return made, columns, []

    def _members(self, shape: _Shape, depth: int) -> Compound:
        left: Query = self._member(shape)
        if depth and self.chance(0.2):
            left = self._members(shape, depth - 1)
        right: Query = self._members(shape, 0) if depth and self.chance(0.2) else self._member(shape)
        return Compound(left, self.weighted(_OPERATORS), right)

    def _member(self, shape: _Shape) -> Select:
        scope = self.source(joins=0.15, derived=0.0)
        items: list[Item] = []
        for family, collation in shape:
            alike = scope.having(
                lambda t, f=family, c=collation: t.family is f and t.collation == c and t.check is Check.EXACT  # type: ignore[misc]
            )
            if not alike:
                # Another table of the scene surely has the column the shape came from.
                return self._member_of_any_table(shape)
            items.append(Item(self.pick(alike), f"u{len(items)}" if self.chance(0.2) else None))
        query = Select(tuple(items), scope.source, self._where(scope, 1), distinct=self.chance(0.1))
        if scope.key and not query.distinct and self.chance(0.1):
            return self._ordered(query, scope, [], scope.key)
        return query

    def _member_of_any_table(self, shape: _Shape) -> Select:
        for table in self.scene.tables:
            scope = self.table_scope(table, None, qualify=False)
            chosen = [
                [column for column in scope.columns if (column.type.family, column.type.collation) == entry]
                for entry in shape
            ]
            if all(chosen):
                items = tuple(Item(self.pick(columns)) for columns in chosen)
                return Select(items, scope.source, self._where(scope, 1))
        return Select(tuple(Item(self.literal(INTEGER)) for _ in shape))

    def with_ctes(self) -> Query:
        """A query over one or two common table expressions."""
        made: list[Cte] = []
        for _ in range(self.weighted(((1, 3), (2, 1)))):
            name = self.fresh("w")
            query, columns, key = self.derived_query()
            listed = self.chance(0.2)
            named = [replace(c, name=f"l{n}", text=f"l{n}") if listed else c for n, c in enumerate(columns)]
            places = {column.name: place for place, column in enumerate(columns)}
            kept_key = tuple(named[places[column.name]] for column in key)
            made.append(Cte(name, query, f" ({', '.join(c.name for c in named)})" if listed else ""))
            self.ctes.append((name, Scope(NOTHING, tuple(named), kept_key)))
        query = self.select(depth=1)
        self.ctes.clear()
        return replace(query, ctes=tuple(made))

    def recursive(self) -> Select:
        """A recursive CTE that counts, alone or joined to a table."""
        name = self.fresh("r")
        start = Select((Item(self._number(1, 3), "v"),))
        bound = Call("v < {}", (self._number(3, 8),), INTEGER)
        step = Select((Item(Call("v + 1", (), INTEGER)),), TableRef(name), bound)
        cte = Cte(name, Compound(start, self.pick(("UNION ALL", "UNION")), step))
        value = ColumnRef(f"{name}.v", INTEGER, "v")
        counted = Scope(TableRef(name), (value,), (value,))
        if self.chance(0.4):
            query = Select((Item(value),), counted.source, self._where(counted, 0, 0.3))
            return replace(self._ordered(query, counted, [], (value,)), ctes=(cte,), recursive=True)
        table = self.table_scope(self._named(), self.fresh("t"), qualify=True)
        scope = self._both(counted, table, self._matched(counted, table))
        query = Select(tuple(self._items(scope, 0)), scope.source, self._where(scope, 0))
        return replace(self._ordered(query, scope, [], scope.key), ctes=(cte,), recursive=True)

    def _matched(self, left: Scope, right: Scope) -> Join:
        numbers = right.having(lambda t: t.family is Family.INTEGER) or right.columns
        condition = Call("{} = {}", (left.columns[0], self.pick(numbers)), INTEGER)
        return Join(left.source, self.pick(("JOIN", "LEFT JOIN")), right.source, condition)

    def listed_values(self) -> Part:
        """VALUES alone, or as a derived table."""
        types: list[Type] = [
            self.pick(
                (
                    INTEGER,
                    *(
                        t
                        for t in (c.type for c in self.scene.tables[0].columns)
                        if t.family in (Family.TEXT, Family.DECIMAL)
                    ),
                )
            )
            for _ in range(self.between(1, 3))
        ]
        rows = tuple(Listing(tuple(self.literal(t) for t in types)) for _ in range(self.between(1, 4)))
        values = Values(rows)
        if self.chance(0.5):
            return values
        name = self.fresh("v")
        listed = f" ({', '.join(f'l{place}' for place in range(len(types)))})"
        star = Star("*", tuple(replace(type_, declaration="") for type_ in types))
        return Select((star,), TableRef(name), ctes=(Cte(name, values, listed),))

    def without_table(self) -> Select:
        """SELECT of literals and functions of them."""
        bodies = [self._constant() for _ in range(self.between(1, 3))]
        source = Raw("DUAL") if self.chance(0.2) else None
        return Select(
            tuple(Item(body, quoted(f"e{n}") if self.chance(0.3) else None) for n, body in enumerate(bodies)),
            source,
            single=True,
        )

    def _constant(self) -> Expression:
        literal = self.literal(INTEGER)
        template, type_ = self.pick(
            (
                ("{}", INTEGER),
                ("{} + 1", INTEGER),
                ("CONCAT('a', {})", replace(INTEGER, family=Family.TEXT)),
                ("COALESCE(NULL, {})", INTEGER),
                ("{} IN (1, 2)", INTEGER),
            )
        )
        return Call(template, (literal,), type_)
