"""What an ALTER TABLE or CREATE INDEX changes about keys and columns, read from lexemes.

Decides which clause says what: whether a sharded table could still keep its keys is for others to say. Knows no rules.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from dbmesh.planner.ddl_reading import read_place
from dbmesh.planner.lexemes import Kind, Lexeme, LexemeReader
from dbmesh.planner.table_definition import (
    ColumnText,
    Index,
    read_column,
    read_definition,
    read_index,
    read_key_columns,
    read_symbol,
)


@dataclass(slots=True)
class KeyChanges:
    """`unique` are unique keys that are added. `primary` is a new primary key, None without one; `drops_primary` that the
    old one goes. `columns` are columns with a new definition by the name they had (lower case), `renamed` their new names
    likewise; `converts` that every text column takes another character set."""

    unique: list[Index] = field(default_factory=list)
    primary: tuple[str, ...] | None = None
    drops_primary: bool = False
    columns: dict[str, ColumnText] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)
    converts: bool = False


def read_key_changes(statement: str) -> KeyChanges:
    """Reads ALTER TABLE, CREATE UNIQUE INDEX as ADD UNIQUE, and DROP INDEX, which changes none of these. Raises
    MeshError(PARSE_ERROR)."""
    reader = LexemeReader(statement)
    changes = KeyChanges()
    if reader.accept("CREATE"):
        _read_index(reader, changes)
    elif not reader.looks_at("DROP"):
        for clause in alter_clauses(statement):
            _read_clause(LexemeReader(statement, clause), changes)
    return changes


def alter_clauses(statement: str) -> Sequence[Sequence[Lexeme]]:
    """The clauses of an ALTER TABLE, without the commas between them. Raises MeshError(PARSE_ERROR)."""
    reader = LexemeReader(statement)
    while not reader.accept_any("TABLE", "TABLES"):
        reader.take()
    reader.accept("IF", "EXISTS")
    read_place(reader)
    return tuple(_clauses(reader.lexemes[reader.position :]))


def _read_index(reader: LexemeReader, changes: KeyChanges) -> None:
    """CREATE [OR REPLACE] UNIQUE INDEX [IF NOT EXISTS] name [USING x] ON t (…)."""
    reader.accept("OR", "REPLACE")
    if not reader.accept("UNIQUE", "INDEX"):
        return
    reader.accept("IF", "NOT", "EXISTS")
    name = reader.expect_name().value
    while not reader.accept("ON"):
        reader.take()
    read_place(reader)
    changes.unique.append(Index(name, read_key_columns(reader) or (), unique=True))


def _clauses(lexemes: Sequence[Lexeme]) -> Iterator[Sequence[Lexeme]]:
    """The parts between commas outside brackets."""
    depth, clause = 0, list[Lexeme]()
    for lexeme in lexemes:
        if lexeme.kind is Kind.MARK:
            depth += {"(": 1, ")": -1}.get(lexeme.text, 0)
            if depth == 0 and lexeme.text == ",":
                yield clause
                clause = []
                continue
        clause.append(lexeme)
    if clause:
        yield clause


def _read_clause(reader: LexemeReader, changes: KeyChanges) -> None:
    if reader.accept("ADD"):
        _read_added(reader, changes)
    elif reader.accept("DROP", "PRIMARY", "KEY"):
        changes.drops_primary = True
    elif reader.accept("MODIFY"):
        reader.accept("COLUMN")
        reader.accept("IF", "EXISTS")
        _read_column(reader, changes, None)
    elif reader.accept("CHANGE"):
        reader.accept("COLUMN")
        reader.accept("IF", "EXISTS")
        before = reader.expect_name().value
        changes.renamed[before.lower()] = reader.peek().value
        _read_column(reader, changes, before)
    elif reader.accept("RENAME", "COLUMN"):
        reader.accept("IF", "EXISTS")
        before = reader.expect_name().value
        reader.expect("TO")
        changes.renamed[before.lower()] = reader.expect_name().value
    elif reader.looks_at("CONVERT", "TO"):
        changes.converts = True


def _read_added(reader: LexemeReader, changes: KeyChanges) -> None:
    if reader.looks_at("("):
        added = read_definition(reader)
        changes.unique += [index for index in added.indexes if index.unique]
        changes.primary = added.primary_key or changes.primary
        return
    symbol = read_symbol(reader)
    if reader.looks_at("UNIQUE"):
        changes.unique.append(read_index(reader, symbol, unique=True))
    elif reader.looks_at("PRIMARY"):
        changes.primary = read_key_columns(reader) or ()
    elif not symbol and reader.peek().word not in _NO_COLUMNS:
        reader.accept("COLUMN")
        reader.accept("IF", "NOT", "EXISTS")
        _read_column(reader, changes, None)


_NO_COLUMNS = frozenset(
    ("INDEX", "KEY", "FULLTEXT", "SPATIAL", "FOREIGN", "CHECK", "CONSTRAINT", "PARTITION", "PERIOD", "SYSTEM")
)


def _read_column(reader: LexemeReader, changes: KeyChanges, before: str | None) -> None:
    column, primary, unique, _ = read_column(reader)
    changes.columns[(before or column.name).lower()] = column
    if primary:
        changes.primary = (column.name,)
    elif unique:
        changes.unique.append(Index("", (column.name,), unique=True))
