"""SELECT with the columns a MySQL server would describe.

Decides clauses, names in scope, column names and definitions. What an expression, a sort key or a lock is in the target's
dialect is said by each data source's subclass. Recursive common table expressions, window functions and ROLLUP are refused.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar, Final, Generic

import sqlglot
from sqlglot import exp
from sqlglot.tokenizer_core import Token, TokenType

from dbmesh.backend.transpile import names, types
from dbmesh.backend.transpile.refusals import Place
from dbmesh.backend.transpile.scope import AnyTable, Scope, Source, Typed, find_table
from dbmesh.backend.transpile.types import Kind
from dbmesh.errors import ShardError
from dbmesh.wire.packets import ColumnDefinition

_CLAUSES = frozenset(
    {
        *("expressions", "from_", "joins", "where", "group", "having", "order", "limit", "offset"),
        *("distinct", "locks"),
    }
)
_HARMLESS = frozenset(
    {"SQL_NO_CACHE", "SQL_CACHE", "HIGH_PRIORITY", "STRAIGHT_JOIN", "SQL_SMALL_RESULT", "SQL_BIG_RESULT"}
)
Named = list[tuple[str, Typed]]
UNNAMED: Final = tuple(f"c{index}" for index in range(99))
"""Names of columns nobody sees."""


class Selects(ABC, Generic[AnyTable]):
    """Compiles the SELECTs of one statement over `tables`, by their names in lower case."""

    place: ClassVar[Place]
    """What refusals say."""
    sides: ClassVar[Sequence[str]]
    """Outer joins the target knows."""
    volatile: ClassVar[Sequence[str]]
    """Calls whose value differs from one reading to the next: a common table expression is written where it is used."""

    def __init__(self, tables: Mapping[str, AnyTable], database: str) -> None:
        self._tables = tables
        self._database = database
        self._common: dict[str, tuple[str, Named]] = {}

    # ------------------------------------------------------------------ what the dialect says

    @abstractmethod
    def value(self, node: exp.Expression, scope: Scope) -> Typed:
        """An expression as a value that is shown, sorted or grouped by."""

    @abstractmethod
    def condition(self, node: exp.Expression, scope: Scope) -> str:
        """An expression as a truth value."""

    @abstractmethod
    def equality(self, left: Typed, right: Typed) -> str:
        """`left = right`."""

    @abstractmethod
    def sortable(self, column: Typed) -> str:
        """What tells values apart as MySQL does."""

    @abstractmethod
    def group_key(self, key: Typed) -> str:
        """A member of GROUP BY."""

    @abstractmethod
    def sort_key(self, key: Typed, *, descending: bool) -> str:
        """A member of ORDER BY."""

    @abstractmethod
    def source_of(self, table: AnyTable, alias: str) -> Source:
        """A stored table in scope."""

    @abstractmethod
    def united(self, left: str, right: str, columns: Named, *, distinct: bool) -> str:
        """UNION of two queries."""

    @abstractmethod
    def lock(self, lock: exp.Lock) -> str:
        """FOR UPDATE and the like."""

    def table(self, node: exp.Expression) -> AnyTable:
        """The stored table a node names. Raises ShardError 1146, or MeshError for another schema."""
        return find_table(self._tables, node, self._database, self.place)

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
            raise self.place.refused(query)
        for name, value in query.args.items():
            if name == "operation_modifiers" and all(str(word).upper() in _HARMLESS for word in value or ()):
                continue
            if value and name not in _CLAUSES:
                raise self.place.refused(value if isinstance(value, exp.Expression) else query)
        return self._select(query, parent, texts)

    def nested(self, query: exp.Expression, scope: Scope) -> tuple[str, list[Typed]]:
        """A subquery inside an expression."""
        sql, columns = self.compile(query, scope, UNNAMED)
        return sql, [column for _, column in columns]

    def _with(
        self, common: exp.With, query: exp.Expression, parent: Scope | None, texts: Sequence[str] | None
    ) -> tuple[str, Named]:
        """Common table expressions stand where their names do, as derived tables; each sees those before it."""
        if common.args.get("recursive"):
            raise self.place.refused(common)
        outer = self._common
        try:
            for part in common.expressions:
                given = [name.name for name in part.args["alias"].columns]
                sql, columns = self.compile(part.this, None, given or None)
                if any(call in sql for call in self.volatile):
                    raise self.place.refused(common)
                if given and len(given) != len(columns):
                    raise ShardError(
                        1353,
                        "HY000",
                        "In definition of view, derived table or common table expression, SELECT list and "
                        "column names list have different column counts",
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
            raise self.place.refused(query)
        shown = [self.sortable(column) if distinct else column.sql for _, column in columns]
        parts = [f"SELECT {'DISTINCT ' if distinct else ''}"]
        parts.append(", ".join(f"{sql} AS {names.name(f'c{index}')}" for index, sql in enumerate(shown)))
        parts.append(source)
        where = query.args.get("where")
        if where is not None:
            scope.place = "where clause"
            parts.append(f" WHERE {self.condition(where.this, scope)}")
        scope.aliases = {name.lower(): column for name, column in reversed(columns)}
        parts.append(self._grouping(query, scope, columns))
        parts.append(self.order(query, scope, columns, distinct=distinct))
        parts.append(self.limit(query))
        parts.extend(self.lock(lock) for lock in query.args.get("locks") or ())
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
        if join.args.get("method") or side not in ("", *self.sides) or kind not in allowed:
            raise self.place.refused(join)
        table = self._source(join.this, scope)
        using, on = join.args.get("using"), join.args.get("on")
        if using and side == "RIGHT":
            raise self.place.refusal("RIGHT JOIN … USING", "write ON")
        condition = "true"
        scope.place = "on clause"
        if using:
            condition = self._using(using, scope)
        elif on is not None:
            condition = self.condition(on, scope)
        scope.place = "field list"
        if side == "LEFT":
            scope.sources[-1] = _nullable(scope.sources[-1])
        elif side == "RIGHT":
            scope.sources[:-1] = [_nullable(source) for source in scope.sources[:-1]]
        return f" {side} JOIN {table} ON {condition}"

    def _using(self, using: Sequence[exp.Expression], scope: Scope) -> str:
        if len(scope.sources) != 2:
            raise self.place.refusal("USING in a join of three tables", "write ON")
        shared = [name.name.lower() for name in using]
        scope.merged |= frozenset(shared)
        left, right = (
            {known.lower(): column for known, column in source.columns} for source in scope.sources
        )
        for name in shared:
            if name not in left or name not in right:
                raise ShardError(1054, "42S22", f"Unknown column '{name}' in 'from clause'")
        return " AND ".join(self.equality(left[name], right[name]) for name in shared)

    def _source(self, node: exp.Expression, scope: Scope) -> str:
        if isinstance(node, exp.Subquery):
            return self._derived(node, scope)
        if not isinstance(node, exp.Table) or node.args.get("partition") or node.args.get("pivots"):
            raise self.place.refused(node)
        common = self._common.get(node.name.lower()) if not node.text("db") else None
        if common is not None:
            return self._placed(*common, node.alias or node.name, scope)
        table = self.table(node)
        alias = node.alias or table.name
        _check_unique(alias, scope)
        scope.sources.append(self.source_of(table, alias))
        return f"{names.name(table.name)} AS {names.name(alias)}"

    def _derived(self, node: exp.Subquery, scope: Scope) -> str:
        if not node.alias:
            raise ShardError(1248, "42000", "Every derived table must have its own alias")
        if node.args["alias"].args.get("columns"):
            raise self.place.refused(node)
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
                columns.append((self._name(node, text), self.value(node.unalias(), scope)))
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
                raise self.place.refused(group)
            scope.place = "group statement"
            keys = [self._key(node, scope, columns) for node in group.expressions]
            out += f" GROUP BY {', '.join(map(self.group_key, keys))}"
        if having is not None:
            scope.place, scope.alias_first = "having clause", True
            out += f" HAVING {self.condition(having.this, scope)}"
        return out

    def _key(self, node: exp.Expression, scope: Scope, columns: Named) -> Typed:
        if isinstance(node, exp.Literal) and not node.is_string:
            position = int(node.name)
            if not 1 <= position <= len(columns):
                raise ShardError(1054, "42S22", f"Unknown column '{position}' in '{scope.place}'")
            return columns[position - 1][1]
        return self.value(node, scope)

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
                raise self.place.refusal(
                    "SELECT DISTINCT ordered by what it does not select", "select the sort key too"
                )
            parts.append(self.sort_key(key, descending=bool(item.args.get("desc"))))
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
                raise self.place.refusal("UNION of columns of different types", "CAST them to one type")
            kind = other.type if one.type.kind is Kind.NULL else one.type
            kind = replace(
                kind,
                length=max(one.type.length, other.type.length),
                decimals=max(one.type.decimals, other.type.decimals),
                not_null=one.type.not_null and other.type.not_null,
            )
            merged.append((name, Typed(f"u.{names.name(f'c{index}')}", kind)))
        scope = Scope([Source("u", tuple(merged))], aliases=dict(merged))
        distinct = bool(query.args.get("distinct"))
        sql = f"SELECT * FROM ({self.united(left, right, merged, distinct=distinct)}) AS u"
        return sql + self.order(query, scope, merged, distinct=False) + self.limit(query), merged

    # ------------------------------------------------------------------ LIMIT, names

    def limit(self, query: exp.Expression) -> str:
        """LIMIT and OFFSET."""
        limit, offset = query.args.get("limit"), query.args.get("offset")
        if limit is None:
            return ""
        skipped = offset.expression if offset is not None else limit.args.get("offset")
        numbers = [limit.expression, *([skipped] if skipped is not None else [])]
        if not all(isinstance(number, exp.Literal) and not number.is_string for number in numbers):
            raise self.place.refused(limit)
        counts = [min(int(number.name), 2**63 - 1) for number in numbers]
        return f" LIMIT {counts[0]}" + (f" OFFSET {counts[1]}" if len(counts) > 1 else "")

    def _name(self, node: exp.Expression, text: str | None) -> str:
        if isinstance(node, exp.Alias):
            return node.alias
        if isinstance(node, exp.Column) or (isinstance(node, exp.Literal) and node.is_string):
            return node.name
        if text is None:
            raise self.place.refusal("an expression without a name in a subquery", "give it an alias")
        return text


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


def _main_select(tokens: Sequence[Token]) -> int | None:
    """The position of the statement's own SELECT: behind its common table expressions, else the first."""
    depth, first = 0, None
    for position, token in enumerate(tokens):
        if token.token_type is TokenType.L_PAREN:
            depth += 1
        elif token.token_type is TokenType.R_PAREN:
            depth -= 1
        elif token.token_type is TokenType.SELECT:
            if depth == 0:
                return position
            first = position if first is None else first
    return first


