"""SELECT in PostgreSQL's dialect, with the columns a MySQL server would describe.

Decides clauses, names in scope, column names and definitions. Recursive common table expressions, window functions and
ROLLUP are refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlglot import exp

from dbmesh.backend.postgres import names
from dbmesh.backend.postgres import types as postgres_types
from dbmesh.backend.postgres.expressions import Environment, Expressions, refused
from dbmesh.backend.postgres.schema import PostgresTable
from dbmesh.backend.postgres.values import compared, refusal, settled, sort_key, sortable
from dbmesh.backend.sqlite.scope import Origin, Scope, Source, Typed
from dbmesh.backend.sqlite.selects import Named, TableFinder, limit_sql
from dbmesh.backend.sqlite.types import Kind
from dbmesh.errors import ShardError, not_supported

_CLAUSES = frozenset(
    {
        *("expressions", "from_", "joins", "where", "group", "having", "order", "limit", "offset"),
        *("distinct", "locks"),
    }
)
_HARMLESS = frozenset(
    {"SQL_NO_CACHE", "SQL_CACHE", "HIGH_PRIORITY", "STRAIGHT_JOIN", "SQL_SMALL_RESULT", "SQL_BIG_RESULT"}
)
_UNNAMED = [f"c{index}" for index in range(99)]


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


class Selects:
    """Compiles the SELECTs of one statement. `tables` finds a stored table or raises 1146."""

    def __init__(self, environment: Environment, tables: TableFinder) -> None:
        self.expressions = Expressions(environment, self.nested)
        self._tables = tables
        self._common: dict[str, tuple[str, Named]] = {}

    def table(self, node: exp.Expression) -> PostgresTable:
        """The stored table a node names. Raises ShardError 1146, or MeshError for another schema."""
        table = self._tables(node)
        assert isinstance(table, PostgresTable)
        return table

    def compile(
        self, query: exp.Expression, parent: Scope | None, texts: Sequence[str] | None
    ) -> tuple[str, Named]:
        """SQL and named columns. `texts` are the source texts of the select list where they are known."""
        if isinstance(query, exp.Subquery) and not query.args.get("alias"):
            return self.compile(query.this, parent, texts)
        common = query.args.get("with_")
        if common is not None:
            return self._with(common, query, parent, texts)
        if isinstance(query, exp.Union):
            return self._union(query, parent, texts)
        if not isinstance(query, exp.Select):
            raise refused(query)
        for name, value in query.args.items():
            if name == "operation_modifiers" and all(str(word).upper() in _HARMLESS for word in value or ()):
                continue
            if value and name not in _CLAUSES:
                raise refused(value if isinstance(value, exp.Expression) else query)
        return self._select(query, parent, texts)

    def nested(self, query: exp.Expression, scope: Scope) -> tuple[str, list[Typed]]:
        """A subquery inside an expression."""
        sql, columns = self.compile(query, scope, _UNNAMED)
        return sql, [column for _, column in columns]

    def _with(
        self, common: exp.With, query: exp.Expression, parent: Scope | None, texts: Sequence[str] | None
    ) -> tuple[str, Named]:
        """Common table expressions stand where their names do, as derived tables; each sees those before it."""
        if common.args.get("recursive"):
            raise refused(common)
        outer = self._common
        try:
            for part in common.expressions:
                given = [name.name for name in part.args["alias"].columns]
                sql, columns = self.compile(part.this, None, given or None)
                if "random()" in sql or "gen_random_uuid()" in sql:
                    raise refused(common)
                if given and len(given) != len(columns):
                    raise ShardError(
                        1222, "21000", "The used SELECT statements have a different number of columns"
                    )
                if given:
                    columns = [(name, column) for name, (_, column) in zip(given, columns, strict=True)]
                self._common = {**self._common, part.alias.lower(): (sql, columns)}
            bare = query.copy()
            bare.set("with_", None)
            return self.compile(bare, parent, texts)
        finally:
            self._common = outer

    def _select(
        self, query: exp.Select, parent: Scope | None, texts: Sequence[str] | None
    ) -> tuple[str, Named]:
        scope = Scope(parent=parent)
        source = self._from(query, scope)
        columns = self._columns(query, scope, texts)
        distinct = query.args.get("distinct") is not None
        if distinct and query.args["distinct"].args.get("on"):
            raise refused(query)
        shown = [sortable(column) if distinct else column.sql for _, column in columns]
        parts = [f"SELECT {'DISTINCT ' if distinct else ''}"]
        parts.append(", ".join(f"{sql} AS {names.name(f'c{index}')}" for index, sql in enumerate(shown)))
        parts.append(source)
        where = query.args.get("where")
        if where is not None:
            scope.place = "where clause"
            parts.append(f" WHERE {self.expressions.condition(where.this, scope)}")
        scope.aliases = {name.lower(): column for name, column in reversed(columns)}
        parts.append(self._grouping(query, scope, columns))
        parts.append(self.order(query, scope, columns, distinct=distinct))
        parts.append(limit_sql(query))
        parts.extend(_lock(lock) for lock in query.args.get("locks") or ())
        return "".join(parts), columns

    # ------------------------------------------------------------------ FROM

    def _from(self, query: exp.Select, scope: Scope) -> str:
        start = query.args.get("from_")
        if start is None or (isinstance(start.this, exp.Table) and start.this.name.upper() == "DUAL"):
            return ""
        parts = [" FROM ", self._source(start.this, scope)]
        joins = (*start.this.args.get("joins", ()), *query.args.get("joins", ()))
        parts.extend(self._join(join, scope) for join in joins)
        return "".join(parts)

    def _join(self, join: exp.Join, scope: Scope) -> str:
        side, kind = (join.args.get("side") or "").upper(), (join.args.get("kind") or "").upper()
        allowed = ("", "INNER", "CROSS", "OUTER", "STRAIGHT")
        if join.args.get("method") or side not in ("", "LEFT", "RIGHT") or kind not in allowed:
            raise refused(join)
        table = self._source(join.this, scope)
        using, on = join.args.get("using"), join.args.get("on")
        if using and side == "RIGHT":
            raise refusal("RIGHT JOIN … USING", "write ON")
        condition = "true"
        scope.place = "on clause"
        if using:
            condition = self._using(using, scope)
        elif on is not None:
            condition = self.expressions.condition(on, scope)
        scope.place = "field list"
        if side == "LEFT":
            scope.sources[-1] = _nullable(scope.sources[-1])
        elif side == "RIGHT":
            scope.sources[:-1] = [_nullable(source) for source in scope.sources[:-1]]
        return f" {side} JOIN {table} ON {condition}"

    def _using(self, using: Sequence[exp.Expression], scope: Scope) -> str:
        if len(scope.sources) != 2:
            raise refusal("USING in a join of three tables", "write ON")
        shared = [name.name.lower() for name in using]
        scope.merged |= frozenset(shared)
        left, right = (
            {known.lower(): column for known, column in source.columns} for source in scope.sources
        )
        for name in shared:
            if name not in left or name not in right:
                raise ShardError(1054, "42S22", f"Unknown column '{name}' in 'from clause'")
        return " AND ".join(compared("=", left[name], right[name]).sql for name in shared)

    def _source(self, node: exp.Expression, scope: Scope) -> str:
        if isinstance(node, exp.Subquery):
            return self._derived(node, scope)
        if not isinstance(node, exp.Table) or node.args.get("partition") or node.args.get("pivots"):
            raise refused(node)
        common = self._common.get(node.name.lower()) if not node.text("db") else None
        if common is not None:
            return self._placed(*common, node.alias or node.name, scope)
        table = self.table(node)
        alias = node.alias or table.name
        _check_unique(alias, scope)
        scope.sources.append(source_of(table, alias))
        return f"{names.name(table.name)} AS {names.name(alias)}"

    def _derived(self, node: exp.Subquery, scope: Scope) -> str:
        if not node.alias:
            raise ShardError(1248, "42000", "Every derived table must have its own alias")
        if node.args["alias"].args.get("columns"):
            raise refused(node)
        return self._placed(*self.compile(node.this, None, None), node.alias, scope)

    def _placed(self, sql: str, columns: Named, alias: str, scope: Scope) -> str:
        _check_unique(alias, scope)
        quoted = names.name(alias)
        scope.sources.append(
            Source(
                alias,
                tuple(
                    (name, Typed(f"{quoted}.{names.name(f'c{index}')}", column.type, derived=alias))
                    for index, (name, column) in enumerate(columns)
                ),
            )
        )
        return f"({sql}) AS {quoted}"

    # ------------------------------------------------------------------ select list

    def _columns(self, query: exp.Select, scope: Scope, texts: Sequence[str] | None) -> Named:
        columns: Named = []
        for index, node in enumerate(query.expressions):
            if isinstance(node, exp.Star):
                columns.extend(self._star(scope))
            elif isinstance(node, exp.Column) and isinstance(node.this, exp.Star):
                columns.extend(scope.source(node.text("table")).columns)
            else:
                text = texts[index] if texts is not None and index < len(texts) else None
                value = settled(self.expressions.value(node.unalias(), scope))
                columns.append((_name(node, text), value))
        return columns

    def _star(self, scope: Scope) -> Named:
        if not scope.sources:
            raise ShardError(1096, "HY000", "No tables used")
        merged: dict[str, tuple[str, Typed]] = {}
        rest: Named = []
        for source in scope.sources:
            for name, column in source.columns:
                if name.lower() in scope.merged:
                    merged.setdefault(name.lower(), (name, column))
                else:
                    rest.append((name, column))
        return [*merged.values(), *rest]

    # ------------------------------------------------------------------ the clauses behind WHERE

    def _grouping(self, query: exp.Select, scope: Scope, columns: Named) -> str:
        out = ""
        group, having = query.args.get("group"), query.args.get("having")
        if group is not None:
            if any(group.args.get(key) for key in ("rollup", "cube", "grouping_sets", "totals", "all")):
                raise refused(group)
            scope.place = "group statement"
            keys = [self._key(node, scope, columns) for node in group.expressions]
            out += f" GROUP BY {', '.join(key.sql for key in keys)}"
        if having is not None:
            scope.place, scope.alias_first = "having clause", True
            out += f" HAVING {self.expressions.condition(having.this, scope)}"
        return out

    def _key(self, node: exp.Expression, scope: Scope, columns: Named) -> Typed:
        if isinstance(node, exp.Literal) and not node.is_string:
            position = int(node.name)
            if not 1 <= position <= len(columns):
                raise ShardError(1054, "42S22", f"Unknown column '{position}' in '{scope.place}'")
            return columns[position - 1][1]
        return settled(self.expressions.value(node, scope))

    def order(self, query: exp.Expression, scope: Scope, columns: Named, *, distinct: bool) -> str:
        """ORDER BY."""
        order = query.args.get("order")
        if order is None:
            return ""
        scope.place, scope.alias_first = "order clause", True
        parts = []
        for item in order.expressions:
            key = self._key(item.this, scope, columns)
            if key.constant:
                continue
            if distinct and all(key.sql != column.sql for _, column in columns):
                raise refusal("SELECT DISTINCT ordered by what it does not select", "select the sort key too")
            parts.append(sort_key(key, descending=bool(item.args.get("desc"))))
        return f" ORDER BY {', '.join(parts)}" if parts else ""

    def _union(
        self, query: exp.Union, parent: Scope | None, texts: Sequence[str] | None
    ) -> tuple[str, Named]:
        left, columns = self.compile(query.this, parent, texts)
        right, others = self.compile(query.expression, parent, None if texts is None else [""] * 99)
        if len(columns) != len(others):
            raise ShardError(1222, "21000", "The used SELECT statements have a different number of columns")
        merged: Named = []
        for index, ((name, one), (_, other)) in enumerate(zip(columns, others, strict=True)):
            if Kind.NULL not in (one.type.kind, other.type.kind) and one.type.kind is not other.type.kind:
                raise refusal("UNION of columns of different types", "CAST them to one type")
            kind = other.type if one.type.kind is Kind.NULL else one.type
            kind = replace(
                kind,
                length=max(one.type.length, other.type.length),
                decimals=max(one.type.decimals, other.type.decimals),
                not_null=one.type.not_null and other.type.not_null,
                collation=postgres_types.COLLATION,
            )
            merged.append((name, Typed(f"u.{names.name(f'c{index}')}", kind)))
        scope = Scope([Source("u", tuple(merged))], aliases=dict(merged))
        word = "UNION" if query.args.get("distinct") else "UNION ALL"
        sql = f"SELECT * FROM (({left}) {word} ({right})) AS u"
        return sql + self.order(query, scope, merged, distinct=False) + limit_sql(query), merged


def _lock(lock: exp.Lock) -> str:
    if lock.expressions:
        raise not_supported("FOR UPDATE OF on PostgreSQL data sources", "leave OF out")
    wait = lock.args.get("wait")
    patience = " NOWAIT" if wait is True else " SKIP LOCKED" if wait is False else ""
    return f" FOR {'UPDATE' if lock.args.get('update') else 'SHARE'}{patience}"


def _check_unique(alias: str, scope: Scope) -> None:
    if any(source.alias.lower() == alias.lower() for source in scope.sources):
        raise ShardError(1066, "42000", f"Not unique table/alias: '{alias}'")


def _nullable(source: Source) -> Source:
    return Source(
        source.alias,
        tuple(
            (name, replace(column, type=replace(column.type, not_null=False)))
            for name, column in source.columns
        ),
    )


def _name(node: exp.Expression, text: str | None) -> str:
    if isinstance(node, exp.Alias):
        return node.alias
    if isinstance(node, exp.Column) or (isinstance(node, exp.Literal) and node.is_string):
        return node.name
    if text is None:
        raise refusal("an expression without a name in a subquery", "give it an alias")
    return text
