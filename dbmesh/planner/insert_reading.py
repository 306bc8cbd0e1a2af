"""Where the parts of an INSERT or REPLACE stand: table, columns, rows, cells and what follows them.

Decides positions only, from lexemes (manual, "INSERT Statement", "REPLACE Statement"). Knows no rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dbmesh.planner.ddl_reading import NamePlace, read_place
from dbmesh.planner.lexemes import Kind, Lexeme, LexemeReader


@dataclass(frozen=True, slots=True)
class CellPlace:
    """One value of a row: its half-open range and its lexemes."""

    start: int
    end: int
    lexemes: tuple[Lexeme, ...]

    @property
    def word(self) -> str:
        """The keyword when the value is one word (NULL, DEFAULT), else ''."""
        return self.lexemes[0].word if len(self.lexemes) == 1 else ""


@dataclass(frozen=True, slots=True)
class RowPlace:
    """One row, brackets included. In the SET form the row has no brackets of its own."""

    start: int
    end: int
    cells: tuple[CellPlace, ...]


Updates = tuple[tuple[str, tuple[Lexeme, ...]], ...]
"""The assignments of ON DUPLICATE KEY UPDATE: the column, and the lexemes of its value."""


@dataclass(frozen=True, slots=True)
class InsertReading:
    """An INSERT as ranges. `columns` is None without a column list; `columns_end` is where another column's name may
    be put. Without `rows` the statement takes its rows from a query. `tail` is where ON DUPLICATE KEY UPDATE,
    RETURNING or a row alias may begin."""

    replaces: bool
    ignore: bool
    delayed: bool
    table: NamePlace
    columns: tuple[str, ...] | None
    columns_end: int
    rows: tuple[RowPlace, ...]
    set_form: bool
    tail: int
    updates: Updates
    returning: bool


def read_insert(reader: LexemeReader) -> InsertReading:
    """Reads a whole INSERT or REPLACE. Raises MeshError(PARSE_ERROR)."""
    replaces = reader.accept_any("INSERT", "REPLACE") == "REPLACE"
    ignore = delayed = False
    while (word := reader.accept_any("LOW_PRIORITY", "DELAYED", "HIGH_PRIORITY", "IGNORE")) is not None:
        ignore, delayed = ignore or word == "IGNORE", delayed or word == "DELAYED"
    reader.accept("INTO")
    table = read_place(reader)
    if reader.accept("PARTITION"):
        reader.skip_parentheses()
    columns, columns_end = _read_columns(reader)
    rows: tuple[RowPlace, ...] = ()
    set_form = False
    if reader.accept_any("VALUES", "VALUE") is not None:
        rows = _read_rows(reader)
    elif columns is None and reader.accept("SET"):
        columns, row = _read_set(reader)
        rows, columns_end, set_form = (row,), row.end, True
    tail = rows[-1].end if rows else columns_end
    updates, returning = read_tail(reader) if rows else ((), False)
    return InsertReading(
        replaces, ignore, delayed, table, columns, columns_end, rows, set_form, tail, updates, returning
    )


def _read_columns(reader: LexemeReader) -> tuple[tuple[str, ...] | None, int]:
    if not reader.looks_at("(") or reader.looks_at("(", "SELECT") or reader.looks_at("(", "WITH"):
        return None, reader.peek(-1).end
    reader.take()
    names: list[str] = []
    while not reader.looks_at(")"):
        if names:
            reader.expect(",")
        place = read_place(reader)
        if reader.looks_at("."):
            reader.take()
            place = read_place(reader)
        names.append(place.name)
    end = reader.take().start
    return tuple(names), end


def _read_rows(reader: LexemeReader) -> tuple[RowPlace, ...]:
    rows = [_read_row(reader)]
    while reader.accept(","):
        rows.append(_read_row(reader))
    return tuple(rows)


def _read_row(reader: LexemeReader) -> RowPlace:
    start = reader.peek().start
    reader.expect("(")
    cells: list[CellPlace] = []
    while not reader.looks_at(")"):
        if cells:
            reader.expect(",")
        cells.append(_read_cell(reader, (",", ")")))
    return RowPlace(start, reader.take().end, tuple(cells))


def as_insert(text: str, lexemes: Sequence[Lexeme]) -> str:
    """REPLACE as an INSERT of the same length, which the parser reads in every form."""
    first = lexemes[0]
    if first.word != "REPLACE":
        return text
    return f"{text[: first.start]}INSERT {text[first.end :]}"


_TAIL = ("ON", "RETURNING", "AS")


def _read_cell(reader: LexemeReader, stops: tuple[str, ...]) -> CellPlace:
    """The lexemes up to one of the marks or words in `stops` outside brackets."""
    lexemes: list[Lexeme] = []
    depth = 0
    while not reader.at_end:
        lexeme = reader.peek()
        if depth == 0 and ((lexeme.kind is Kind.MARK and lexeme.text in stops) or lexeme.word in stops):
            break
        if lexeme.kind is Kind.MARK:
            depth += {"(": 1, ")": -1}.get(lexeme.text, 0)
        lexemes.append(reader.take())
    if not lexemes or depth != 0:
        raise reader.error()
    return CellPlace(lexemes[0].start, lexemes[-1].end, tuple(lexemes))


def _read_set(reader: LexemeReader) -> tuple[tuple[str, ...], RowPlace]:
    start = reader.peek().start
    names: list[str] = []
    cells: list[CellPlace] = []
    while True:
        place = read_place(reader)
        names.append(place.name)
        if reader.accept_any("=", ":=") is None:
            raise reader.error()
        cells.append(_read_cell(reader, (",", *_TAIL)))
        if not reader.accept(","):
            return tuple(names), RowPlace(start, cells[-1].end, tuple(cells))


def read_tail(reader: LexemeReader) -> tuple[Updates, bool]:
    """[AS alias [(columns)]] [ON DUPLICATE KEY UPDATE …] [RETURNING …]: the assignments, and whether RETURNING follows. Raises
    MeshError(PARSE_ERROR)."""
    if reader.accept("AS"):
        reader.expect_name()
        if reader.looks_at("("):
            reader.skip_parentheses()
    updates: list[tuple[str, tuple[Lexeme, ...]]] = []
    if reader.accept("ON", "DUPLICATE", "KEY", "UPDATE"):
        while True:
            name = _read_column(reader)
            reader.expect("=")
            updates.append((name, _read_cell(reader, (",", "RETURNING")).lexemes))
            if not reader.accept(","):
                break
    returning = reader.looks_at("RETURNING")
    if not returning:
        reader.expect_end()
    return tuple(updates), returning


def _read_column(reader: LexemeReader) -> str:
    """A column's name, its qualifiers left out."""
    name = reader.expect_name().value
    while reader.accept("."):
        name = reader.expect_name().value
    return name