def select_list_texts(sql: str) -> list[str]:
    """The source texts of the first select list's members: MySQL names unnamed columns by them."""
    tokens = sqlglot.tokenize(sql, dialect="mysql")
    start = _main_select(tokens)
    if start is None:
        return []
    texts: list[str] = []
    depth, first = 0, start + 1
    while first < len(tokens) and tokens[first].token_type in (TokenType.DISTINCT, TokenType.ALL):
        first += 1
    end = first
    for end in range(first, len(tokens)):
        kind = tokens[end].token_type
        if kind is TokenType.L_PAREN or kind is TokenType.CASE:
            depth += 1
        elif kind is TokenType.R_PAREN or kind is TokenType.END:
            depth -= 1
        if depth < 0 or (depth == 0 and kind in _LIST_END):
            break
        if depth == 0 and kind is TokenType.COMMA:
            texts.append(sql[tokens[first].start : tokens[end - 1].end + 1])
            first = end + 1
    else:
        end = len(tokens)
    if first < end:
        texts.append(sql[tokens[first].start : tokens[end - 1].end + 1])
    return texts


_LIST_END = frozenset(
    {
        TokenType.FROM,
        TokenType.WHERE,
        TokenType.LIMIT,
        TokenType.ORDER_BY,
        TokenType.GROUP_BY,
        TokenType.HAVING,
        TokenType.UNION,
        TokenType.SEMICOLON,
        TokenType.FOR,
    }
)


def definitions(columns: Named, schema: str) -> tuple[ColumnDefinition, ...]:
    """What the client is told of a result's columns."""
    found = []
    for name, column in columns:
        origin = column.origin
        if origin is None:
            found.append(types.definition(name, column.type, table=column.derived))
        else:
            found.append(
                types.definition(
                    name,
                    column.type,
                    schema=schema,
                    table=origin.alias,
                    org_table=origin.table.name,
                    org_name=origin.column.name,
                    flags=origin.table.flags(origin.column),
                )
            )
    return tuple(found)
