"""INSERT and REPLACE: which rows go where, and which keys the mesh generates for them.

Decides the plan of every form: rows written in the statement are split per data node, broadcast tables get them all,
tables without a rule get the statement as it is. What cannot be placed exactly is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from dbmesh.errors import COLUMN_COUNT, MeshError, not_supported
from dbmesh.model import ColumnFamily, TableSchema
from dbmesh.planner.context import PlanContext
from dbmesh.planner.derived.insert_select import plan_query_insert
from dbmesh.planner.derived.upsert import moves_row
from dbmesh.planner.elsewhere import check_database
from dbmesh.planner.given_ids import given_ids
from dbmesh.planner.insert_plan import InsertPlan, unnumbered_row
from dbmesh.planner.insert_reading import CellPlace, InsertReading, RowPlace, read_insert
from dbmesh.planner.insert_rows import (
    Constant,
    FoldedRows,
    Generated,
    Negative,
    ShardingValue,
    Source,
    WrittenRow,
    WrittenRows,
)
from dbmesh.planner.lexemes import Kind, Lexeme, LexemeReader
from dbmesh.planner.names import session_answers
from dbmesh.planner.one_place import plan_single_table
from dbmesh.planner.plan import ShardPlan, SideEffects, Verb
from dbmesh.planner.resolve import find_table
from dbmesh.planner.session_values import SessionValue
from dbmesh.planner.side_effects import side_effects
from dbmesh.planner.table_definition import names_sequence
from dbmesh.planner.template import Edits, Frame, Segment, Template, quote_name
from dbmesh.planner.text_plan import names_of, part_frame
from dbmesh.planner.unrepeatable import reads_clock, refuse_unrepeatable
from dbmesh.planner.views import NamesView
from dbmesh.planner.written_names import (
    rename_table,
    session_functions,
)
from dbmesh.rules.keygen.auto_increment import MOST_KEY
from dbmesh.rules.ruleset import BroadcastTable, ShardedTable, SingleTable
from dbmesh.sql.parse import parse
from dbmesh.sql.shape import Slot

_BITS = {"tinyint": 8, "smallint": 16, "mediumint": 24, "int": 32, "bigint": 64}
_TYPES_OF_LITERALS = frozenset(("DATE", "TIME", "TIMESTAMP"))


def plan_insert(context: PlanContext) -> ShardPlan:
    """The plan of an INSERT or REPLACE.

    Raises MeshError: PARSE_ERROR, UNKNOWN_TABLE, COLUMN_COUNT, NO_ROUTE (when bound), NOT_SUPPORTED.
    """
    reader = LexemeReader(context.statement.readable)
    reading = read_insert(reader)
    check_database(context, reading.table.database, reading.table.name)
    if reading.table.name.lower() in context.catalog.views:
        raise NamesView(reading.table.name, context, parse(as_insert(context)))
    table = find_table(context, reading.table.name)
    verb = Verb.REPLACE if reading.replaces else Verb.INSERT
    has_query = any(lexeme.word in ("SELECT", "TABLE", "WITH") for lexeme in reader.lexemes)
    if not reading.rows or has_query or names_sequence(reader.lexemes):
        return plan_query_insert(context, verb, parse(as_insert(context)), reading, reader.lexemes)
    if isinstance(table, SingleTable):
        given = given_ids(context, reading, context.catalog.table(table.name))
        whole = plan_single_table(context, verb, reading.table, table, reader.lexemes, given)
        if table.name.lower() not in context.rule_set.doubled:
            return whole
        # Where its rows cannot be told from the text, they are computed first.
        try:
            in_steps = plan_query_insert(context, verb, parse(as_insert(context)), reading, reader.lexemes)
        except MeshError:
            # In a form that only servers know.
            return whole
        return replace(in_steps, one_place=whole, reads_clock=whole.reads_clock)
    if reading.delayed:
        raise not_supported("INSERT DELAYED into a sharded or broadcast table", "leave out DELAYED")
    if isinstance(table, BroadcastTable):
        refuse_unrepeatable(reader.lexemes, table.name)
    planner = _Planner(context, reading, reader, table)
    moves = moves_row(table, reading.updates)
    if moves:
        planner.check()
    if moves or planner.computes_places:
        return plan_query_insert(context, verb, parse(as_insert(context)), reading, reader.lexemes)
    return planner.plan(verb)


def as_insert(context: PlanContext) -> str:
    """The readable text with REPLACE as INSERT, which the parser knows; positions stay."""
    text = context.statement.readable
    reader = LexemeReader(text)
    start = reader.peek().start
    if reader.looks_at("REPLACE"):
        return f"{text[:start]}INSERT {text[start + len('REPLACE') :]}"
    return text


def _automatic_column(schema: TableSchema | None) -> str | None:
    if schema is None:
        return None
    return next((column.name for column in schema.columns if column.auto_increment), None)


def column_names(reading: InsertReading, schema: TableSchema | None) -> list[str]:
    """The columns an INSERT gives values, in lower case. Raises MeshError(NOT_SUPPORTED) where nobody knows them."""
    if reading.columns is not None and (reading.columns or schema is None):
        return [name.lower() for name in reading.columns]
    if schema is None:
        raise not_supported(
            f"INSERT without a column list into '{reading.table.name}' while its columns are unknown",
            "write the column list",
        )
    if not any(row.cells for row in reading.rows):
        return []
    return [column.name.lower() for column in schema.visible_columns]


def source_of(cell: CellPlace, slots: Mapping[int, Slot], *, is_key: bool) -> Source | None:
    """Where a cell's value comes from, with the statement's slots by their starts; None for an expression only a server can
    evaluate."""
    first = cell.lexemes[0]
    if len(cell.lexemes) == 1:
        slot = slots.get(first.start)
        if slot is None and first.kind is Kind.STRING and first.text[0] in "xXbB":
            slot = slots.get(first.start + 1)
        if slot is not None:
            return slot
        if first.word == "DEFAULT" and is_key:
            return Generated.KEY
        if first.word in ("NULL", "TRUE", "FALSE"):
            return Constant(None if first.word == "NULL" else int(first.word == "TRUE"))
    if len(cell.lexemes) == 2 and first.word in _TYPES_OF_LITERALS:
        slot = slots.get(cell.lexemes[1].start)
        return slot if slot is not None and cell.lexemes[1].kind is Kind.STRING else None
    if len(cell.lexemes) == 2 and first.text == "-":
        slot = slots.get(cell.lexemes[1].start)
        return Negative(slot) if slot is not None and cell.lexemes[1].kind is Kind.NUMBER else None
    for start, end, value in session_functions(cell.lexemes):
        if (start, end) == (cell.start, cell.end):
            return value
    return None


class _Planner:
    """Plans rows for one sharded or broadcast table."""

    def __init__(
        self,
        context: PlanContext,
        reading: InsertReading,
        reader: LexemeReader,
        table: ShardedTable | BroadcastTable,
    ) -> None:
        self.context = context
        self.reading = reading
        self.reader = reader
        self.table = table
        self.schema = context.catalog.table(table.name)
        self.columns = column_names(reading, self.schema)
        self.sharding_columns = table.sharding_columns if isinstance(table, ShardedTable) else ()
        self.slots = {slot.start: slot for slot in context.statement.shape.slots}
        self.generator: str | None = None
        self.key_column: str | None = None
        automatic = _automatic_column(self.schema)
        if isinstance(table, ShardedTable) and table.key_column and table.key_generator:
            self.generator, self.key_column = table.key_generator, table.key_column.lower()
        elif automatic is not None and len(table.nodes) > 1:
            # Nobody generates this column's keys: the plan refuses rows without one.
            self.key_column = automatic.lower()

    @property
    def computes_places(self) -> bool:
        """Whether only a server can say where the rows belong, by expressions that name no column of theirs."""
        if any(len(row.cells) != len(self.columns) for row in self.reading.rows):
            return False
        computed = [
            cell
            for row in self.reading.rows
            for name, cell in zip(self.columns, row.cells, strict=True)
            if name in self.sharding_columns and self._source(cell, is_key=name == self.key_column) is None
        ]
        return bool(computed) and not any(
            self._names_column(lexeme) for c in computed for lexeme in c.lexemes
        )

    def _names_column(self, lexeme: Lexeme) -> bool:
        named = lexeme.kind in (Kind.WORD, Kind.QUOTED)
        return named and (self.schema is None or self.schema.column(lexeme.value.lower()) is not None)

    def plan(self, verb: Verb) -> ShardPlan:
        self.check()
        head, tail = self._head_and_tail()
        nodes = self.table.nodes
        folded = self.context.statement.shape.row is not None and not self.reading.set_form
        rows = self._folded() if folded else self._written()
        effects = side_effects(self.reader.lexemes)
        return InsertPlan(
            verb=verb,
            tables=(self.table.name,),
            table=self.table,
            heads={node: part_frame(head, (node.table,)) for node in nodes},
            tails={node: part_frame(tail, (node.table,)) for node in nodes},
            rows=rows,
            hints=self.context.hints,
            generator=self.generator,
            unnumbered=None if self.generator else self.key_column,
            returning=self.reading.returning,
            names=names_of(self.context.rule_set, (self.table,)),
            effects=SideEffects(effects.variables) if effects is not None and effects.variables else None,
            gives_id=self.key_column is not None and not (effects is not None and effects.insert_id),
            reads_clock=self._reads_clock(),
            ignores=self.reading.ignore,
            most_key=self._most_key(),
            selectable=self._selectable(),
        )

    def _most_key(self) -> int:
        """The greatest number that the generated column takes, as far as its type is known."""
        column = None
        if self.schema is not None and self.key_column is not None:
            column = self.schema.column(self.key_column)
        bits = None if column is None else _BITS.get(re.split(r"\W", column.declared_type, maxsplit=1)[0])
        if column is None or bits is None:
            return MOST_KEY
        return (1 << (bits if column.unsigned else bits - 1)) - 1

    def _selectable(self) -> bool:
        """Whether the rows' values mean the same in a query: a query knows no DEFAULT, and no column of the table. Rows whose changes
        are told from VALUES stay there."""
        if self.table.name.lower() in self.context.rule_set.doubled:
            return False
        lexemes = (lexeme for row in self.reading.rows for cell in row.cells for lexeme in cell.lexemes)
        return not any(lexeme.word == "DEFAULT" or self._names_column(lexeme) for lexeme in lexemes)

    def _reads_clock(self) -> bool:
        """By its text, by a column left to its default, or by ON UPDATE in a row that is there already."""
        if self.schema is None or self.schema.reads_clock or reads_clock(self.reader.lexemes):
            return True
        anywhere = bool(self.reading.updates) or any(
            lexeme.word == "DEFAULT" for lexeme in self.reader.lexemes
        )
        return any(
            column.reads_clock and (anywhere or column.name.lower() not in self.columns)
            for column in self.schema.columns
        )

    def check(self) -> None:
        """What is wrong with the statement whatever its values are. Raises MeshError."""
        if self.context.hints.data_source is not None:
            raise not_supported(
                "the hint DATA_SOURCE_NAME on an INSERT into a sharded or broadcast table",
                "leave out the hint",
            )
        for number, row in enumerate(self.reading.rows, 1):
            if len(row.cells) != len(self.columns):
                raise MeshError(COLUMN_COUNT, row=number)
        for column in self.sharding_columns:
            if column not in self.columns and column != self.key_column:
                raise not_supported(
                    f"INSERT into '{self.table.name}' without its sharding column '{column}'",
                    "name the column and give it a value in every row",
                )
        if self.generator is None and self.key_column is not None and self._adds_column:
            raise unnumbered_row(self.table, self.key_column)

    def _head_and_tail(self) -> tuple[Template, Template]:
        edits = self.context.edits()
        rename_table(edits, self.reader.lexemes, self.reading.table, 0)
        session_answers(self.context, edits)
        rows = self.reading.rows
        if not self.reading.set_form:
            edits.insert(self.reading.columns_end, self._more_columns())
        return edits.build(None, rows[0].start), edits.build(rows[-1].end, None)

    def _more_columns(self) -> str:
        """What is put at the end of the column list. Without one the columns are named that the rows are placed by: when they are written,
        the table may have them in another order."""
        names = [self.key_column] if self.key_column is not None and self._adds_column else []
        if self.reading.columns is None:
            named = (
                [column.name for column in self.schema.visible_columns]
                if self.schema and self.columns
                else []
            )
            listed = ", ".join([quote_name(name, quoted=True) for name in (*named, *names)])
            return f" ({listed})" if listed else ""
        listed = "".join([quote_name(name, quoted=True) for name in names])
        return f", {listed}" if listed and self.reading.columns else listed

    @property
    def _adds_column(self) -> bool:
        return self.key_column is not None and self.key_column not in self.columns

    def _zero_generates(self) -> bool:
        """0 asks for a new key in number columns only, as AUTO_INCREMENT does (manual, "Server SQL Modes")."""
        column = self.schema.column(self.key_column) if self.schema and self.key_column else None
        return column is None or column.family is ColumnFamily.INTEGER

    def _source(self, cell: CellPlace, *, is_key: bool) -> Source | None:
        return source_of(cell, self.slots, is_key=is_key)

    def _values(self, row: RowPlace) -> tuple[ShardingValue, ...]:
        exact = self.context.rule_set.exact_text_keys
        values: list[ShardingValue] = []
        for name in self.sharding_columns:
            schema = self.schema.column(name) if self.schema else None
            is_key = name == self.key_column
            if name not in self.columns:
                values.append(ShardingValue(Generated.KEY, schema, is_key, exact))
                continue
            cell = row.cells[self.columns.index(name)]
            source = self._source(cell, is_key=is_key)
            if source is None:
                raise not_supported(
                    f"an expression as the value of sharding column '{name}' of '{self.table.name}'",
                    "compute it in the application and send a literal or a parameter",
                )
            values.append(ShardingValue(source, schema, is_key, exact))
        return tuple(values)

    def _key_cell(self, row: RowPlace) -> tuple[CellPlace, Slot | Constant | Generated] | None:
        """The cell of the generated column where the mesh may have to fill it in."""
        if self.key_column is None or self.key_column not in self.columns:
            return None
        cell = row.cells[self.columns.index(self.key_column)]
        source = self._source(cell, is_key=True)
        return None if source is None or isinstance(source, SessionValue | Negative) else (cell, source)

    def _folded(self) -> FoldedRows:
        row = self.reading.rows[0]
        text = self.context.statement.text
        slots = [slot for slot in self.context.statement.shape.slots if slot.cell is not None]
        key: Slot | Generated | None = None
        gaps: list[tuple[int, int, Slot | SessionValue | Generated]] = [
            (slot.start, slot.end, slot) for slot in slots
        ]
        gaps += [gap for cell in row.cells for gap in session_functions(cell.lexemes)]
        found = self._key_cell(row)
        if found is not None and isinstance(found[1], Slot):
            key = found[1]
        elif found is not None:
            key = Generated.KEY
            gaps.append((found[0].start, found[0].end, key))
        pieces: list[str] = []
        position = row.start
        gaps.sort(key=lambda gap: gap[0])
        for start, end, _ in gaps:
            pieces.append(text[position:start])
            position = end
        columns = [source for _, _, source in gaps]
        if self._adds_column:
            key = Generated.KEY
            columns.append(key)
            pieces.append(text[position : row.end - 1].rstrip() + ", ")
            position = row.end - 1
        pieces.append(text[position : row.end])
        return FoldedRows(
            slots[0].index,
            tuple(pieces),
            tuple(columns),
            self._values(row),
            key,
            self._zero_generates(),
            self.context.flags,
        )

    def _written(self) -> WrittenRows:
        edits = self.context.edits()
        session_answers(self.context, edits)
        rows = tuple(self._written_row(edits, row) for row in self.reading.rows)
        return WrittenRows(rows, self._zero_generates(), self.context.flags)

    def _written_row(self, edits: Edits, row: RowPlace) -> WrittenRow:
        cells = {cell.start for cell in row.cells if len(cell.lexemes) == 1}

        def stored(segment: Segment) -> Segment:
            """What is stored as it is needs no type."""
            if isinstance(segment, Slot) and segment.parameter and segment.start in cells:
                return replace(segment, plain=True)
            return segment

        def frame(start: int, end: int, before: str = "", after: str = "") -> Frame:
            segments = [stored(segment) for segment in edits.build(start, end).segments]
            return part_frame(Template((before, *segments, after), self.context.flags))

        values = self._values(row)
        found = self._key_cell(row)
        if found is not None:
            cell, source = found
            return WrittenRow(frame(row.start, cell.start), source, frame(cell.end, row.end), values)
        if not self._adds_column:
            return WrittenRow(frame(row.start, row.end), None, frame(row.end, row.end), values)
        if self.reading.set_form:
            assert self.key_column is not None
            before = frame(row.start, row.end, after=f", {quote_name(self.key_column, quoted=True)} = ")
            return WrittenRow(before, Generated.KEY, frame(row.end, row.end), values)
        before = frame(row.start, row.end - 1, after=", " if row.cells else "")
        return WrittenRow(before, Generated.KEY, frame(row.end - 1, row.end), values)
