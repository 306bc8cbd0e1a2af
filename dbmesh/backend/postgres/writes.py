"""INSERT, REPLACE, UPDATE and DELETE in PostgreSQL's dialect.

Decides what is stored for every column and how changed rows are counted as MySQL counts them. What runs and in which
order is the database's business.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlglot import exp

from dbmesh.backend.postgres import names
from dbmesh.backend.postgres.expressions import Environment, Expressions
from dbmesh.backend.postgres.functions import NOW
from dbmesh.backend.postgres.place import PLACE
from dbmesh.backend.postgres.schema import PostgresTable
from dbmesh.backend.postgres.selects import Selects, source_of
from dbmesh.backend.postgres.types import PLAIN
from dbmesh.backend.postgres.values import as_text
from dbmesh.backend.transpile.coerce import Coercion, Stored
from dbmesh.backend.transpile.schema import Column, Index
from dbmesh.backend.transpile.scope import Scope, Source, Typed
from dbmesh.backend.transpile.types import Kind
from dbmesh.errors import ShardError

_NAMES = [f"c{index}" for index in range(99)]


@dataclass(frozen=True, slots=True)
class Step:
    """Rows that are written together. `sql` returns, for each row written, whether it is new and its AUTO_INCREMENT
    value; `generates` tells that this value is made here, `highest_id` is the greatest one given. `delete` runs before
    and returns, for each row deleted, whether the new one is the same; "" outside REPLACE."""

    sql: str
    generates: bool = False
    highest_id: int = 0
    delete: str = ""


@dataclass(frozen=True, slots=True)
class Insert:
    """A compiled INSERT or REPLACE. It has several steps where a row depends on those before it: REPLACE takes one row
    at a time, and ids that are made follow those that are given. `count` is the number of VALUES rows, 0 for a query."""

    table: PostgresTable
    steps: tuple[Step, ...]
    upsert: bool = False
    ignore: bool = False
    count: int = 0

    @property
    def generates(self) -> bool:
        """Whether AUTO_INCREMENT values are made."""
        return any(step.generates for step in self.steps)


@dataclass(frozen=True, slots=True)
class Change:
    """A compiled UPDATE or DELETE. `matching` counts and locks the rows an UPDATE finds; `sql` changes those that
    really change."""

    sql: str
    matching: str | None = None


class Writes:
    """Compiles the writes of one statement."""

    def __init__(self, environment: Environment, selects: Selects) -> None:
        self._environment = environment
        self._selects = selects
        keeps_zero = "NO_AUTO_VALUE_ON_ZERO" in str(environment.variable("sql_mode", user=False)).upper()
        self._generating: tuple[Stored, ...] = (None,) if keeps_zero else (None, 0, "0")

    # ------------------------------------------------------------------ INSERT

    def insert(self, node: exp.Insert, *, replace: bool) -> Insert:
        """INSERT or REPLACE."""
        target = node.this
        schema = target if isinstance(target, exp.Schema) else None
        table = self._selects.table(target.this if schema is not None else target)
        if node.args.get("partition") or node.args.get("returning") or node.args.get("alias"):
            raise PLACE.refused(node)
        columns = list(table.columns)
        if schema is not None:
            columns = [_column(table, part.name) for part in schema.expressions]
        if len({column.name for column in columns}) < len(columns):
            raise ShardError(1110, "42000", f"Column '{columns[-1].name}' specified twice")
        ignore, conflict = bool(node.args.get("ignore")), node.args.get("conflict")
        if conflict is not None and (replace or ignore):
            raise PLACE.refused(conflict)
        for column in set(table.columns) - set(columns):
            if not (column.nullable or column.has_default or column.default_now or column.auto_increment):
                raise ShardError(1364, "HY000", f"Field '{column.name}' doesn't have a default value")
        auto = table.auto_column
        tail = self._conflict(table, conflict) if conflict is not None else ""
        if ignore:
            tail = " ON CONFLICT DO NOTHING"
        returned = names.name(auto.name) if auto is not None else "0"
        quoted = ", ".join(names.name(column.name) for column in columns)
        # An empty list is VALUES () of MySQL: every column has its default.
        listed = f" ({quoted})" if columns else ""
        head = f"INSERT INTO {names.name(table.name)}{listed} "
        tail += f" RETURNING (xmax = 0) AS is_new, {returned} AS id"
        if not isinstance(node.expression, exp.Values):
            if replace:
                raise PLACE.refusal("REPLACE … SELECT", "REPLACE with VALUES")
            query = self._query(table, columns, node.expression)
            step = Step(f"{head}{query}{tail}", auto is not None and auto not in columns)
            return Insert(table, (step,), conflict is not None, ignore)
        rows = self._rows(table, columns, node.expression)
        place = columns.index(auto) if auto in columns else None
        steps = []
        for group in _groups(rows, place, alone=replace):
            given = [] if place is None else [row[place].value for row in group]
            body = ", ".join(f"({', '.join(cell.sql for cell in row)})" for row in group)
            steps.append(
                Step(
                    f"{head}VALUES {body}{tail}",
                    auto is not None and (place is None or _is_made(group[0], place)),
                    max((value for value in given if isinstance(value, int)), default=0),
                    _delete(table, columns, group[0]) if replace else "",
                )
            )
        return Insert(table, tuple(steps), conflict is not None, ignore, len(rows))

    def _rows(self, table: PostgresTable, columns: Sequence[Column], source: exp.Values) -> list[list[Typed]]:
        expressions, scope = Expressions(self._environment, self._selects.nested), Scope()
        rows = []
        for number, row in enumerate(source.expressions, start=1):
            cells = row.expressions if isinstance(row, exp.Tuple) else [row]
            if not cells:
                cells = [exp.var("DEFAULT")] * len(columns)
            if len(cells) != len(columns):
                raise ShardError(1136, "21S01", f"Column count doesn't match value count at row {number}")
            rows.append(
                [
                    self._cell(table, column, cell, expressions, scope, number)
                    for column, cell in zip(columns, cells, strict=True)
                ]
            )
        return rows

    def _cell(
        self,
        table: PostgresTable,
        column: Column,
        cell: exp.Expression,
        expressions: Expressions,
        scope: Scope,
        row: int,
    ) -> Typed:
        if _is_default(cell):
            if not (column.nullable or column.has_default or column.default_now or column.auto_increment):
                raise ShardError(1364, "HY000", f"Field '{column.name}' doesn't have a default value")
            return Typed("DEFAULT", column.type)
        value = expressions.value(cell, scope)
        if column.auto_increment and value.constant and value.value in self._generating:
            return Typed("DEFAULT", column.type)
        return stored(table, column, value, row)

    def _query(self, table: PostgresTable, columns: Sequence[Column], source: exp.Expression) -> str:
        sql, selected = self._selects.compile(source, None, _NAMES)
        if len(selected) != len(columns):
            raise ShardError(1136, "21S01", "Column count doesn't match value count at row 1")
        parts = [
            stored(table, column, Typed(f"q.{names.name(f'c{index}')}", value.type), 1).sql
            for index, (column, (_, value)) in enumerate(zip(columns, selected, strict=True))
        ]
        return f"SELECT {', '.join(parts)} FROM ({sql}) AS q"

    def _conflict(self, table: PostgresTable, conflict: exp.Expression) -> str:
        keys = [index for index in table.indexes if index.unique]
        # Rows alike in a key that has all columns of another are alike in that one.
        narrow = [key for key in keys if all(set(key.columns) <= set(other.columns) for other in keys)]
        if not narrow:
            raise PLACE.refusal(
                f"ON DUPLICATE KEY UPDATE of a table with {len(keys)} unique keys",
                "use a table with one unique key, or UPDATE and INSERT",
            )
        inserted = Source(
            table.name,
            tuple(
                (
                    column.name,
                    Typed(
                        table.native(column.name).read.format(f"excluded.{names.name(column.name)}"),
                        column.type,
                    ),
                )
                for column in table.columns
            ),
        )
        expressions = Expressions(self._environment, self._selects.nested, Scope([inserted]))
        scope = Scope([source_of(table, table.name)])
        pairs = self._assignments(table, conflict.expressions, expressions, scope)
        assigned = ", ".join(
            f"{names.name(column.name)} = {sql}" for column, sql in (*pairs, *_touched(table, pairs))
        )
        return f" ON CONFLICT ({_listed(narrow[0])}) DO UPDATE SET {assigned} WHERE {_changed(table, table.name, pairs)}"

    # ------------------------------------------------------------------ UPDATE and DELETE

    def update(self, node: exp.Update) -> Change:
        """UPDATE of one table. A row is written only when it changes, so that changed rows are what is counted."""
        if node.args.get("from_") or not isinstance(node.this, exp.Table) or node.this.args.get("joins"):
            raise PLACE.refusal("UPDATE of several tables", "update one at a time")
        table, alias, scope = self._target(node.this)
        pairs = self._assignments(table, node.expressions, self._selects.expressions, scope)
        condition = self._condition(node, table, alias, scope)
        target = f"{names.name(table.name)} AS {names.name(alias)}"
        assigned = ", ".join(
            f"{names.name(column.name)} = {sql}" for column, sql in (*pairs, *_touched(table, pairs))
        )
        return Change(
            f"UPDATE {target} SET {assigned} WHERE {condition} AND ({_changed(table, alias, pairs)})",
            f"SELECT count(*) FROM (SELECT 1 FROM {target} WHERE {condition} FOR UPDATE) AS found",
        )

    def delete(self, node: exp.Delete) -> Change:
        """DELETE from one table."""
        if node.args.get("tables") or node.args.get("using") or not isinstance(node.this, exp.Table):
            raise PLACE.refusal("DELETE from several tables", "delete from one")
        table, alias, scope = self._target(node.this)
        condition = self._condition(node, table, alias, scope)
        return Change(f"DELETE FROM {names.name(table.name)} AS {names.name(alias)} WHERE {condition}")

    def _target(self, node: exp.Table) -> tuple[PostgresTable, str, Scope]:
        table = self._selects.table(node)
        alias = node.alias or table.name
        return table, alias, Scope([source_of(table, alias)])

    def _assignments(
        self,
        table: PostgresTable,
        nodes: Sequence[exp.Expression],
        expressions: Expressions,
        scope: Scope,
    ) -> list[tuple[Column, str]]:
        pairs: list[tuple[Column, str]] = []
        for node in nodes:
            if not isinstance(node, exp.EQ) or not isinstance(node.this, exp.Column):
                raise PLACE.refused(node)
            column = _column(table, node.this.name)
            reads = {part.name.lower() for part in node.expression.find_all(exp.Column)}
            if reads & {earlier.name.lower() for earlier, _ in pairs}:
                raise PLACE.refusal("an assignment that reads a column assigned before it", "put it first")
            if _is_default(node.expression):
                raise PLACE.refusal("an assignment of DEFAULT", "write the value out")
            pairs.append((column, stored(table, column, expressions.value(node.expression, scope), 1).sql))
        return pairs

    def _condition(self, node: exp.Expression, table: PostgresTable, alias: str, scope: Scope) -> str:
        scope.place = "where clause"
        where = node.args.get("where")
        condition = "true" if where is None else self._selects.expressions.condition(where.this, scope)
        if node.args.get("limit") is None:
            return condition
        keys = self._selects.order(node, scope, [], distinct=False)
        quoted = names.name(alias)
        return (
            f"{quoted}.ctid = ANY (ARRAY(SELECT {quoted}.ctid FROM {names.name(table.name)} AS {quoted} "
            f"WHERE {condition}{keys}{self._selects.limit(node)} FOR UPDATE))"
        )


def stored(table: PostgresTable, column: Column, value: Typed, row: int) -> Typed:
    """A value on its way into a column: a constant as MySQL converts it in strict mode, anything else by PostgreSQL's
    own assignment where that means the same. Raises ShardError or MeshError."""
    native = table.native(column.name)
    if value.constant:
        kept: Stored = Coercion(column.name, column.type).store(value.value, row)
        if column.declared.startswith("char(") and isinstance(kept, str):
            kept = kept.rstrip(" ")
        constant = names.constant(kept, column.type.kind)
        return Typed(native.write.format(constant), column.type, constant=True, value=kept)
    given, wanted = value.type, column.type
    if wanted.kind is Kind.TEXT:
        text = as_text(value).sql
        sql = f"rtrim({text}, ' ')" if column.declared.startswith("char(") else text
    elif (
        given.kind in (wanted.kind, Kind.NULL)
        or (given.numeric and wanted.numeric)
        or (given.temporal and wanted.temporal)
    ):
        sql = value.sql
    else:
        raise PLACE.refusal(
            f"storing a computed {given.kind.value} in a column of {column.declared}", "CAST it"
        )
    return Typed(native.write.format(sql), column.type)


def _is_made(row: Sequence[Typed], place: int) -> bool:
    """Whether AUTO_INCREMENT makes the value at this place."""
    return row[place].sql == "DEFAULT"


def _groups(rows: list[list[Typed]], place: int | None, *, alone: bool) -> list[list[list[Typed]]]:
    """Rows that can be written together: consecutive ones whose AUTO_INCREMENT value is given, or is made."""
    groups: list[list[list[Typed]]] = []
    for row in rows:
        if groups and not alone and (place is None or _is_made(groups[-1][0], place) == _is_made(row, place)):
            groups[-1].append(row)
        else:
            groups.append([row])
    return groups


def _delete(table: PostgresTable, columns: Sequence[Column], row: Sequence[Typed]) -> str:
    """REPLACE deletes every row that has a key of the new one; "" where the new one has no key yet."""
    values = dict(zip((column.name for column in columns), row, strict=True))
    keys = [
        " AND ".join(f"{names.name(part)} = {values[part].sql}" for part in index.columns)
        for index in table.indexes
        if index.unique and all(part in values and values[part].sql != "DEFAULT" for part in index.columns)
    ]
    if not keys:
        return ""
    target = names.name(table.name)
    return f"DELETE FROM {target} WHERE ({') OR ('.join(keys)}) RETURNING {_stays(table, values)} AS stays"


def _stays(table: PostgresTable, values: Mapping[str, Typed]) -> str:
    """Whether a replaced row is the same as the new one: MySQL does not count it as deleted then."""
    parts = []
    for column in table.columns:
        value = values.get(column.name)
        if value is None or value.sql == "DEFAULT":
            if column.default_now or (column.has_default and column.default is None):
                return "false"
            constant = names.constant(column.default, column.type.kind)
            value = Typed(table.native(column.name).write.format(constant), column.type)
        parts.append(f"{names.name(column.name)} IS NOT DISTINCT FROM {value.sql}")
    return f"({' AND '.join(parts)})"


def _column(table: PostgresTable, name: str) -> Column:
    column = table.column(name)
    if column is None:
        raise ShardError(1054, "42S22", f"Unknown column '{name}' in 'field list'")
    return column


def _is_default(cell: exp.Expression) -> bool:
    return isinstance(cell, exp.Var) and cell.name.upper() == "DEFAULT"


def _listed(index: Index) -> str:
    return ", ".join(map(names.name, index.columns))


def _touched(table: PostgresTable, pairs: Sequence[tuple[Column, str]]) -> list[tuple[Column, str]]:
    assigned = {column.name for column, _ in pairs}
    return [
        (column, f"date_trunc('second', {NOW})" if not column.type.decimals else NOW)
        for column in table.columns
        if column.on_update_now and column.name not in assigned
    ]


def _changed(table: PostgresTable, alias: str, pairs: Sequence[tuple[Column, str]]) -> str:
    quoted = names.name(alias)
    # The new value is compared as it will be stored: rounded to the column's digits.
    return " OR ".join(
        f"{quoted}.{names.name(column.name)} IS DISTINCT FROM "
        f"{_rounded(column, sql) if table.native(column.name) is PLAIN else sql}"
        for column, sql in pairs
    )


def _rounded(column: Column, sql: str) -> str:
    kind = column.type
    if kind.kind is Kind.DECIMAL:
        return f"({sql})::numeric({kind.length},{kind.decimals})"
    if kind.kind is Kind.INTEGER:
        return f"({sql})::bigint"
    if kind.kind is Kind.DATETIME:
        return f"({sql})::timestamp({kind.decimals})"
    return f"({sql})::date" if kind.kind is Kind.DATE else f"({sql})"
