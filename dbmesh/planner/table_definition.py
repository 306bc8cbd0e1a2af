"""The columns and keys a CREATE TABLE or ALTER TABLE writes, read from lexemes.

Decides what is a column, its type, the primary key, and where foreign keys stand. Knows no rules.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from dbmesh.planner.lexemes import Kind, Lexeme, LexemeReader
from dbmesh.planner.template import quote_name
from dbmesh.sql.sequences import SEQUENCE_CALLS


@dataclass(frozen=True, slots=True)
class ColumnText:
    """A column as written: its name, the first word of its type, and what decides whether a key can be read from it.
    `defaults`: a row may leave it to a DEFAULT that is not NULL, or to ON UPDATE. `collation` is '' where it has none of
    its own."""

    name: str
    type: str
    automatic: bool
    computed: bool
    defaults: bool = False
    collation: str = ""


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A foreign key's half-open range, and the table it refers to. `name` and `columns` are those of the index the server
    would make for it; a REFERENCES behind a column has none. `symbol` is its own name, '' where the server chooses one;
    `referenced` the other table's columns, () where they are its primary key; `on_delete` and `on_update` as in
    `DeclaredKey`."""

    start: int
    end: int
    database: str | None
    table: str
    name: str = ""
    columns: tuple[str, ...] = ()
    symbol: str = ""
    referenced: tuple[str, ...] = ()
    on_delete: str = ""
    on_update: str = ""

    @property
    def index(self) -> str:
        """The index as a definition."""
        names = ", ".join([quote_name(column, quoted=True) for column in self.columns])
        return f"KEY {quote_name(self.name, quoted=True)} ({names})" if self.name else f"KEY ({names})"


@dataclass(frozen=True, slots=True)
class Index:
    """An index or key: its name ('' when the server chooses one) and its columns, () when some are no plain columns."""

    name: str
    columns: tuple[str, ...]
    unique: bool = False


@dataclass(frozen=True, slots=True)
class TableDefinition:
    """What a table's definition says. `primary_key` holds column names; None when a part of it is a prefix or an
    expression, so that equal keys need not be equal values. `calls_sequence`: a column takes the next value of one.
    `collation` is that of columns that name none, '' when the database's."""

    columns: tuple[ColumnText, ...]
    primary_key: tuple[str, ...] | None
    indexes: tuple[Index, ...]
    foreign_keys: tuple[ForeignKey, ...]
    calls_sequence: bool = False
    collation: str = ""

    @property
    def key_column(self) -> ColumnText | None:
        """The first column of the primary key."""
        return self.column(self.primary_key[0]) if self.primary_key else None

    def column(self, name: str) -> ColumnText | None:
        """The column of that name, compared without case."""
        return next((column for column in self.columns if column.name.lower() == name.lower()), None)

    def has_index_for(self, key: ForeignKey) -> bool:
        """Whether the server would use an index that is there already, or its name is taken."""
        wanted = [name.lower() for name in key.columns]
        present = [*self.indexes, Index("", self.primary_key or ())]
        return any(
            [name.lower() for name in index.columns[: len(wanted)]] == wanted
            or (index.name and index.name.lower() == key.name.lower())
            for index in present
        )


_NOT_COLUMNS = frozenset(("FULLTEXT", "SPATIAL", "CHECK", "PERIOD", "LIKE"))
_KEYS = ("PRIMARY", "UNIQUE", "FOREIGN", "CONSTRAINT")


def read_definition(reader: LexemeReader) -> TableDefinition:
    """Reads `( definition, … )`; the reader stands at the bracket and ends behind it."""
    columns: list[ColumnText] = []
    primary: tuple[str, ...] | None = ()
    indexes: list[Index] = []
    foreign: list[ForeignKey] = []
    sequences = False
    for item in definition_items(reader):
        own = LexemeReader(reader.statement, item)
        word = item[0].word
        sequences = sequences or names_sequence(item)
        if word in ("KEY", "INDEX"):
            indexes.append(read_index(own, "", unique=False))
        elif word in _KEYS:
            symbol = read_symbol(own)
            if own.looks_at("PRIMARY"):
                primary = read_key_columns(own)
            elif own.looks_at("UNIQUE"):
                indexes.append(read_index(own, symbol, unique=True))
            elif own.looks_at("FOREIGN"):
                foreign.append(read_foreign_key(own, item[0].start, symbol))
        elif word not in _NOT_COLUMNS:
            column, is_primary, is_unique, reference = read_column(own)
            columns.append(column)
            if is_primary:
                primary = (column.name,)
            elif is_unique:
                indexes.append(Index("", (column.name,), unique=True))
            foreign += [] if reference is None else [reference]
    collation = _default_collation(reader.lexemes[reader.position :])
    return TableDefinition(tuple(columns), primary, tuple(indexes), tuple(foreign), sequences, collation)


def _default_collation(options: Sequence[Lexeme]) -> str:
    """The table option COLLATE [=] name."""
    for at, lexeme in enumerate(options[:-1]):
        if lexeme.word == "COLLATE":
            behind = options[at + 1 :]
            return behind[1 if behind[0].text == "=" and len(behind) > 1 else 0].value.lower()
    return ""


def names_sequence(lexemes: Sequence[Lexeme]) -> bool:
    """Whether an expression takes a number of a sequence (MariaDB)."""
    words = [lexeme.word for lexeme in lexemes]
    return not SEQUENCE_CALLS.isdisjoint(words) or ("VALUE", "FOR") in pairwise(words)


