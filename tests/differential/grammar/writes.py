"""INSERT, REPLACE, UPDATE and DELETE in all their forms.

Decides which rows are written. Each form has one right result: rows are cut by a total order, and joined updates take
values from the row itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tests.differential import values
from tests.differential.grammar.choice import Scope
from tests.differential.grammar.compounds import Compounds
from tests.differential.layouts import SHARDED
from tests.differential.schema import INTEGER, Column, Family, Table, quoted
from tests.differential.tree import (
    Assignment,
    Call,
    Delete,
    Expression,
    Insert,
    Item,
    Join,
    Limit,
    Listing,
    Literal,
    Part,
    Raw,
    Select,
    TableRef,
    Tail,
    Update,
    Write,
)

_BASE = ("id", "owner", "code", "day")


class Writes(Compounds):
    """Statements that change rows."""

    def write(self) -> Write:
        """Any of them."""
        return self.weighted(((self.insert, 5), (self.update, 5), (self.delete, 3)))()

    def insert(self) -> Write:
        """INSERT or REPLACE of one or several rows."""
        table = self.scene.table(
            self.weighted((("item", 4), ("part", 4), ("event", 3), ("land", 1.5), ("setting", 1.5)))
        )
        verb = self.weighted((("INSERT", 6), ("INSERT IGNORE", 1.5), ("REPLACE", 2)))
        further = [column for column in table.columns if column.name not in (*table.key, *_BASE)]
        required = [column for column in further if not column.nullable]
        chosen = [column for column in further if column.nullable and self.chance(0.3)]
        base = [column for column in table.columns if column.name in (*table.key, *_BASE)]
        columns = [*base, *required, *chosen]
        made = Insert(verb, table.name, tuple(quoted(column.name) for column in columns))
        if self.chance(0.25):
            made = replace(made, query=self._rows_elsewhere(table, columns, unique=verb != "INSERT"))
        elif self.chance(0.12):
            row = self._row(table, columns)
            sets = tuple(Assignment(quoted(c.name), value) for c, value in zip(columns, row, strict=True))
            made = replace(made, columns=(), sets=sets)
        else:
            count = self.weighted(((1, 4), (2, 2), (5, 2)))
            made = replace(made, rows=tuple(Listing(tuple(self._row(table, columns))) for _ in range(count)))
        if verb == "INSERT" and made.query is None and self.chance(0.3):
            made = replace(made, update=tuple(self._changes(table, of_row=True)))
        if self.chance(0.06):
            made = replace(
                made,
                returning=tuple(
                    Item(c) for c in self.some(self.table_scope(table, None, qualify=False).columns, 1, 3)
                ),
            )
        return Write(made, frozenset((table.name,)))

    def _row(self, table: Table, columns: Sequence[Column]) -> list[Expression]:
        return [self._cell(table, column) for column in columns]

    def _cell(self, table: Table, column: Column) -> Expression:
        if column.name == "id":
            # Codes that a collation holds equal lie on different shards; only new ids keep them apart.
            fresh = self.scene.layout.folded_codes and table.name in SHARDED
            if fresh or self.chance(0.6):
                new = Literal(
                    values.integer(self.between(100, 9999)), values.integer(self.between(10000, 19999))
                )
                # A number the mesh reads itself, behind a minus, or one only a server computes.
                form = self.weighted((("{}", 16), ("-{}", 1), ("ABS({})", 1), ("{} + 30000", 1)))
                return new if form == "{}" else Call(form, (new,), INTEGER)
            return Literal(self.pick(column.type.values), self.pick(column.type.values), column.type)
        if column.name in table.key or column.name in _BASE:
            return Literal(self.pick(column.type.values), self.pick(column.type.values), column.type)
        if column.nullable and self.chance(0.1):
            return Raw(self.pick(("DEFAULT", "NULL")))
        return self.literal(column.type)

    def _rows_elsewhere(self, table: Table, columns: Sequence[Column], *, unique: bool) -> Part:
        """A query whose rows fit; with `unique` one whose rows do not meet each other in the table's key."""
        source = table if unique else self.scene.table(self.pick(SHARDED))
        origin = self.table_scope(source, None, qualify=False)
        step = self.between(1000, 5000)
        bodies: list[Expression] = []
        for column in columns:
            alike = [
                c for c in origin.columns if c.name == column.name and c.type.family is column.type.family
            ]
            if column.name == "id":
                bodies.append(Call(f"id + {step}", (), INTEGER))
            elif column.name in _BASE and alike:
                bodies.append(alike[0])
            else:
                bodies.append(self.literal(column.type))
        where = self.predicate(origin, 1)
        return Select(tuple(Item(body) for body in bodies), origin.source, where)

    def _changes(self, table: Table, *, of_row: bool = False, qualifier: str = "") -> list[Assignment]:
        free = [column for column in table.columns if column.name not in (*table.key, *self._sharding(table))]
        found: list[Assignment] = []
        for column in self.some(free, 1, 3):
            name = f"{qualifier}{quoted(column.name)}"
            body: Expression = self.literal(column.type)
            if of_row and self.chance(0.5):
                body = Call(f"VALUES({quoted(column.name)})", (), column.type)
            elif column.type.numeric and not column.type.huge and self.chance(0.3):
                body = Call(f"{name} + {{}}", (self._number(0, 2),), column.type)
            elif not of_row and self.chance(0.04):
                body = Call("({})", (self._value_elsewhere(column),), column.type)
            elif self.chance(0.15):
                body = Call(f"COALESCE({name}, {{}})", (self.literal(column.type),), column.type)
            found.append(Assignment(name, body))
        return found

    def _value_elsewhere(self, column: Column) -> Part:
        """A scalar subquery that gives a value of this type, or NULL where it may."""
        source = self.table_scope(self.scene.table("setting"), self.fresh("s"), qualify=True)
        return Select(
            (Item(self.literal(column.type)),),
            source.source,
            tail=Tail(source.key),
            limit=Limit(Literal(values.integer(1), values.integer(1))),
        )

    def _sharding(self, table: Table) -> tuple[str, ...]:
        return self.scene.layout.keys.get(table.name, ())

    def _written_table(self) -> Table:
        return self.scene.table(
            self.weighted((("item", 5), ("part", 4), ("event", 4), ("land", 1.5), ("setting", 1.5)))
        )

    def update(self) -> Write:
        """UPDATE of one table or of a join."""
        if self.chance(0.2):
            return self._joined_update()
        table = self._written_table()
        scope = self.table_scope(table, None, qualify=False)
        made = Update(
            scope.source, tuple(self._changes(table)), self._where(scope, 2, 0.95), ignore=self.chance(0.08)
        )
        if self.chance(0.08):
            return Write(self._moved(table, scope), frozenset((table.name,)))
        if self.chance(0.12):
            made = replace(made, tail=Tail(scope.key), limit=self._few())
        return Write(made, frozenset((table.name,)))

    def _few(self) -> Limit:
        return Limit(self._number(0, 4))

    def _moved(self, table: Table, scope: Scope) -> Update:
        """An update of a column the table is sharded by, for one row."""
        columns = [
            table.column(name)
            for name in self._sharding(table) or ("code",)
            if name in [c.name for c in table.columns]
        ]
        column = self.pick(columns or list(table.columns[:1]))
        if column.type.family is Family.INTEGER and table.name in SHARDED and self.chance(0.3):
            step = Literal(values.integer(1000), values.integer(2001))
            changed = Assignment(
                quoted(column.name), Call(f"{quoted(column.name)} + {{}}", (step,), column.type)
            )
            return Update(scope.source, (changed,), self._where(scope, 1, 0.95))
        row = self.pick(table.rows)
        equal = [
            Call(
                "{} = {}",
                (key, Literal(row[table.index(key.name)], row[table.index(key.name)], key.type)),
                INTEGER,
            )
            for key in scope.key
        ]
        where: Expression = equal[0]
        for condition in equal[1:]:
            where = Call("{} AND {}", (where, condition), INTEGER)
        return Update(scope.source, (Assignment(quoted(column.name), self._cell(table, column)),), where)

    def _joined_update(self) -> Write:
        target, other, join = self._pair()
        table = self.scene.table(target.tables[0])
        sets = tuple(self._changes(table, qualifier="x."))
        both = self._both(target, other, join)
        return Write(Update(both.source, sets, self._where(both, 0)), frozenset((table.name,)))

    def _pair(self) -> tuple[Scope, Scope, Join]:
        target = self.table_scope(self._written_table(), "x", qualify=True)
        other = self.table_scope(self._written_table(), "y", qualify=True)
        kind = self.pick(("JOIN", "JOIN", "LEFT JOIN"))
        return target, other, Join(target.source, kind, other.source, self.join_condition(target, other))

    def delete(self) -> Write:
        """DELETE from one table or from tables of a join."""
        if self.chance(0.25):
            target, other, join = self._pair()
            both = self._both(target, other, join)
            targets, tables = self.pick((("x", target.tables), ("x, y", both.tables)))
            return Write(Delete(both.source, targets, self._where(both, 0)), frozenset(tables))
        table = self._written_table()
        scope = self.table_scope(table, None, qualify=False)
        # No index hints: a DELETE takes none.
        made = Delete(TableRef(table.name), where=self._where(scope, 2, 0.95))
        if self.chance(0.12):
            made = replace(made, tail=Tail(scope.key), limit=self._few())
        elif self.chance(0.1):
            made = replace(made, returning=tuple(Item(column) for column in self.some(scope.columns, 1, 3)))
        return Write(made, frozenset((table.name,)))
