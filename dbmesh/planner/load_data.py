"""LOAD DATA LOCAL INFILE: its grammar, and the INSERTs its rows become.

Decides what the clauses mean and how a row of the file is written as a row of VALUES. Source: manual, "LOAD DATA
Statement". The file's own rules are `sql.delimited`'s; the INSERTs are planned like any client's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dbmesh.errors import WRONG_SEPARATORS, MeshError, not_supported
from dbmesh.planner.lexemes import Kind, LexemeReader
from dbmesh.planner.session_plan import LoadData, LoadTarget
from dbmesh.planner.template import quote_name
from dbmesh.sql.delimited import FileFormat

_ON_SERVER = (
    "LOAD DATA INFILE of a file on the server",
    "use LOAD DATA LOCAL INFILE, which sends a file of the client",
)


def read_load_data(reader: LexemeReader) -> LoadData:
    """Read the statement. Raises MeshError: PARSE_ERROR, WRONG_SEPARATORS, NOT_SUPPORTED."""
    reader.expect("LOAD", "DATA")
    reader.accept_any("LOW_PRIORITY", "CONCURRENT")
    if not reader.accept("LOCAL"):
        raise not_supported(*_ON_SERVER)
    reader.expect("INFILE")
    file = _text(reader)
    # LOCAL without REPLACE is IGNORE: the file cannot be stopped in its middle (manual, "Duplicate-Key Handling").
    replaces = reader.accept_any("REPLACE", "IGNORE") == "REPLACE"
    reader.expect("INTO", "TABLE")
    table, database = reader.expect_name().value, None
    if reader.accept("."):
        table, database = reader.expect_name().value, table
    if reader.looks_at("PARTITION"):
        raise not_supported("PARTITION in LOAD DATA", "leave it out")
    charset = _read_charset(reader)
    layout = _read_layout(reader)
    skipped = 0
    if reader.accept("IGNORE"):
        skipped = reader.expect_integer()
        if reader.accept_any("LINES", "ROWS") is None:
            raise reader.error()
    fields = _read_fields(reader)
    assigned = _read_assigned(reader, fields or ())
    reader.expect_end()
    return LoadData(file, table, database, replaces, charset, layout, skipped, fields, assigned)


def _text(reader: LexemeReader) -> bytes:
    lexeme = reader.peek()
    if lexeme.kind is not Kind.STRING:
        raise reader.error()
    if lexeme.text[0] in "xXbBnN":
        raise not_supported(f"{lexeme.text} in LOAD DATA", "write a quoted string")
    return reader.take().value.encode("utf-8", "surrogateescape")


def _read_charset(reader: LexemeReader) -> str | None:
    if not reader.accept("CHARACTER", "SET") and not reader.accept("CHARSET"):
        return None
    lexeme = reader.take()
    return lexeme.value.lower()


def _read_layout(reader: LexemeReader) -> FileFormat:
    terminated, enclosed, escaped, starting, ending = b"\t", b"", b"\\", b"", b"\n"
    if reader.accept_any("FIELDS", "COLUMNS") is not None:
        while True:
            if reader.accept("TERMINATED", "BY"):
                terminated = _text(reader)
            elif reader.accept("OPTIONALLY", "ENCLOSED", "BY") or reader.accept("ENCLOSED", "BY"):
                enclosed = _text(reader)
            elif reader.accept("ESCAPED", "BY"):
                escaped = _text(reader)
            else:
                break
    if reader.accept("LINES"):
        while True:
            if reader.accept("TERMINATED", "BY"):
                ending = _text(reader)
            elif reader.accept("STARTING", "BY"):
                starting = _text(reader)
            else:
                break
    if len(enclosed) > 1 or len(escaped) > 1:
        raise MeshError(WRONG_SEPARATORS)
    if not terminated and not enclosed:
        raise not_supported("LOAD DATA of fields with fixed widths", "terminate the fields by a character")
    if not all(mark.isascii() for mark in (terminated, enclosed, escaped, starting, ending)):
        raise not_supported("separators beyond ASCII in LOAD DATA", "use separators of ASCII")
    return FileFormat(terminated, enclosed, escaped, starting, ending)


def _read_fields(reader: LexemeReader) -> tuple[LoadTarget, ...] | None:
    if not reader.accept("("):
        return None
    targets: list[LoadTarget] = []
    while not reader.accept(")"):
        if targets:
            reader.expect(",")
        if reader.peek().kind is Kind.USER_VARIABLE:
            targets.append(LoadTarget(reader.take().value.lower(), variable=True))
        else:
            targets.append(LoadTarget(reader.expect_name().value))
    return tuple(targets) or None


def _read_assigned(
    reader: LexemeReader, fields: Sequence[LoadTarget]
) -> tuple[tuple[str, tuple[str | LoadTarget, ...]], ...]:
    if not reader.accept("SET"):
        return ()
    assigned: list[tuple[str, tuple[str | LoadTarget, ...]]] = []
    while not assigned or reader.accept(","):
        column = reader.expect_name().value
        if reader.accept_any("=", ":=") is None:
            raise reader.error()
        assigned.append((column, tuple(_expression(reader, fields))))
    columns = [name.lower() for name, _ in assigned]
    named = [target.name.lower() for target in fields if not target.variable]
    if len(set(columns)) < len(columns) or set(columns) & set(named):
        raise not_supported("LOAD DATA that gives a column twice", "read the field into a @variable")
    return tuple(assigned)


def _expression(reader: LexemeReader, fields: Sequence[LoadTarget]) -> Iterator[str | LoadTarget]:
    """The text up to the next comma outside brackets, its variables that the file fills apart."""
    depth, done = 0, reader.peek().start
    if reader.at_end:
        raise reader.error()
    while not reader.at_end:
        lexeme = reader.peek()
        if lexeme.kind is Kind.MARK:
            if lexeme.text == "," and not depth:
                break
            depth += {"(": 1, ")": -1}.get(lexeme.text, 0)
        if lexeme.word in ("SELECT", "WITH") or lexeme.text == ":=":
            raise not_supported(
                f"{lexeme.text} in SET of LOAD DATA", "load into a table of its own, then INSERT … SELECT"
            )
        target = LoadTarget(lexeme.value.lower(), variable=True)
        if lexeme.kind is Kind.USER_VARIABLE and target in fields:
            yield reader.statement[done : lexeme.start]
            yield target
            done = lexeme.end
        reader.take()
    end = reader.lexemes[reader.position - 1].end
    yield reader.statement[done:end]


@dataclass(frozen=True, slots=True)
class LoadedRows:
    """Writes rows of a file as VALUES. `targets` are the statement's fields, its columns where it named none."""

    load: LoadData
    targets: tuple[LoadTarget, ...]

    @property
    def head(self) -> str:
        """The INSERT up to VALUES."""
        columns = [target.name for target in self.targets if not target.variable]
        columns += [name for name, _ in self.load.assigned]
        names = ",".join(quote_name(name, quoted=True) for name in columns)
        table = quote_name(self.load.table, quoted=True)
        if self.load.database is not None:
            table = f"{quote_name(self.load.database, quoted=True)}.{table}"
        return f"{'REPLACE' if self.load.replaces else 'INSERT IGNORE'} INTO {table} ({names})"

    def values(self, fields: Sequence[str]) -> tuple[str, ...]:
        """The cells of a row whose fields are given as literals. Raises MeshError(NOT_SUPPORTED) for a row without all fields: what a server puts there depends
        on the column's type, and is not what DEFAULT is."""
        if len(fields) < len(self.targets):
            raise not_supported(
                "a line with fewer fields than LOAD DATA names",
                "name the columns it has, or fill the line up",
            )
        given = dict(zip(self.targets, fields, strict=True))
        cells = [given[target] for target in self.targets if not target.variable]
        for _, pieces in self.load.assigned:
            cells.append("".join(piece if isinstance(piece, str) else given[piece] for piece in pieces))
        return tuple(cells)
