"""INSERT, REPLACE, UPDATE, DELETE and TRUNCATE in SQLite's dialect.

Decides what is stored for every column and how changed rows are counted as MySQL counts them. What runs and in which
order is the database's business.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlglot import exp

from dbmesh.backend.sqlite import names
from dbmesh.backend.sqlite.errors import COMPUTED
from dbmesh.backend.sqlite.expressions import Environment, Expressions
from dbmesh.backend.sqlite.place import PLACE
from dbmesh.backend.sqlite.selects import Selects
from dbmesh.backend.transpile.coerce import Coercion, Stored
from dbmesh.backend.transpile.schema import Column, Table
from dbmesh.backend.transpile.scope import Scope, Source, Typed
from dbmesh.backend.transpile.selects import UNNAMED
from dbmesh.errors import ShardError


@dataclass(frozen=True, slots=True)
class Insert:
    """A compiled INSERT or REPLACE. `rows` holds each row's values where all are known, for REPLACE;
    `entries` holds them for error texts, with COMPUTED for what only the running statement knows.
    `head` and `tail` are what stands around the rows of VALUES in `sql`."""

    table: Table
    columns: tuple[str, ...]
    sql: str
    rows: tuple[tuple[Stored, ...], ...] | None
    replace: bool = False
    upsert: bool = False
    ignore: bool = False
    generates: bool = False
    count: int = 0
    head: str = ""
    tail: str = ""
    entries: tuple[tuple[Stored, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """A compiled UPDATE or DELETE."""

    table: Table
    sql: str
    update: bool
    assigned: dict[str, Stored] = field(default_factory=dict)


class Writes:
    """Compiles the writes of one statement. `found_rows`: UPDATE counts matched rows."""

    def __init__(self, environment: Environment, selects: Selects, *, found_rows: bool) -> None:
        self._environment = environment
        self._selects = selects
        self._found_rows = found_rows

    # ------------------------------------------------------------------ INSERT

    def insert(self, node: exp.Insert, *, replace: bool) -> Insert:
        """INSERT or REPLACE."""
        target = node.this
        schema = target if isinstance(target, exp.Schema) else None
        table = self._selects.table(target.this if schema is not None else target)
        columns = (
            [self._column(table, part.name) for part in schema.expressions]
            if schema is not None
            else list(table.columns)
        )
        if len({column.name for column in columns}) < len(columns):
            raise ShardError(1110, "42000", f"Column '{columns[-1].name}' specified twice")
        if node.args.get("partition") or node.args.get("returning") or node.args.get("alias"):
            raise PLACE.refused(node)
        source = node.expression
        missing = [column for column in table.columns if column not in columns]
        rows: list[list[Stored]] | None = None
        entries: list[list[Stored]] = []
        if isinstance(source, exp.Values):
            sql_rows, entries, all_known, generates = self._value_rows(table, columns, missing, source)
            rows = entries if all_known else None
            body = f"VALUES {', '.join(sql_rows)}"
            count = len(sql_rows)
        else:
            body, generates = self._query_rows(table, columns, missing, source)
            count = 0
        order = (*columns, *missing)
        names_sql = ", ".join(names.name(column.name) for column in order)
        ignore = bool(node.args.get("ignore"))
        conflict = node.args.get("conflict")
        verb = "INSERT OR REPLACE" if replace else "INSERT OR IGNORE" if ignore else "INSERT"
        before = f"{verb} INTO {names.name(table.name)} ({names_sql}) "
        tail = ""
        if conflict is not None:
            if replace or ignore:
                raise PLACE.refused(conflict)
            tail = self._on_duplicate(table, conflict)
        return Insert(
            table,
            tuple(column.name for column in order),
            f"{before}{body}{tail}",
            None if rows is None else tuple(map(tuple, rows)),
            replace,
            conflict is not None,
            ignore,
            generates,
            count,
            f"{before}VALUES ",
            tail,
            tuple(map(tuple, entries)),
        )

    def _column(self, table: Table, name: str) -> Column:
        column = table.column(name)
        if column is None:
            raise ShardError(1054, "42S22", f"Unknown column '{name}' in 'field list'")
        return column

    def _value_rows(
        self, table: Table, columns: Sequence[Column], missing: Sequence[Column], source: exp.Values
    ) -> tuple[list[str], list[list[Stored]], bool, bool]:
        """Each row's SQL and values, whether all values are known, and whether AUTO_INCREMENT gives some."""
        expressions, scope = Expressions(self._environment), Scope()
        coercions = [Coercion(column.name, column.type) for column in (*columns, *missing)]
        sql_rows: list[str] = []
        entries: list[list[Stored]] = []
        all_known = True
        generates = any(column.auto_increment for column in missing)
        for number, row in enumerate(source.expressions, start=1):
            cells = row.expressions if isinstance(row, exp.Tuple) else [row]
            if not cells and not isinstance(row, exp.Tuple):
                raise PLACE.refused(row)
            if len(cells) != len(columns) and (cells or schema_given(columns, table)):
                raise ShardError(1136, "21S01", f"Column count doesn't match value count at row {number}")
            parts: list[str] = []
            values: list[Stored] = []
            for column, coercion, cell in zip(
                columns, coercions, cells or [exp.var("DEFAULT")] * len(columns), strict=False
            ):
                value = _default(column) if _is_default(cell) else expressions.compile(cell, scope)
                stored = self._stored(column, coercion, value, number)
                generates |= column.auto_increment and stored.sql == "NULL"
                parts.append(stored.sql)
                values.append(stored.value if stored.constant else COMPUTED)
                all_known &= stored.constant
            for column, coercion in zip(missing, coercions[len(columns) :], strict=True):
                stored = self._stored(column, coercion, _default(column), number)
                parts.append(stored.sql)
                values.append(stored.value)
            sql_rows.append(f"({', '.join(parts)})")
            entries.append(values)
        return sql_rows, entries, all_known, generates

    def _query_rows(
        self, table: Table, columns: Sequence[Column], missing: Sequence[Column], source: exp.Expression
    ) -> tuple[str, bool]:
        sql, selected = self._selects.compile(source, None, UNNAMED)
        if len(selected) != len(columns):
            raise ShardError(1136, "21S01", "Column count doesn't match value count at row 1")
        parts = []
        for index, (column, (_, value)) in enumerate(zip(columns, selected, strict=True)):
            coercion = Coercion(column.name, column.type)
            parts.append(
                self._stored(column, coercion, Typed(f"q.{names.name(f'c{index}')}", value.type), 1).sql
            )
        parts.extend(
            self._stored(column, Coercion(column.name, column.type), _default(column), 1).sql
            for column in missing
        )
        generates = any(column.auto_increment for column in missing)
        return f"SELECT {', '.join(parts)} FROM ({sql}) AS q WHERE true", generates

    def _stored(self, column: Column, coercion: Coercion, value: Typed, row: int) -> Typed:
        """A value on its way into a column."""
        if value.constant:
            return stored_constant(column, coercion, value, row)
        key = self._environment.register(coercion)
        return Typed(f"mysql_store({names.literal(key)}, {value.sql}, {row})", column.type)

    def _on_duplicate(self, table: Table, conflict: exp.Expression) -> str:
        inserted = Scope(
            [
                Source(
                    table.name,
                    tuple((c.name, Typed(f"excluded.{names.name(c.name)}", c.type)) for c in table.columns),
                )
            ]
        )
        scope = Scope([Source.of_table(table, table.name)])
        expressions = Expressions(self._environment, inserted)
        pairs, _ = self._assignments(table, conflict.expressions, expressions, scope)
        changed = _changed(table.name, pairs)
        assignments = ", ".join(f"{names.name(column.name)} = {sql}" for column, sql in pairs)
        return f" ON CONFLICT DO UPDATE SET {assignments} WHERE mysql_count_change({changed})"

    # ------------------------------------------------------------------ UPDATE and DELETE

    def update(self, node: exp.Update) -> Change:
        """UPDATE of one table. A row is written only when it changes, so that changed rows are what is counted."""
        if node.args.get("from_") or not isinstance(node.this, exp.Table) or node.this.args.get("joins"):
            raise PLACE.refusal("UPDATE of several tables", "update one at a time")
        table = self._selects.table(node.this)
        alias = node.this.alias or table.name
        scope = Scope([Source.of_table(table, alias)])
        expressions = self._selects.expressions
        pairs, assigned = self._assignments(table, node.expressions, expressions, scope)
        pairs += self._touched(table, pairs)
        condition = self._condition(node, scope, table, alias)
        changed = _changed(
            alias, [pair for pair in pairs if not (pair[0].on_update_now and pair[0].name not in assigned)]
        )
        assignments = ", ".join(f"{names.name(column.name)} = {sql}" for column, sql in pairs)
        sql = (
            f"UPDATE {names.name(table.name)} AS {names.name(alias)} SET {assignments} WHERE {condition} "
            f"AND CASE WHEN {condition} THEN mysql_count_change({changed}) ELSE 0 END"
        )
        return Change(table, sql, True, assigned)

    def delete(self, node: exp.Delete) -> Change:
        """DELETE from one table."""
        if node.args.get("tables") or node.args.get("using") or not isinstance(node.this, exp.Table):
            raise PLACE.refusal("DELETE from several tables", "delete from one")
        table = self._selects.table(node.this)
        alias = node.this.alias or table.name
        condition = self._condition(node, Scope([Source.of_table(table, alias)]), table, alias)
        return Change(
            table, f"DELETE FROM {names.name(table.name)} AS {names.name(alias)} WHERE {condition}", False
        )

    def _assignments(
        self, table: Table, nodes: Sequence[exp.Expression], expressions: Expressions, scope: Scope
    ) -> tuple[list[tuple[Column, str]], dict[str, Stored]]:
        pairs: list[tuple[Column, str]] = []
        known: dict[str, Stored] = {}
        for node in nodes:
            if not isinstance(node, exp.EQ) or not isinstance(node.this, exp.Column):
                raise PLACE.refused(node)
            column = self._column(table, node.this.name)
            assigned = {earlier.name.lower() for earlier, _ in pairs}
            reads = {part.name.lower() for part in node.expression.find_all(exp.Column)}
            if assigned & reads:
                raise PLACE.refusal(
                    "an assignment that reads a column assigned before it",
                    "put it first, or write the new value out",
                )
            cell = node.expression
            value = _default(column) if _is_default(cell) else expressions.compile(cell, scope)
            stored = self._stored(column, Coercion(column.name, column.type), value, 1)
            known[column.name] = stored.value
            pairs.append((column, stored.sql))
        return pairs, known

    def _touched(self, table: Table, pairs: Sequence[tuple[Column, str]]) -> list[tuple[Column, str]]:
        assigned = {column.name for column, _ in pairs}
        return [
            (column, f"mysql_now({column.type.decimals})")
            for column in table.columns
            if column.on_update_now and column.name not in assigned
        ]

    def _condition(self, node: exp.Expression, scope: Scope, table: Table, alias: str) -> str:
        scope.place = "where clause"
        where, order = node.args.get("where"), node.args.get("order")
        condition = "true" if where is None else f"({self._selects.expressions.condition(where.this, scope)})"
        if node.args.get("limit") is None:
            return condition
        keys = "" if order is None else self._selects.order(node, scope, [], distinct=False)
        quoted = names.name(alias)
        return (
            f"{quoted}.rowid IN (SELECT {quoted}.rowid FROM {names.name(table.name)} AS {quoted} "
            f"WHERE {condition}{keys}{self._selects.limit(node)})"
        )


