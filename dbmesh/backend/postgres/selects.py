"""SELECT in PostgreSQL's dialect."""

from __future__ import annotations

from collections.abc import Mapping

from sqlglot import exp

from dbmesh.backend.postgres import names
from dbmesh.backend.postgres.expressions import Environment, Expressions
from dbmesh.backend.postgres.place import PLACE
from dbmesh.backend.postgres.schema import PostgresTable
from dbmesh.backend.postgres.values import compared, settled, sort_key, sortable
from dbmesh.backend.transpile import selects
from dbmesh.backend.transpile.scope import Origin, Scope, Source, Typed
from dbmesh.backend.transpile.selects import Named


class Selects(selects.Selects[PostgresTable]):
    """Compiles the SELECTs of one statement."""

    place = PLACE
    sides = ("LEFT", "RIGHT")
    volatile = ("random()", "gen_random_uuid()")

    def __init__(self, environment: Environment, tables: Mapping[str, PostgresTable], database: str) -> None:
        super().__init__(tables, database)
        self.expressions = Expressions(environment, self.nested)

    def value(self, node: exp.Expression, scope: Scope) -> Typed:
        """See `transpile.selects`."""
        return settled(self.expressions.value(node, scope))

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
        return key.sql

    def sort_key(self, key: Typed, *, descending: bool) -> str:
        """See `transpile.selects`."""
        return sort_key(key, descending=descending)

    def source_of(self, table: PostgresTable, alias: str) -> Source:
        """A column that is not stored as it is shown is read through its conversion."""
        return source_of(table, alias)

    def united(self, left: str, right: str, columns: Named, *, distinct: bool) -> str:
        """See `transpile.selects`."""
        return f"({left}) {'UNION' if distinct else 'UNION ALL'} ({right})"

    def lock(self, lock: exp.Lock) -> str:
        """See `transpile.selects`."""
        if lock.expressions:
            raise self.place.refusal("FOR UPDATE OF", "leave OF out")
        wait = lock.args.get("wait")
        patience = " NOWAIT" if wait is True else " SKIP LOCKED" if wait is False else ""
        return f" FOR {'UPDATE' if lock.args.get('update') else 'SHARE'}{patience}"


def source_of(table: PostgresTable, alias: str) -> Source:
    """A stored table in scope. A column that is not stored as it is shown is read through its conversion."""
    quoted = names.name(alias)
    columns = []
    for column in table.columns:
        plain = f"{quoted}.{names.name(column.name)}"
        columns.append(
            (
                column.name,
                Typed(
                    table.native(column.name).read.format(plain), column.type, Origin(table, column, alias)
                ),
            )
        )
    return Source(alias, tuple(columns))
