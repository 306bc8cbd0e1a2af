"""Whose column each name of a statement is, and what each query inside it returns: an encrypted column that passes unchanged
through derived tables, common table expressions, subqueries and UNION stays one.

Decides which names are columns at all: what a statement compares with a column that no table has may be a value of a misspelt one, and
is sent nowhere. Knows no rewriting.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sqlglot import exp

from dbmesh.errors import AMBIGUOUS_COLUMN, UNKNOWN_COLUMN, MeshError, not_supported
from dbmesh.planner.context import PlanContext
from dbmesh.planner.encrypted.from_clause import Field, FromClause, Merge, Source, read_from
from dbmesh.planner.encrypted.logic_schema import key_flags
from dbmesh.planner.resolve import Scopes, TableReference, is_numbers
from dbmesh.planner.select_names import item_spans
from dbmesh.planner.subselects import aggregates_in, common_table, scope_of
from dbmesh.rules.encryption.rule import EncryptedColumn, EncryptedTable, Encryptor

DIGEST = "dbmesh_digest_"
"""What the hidden columns of inner queries begin with, by which whoever reads an encrypted column compares it."""

WORDS = frozenset(
    (
        *("current_user", "current_role", "current_timestamp", "localtime", "localtimestamp", "sysdate"),
        *("utc_date", "utc_time", "utc_timestamp", "date", "time", "datetime", "timestamp", "default"),
        *("unknown", "rownum", "_rowid", "row_start", "row_end"),
    )
)
"""Words without quotes that stand where columns do: functions, arguments of functions, columns that every table has."""
_VALUES = (exp.Literal, exp.Placeholder, exp.HexString, exp.BitString, exp.National, exp.RawString)
_CLAUSES: Mapping[type[exp.Expr], str] = {
    exp.Where: "WHERE",
    exp.Join: "ON",
    exp.Group: "GROUP BY",
    exp.Having: "HAVING",
    exp.Order: "ORDER BY",
}
_OWN_ROWS = ("distinct", "group", "having", "limit", "offset", "windows")
"""What a server has a temporary table for, whose columns have no keys."""


@dataclass(slots=True, eq=False)
class Output:
    """A column that a query returns. `name` is None where only a server knows it; `column` is the encrypted column under its name, None
    for every other one; `base` that column as the rules have it, `keys` its flags. `origins`: where its values come from, of each arm of a
    UNION. `whole`: the column of the UNION that it is a part of. `compared`: somebody needs its digest too."""

    name: str | None
    column: EncryptedColumn | None = None
    base: EncryptedColumn | None = None
    keys: int = 0
    items: tuple[exp.Expr, ...] = ()
    origins: tuple[Field, ...] = ()
    is_null: bool = False
    whole: Output | None = None
    compared: bool = False

    def compare(self) -> None:
        """Let it return the digest too."""
        top = self
        while top.whole is not None:
            top = top.whole
        top._compare()

    def _compare(self) -> None:
        if self.compared:
            return
        self.compared = True
        for origin in self.origins:
            if isinstance(origin.output, Output):
                origin.output.compare()

    @property
    def is_compared(self) -> bool:
        """Whether it returns the digest too."""
        return self.compared or (self.whole is not None and self.whole.is_compared)


def renamed(column: EncryptedColumn, name: str, place: int, *, digest: bool = True) -> EncryptedColumn:
    """The column for whoever reads it from a query under this name."""
    assisted = None
    if digest and column.assisted is not None:
        assisted = replace(column.assisted, name=f"{DIGEST}{place}")
    cipher = replace(column.cipher, name=name)
    return replace(column, name=name, cipher=cipher, assisted=assisted, like=None)


@dataclass
class Lineage:
    """Of one statement. `encrypted`: the encrypted columns of references, by index."""

    context: PlanContext
    scopes: Scopes
    encrypted: Mapping[int, EncryptedTable]
    _outputs: dict[int, list[Output] | None] = field(default_factory=dict)
    _from: dict[int, FromClause] = field(default_factory=dict)
    _open: set[int] = field(default_factory=set)
    compared: set[int] = field(default_factory=set)
    """Queries, by their ids, whose one column is looked at for equality alone."""

    # ------------------------------------------------------------------ queries

    def outputs(self, query: exp.Expr) -> list[Output] | None:
        """The columns of a query, None where that is not certain. Raises MeshError(NOT_SUPPORTED) for arms of a UNION that differ."""
        if id(query) not in self._outputs:
            self._outputs[id(query)] = self._read(query)
        return self._outputs[id(query)]

    def _read(self, query: exp.Expr) -> list[Output] | None:
        if isinstance(query, exp.Subquery):
            return self.outputs(query.this)
        if isinstance(query, exp.SetOperation):
            return self._united(self.outputs(query.this), self.outputs(query.expression))
        if not isinstance(query, exp.Select):
            return None
        found: list[Output] = []
        keyed = not any(query.args.get(name) for name in _OWN_ROWS) and not aggregates_in(query)
        for item in query.expressions:
            if not is_star(item):
                found.append(self._item(item, len(found), keyed=keyed))
                continue
            fields = self.starred(query, item)
            if fields is None:
                return None
            found += [_passed(item, one, one.name, len(found) + n, keyed) for n, one in enumerate(fields)]
        return found

    def _item(self, item: exp.Expr, place: int, *, keyed: bool) -> Output:
        inner = item.unalias()
        name = item.alias or (inner.name if isinstance(inner, exp.Column) else self._text_of(item))
        origin = self.origin(item)
        if origin is None or origin.column is None:
            return Output(name, items=(item,), is_null=isinstance(inner, exp.Null))
        return _passed(item, origin, name, place, keyed)

    def _text_of(self, item: exp.Expr) -> str | None:
        """The text of an item, by which servers name it; None where literals are part of it."""
        select = item.parent
        spans = item_spans(self.context, select) if isinstance(select, exp.Select) else None
        if select is None or spans is None:
            return None
        span = spans[next(at for at, one in enumerate(select.expressions) if one is item)]
        return (
            None if self.context.statement.slots_between(*span) else self.context.statement.text[slice(*span)]
        )

    def origin(self, item: exp.Expr) -> Field | None:
        """The column that an item is by itself, also that of a subquery in its place."""
        node = item.unalias()
        if isinstance(node, exp.Column):
            return self.column(node)
        if isinstance(node, exp.Subquery):
            outputs = self.outputs(node)
            if outputs and len(outputs) == 1 and (column := outputs[0].column) is not None:
                # Its digest would be a second subquery.
                alone = replace(column, assisted=None)
                return Field(column.name, alone, outputs[0].base, 0)
        return None

    def _united(self, left: list[Output] | None, right: list[Output] | None) -> list[Output] | None:
        if left is None or right is None or len(left) != len(right):
            if any(one.column is not None for one in (*(left or ()), *(right or ()))):
                raise not_supported(
                    "UNION of an encrypted column with a query whose columns are not known",
                    "write the columns of each SELECT",
                )
            return None
        return [self._whole(*both, place) for place, both in enumerate(zip(left, right, strict=True))]

    def _whole(self, left: Output, right: Output, place: int) -> Output:
        known = left if left.column is not None else right
        other = right if known is left else left
        column = None
        if known.column is not None and known.base is not None:
            if not other.is_null and (other.base is None or not _made_alike(known.base, other.base)):
                raise not_supported(
                    f"UNION of the encrypted column '{known.name}' with a column that is not encrypted alike",
                    "select columns with the same encryptors and dataType, or NULL",
                )
            digest = other.is_null or _digest_of(known) == _digest_of(other)
            column = renamed(known.column, left.name or known.column.name, place, digest=digest)
        whole = Output(
            left.name,
            column,
            known.base,
            0,
            (*left.items, *right.items),
            (*left.origins, *right.origins),
            left.is_null and right.is_null,
        )
        left.whole = right.whole = whole
        return whole

    def compare(self, query: exp.Expr) -> None:
        """Let a query return the digest in place of its one column."""
        self.compared.add(id(query))
        for output in self.outputs(query) or ():
            for origin in output.origins:
                column = origin.column
                if (
                    isinstance(origin.output, Output)
                    and column is not None
                    and column.equality is not column.cipher
                ):
                    origin.output.compare()

    def is_written(self, items: Iterable[exp.Expr]) -> bool:
        """Whether values of items have literals or parameters in them, here or in the queries they come from."""
        pending, seen = list(items), set[int]()
        while pending:
            item = pending.pop()
            for node in item.walk():
                if isinstance(node, _VALUES):
                    return True
                if not isinstance(node, exp.Column | exp.Star) or id(node) in seen:
                    continue
                seen.add(id(node))
                fields = self._meant(node)
                if fields is None:
                    return True
                for one in fields:
                    pending += one.output.items if isinstance(one.output, Output) else ()
        return False

    def _meant(self, node: exp.Column | exp.Star) -> list[Field] | None:
        """The columns that a name or star stands for, None where that is not certain."""
        select = node.parent
        if not is_star(node):
            found = self.column(node) if isinstance(node, exp.Column) else None
            return [] if found is None else [found]
        return self.starred(select, node) if isinstance(select, exp.Select) else []

    # ------------------------------------------------------------------ names

    def column(self, node: exp.Column) -> Field | None:
        """The column a name is; None for a name that is none, or of what servers alone know. Raises MeshError: UNKNOWN_COLUMN,
        AMBIGUOUS_COLUMN, NOT_SUPPORTED."""
        if isinstance(node.this, exp.Star) or "start" not in node.this.meta:
            return None
        if isinstance(node.parent, exp.Partition):
            # FROM t PARTITION (p)
            return None
        if not node.table and not node.this.args.get("quoted") and node.name.lower() in WORDS:
            return self._found(node)
        united = _united_around(node)
        if united is not None:
            # ORDER BY of a UNION names its columns.
            for output in self.outputs(united) or ():
                if output.name is not None and output.name.lower() == node.name.lower():
                    return Field(output.name, output.column, output.base, output.keys, output)
            return None
        found = self._found(node)
        if found is not None or self._names_item(node) or not self._is_known_around(node):
            return found
        raise MeshError(
            UNKNOWN_COLUMN, column=node.sql(dialect="mysql").replace("`", ""), clause=_clause(node)
        )

    def _found(self, node: exp.Column) -> Field | None:
        for scope in scopes_around(node):
            fields = self.from_clause(scope).named(node)
            if len(fields) > 1 and any(one.column is not None for one in fields):
                raise MeshError(AMBIGUOUS_COLUMN, column=node.name, clause=_clause(node))
            if fields:
                return fields[0]
        return None

    def _names_item(self, node: exp.Column) -> bool:
        """Whether a name may be that of an item: conditions of rows know none."""
        scope = scope_of(node)
        if node.table or not isinstance(scope, exp.Select):
            return False
        if _clause(node) not in ("GROUP BY", "HAVING", "ORDER BY"):
            return False
        return any(item.alias.lower() == node.name.lower() for item in scope.expressions)

    def _is_known_around(self, node: exp.Column) -> bool:
        """Whether all columns that a name could be are known. Raises MeshError(NOT_SUPPORTED) where another name may be meant by
        mistake."""
        for scope in scopes_around(node):
            if isinstance(scope, exp.Insert):
                return False
            clause = self.from_clause(scope)
            if node.table and clause.has(node.table):
                return clause.knows(node.table)
            if not node.table and not clause.knows_all:
                raise not_supported(
                    f"the column '{node.name}', which may be of a table that is not known, beside encrypted columns",
                    "write table.column",
                )
        return True

    def starred(self, select: exp.Select, star: exp.Expr) -> list[Field] | None:
        """The columns that `*` or `t.*` stands for, None where that is not certain."""
        clause = self.from_clause(select)
        if isinstance(star, exp.Column) and star.table:
            return clause.all_of(star)
        return clause.all()

    def merges(self, select: exp.Expr) -> Sequence[Merge]:
        """The columns that USING and NATURAL JOIN of a SELECT make one."""
        return self.from_clause(select).merges

    # ------------------------------------------------------------------ sources

    def from_clause(self, scope: exp.Expr) -> FromClause:
        """What a SELECT, UPDATE or DELETE takes rows from."""
        if id(scope) not in self._from:
            # Items of FROM look at columns only through ON and LATERAL, which need the others.
            self._from[id(scope)] = read_from(scope, self._source)
        return self._from[id(scope)]

    def _source(self, node: exp.Expr) -> Source:
        """A table, derived table or common table expression in FROM."""
        for reference in self.scopes.references:
            if reference.node is node:
                return self._table(reference)
        alias = node.alias_or_name
        query: exp.Expr | None = None
        if isinstance(node, exp.Table):
            if isinstance(node.this, exp.JSONTable):
                defined = node.this.find_all(exp.JSONColumnDef)
                return Source(alias, "", tuple(Field(one.name, alias=alias) for one in defined if one.name))
            common = common_table(node)
            if common is not None:
                return Source(alias, "", self._common(common, alias, _listed(common)))
        elif isinstance(node, exp.Subquery):
            query = node.this
        outputs = None if query is None else self.outputs(query)
        return Source(alias, "", _fields(outputs, alias, _listed(node)))

    def _common(self, common: exp.CTE, alias: str, listed: Sequence[str]) -> tuple[Field, ...] | None:
        query = common.this
        if id(common) in self._open:
            # Its own recursive part: the columns are those of the first.
            while isinstance(query, exp.SetOperation | exp.Subquery):
                query = query.this
            return _fields(self.outputs(query), alias, listed)
        self._open.add(id(common))
        try:
            return _fields(self.outputs(query), alias, listed)
        finally:
            self._open.discard(id(common))

    def _table(self, reference: TableReference) -> Source:
        schema = reference.schema
        if schema is None and is_numbers(reference.node.name):
            return Source(reference.alias, reference.database, (Field("seq", alias=reference.alias),))
        if schema is None or not schema.columns:
            return Source(reference.alias, reference.database, None)
        table = self.encrypted.get(reference.index)
        fields = []
        for one in schema.columns:
            column = None if table is None else table.by_name.get(one.name.lower())
            if column is not None and column.plain:
                column = None
            keys = 0 if column is None else key_flags(schema, column.name)
            fields.append(
                Field(one.name, column, column, keys, None, reference, reference.alias, not one.invisible)
            )
        hides = table is not None and bool(table.hidden)
        return Source(reference.alias, reference.database, tuple(fields), hides)


def is_star(item: exp.Expr) -> bool:
    """Whether an item is `*` or `t.*`."""
    return isinstance(item, exp.Star) or (isinstance(item, exp.Column) and isinstance(item.this, exp.Star))


def top_of(query: exp.Expr) -> exp.Expr:
    """The whole query that a SELECT is an arm of, with its brackets."""
    parent = query.parent
    while isinstance(parent, exp.SetOperation) or (isinstance(parent, exp.Subquery) and not parent.alias):
        if query.arg_key not in ("this", "expression"):
            break
        query, parent = parent, parent.parent
    return query


def scopes_around(node: exp.Expr) -> Iterator[exp.Expr]:
    """The scopes whose columns a name in a place may be, the nearest first: a derived table does not see those beside it."""
    scope = scope_of(node)
    while scope is not None:
        yield scope
        outer = scope_of(scope)
        if outer is not None and _is_derived(scope):
            outer = scope_of(outer)
        # The query of an INSERT does not see the table it is inserted into.
        scope = None if isinstance(outer, exp.Insert) else outer


def _is_derived(scope: exp.Expr) -> bool:
    node = scope
    while isinstance(node.parent, exp.SetOperation | exp.Subquery) and node.arg_key in ("this", "expression"):
        node = node.parent
    return isinstance(node.parent, exp.From | exp.Join | exp.CTE | exp.Table)


def _united_around(node: exp.Expr) -> exp.SetOperation | None:
    """The UNION whose ORDER BY a name stands in."""
    parent = node.parent
    while parent is not None and not isinstance(parent, exp.Select):
        if isinstance(parent, exp.Order):
            around = parent.parent
            while isinstance(around, exp.Subquery) and not isinstance(around.this, exp.Select):
                around = around.this
            return around if isinstance(around, exp.SetOperation) else None
        parent = parent.parent
    return None


def _clause(node: exp.Expr) -> str:
    """As servers call it in their errors."""
    parent = node.parent
    while parent is not None and not isinstance(parent, exp.Select | exp.Update | exp.Delete):
        if type(parent) in _CLAUSES:
            return _CLAUSES[type(parent)]
        parent = parent.parent
    return "SET" if isinstance(parent, exp.Update) else "SELECT"


def _passed(item: exp.Expr, origin: Field, name: str | None, place: int, keyed: bool) -> Output:
    column = origin.column
    if column is not None:
        column = renamed(column, name or column.name, place)
    return Output(name, column, origin.base, origin.keys if keyed else 0, items=(item,), origins=(origin,))


def _listed(node: exp.Expr) -> list[str]:
    """The names behind an alias: `c (a, b)`."""
    alias = node.args.get("alias")
    return [one.name for one in (alias.args.get("columns") or ())] if alias is not None else []


def _fields(outputs: list[Output] | None, alias: str, listed: Sequence[str]) -> tuple[Field, ...] | None:
    if outputs is None or (listed and len(listed) != len(outputs)):
        return None
    names: Sequence[str | None] = listed or [one.name for one in outputs]
    return tuple(
        _field(output, name or "", alias, place)
        for place, (output, name) in enumerate(zip(outputs, names, strict=True))
    )


def _field(output: Output, name: str, alias: str, place: int) -> Field:
    column = output.column
    if column is not None:
        column = renamed(column, name, place)
    return Field(name, column, output.base, output.keys, output, None, alias)


def _digest_of(output: Output) -> Encryptor | None:
    assisted = None if output.column is None else output.column.assisted
    return None if assisted is None else assisted.encryptor


def _made_alike(one: EncryptedColumn, other: EncryptedColumn) -> bool:
    """Whether values of both are decrypted alike."""
    return one.cipher.encryptor == other.cipher.encryptor and one.type == other.type
