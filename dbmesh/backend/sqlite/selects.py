"""SELECT in SQLite's dialect. Locking clauses are dropped: a transaction already holds the only write lock."""

from __future__ import annotations

from collections.abc import Mapping

from sqlglot import exp

from dbmesh.backend.sqlite.comparisons import compared, sortable
from dbmesh.backend.sqlite.expressions import Environment, Expressions
from dbmesh.backend.sqlite.place import PLACE
from dbmesh.backend.transpile import selects
from dbmesh.backend.transpile.schema import Table
from dbmesh.backend.transpile.scope import Scope, Source, Typed
from dbmesh.backend.transpile.selects import Named
from dbmesh.backend.transpile.types import Kind


class Selects(selects.Selects[Table]):
    """Compiles the SELECTs of one statement."""

    place = PLACE
    sides = ("LEFT",)
    volatile = ("mysql_rand(", "mysql_uuid(")

    def __init__(self, environment: Environment, tables: Mapping[str, Table], database: str) -> None:
        super().__init__(tables, database)
        self.expressions = Expressions(environment, nested=self.nested)

    def value(self, node: exp.Expression, scope: Scope) -> Typed:
        """See `transpile.selects`."""
        return self.expressions.compile(node, scope)

    def condition(self, node: exp.Expression, scope: Scope) -> str:
        """See `transpile.selects`."""
        return self.expressions.condition(node, scope)

    def equality(self, left: Typed, right: Typed) -> str:
        """See `transpile.selects`."""
        return compared("=", left, right).sql

    def sortable(self, column: Typed) -> str:
        """See `transpile.selects`."""
        return sortable(column)

    def group_key(self, key: Typed) -> str:
        """See `transpile.selects`."""
        return sortable(key)

    def sort_key(self, key: Typed, *, descending: bool) -> str:
        """See `transpile.selects`."""
        return sortable(key) + (" DESC" if descending else "")

    def source_of(self, table: Table, alias: str) -> Source:
        """See `transpile.selects`."""
        return Source.of_table(table, alias)

    def united(self, left: str, right: str, columns: Named, *, distinct: bool) -> str:
        """Refuses DISTINCT where SQLite would tell texts and decimals apart by their bytes."""
        if distinct and any(column.type.kind in (Kind.TEXT, Kind.DECIMAL) for _, column in columns):
            raise self.place.refusal("UNION of texts", "use UNION ALL, or DISTINCT in one SELECT")
        word = "UNION" if distinct else "UNION ALL"
        return f"SELECT * FROM ({left}) {word} SELECT * FROM ({right})"

    def lock(self, lock: exp.Lock) -> str:
        """See the module's docstring."""
        return ""
