"""What only shows over several statements of a session: counters, user variables, savepoints, text PREPARE.

Decides which statements follow each other. Every script leaves the session as it was, its rows by a rollback.
"""

from __future__ import annotations

from dataclasses import replace

from tests.differential.grammar.writes import Writes
from tests.differential.schema import INTEGER, Family
from tests.differential.tree import Call, Item, Limit, Literal, Part, Raw, Script, Select, Tail, TextPrepared
from tests.differential.values import integer


class Scripts(Writes):
    """Several statements in a row."""

    def script(self) -> Part:
        """Any of them."""
        form = self.pick(
            (
                self.found_rows,
                self.variables,
                self.into_variables,
                self.counters,
                self.savepoint,
                self.text_prepared,
            )
        )
        return form()

    def found_rows(self) -> Script:
        """SQL_CALC_FOUND_ROWS with LIMIT, or a plain SELECT, and FOUND_ROWS()."""
        query = replace(self.rows(1), lock="", comment="")
        if self.chance(0.7):
            query = replace(query, limit=Limit(self._number(0, 9)), modifiers=("SQL_CALC_FOUND_ROWS",))
        return Script((query, Raw("SELECT FOUND_ROWS()")))

    def variables(self) -> Script:
        """A variable set by SET or from a query, used in a condition."""
        table = self._named()
        scope = self.table_scope(table, None, qualify=False)
        column = self.pick(scope.having(lambda t: t.family not in (Family.JSON, Family.BIT)))
        given = self.literal(column.type)
        set_ = Call("SET @v = {}", (given,), INTEGER)
        used = (
            Call("{} <=> @v", (column,), INTEGER) if self.chance(0.5) else Call("{} = @v", (column,), INTEGER)
        )
        query = self._ordered(Select(tuple(self._items(scope, 0)), scope.source, used), scope, [], scope.key)
        steps: list[Part] = [set_, Raw("SELECT @v"), query]
        if self.chance(0.4):
            steps.append(Call("SELECT @w := {}, @w", (self.literal(INTEGER),), INTEGER))
        return Script(tuple(steps))

    def into_variables(self) -> Script:
        """SELECT … INTO variables, of one row or of none, and what they hold then."""
        table = self._named()
        scope = self.table_scope(table, None, qualify=False)
        usable = scope.having(lambda t: t.family not in (Family.JSON, Family.BIT, Family.FLOAT))
        shown = tuple(Item(column) for column in self.some(usable, 2, 2))
        query = Select(
            shown,
            scope.source,
            self._where(scope, 0),
            tail=Tail(scope.key),
            limit=self._one(),
            into="@v, @w",
            single=True,
        )
        steps = (
            Raw("SET @v = NULL, @w = NULL"),
            query,
            Raw("SELECT @v, @w, ROW_COUNT()"),
        )
        return Script(steps)

    def _one(self) -> Limit:
        return Limit(Literal(integer(1), integer(1)))

    def counters(self) -> Script:
        """A write, and what the session knows of it."""
        made = self.write()
        shown = (
            Raw("SELECT ROW_COUNT()") if self.chance(0.5) else Raw("SELECT LAST_INSERT_ID(), @@warning_count")
        )
        return Script((made.body, shown), made.tables)

    def savepoint(self) -> Script:
        """Two writes with a savepoint between them, the second undone; and what is left."""
        first, second = self.write(), self.write()
        look = self.rows(0)
        steps = (first.body, Raw("SAVEPOINT s"), second.body, look, Raw("ROLLBACK TO SAVEPOINT s"), look)
        return Script(steps, first.tables | second.tables)

    def text_prepared(self) -> TextPrepared:
        """PREPARE … FROM, EXECUTE … USING."""
        return TextPrepared(self.select(depth=1))