def stored_constant(column: Column, coercion: Coercion, value: Typed, row: int) -> Typed:
    """A constant on its way into a column. Raises ShardError when it does not fit."""
    if column.auto_increment and value.value in (None, 0, "0"):
        return Typed("NULL", column.type, constant=True)
    stored = coercion.store(value.value, row)
    return Typed(names.literal(stored), column.type, constant=True, value=stored)


def schema_given(columns: Sequence[Column], table: Table) -> bool:
    """Whether the column list is not simply every column."""
    return len(columns) != len(table.columns)


def _changed(alias: str, pairs: Sequence[tuple[Column, str]]) -> str:
    quoted = names.name(alias)
    return " OR ".join(
        f"({quoted}.{names.name(column.name)} COLLATE BINARY) IS NOT ({sql})" for column, sql in pairs
    )


def _is_default(cell: exp.Expression) -> bool:
    return isinstance(cell, exp.Var) and cell.name.upper() == "DEFAULT"


def _default(column: Column) -> Typed:
    if column.default_now:
        return Typed(f"mysql_now({column.type.decimals})", column.type)
    if column.has_default:
        return Typed(names.literal(column.default), column.type, constant=True, value=column.default)
    if column.nullable or column.auto_increment:
        return Typed("NULL", column.type, constant=True)
    raise ShardError(1364, "HY000", f"Field '{column.name}' doesn't have a default value")