def read_index(reader: LexemeReader, symbol: str, *, unique: bool) -> Index:
    """Reads [UNIQUE] [KEY | INDEX] [name] [USING x] (…)."""
    reader.accept("UNIQUE")
    reader.accept_any("KEY", "INDEX")
    named = not reader.looks_at("(") and not reader.looks_at("USING")
    name = reader.expect_name().value if named else symbol
    return Index(name, read_key_columns(reader) or (), unique)


def definition_items(reader: LexemeReader) -> Iterator[Sequence[Lexeme]]:
    """The lexemes of each definition of `( definition, … )`."""
    reader.expect("(")
    depth, item = 1, list[Lexeme]()
    while True:
        if reader.at_end:
            raise reader.error()
        lexeme = reader.take()
        if lexeme.kind is Kind.MARK:
            depth += {"(": 1, ")": -1}.get(lexeme.text, 0)
            if depth == 0 or (depth == 1 and lexeme.text == ","):
                if item:
                    yield item
                item = []
                if depth == 0:
                    return
                continue
        item.append(lexeme)


def read_symbol(reader: LexemeReader) -> str:
    """Moves past CONSTRAINT [symbol]; the symbol, or ''."""
    if not reader.accept("CONSTRAINT"):
        return ""
    if reader.peek().word in ("PRIMARY", "UNIQUE", "FOREIGN", "CHECK"):
        return ""
    return reader.expect_name().value


def read_key_columns(reader: LexemeReader) -> tuple[str, ...] | None:
    """The columns of PRIMARY KEY (…) or UNIQUE [KEY] [name] (…); None with prefixes or expressions."""
    while not reader.looks_at("("):
        if reader.at_end:
            raise reader.error()
        reader.take()
    names: list[str] = []
    for part in definition_items(reader):
        if part[0].kind not in (Kind.WORD, Kind.QUOTED) or any(lexeme.text == "(" for lexeme in part):
            return None
        names.append(part[0].value)
    return tuple(names)


def read_column(reader: LexemeReader) -> tuple[ColumnText, bool, bool, ForeignKey | None]:
    """Reads a column's definition: the column, whether it is the primary key, or a unique one, and its REFERENCES."""
    name = reader.expect_name().value
    type_word = reader.take().text.upper() if not reader.at_end else ""
    primary = unique = automatic = computed = defaults = False
    collation = ""
    reference: ForeignKey | None = None
    while not reader.at_end:
        if reader.looks_at("("):
            reader.skip_parentheses()
        elif reader.looks_at("REFERENCES"):
            reference = _inline_reference(reader)
        elif reader.accept("COMMENT"):
            reader.take()
        elif reader.accept("COLLATE"):
            collation = reader.take().value.lower()
        elif reader.accept("DEFAULT"):
            defaults = defaults or reader.peek().word != "NULL"
        elif reader.accept("ON", "UPDATE"):
            defaults = True
        else:
            word = reader.take().word
            primary = primary or word == "PRIMARY" or (word == "KEY" and not unique)
            unique = unique or word == "UNIQUE"
            automatic = automatic or word == "AUTO_INCREMENT"
            computed = computed or word in ("AS", "GENERATED")
            # An attribute of a text column: the _bin collation of its character set.
            collation = "_bin" if word == "BINARY" and not collation else collation
    column = ColumnText(name, type_word, automatic, computed, defaults, collation)
    return column, primary, unique, reference


def _inline_reference(reader: LexemeReader) -> ForeignKey:
    start = reader.peek().start
    found = _reference(reader)
    return ForeignKey(start, found.end, found.database, found.table)


def read_foreign_key(reader: LexemeReader, start: int, symbol: str) -> ForeignKey:
    """Reads FOREIGN KEY [name] (…) REFERENCES …; `start` is where its CONSTRAINT began."""
    reader.expect("FOREIGN", "KEY")
    reader.accept("IF", "NOT", "EXISTS")
    name = symbol if reader.looks_at("(") else reader.expect_name().value
    columns = read_key_columns(reader) or ()
    found = _reference(reader)
    return ForeignKey(
        start,
        found.end,
        found.database,
        found.table,
        symbol or name,
        columns,
        symbol,
        found.columns,
        found.actions.get("DELETE", ""),
        found.actions.get("UPDATE", ""),
    )


class _Reference(NamedTuple):
    database: str | None
    table: str
    columns: tuple[str, ...]
    actions: Mapping[str, str]
    end: int


def _reference(reader: LexemeReader) -> _Reference:
    """Reads REFERENCES table [(…)] [MATCH x] [ON DELETE …] [ON UPDATE …]."""
    reader.expect("REFERENCES")
    database: str | None = None
    table = reader.expect_name().value
    if reader.accept("."):
        database, table = table, reader.expect_name().value
    columns = (read_key_columns(reader) or ()) if reader.looks_at("(") else ()
    actions: dict[str, str] = {}
    while True:
        if reader.accept("MATCH"):
            reader.take()
        elif reader.accept("ON", "DELETE"):
            actions["DELETE"] = _action(reader)
        elif reader.accept("ON", "UPDATE"):
            actions["UPDATE"] = _action(reader)
        else:
            return _Reference(database, table, columns, actions, reader.peek(-1).end)


def _action(reader: LexemeReader) -> str:
    """SET NULL, SET DEFAULT, NO ACTION, CASCADE or RESTRICT."""
    first = reader.take().text.upper()
    return f"{first} {reader.take().text.upper()}" if first in ("SET", "NO") else first
