"""SELECT in its forms: rows, DISTINCT, aggregates, groups; with ORDER BY and LIMIT.

Decides what each form selects and how much of its order is settled.
"""

from __future__ import annotations

from dataclasses import replace

from tests.differential import values
from tests.differential.compare import output_types
from tests.differential.grammar.aggregates import Aggregates
from tests.differential.grammar.choice import NOTHING, Scope
from tests.differential.schema import INTEGER, Check, Family, quoted
from tests.differential.tree import (
    Call,
    ColumnRef,
    Expression,
    Item,
    Limit,
    Literal,
    OrderKey,
    Part,
    Raw,
    Select,
    Star,
    Tail,
)

_ALIASES = ("a0", "a1", "total", "`limit`", "N", "`x y`", "`größe`")
_COMMENTS = ("/* c */", "/* a 'b */", "-- to the end\n", "# also\n", "\n\t", "/*!40000 SQL_NO_CACHE */")
_MODIFIERS = (
    "ALL",
    "SQL_NO_CACHE",
    "HIGH_PRIORITY",
    "SQL_BUFFER_RESULT",
    "SQL_SMALL_RESULT",
    "STRAIGHT_JOIN",
)


class Queries(Aggregates):
    """SELECT statements."""

    def select(self, *, depth: int = 2) -> Select:
        """A SELECT of any form."""
        form = self.weighted(((self.rows, 10), (self.distinct, 3), (self.totals, 3), (self.groups, 6)))
        return form(depth)

    def rows(self, depth: int = 2) -> Select:
        """Rows."""
        scope = self.source(derived=0.08 if depth else 0.0)
        items = self._items(scope, depth)
        query = Select(
            tuple(items),
            scope.source,
            self._where(scope, depth),
            comment=self.pick(_COMMENTS) if self.chance(0.04) else "",
            lock=self.pick(("FOR UPDATE", "LOCK IN SHARE MODE")) if depth == 2 and self.chance(0.03) else "",
            modifiers=(self.pick(_MODIFIERS),) if depth == 2 and self.chance(0.03) else (),
        )
        if depth == 2 and scope.key and self.chance(0.02):
            query = self._with_window(query, scope)
        return self._ordered(
            query, scope, [c for c in scope.columns if c.type.check is Check.EXACT], scope.key
        )

    def _with_window(self, query: Select, scope: Scope) -> Select:
        """Two window functions over one named window."""
        window = Call(f"w AS (ORDER BY {', '.join('{}' for _ in scope.key)})", scope.key, INTEGER)
        named = (Item(Raw("ROW_NUMBER() OVER w")), Item(Raw("NTILE(2) OVER w")))
        return replace(query, items=(*query.items, *named), windows=(window,))

    def distinct(self, depth: int = 2) -> Select:
        """Rows without repetition."""
        scope = self.source(derived=0.08 if depth else 0.0)
        items = self._items(scope, depth, star=0.05)
        query = Select(tuple(items), scope.source, self._where(scope, depth), distinct=True)
        if any(isinstance(item, Star) for item in items) or self.chance(0.4):
            return query
        bodies = [item.body for item in items if isinstance(item, Item)]
        return self._ordered(
            query,
            scope,
            [],
            tuple(body for body in bodies if isinstance(body, ColumnRef))
            if all(isinstance(body, ColumnRef) for body in bodies)
            else (),
        )

    def _items(self, scope: Scope, depth: int, star: float = 0.12) -> list[Part]:
        if scope.starred and self.chance(star):
            whole: list[Part] = [Star("*", tuple(column.type for column in scope.columns))]
            if self.chance(0.3):
                whole.append(Item(self.expression(scope)))
            return whole
        items: list[Part] = []
        for number in range(self.between(1, 4)):
            body = self._body(scope, depth)
            items.append(
                Item(
                    body,
                    f"{self.pick(_ALIASES)[:-1]}{number}`"
                    if self.chance(0.05)
                    else f"a{number}"
                    if self.chance(0.3)
                    else None,
                )
            )
        return [self._repaired(item) for item in items]

    @staticmethod
    def _repaired(item: Part) -> Part:
        assert isinstance(item, Item)
        if item.alias is not None and item.alias.endswith("`") and not item.alias.startswith("`"):
            return replace(item, alias=f"`{item.alias}")
        return item

    def _body(self, scope: Scope, depth: int) -> Expression:
        if depth == 2 and self.chance(0.04):
            target = self.column(scope)
            return Call(
                "({})",
                (self.subquery(scope, [target], scalar=True),),
                replace(target.type, declaration="").grouped(),
            )
        if depth == 2 and self.chance(0.04):
            return self.windowed(scope)
        if self.chance(0.3):
            return self.expression(scope)
        return self.column(scope)

    def _where(self, scope: Scope, depth: int, probability: float = 0.75) -> Expression | None:
        if not self.chance(probability):
            return None
        return self.predicate(scope, subqueries=0.1 if depth == 2 else 0.02 if depth else 0.0)

    def totals(self, depth: int = 2) -> Select:
        """Aggregates over everything: one row."""
        scope = self.source(derived=0.05 if depth else 0.0)
        items = [self._aggregate_item(scope, number) for number in range(self.between(1, 3))]
        query = Select(tuple(items), scope.source, self._where(scope, depth), single=True)
        if self.chance(0.08):
            return replace(query, having=self.aggregate_condition(scope))
        return query

    def _aggregate_item(self, scope: Scope, number: int) -> Item:
        body = self.aggregate(scope)
        return Item(body, f"n{number}" if self.chance(0.4) else None)

    def groups(self, depth: int = 2) -> Select:
        """GROUP BY of columns, expressions, aliases or positions."""
        scope = self.source(derived=0.06 if depth else 0.0)
        usable = scope.having(lambda t: t.family is not Family.JSON and t.check is Check.EXACT)
        if not usable:
            return self.totals(depth)
        keys: list[Expression] = [
            self.expression(Scope(NOTHING, (column,)), 0) if self.chance(0.2) else column
            for column in self.some(usable, 1, 2)
        ]
        keys = [key for key in keys if not isinstance(key, Literal)] or [self.pick(usable)]
        items: list[Part] = []
        group: list[Part] = []
        for number, key in enumerate(keys):
            alias = f"g{number}" if self.chance(0.35) else None
            shown = self.chance(0.85)
            if shown:
                items.append(Item(self._settled(key), alias))
            by_alias = shown and alias is not None and self.chance(0.5)
            by_position = shown and self.chance(0.15)
            group.append(Raw(alias or "") if by_alias else Raw(str(len(items))) if by_position else key)
        items += [self._aggregate_item(scope, number) for number in range(self.between(0 if items else 1, 3))]
        if depth == 2 and all(isinstance(key, ColumnRef) for key in keys) and self.chance(0.05):
            return self._bare(scope, items, keys)
        rollup = depth == 2 and self.chance(0.05)
        query = Select(tuple(items), scope.source, self._where(scope, depth), tuple(group), rollup)
        if self.chance(0.25):
            query = replace(query, having=self.aggregate_condition(scope, items))
        if rollup:
            return query
        return self._ordered(query, scope, [], tuple(keys))

    def _bare(self, scope: Scope, items: list[Part], keys: list[Expression]) -> Select:
        """A column beside the groups: any value of the group is right."""
        bare = self.pick(scope.exact)
        member = Item(replace(bare, type=replace(bare.type, check=Check.MEMBER)))
        return Select((*items, member), scope.source, self._where(scope, 2), tuple(keys))

    @staticmethod
    def _settled(key: Expression) -> Expression:
        # One of several equal spellings stands for the group.
        return replace(key, type=key.type.grouped())

    def _ordered(
        self, query: Select, scope: Scope, further: list[ColumnRef], key: tuple[Part, ...]
    ) -> Select:
        """The query with an ORDER BY (or none) and a LIMIT (or none)."""
        if self.chance(0.35):
            return replace(query, limit=self.limit()) if self.chance(0.08) else query
        order: list[OrderKey] = []
        types = output_types(query)
        starred = any(isinstance(item, Star) for item in query.items)
        for _ in range(self.between(0 if key else 1, 2)):
            descending = self.chance(0.4)
            if further and self.chance(0.02):
                order.append(OrderKey(Call("({})", (self._count_of(scope),), INTEGER), descending))
                continue
            if further and self.chance(0.4):
                chosen = self.pick([c for c in further if c.type.family is not Family.JSON] or further)
                body: Part = chosen if self.chance(0.75) else self.expression(Scope(NOTHING, (chosen,)), 0)
                order.append(OrderKey(body, descending, self._shown(query, body)))
                continue
            place = self.between(0, len(query.items) - 1)
            item = query.items[place]
            if (
                starred
                or not isinstance(item, Item)
                or item.type.check is Check.APPROXIMATE
                or item.type.family is Family.JSON
            ):
                continue
            position = Raw(str(place + 1))
            name = Raw(item.alias) if item.alias is not None else item.body
            order.append(
                OrderKey(
                    self.pick((name, name, position)),
                    descending,
                    place if len(types) == len(query.items) else None,
                )
            )
        total = bool(key) and self.chance(0.75)
        if not order and not total:
            return query
        tail = Tail(key) if total else None
        query = replace(query, order=tuple(order), tail=tail)
        return replace(query, limit=self.limit()) if self.chance(0.45) else query

    @staticmethod
    def _shown(query: Select, body: Part) -> int | None:
        for place, item in enumerate(query.items):
            if isinstance(item, Star):
                return None
            if isinstance(item, Item) and item.body == body:
                return place
        return None

    def limit(self) -> Limit:
        """LIMIT with small numbers."""
        count = self._number(0, 12)
        if self.chance(0.5):
            return Limit(count)
        return Limit(count, self._number(0, 8), self.chance(0.3))

    def _number(self, low: int, high: int) -> Literal:
        first, other = (values.integer(self.between(low, high)) for _ in range(2))
        return Literal(first, other, INTEGER)

    # ------------------------------------------------------------------------------------------ nested ones

    def subquery(self, outer: Scope, families: list[ColumnRef], *, scalar: bool) -> Part:
        """A query on one table with columns like these, correlated or not."""
        table = self.scene.table(self.pick(("item", "part", "part", "event", "land", "setting")))
        inner = self.table_scope(table, self.fresh("s"), qualify=True)
        conditions: list[Expression] = []
        if self.chance(0.5):
            bound = self.scene.layout.bound
            pairs = [
                (a, b)
                for name in bound
                for a in inner.columns
                for b in outer.columns
                if a.name == name == b.name and a.type == b.type
            ]
            if bound and len(pairs) == len(bound) and self.chance(0.6):
                conditions += [Call("{} = {}", pair, INTEGER) for pair in pairs]
            else:
                pair = self.column_pair(inner, outer, ("=", "=", "<"))
                conditions += [pair] if pair else []
        if self.chance(0.7):
            conditions.append(self.predicate(inner, 1))
        where = conditions[0] if conditions else None
        for condition in conditions[1:]:
            where = Call("{} AND {}", (where, condition), INTEGER)  # type: ignore[arg-type]
        if not families:
            shown: list[Expression] = [Raw("1"), inner.columns[0]]
            return Select((Item(self.pick(shown)),), inner.source, where)
        chosen = [self._alike(inner, column) for column in families]
        if not scalar:
            return Select(tuple(Item(column) for column in chosen), inner.source, where)
        if self.chance(0.7):
            function = self.pick(("MAX({})", "MIN({})", "COUNT({})"))
            kept = (
                INTEGER if function.startswith("COUNT") else replace(chosen[0].type, declaration="").grouped()
            )
            return Select((Item(Call(function, (chosen[0],), kept)),), inner.source, where, single=True)
        return Select(
            (Item(chosen[0]),),
            inner.source,
            where,
            tail=Tail(inner.key),
            limit=Limit(Literal(values.integer(1), values.integer(1))),
        )

    def _count_of(self, outer: Scope) -> Part:
        """How many rows of another table stand behind a row."""
        inner = self.table_scope(self.scene.table(self.pick(("part", "land"))), self.fresh("s"), qualify=True)
        pair = self.column_pair(inner, outer, ("=",))
        return Select((Item(Call("COUNT(*)", (), INTEGER)),), inner.source, pair, single=True)

    def _alike(self, scope: Scope, column: ColumnRef) -> ColumnRef:
        alike = scope.having(
            lambda t: (
                t.family is column.type.family
                and t.collation == column.type.collation
                and t.check is Check.EXACT
            )
        )
        named = [other for other in alike if other.name == column.name]
        return self.pick(named or alike or list(scope.columns))

    def derived_query(self) -> tuple[Part, list[ColumnRef], list[ColumnRef]]:
        """A query with named columns, for FROM."""
        query = self.weighted(((self.rows, 5), (self.distinct, 2), (self.groups, 3), (self.totals, 1)))(0)
        items: list[Item] = []
        columns: list[ColumnRef] = []
        for place, item in enumerate(query.items):
            if isinstance(item, Star):
                item = Item(Literal(values.integer(1), values.integer(2), INTEGER))
            assert isinstance(item, Item)
            name = f"f{place}"
            items.append(replace(item, alias=name))
            columns.append(ColumnRef(quoted(name), replace(item.type, declaration=""), name))
        # Inside, only a LIMIT over a total order has one answer, and an order without LIMIT means nothing.
        limited = query.limit is not None and query.tail is not None
        order = () if not limited else tuple(key for key in query.order if not isinstance(key.body, Raw))
        query = replace(
            query,
            items=tuple(items),
            group=tuple(self._regrouped(query, key) for key in query.group),
            having=None,
            order=order,
            tail=query.tail if limited else None,
            limit=query.limit if limited else None,
            lock="",
            comment="",
        )
        types = output_types(query)
        columns = [
            replace(column, type=replace(type_, declaration=""))
            for column, type_ in zip(columns, types, strict=True)
        ]
        return query, columns, columns if query.distinct else []

    @staticmethod
    def _regrouped(query: Select, key: Part) -> Part:
        # Aliases were renamed; positions stay.
        if isinstance(key, Raw) and not key.text.isdigit():
            for item in query.items:
                if isinstance(item, Item) and item.alias == key.text:
                    return item.body
        return key
