"""INSERT of a query's rows over several data nodes: the rows are read first, then inserted like written ones.

Decides where the query stands in the text and which columns its rows go to. Rows in VALUES that hold subqueries are
queries too, one each.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from sqlglot import exp

from dbmesh.errors import AMBIGUOUS_COLUMN, MeshError, Refusal, not_supported
from dbmesh.model import ColumnSchema, TableSchema
from dbmesh.planner.columns import is_star
from dbmesh.planner.context import PlanContext
from dbmesh.planner.derived.insert_form import (
    check_columns,
    check_width,
    column_without_value,
    refuse_partitions,
)
from dbmesh.planner.derived.keyed import outside_brackets, render
from dbmesh.planner.derived.literals import carried_as, in_another_charset
from dbmesh.planner.derived.plan import DerivedPlan
from dbmesh.planner.derived.upsert import Upsert, moves_row, read_upsert
from dbmesh.planner.derived.writers import InsertWriter
from dbmesh.planner.elsewhere import logic_name
from dbmesh.planner.insert_reading import InsertReading, Updates, read_tail
from dbmesh.planner.lexemes import Lexeme, LexemeReader, split_lexemes
from dbmesh.planner.one_place import OnePlacePlan, effects_of_insert
from dbmesh.planner.plan import Call, Verb
from dbmesh.planner.resolve import Scopes, TableReference, resolve
from dbmesh.planner.route import build_router
from dbmesh.planner.steps import DerivedStep, DerivedWrite, RowWriter
from dbmesh.planner.subselects import is_aggregated
from dbmesh.planner.template import Edits, Frame, Rows, Segment, Template, quote_name
from dbmesh.planner.text_plan import names_of, part_frame
from dbmesh.planner.tree_names import rename_references
from dbmesh.rules.ruleset import BroadcastTable, SingleTable
from dbmesh.sql.fingerprint import RowSet
from dbmesh.sql.lexer import LexerFlags

INSERTED_NOTHING = b"Records: 0  Duplicates: 0  Warnings: 0"

MOST_ROWS = 1000
"""Rows of one VALUES that a server has to compute: each is a query of its own."""

_CELL = "\0"


@dataclass(frozen=True, slots=True)
class RowsQuery:
    """A query in place of rows: its text, or for the rows of a row set (`folded` its index) the form of each of its
    queries; and the INSERT up to VALUES that takes its `columns`, see `InsertWriter`."""

    head: str
    columns: tuple[ColumnSchema | None, ...]
    query: Frame | None = None
    folded: int = 0
    form: str = ""

    def texts(self, call: Call) -> list[str]:
        """The queries for these values."""
        if self.query is not None:
            return [render(self.query, call)]
        literal = call.literals[self.folded]
        assert isinstance(literal, RowSet)
        _check_count(len(literal))
        return [self.form % cells for cells in literal.rows()]


@dataclass(frozen=True, slots=True)
class InsertSelect:
    """The derivation, before its literals are known. `selects`: the rows come from one query, not from VALUES;
    `returning`: a query with the columns of RETURNING and no rows."""

    queries: tuple[RowsQuery, ...]
    tail: Frame
    selects: bool
    ignores: bool
    flags: LexerFlags
    returning: Frame | None = None
    without_value: str = ""
    upsert: Upsert | None = None

    def bind(self, call: Call) -> DerivedWrite:
        """For each query a step: INSERTs of its rows."""
        tail = render(self.tail, call)
        steps = tuple(
            DerivedStep(text, self._writer(rows, tail, call))
            for rows in self.queries
            for text in rows.texts(call)
        )
        returning = "" if self.returning is None else render(self.returning, call)
        # Of one row in VALUES a server tells no counters.
        info = INSERTED_NOTHING if self.selects or len(steps) > 1 else b""
        calls = 0 if self.upsert is None else self.upsert.values_calls
        return DerivedWrite(
            steps, info, self.ignores, returning, without_value=self.without_value, values_calls=calls
        )

    def _writer(self, rows: RowsQuery, tail: str, call: Call) -> RowWriter:
        if self.upsert is not None:
            return self.upsert.bind(rows.head, rows.columns, call)
        return InsertWriter(rows.head, rows.columns, tail, self.flags)


def plan_query_insert(
    context: PlanContext, verb: Verb, tree: exp.Expression, reading: InsertReading, lexemes: Sequence[Lexeme]
) -> DerivedPlan:
    """The plan of an INSERT or REPLACE that holds a query: whole on one data source where all its tables meet there.

    Raises MeshError: UNKNOWN_TABLE, NOT_SUPPORTED."""
    scopes = resolve(context, tree)
    [target] = [one for one in scopes.references if one.scope is tree][:1]
    tail = _tail(lexemes, reading)
    moves = moves_row(target.table, _updates(context, lexemes, tail))
    derivation: InsertSelect | Refusal
    try:
        derivation = _derive(context, reading, lexemes, tree, scopes, target, tail)
        if moves:
            derivation = _moving(context, reading, derivation, target, lexemes, tail)
    except MeshError as refusal:
        derivation = Refusal.of(refusal)
    router = build_router(context, scopes)
    template = rename_references(context, scopes, tree).build()
    tables = tuple(dict.fromkeys(reference.table.name for reference in scopes.references))
    rules = [r.table.node.table if isinstance(r.table, SingleTable) else r.table for r in scopes.references]
    names = names_of(context.rule_set, rules)
    # Every server of a broadcast table must get the same rows: they are read once.
    spread = isinstance(target.table, BroadcastTable) and len(target.table.nodes) > 1
    effects = effects_of_insert(lexemes)
    what = f"{verb.name} … SELECT"
    one_place = (
        None
        if spread or moves
        else OnePlacePlan(verb, tables, router, template, names, what, effects=effects)
    )
    return DerivedPlan(verb, tables, derivation, names, router, template, one_place)


def _derive(
    context: PlanContext,
    reading: InsertReading,
    lexemes: Sequence[Lexeme],
    tree: exp.Expr,
    scopes: Scopes,
    target: TableReference,
    tail: Lexeme | None,
) -> InsertSelect:
    """The derivation. Raises MeshError(NOT_SUPPORTED) with the reason why there is none."""
    columns, schema = reading.columns, target.schema
    if columns is None:
        if schema is None:
            raise not_supported(
                "INSERT … SELECT without a column list into a table whose columns are unknown", "list them"
            )
        columns = tuple(column.name for column in schema.visible_columns)
    refuse_partitions(target)
    check_columns(schema, columns)
    if not reading.rows:
        check_width(tree, scopes, columns)
    end = lexemes[-1].end
    start = end if tail is None else tail.start
    edits = _carried_columns(
        context, tree, scopes, [None if schema is None else schema.column(name) for name in columns]
    )
    _refuse_tail(reading, tail, lexemes)
    _refuse_columns_of_query(tree, scopes, schema)
    shape = context.statement.shape
    verb = "REPLACE" if reading.replaces else f"INSERT{' IGNORE' if reading.ignore else ''}"
    table = logic_name(context, context.rule_set.database, reading.table.name)
    head = _Head(f"{shape.hints}{verb} INTO {table}", columns, schema)
    if not reading.rows:
        text = Template((shape.hints, *_query(lexemes, reading, edits, start)), context.flags)
        queries = [head.rows(range(len(columns)), query=part_frame(text))]
    elif shape.row is not None:
        rows = next(one for one in edits.between(*shape.row) if isinstance(one, Rows))
        queries = [_folded_query(head, rows, shape.hints)]
    else:
        queries = list(_row_queries(context, head, reading, edits))
    returning = _returning(lexemes, tail)
    nothing: Frame | None = None
    if returning is not None:
        if any(one.word == "SELECT" for one in lexemes if one.start > returning.start):
            # The INSERT of each row would be derived again, for ever.
            raise not_supported(
                "a subquery in RETURNING of rows that go to several data nodes",
                "ask it in a query of its own",
            )
        listed = edits.between(returning.end, end)
        query = (shape.hints, "SELECT ", *listed, f" FROM {table} LIMIT 0")
        nothing = part_frame(Template(query, context.flags))
    return InsertSelect(
        tuple(queries),
        part_frame(Template((" ", *edits.between(start, end)), context.flags)),
        not reading.rows,
        reading.ignore,
        context.flags,
        nothing,
        column_without_value(target, columns),
    )


def _updates(context: PlanContext, lexemes: Sequence[Lexeme], tail: Lexeme | None) -> Updates:
    behind = [lexeme for lexeme in lexemes if tail is not None and lexeme.start >= tail.start]
    return read_tail(LexemeReader(context.statement.readable, behind))[0] if behind else ()


def _moving(
    context: PlanContext,
    reading: InsertReading,
    whole: InsertSelect,
    target: TableReference,
    lexemes: Sequence[Lexeme],
    tail: Lexeme | None,
) -> InsertSelect:
    """The derivation for assignments that may move the row an INSERT meets. Raises MeshError(NOT_SUPPORTED)."""
    if reading.ignore or whole.returning is not None:
        raise not_supported(
            f"{'IGNORE' if reading.ignore else 'RETURNING'} with an ON DUPLICATE KEY UPDATE that may move rows",
            "leave it out, or leave the sharding column as it is",
        )
    assert tail is not None
    behind = [lexeme for lexeme in lexemes if lexeme.start >= tail.start]
    table = logic_name(context, context.rule_set.database, reading.table.name)
    return replace(whole, upsert=read_upsert(table, target, behind, context.edits(), context.flags))


@dataclass(frozen=True, slots=True)
class _Head:
    """The INSERT up to its column list, and all columns it names."""

    text: str
    columns: tuple[str, ...]
    schema: TableSchema | None

    def rows(
        self, kept: Sequence[int], query: Frame | None = None, folded: int = 0, form: str = ""
    ) -> RowsQuery:
        names = ",".join(quote_name(self.columns[at], quoted=True) for at in kept)
        schemas = tuple(None if self.schema is None else self.schema.column(self.columns[at]) for at in kept)
        return RowsQuery(f"{self.text} ({names})", schemas, query, folded, form)


def _query(lexemes: Sequence[Lexeme], reading: InsertReading, edits: Edits, end: int) -> tuple[Segment, ...]:
    behind = [lexeme for lexeme in lexemes if lexeme.start >= reading.columns_end]
    first = behind[1] if reading.columns is not None else behind[0]
    return edits.build(first.start, end).segments


def _folded_query(head: _Head, rows: Rows, hints: str) -> RowsQuery:
    """The queries of rows that look alike. A column whose value is DEFAULT is left out."""
    cells = list(_cells(_CELL.join(rows.pieces)))
    kept = [at for at, cell in enumerate(cells) if cell.upper() != "DEFAULT"]
    form = f"{hints}SELECT {', '.join([cells[at] for at in kept])}"
    return head.rows(kept, folded=rows.index, form=form.replace("%", "%%").replace(_CELL, "%s"))


def _cells(row: str) -> Iterator[str]:
    """The values of a row in brackets."""
    depth = start = 0
    for lexeme in split_lexemes(row):
        depth += {"(": 1, ")": -1}.get(lexeme.text, 0)
        if lexeme.text == "(" and depth == 1:
            start = lexeme.end
        elif (lexeme.text == "," and depth == 1) or (lexeme.text == ")" and depth == 0):
            yield row[start : lexeme.start].strip()
            start = lexeme.end


def _row_queries(
    context: PlanContext, head: _Head, reading: InsertReading, edits: Edits
) -> Iterator[RowsQuery]:
    _check_count(len(reading.rows))
    for row in reading.rows:
        kept = [at for at, cell in enumerate(row.cells) if cell.word != "DEFAULT"]
        items: list[Segment] = [context.statement.shape.hints, "SELECT "]
        for position, at in enumerate(kept):
            cell = row.cells[at]
            items += ([", "] if position else []) + list(edits.between(cell.start, cell.end))
        yield head.rows(kept, query=part_frame(Template(tuple(items), context.flags)))


def _check_count(rows: int) -> None:
    if rows > MOST_ROWS:
        raise not_supported(
            f"more than {MOST_ROWS} rows of VALUES that a server has to compute",
            "send fewer rows per statement",
        )


def _tail(lexemes: Sequence[Lexeme], reading: InsertReading) -> Lexeme | None:
    """Where ON DUPLICATE KEY UPDATE or RETURNING begins."""
    outer = [lexeme for lexeme in outside_brackets(lexemes) if lexeme.start >= reading.tail]
    for lexeme, following in zip(outer, [*outer[1:], outer[-1]], strict=True) if outer else ():
        if lexeme.word == "RETURNING" or (lexeme.word == "ON" and following.word == "DUPLICATE"):
            return lexeme
    return None


def _returning(lexemes: Sequence[Lexeme], tail: Lexeme | None) -> Lexeme | None:
    if tail is None:
        return None
    behind = outside_brackets(lexeme for lexeme in lexemes if lexeme.start >= tail.start)
    return next((lexeme for lexeme in behind if lexeme.word == "RETURNING"), None)


def _refuse_tail(reading: InsertReading, tail: Lexeme | None, lexemes: Sequence[Lexeme]) -> None:
    if tail is None:
        return
    returning = _returning(lexemes, tail)
    end = lexemes[-1].end if returning is None else returning.start
    behind = [lexeme for lexeme in lexemes if tail.start <= lexeme.start < end]
    table = reading.table.name.lower()
    for name, dot in itertools.pairwise(behind):
        if dot.text == "." and name.value.lower() != table:
            raise _refusal_of(f"{name.value}.…")


def _refuse_columns_of_query(tree: exp.Expr, scopes: Scopes, schema: TableSchema | None) -> None:
    """ON DUPLICATE KEY UPDATE sees the written table and those of the query, whose rows are not there any more; not those
    of groups. Raises MeshError."""
    conflict = tree.args.get("conflict")
    query = tree.expression if isinstance(tree, exp.Insert) else None
    while isinstance(query, exp.SetOperation | exp.Subquery):
        query = query.this
    if schema is None or not isinstance(conflict, exp.OnConflict) or not isinstance(query, exp.Select):
        return
    if is_aggregated(query):
        return
    read = [reference.schema for reference in scopes.of(query) if reference.schema is not None]
    for assignment in conflict.expressions:
        for column in assignment.expression.find_all(exp.Column):
            inside = column.parent.name.upper() if isinstance(column.parent, exp.Anonymous) else ""
            if column.table or inside in ("VALUE", "VALUES"):
                continue
            if not any(one.column(column.name) for one in read):
                continue
            if schema.column(column.name) is not None:
                raise MeshError(AMBIGUOUS_COLUMN, column=column.name, clause="UPDATE")
            raise _refusal_of(column.name)


def _refusal_of(name: str) -> MeshError:
    return not_supported(
        f"'{name}' in ON DUPLICATE KEY UPDATE of rows that a query over several data nodes gives",
        "use VALUES(column)",
    )


def _refuse_star(scopes: Scopes, query: exp.Select, targets: Sequence[ColumnSchema | None]) -> None:
    """`*` cannot say how a column is to be read. Raises MeshError(NOT_SUPPORTED)."""
    columns = [
        column for one in scopes.of(query) if one.schema is not None for column in one.schema.visible_columns
    ]
    if len(columns) == len(targets):
        for source, target in zip(columns, targets, strict=True):
            if in_another_charset(source, target):
                raise not_supported(
                    f"the text '{source.name}' of a character set other than utf8mb4 carried to a binary column by *",
                    "name the columns in the query",
                )


def _carried_columns(
    context: PlanContext, tree: exp.Expr, scopes: Scopes, targets: Sequence[ColumnSchema | None]
) -> Edits:
    """Edits that read columns of the select list so that their text can be stored, see `carried_as`."""
    edits = context.edits()
    query = tree.expression if isinstance(tree, exp.Insert) else None
    items = query.expressions if isinstance(query, exp.Select) else []
    if len(items) == 1 and is_star(items[0].unalias()) and isinstance(query, exp.Select):
        _refuse_star(scopes, query, targets)
    for item, target in zip(items, targets, strict=False) if len(items) == len(targets) else ():
        column = item.unalias()
        found = scopes.through(column) if isinstance(column, exp.Column) else None
        before, behind = carried_as(None if found is None else found[1], target)
        if before:
            edits.insert(column.parts[0].meta["start"], before)
        if behind:
            edits.insert(column.this.meta["end"] + 1, behind)
    return edits
