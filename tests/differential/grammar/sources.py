"""What FROM names: tables, joins of every kind, derived tables, common table expressions.

Decides which tables meet on which columns. Products without a condition stay among the small tables.
"""

from __future__ import annotations

import random
from dataclasses import replace

from tests.differential.grammar.choice import NOTHING, Scope
from tests.differential.grammar.predicates import Predicates
from tests.differential.schema import INTEGER, Check, Table, quoted
from tests.differential.stage import Scene
from tests.differential.tree import Call, ColumnRef, Derived, Expression, Join, Part, Raw, TableRef

_LARGE, _SMALL = ("item", "part", "event"), ("land", "setting")
_ALIASES = ("x", "y", "z", "`order`", "T1", "`a b`")


class Sources(Predicates):
    """FROM clauses over the tables of a scene."""

    def __init__(self, scene: Scene, seed: str) -> None:
        super().__init__(seed)
        self.scene = scene
        self.ctes: list[tuple[str, Scope]] = []
        self._views = random.Random(f"views {seed}")

    def derived_query(self) -> tuple[Part, list[ColumnRef], list[ColumnRef]]:
        """A query for FROM, its columns by name (without qualifier), and those that name a row."""
        raise NotImplementedError

    def table_scope(self, table: Table, alias: str | None, *, qualify: bool) -> Scope:
        """One table's columns."""
        prefix = f"{alias or table.name}." if qualify else ""
        columns = tuple(
            ColumnRef(f"{prefix}{quoted(column.name)}", column.type, column.name) for column in table.columns
        )
        key = tuple(column for column in columns if column.name in table.key)
        hinted = "owner" in table.indexes and self.chance(0.02)
        hint = self.pick(("USE INDEX (k0)", "FORCE INDEX (k0)", "IGNORE INDEX (k0)")) if hinted else ""
        return Scope(TableRef(table.name, alias, hint), columns, key, (table.name,))

    def _named(self, *, small: bool = False) -> Table:
        if small:
            return self.scene.table(self.pick(_SMALL))
        return self.scene.table(
            self.weighted((("item", 6), ("part", 5), ("event", 4), ("land", 2), ("setting", 2)))
        )

    def one(self, *, qualify: bool, derived: float = 0.0, taken: tuple[str, ...] = ()) -> Scope:
        """One table, derived table or common table expression."""
        if self.ctes and self.chance(0.7):
            name, scope = self.pick(self.ctes)
            called = self.fresh("c")
            return self._renamed(TableRef(name, called), scope, called)
        if self.chance(derived):
            query, columns, key = self.derived_query()
            called = self.fresh("d")
            inner = Scope(NOTHING, tuple(columns), tuple(key))
            return self._renamed(Derived(query, called), inner, called)
        alias = self._alias(taken) if qualify or self.chance(0.3) else None
        return self._viewed(self.table_scope(self._named(), alias, qualify=qualify or self.chance(0.2)))

    def _viewed(self, scope: Scope) -> Scope:
        """Now and then a view of the table in its place, under its name. Draws for itself: the statement stays the same."""
        name = self.scene.view_of(scope.tables[0])
        if name is None or self._views.random() > 0.12:
            return scope
        assert isinstance(scope.source, TableRef)
        source = replace(scope.source, name=name, alias=scope.source.alias or scope.source.name, hint="")
        return replace(scope, source=source)

    def _alias(self, taken: tuple[str, ...]) -> str:
        alias = self.pick(_ALIASES)
        return alias if alias not in taken else self.fresh("t")

    def _renamed(self, source: Part, inner: Scope, alias: str) -> Scope:
        columns = {
            column.name: replace(column, text=f"{alias}.{quoted(column.name)}") for column in inner.columns
        }
        key = tuple(columns[column.name] for column in inner.key)
        return Scope(source, tuple(columns.values()), key)

    def source(self, *, joins: float = 0.35, derived: float = 0.08) -> Scope:
        """What a SELECT reads."""
        if not self.chance(joins):
            return self.one(qualify=False, derived=derived)
        count = self.weighted(((2, 7), (3, 2), (4, 0.4)))
        scope = self.one(qualify=True, derived=derived)
        for _ in range(count - 1):
            scope = self._joined(scope, derived)
        return scope

    def _joined(self, left: Scope, derived: float) -> Scope:
        taken = tuple({column.text.rpartition(".")[0] for column in left.columns})
        right = self.one(qualify=True, derived=derived, taken=taken)
        kind = self.weighted(
            (
                ("JOIN", 5),
                ("INNER JOIN", 3),
                ("LEFT JOIN", 5),
                ("RIGHT JOIN", 2),
                ("CROSS JOIN", 0.6),
                ("STRAIGHT_JOIN", 0.5),
                (",", 0.5),
                ("USING", 1.5),
                ("NATURAL", 0.5),
                ("JSON_TABLE", 0.3),
            )
        )
        if kind == "JSON_TABLE":
            return self._listed_in_json(left)
        if kind in ("CROSS JOIN", ","):
            table = self._named(small=True)
            right = self.table_scope(table, self._alias(taken), qualify=True)
            return self._both(left, right, Join(left.source, kind, right.source))
        if kind in ("USING", "NATURAL"):
            return self._using(left, right, natural=kind == "NATURAL")
        return self._both(
            left, right, Join(left.source, kind, right.source, self.join_condition(left, right))
        )

    def _listed_in_json(self, left: Scope) -> Scope:
        """A product with the rows of a JSON text."""
        name = self.fresh("j")
        rows = Raw(
            f"""JSON_TABLE('[{{"v": 1}}, {{"v": 3}}, {{}}]', '$[*]' COLUMNS (o FOR ORDINALITY, v INT PATH '$.v')) AS {name}"""
        )
        place, value = (ColumnRef(f"{name}.{column}", INTEGER, column) for column in ("o", "v"))
        right = Scope(rows, (place, value), (place,))
        return self._both(left, right, Join(left.source, self.pick((",", "JOIN")), rows))

    def _both(self, left: Scope, right: Scope, join: Join) -> Scope:
        key = (*left.key, *right.key) if left.key and right.key else ()
        tables = left.tables + right.tables
        return Scope(join, left.columns + right.columns, key, tables, left.starred and right.starred)

    def _using(self, left: Scope, right: Scope, *, natural: bool) -> Scope:
        side = self.pick(("JOIN", "LEFT JOIN", "RIGHT JOIN"))
        names = [column.name for column in left.columns]
        rights = {column.name: column for column in right.columns}
        common = [
            column
            for column in left.columns
            if names.count(column.name) == 1
            and column.name in rights
            and column.type.collation == rights[column.name].type.collation
            and column.type.family is rights[column.name].type.family
        ]
        if not common:
            join = Join(left.source, side, right.source, self.join_condition(left, right))
            return self._both(left, right, join)
        if natural and len(common) == len([name for name in names if name in rights]):
            join = Join(left.source, f"NATURAL {side}", right.source)
        else:
            chosen = ", ".join(quoted(column.name) for column in self.some(common, 1, 2))
            join = Join(left.source, side, right.source, Raw(f"USING ({chosen})"))
        return replace(self._both(left, right, join), starred=False)

    def join_condition(self, left: Scope, right: Scope) -> Expression:
        """Equal keys most often; the binding's columns where the layout binds tables."""
        bound = self.scene.layout.bound
        if bound and self.chance(0.6):
            pairs = [
                (a, b)
                for name in bound
                for a in left.columns
                for b in right.columns
                if a.name == name and b.name == name
            ]
            if len(pairs) == len(bound) and all(
                a.type == b.type and a.type.check is Check.EXACT for a, b in pairs
            ):
                equal = [Call("{} = {}", pair, INTEGER) for pair in pairs]
                condition = equal[0] if len(equal) == 1 else Call("{} AND {}", tuple(equal), INTEGER)
                return (
                    condition
                    if self.chance(0.6)
                    else Call("{} AND {}", (condition, self.predicate(right, 1)), INTEGER)
                )
        pair = self.column_pair(left, right, ("=", "=", "=", "=", "<=>", "<"))
        both = Scope(NOTHING, left.columns + right.columns)
        if pair is None:
            return self.predicate(both, 1)
        return pair if self.chance(0.7) else Call("{} AND {}", (pair, self.predicate(both, 1)), INTEGER)
