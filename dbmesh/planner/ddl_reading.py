"""Where the names of a DDL statement stand: tables, columns, constraint symbols.

Decides positions only, from lexemes: trees of DDL leave out what the parser does not know, while a statement for
many data nodes must keep everything the client wrote. Knows no rules.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from dbmesh.planner.lexemes import Kind, LexemeReader


@dataclass(frozen=True, slots=True)
class NamePlace:
    """A name in a statement's text and the half-open range it fills, its qualifier included. `may_be_check`: it names a
    constraint that may be a CHECK."""

    name: str
    start: int
    end: int
    database: str | None = None
    may_be_check: bool = False


@dataclass(frozen=True, slots=True)
class CreateTable:
    """What a CREATE TABLE names. `like` is the pattern table of CREATE TABLE … LIKE; `selects` tells of a query,
    `replaces` of OR REPLACE."""

    table: NamePlace
    temporary: bool
    columns: tuple[str, ...]
    references: tuple[NamePlace, ...]
    symbols: tuple[NamePlace, ...]
    like: NamePlace | None
    selects: bool
    unions: bool
    replaces: bool
    if_not_exists: bool


@dataclass(frozen=True, slots=True)
class AlterTable:
    """What an ALTER TABLE names. `gone` are columns dropped or renamed, `renamed_to` a new table name,
    `exchanges` tells of EXCHANGE PARTITION."""

    table: NamePlace
    references: tuple[NamePlace, ...]
    symbols: tuple[NamePlace, ...]
    gone: tuple[str, ...]
    renamed_to: NamePlace | None
    exchanges: bool


@dataclass(frozen=True, slots=True)
class TableList:
    """Tables named one after another, as DROP TABLE does."""

    tables: tuple[NamePlace, ...]
    if_exists: bool = False
    temporary: bool = False

    @property
    def span(self) -> tuple[int, int]:
        """The range of the whole list."""
        return self.tables[0].start, self.tables[-1].end


def read_place(reader: LexemeReader) -> NamePlace:
    """`name` or `database.name`, the next lexemes."""
    first = reader.expect_name()
    if reader.looks_at(".") and reader.peek(1).kind in (Kind.WORD, Kind.QUOTED, Kind.NUMBER):
        reader.take()
        second = reader.take()
        return NamePlace(second.value, first.start, second.end, first.value)
    return NamePlace(first.value, first.start, first.end)


def read_place_list(reader: LexemeReader) -> tuple[NamePlace, ...]:
    """Names separated by commas, at least one."""
    places = [read_place(reader)]
    while reader.accept(","):
        places.append(read_place(reader))
    return tuple(places)


_NOT_COLUMNS = frozenset(
    ("INDEX", "KEY", "FULLTEXT", "SPATIAL", "UNIQUE", "PRIMARY", "FOREIGN", "CHECK", "CONSTRAINT", "LIKE")
)


def read_create_table(reader: LexemeReader) -> CreateTable:
    """Reads CREATE [OR REPLACE] [TEMPORARY] TABLE … (manual, "CREATE TABLE Statement")."""
    reader.expect("CREATE")
    replaces = reader.accept("OR", "REPLACE")
    temporary = reader.accept("TEMPORARY")
    reader.expect("TABLE")
    if_not_exists = reader.accept("IF", "NOT", "EXISTS")
    table = read_place(reader)
    like: NamePlace | None = None
    columns: list[str] = []
    notes = _Notes()
    if reader.accept("LIKE"):
        like = read_place(reader)
    elif reader.looks_at("(", "LIKE"):
        reader.position += 2
        like = read_place(reader)
    elif reader.looks_at("(") and not reader.looks_at("(", "SELECT") and not reader.looks_at("(", "WITH"):
        columns = _read_definitions(reader, notes)
    selects = unions = False
    while not reader.at_end:
        selects = selects or reader.looks_at("SELECT") or reader.looks_at("AS")
        unions = unions or reader.looks_at("UNION", "=") or reader.looks_at("UNION", "(")
        reader.take()
    return CreateTable(
        table,
        temporary,
        tuple(columns),
        tuple(notes.references),
        tuple(notes.symbols),
        like,
        selects,
        unions,
        replaces,
        if_not_exists,
    )


class _Notes:
    """Foreign tables and constraint symbols met while reading definitions."""

    def __init__(self) -> None:
        self.references: list[NamePlace] = []
        self.symbols: list[NamePlace] = []

    def note(self, reader: LexemeReader) -> bool:
        """Take what comes next if it is one of them."""
        if reader.accept("REFERENCES"):
            self.references.append(read_place(reader))
            return True
        if reader.looks_at("CONSTRAINT") and reader.peek(2).word in ("FOREIGN", "CHECK", "REFERENCES"):
            check = reader.peek(2).word == "CHECK"
            reader.take()
            self.symbols.append(replace(read_place(reader), may_be_check=check))
            return True
        return False


def _read_definitions(reader: LexemeReader, notes: _Notes) -> list[str]:
    """The parenthesised definitions; answers the names of the columns."""
    reader.expect("(")
    columns: list[str] = []
    depth, starting = 1, True
    while depth:
        if reader.at_end:
            raise reader.error()
        lexeme = reader.peek()
        if starting and lexeme.word not in _NOT_COLUMNS and not reader.looks_at("PERIOD", "FOR"):
            columns.append(reader.expect_name().value)
            starting = False
            continue
        if notes.note(reader):
            starting = False
            continue
        reader.take()
        if lexeme.kind is Kind.MARK:
            depth += {"(": 1, ")": -1}.get(lexeme.text, 0)
        starting = depth == 1 and lexeme.kind is Kind.MARK and lexeme.text == ","
    return columns


def read_alter_table(reader: LexemeReader) -> AlterTable:
    """Reads ALTER [ONLINE] [IGNORE] TABLE [IF EXISTS] … (manual, "ALTER TABLE Statement")."""
    reader.expect("ALTER")
    reader.accept("ONLINE")
    reader.accept("IGNORE")
    reader.expect("TABLE")
    reader.accept("IF", "EXISTS")
    table = read_place(reader)
    notes = _Notes()
    gone: list[str] = []
    renamed: NamePlace | None = None
    exchanges = False
    depth = 0
    while not reader.at_end:
        if notes.note(reader):
            continue
        if depth == 0 and reader.looks_at("EXCHANGE", "PARTITION"):
            exchanges = True
        changed = _accept_symbol_change(reader) if depth == 0 else None
        if changed is not None:
            notes.symbols.append(replace(read_place(reader), may_be_check=changed != "FOREIGN"))
        elif depth == 0 and reader.looks_at("RENAME"):
            renamed = _read_rename(reader, gone) or renamed
        elif depth == 0 and reader.accept("CHANGE"):
            _read_change(reader, gone)
        elif depth == 0 and reader.looks_at("DROP"):
            _read_drop(reader, gone)
        else:
            lexeme = reader.take()
            if lexeme.kind is Kind.MARK:
                depth += {"(": 1, ")": -1}.get(lexeme.text, 0)
    return AlterTable(table, tuple(notes.references), tuple(notes.symbols), tuple(gone), renamed, exchanges)


def _accept_symbol_change(reader: LexemeReader) -> str | None:
    """Move to the symbol of DROP FOREIGN KEY, DROP CHECK, DROP CONSTRAINT, ALTER CHECK, ALTER CONSTRAINT: which of them."""
    for words in (
        ("DROP", "FOREIGN", "KEY"),
        ("DROP", "CHECK"),
        ("DROP", "CONSTRAINT"),
        ("ALTER", "CHECK"),
        ("ALTER", "CONSTRAINT"),
    ):
        if reader.accept(*words):
            reader.accept("IF", "EXISTS")
            return words[1]
    return None


def _read_rename(reader: LexemeReader, gone: list[str]) -> NamePlace | None:
    reader.expect("RENAME")
    if reader.accept("COLUMN"):
        reader.accept("IF", "EXISTS")
        gone.append(reader.expect_name().value)
        return None
    if reader.accept_any("INDEX", "KEY"):
        return None
    reader.accept_any("TO", "AS", "=")
    return read_place(reader)


def _read_change(reader: LexemeReader, gone: list[str]) -> None:
    reader.accept("COLUMN")
    reader.accept("IF", "EXISTS")
    before, after = reader.expect_name().value, reader.expect_name().value
    if before.lower() != after.lower():
        gone.append(before)


def _read_drop(reader: LexemeReader, gone: list[str]) -> None:
    reader.expect("DROP")
    if reader.peek().word in ("INDEX", "KEY", "PRIMARY", "PARTITION", "SYSTEM", "PERIOD", "DEFAULT"):
        reader.take()
        return
    reader.accept("COLUMN")
    reader.accept("IF", "EXISTS")
    if reader.peek().kind in (Kind.WORD, Kind.QUOTED):
        gone.append(reader.take().value)


def read_drop_table(reader: LexemeReader) -> TableList:
    """Reads DROP [TEMPORARY] TABLE | VIEW | SEQUENCE [IF EXISTS] a, b [RESTRICT | CASCADE]."""
    reader.expect("DROP")
    temporary = reader.accept("TEMPORARY")
    if reader.accept_any("TABLE", "TABLES", "VIEW", "SEQUENCE") is None:
        raise reader.error()
    if_exists = reader.accept("IF", "EXISTS")
    tables = read_place_list(reader)
    return TableList(tables, if_exists, temporary)


def read_truncate(reader: LexemeReader) -> NamePlace:
    """Reads TRUNCATE [TABLE] t."""
    reader.expect("TRUNCATE")
    reader.accept("TABLE")
    return read_place(reader)


def read_index_table(reader: LexemeReader) -> NamePlace:
    """The table of CREATE … INDEX … ON t or DROP INDEX … ON t."""
    while not reader.accept("ON"):
        if reader.at_end:
            raise reader.error()
        reader.take()
    return read_place(reader)


def read_maintenance(reader: LexemeReader) -> TableList:
    """Reads ANALYZE | OPTIMIZE | CHECK | REPAIR | CHECKSUM [LOCAL | NO_WRITE_TO_BINLOG] TABLE a, b …"""
    reader.take()
    reader.accept_any("LOCAL", "NO_WRITE_TO_BINLOG")
    if reader.accept_any("TABLE", "TABLES") is None:
        raise reader.error()
    return TableList(read_place_list(reader))


def read_rename_table(reader: LexemeReader) -> tuple[tuple[NamePlace, NamePlace], ...]:
    """Reads RENAME TABLE a TO b, c TO d as pairs."""
    reader.expect("RENAME")
    if reader.accept_any("TABLE", "TABLES") is None:
        raise reader.error()
    pairs: list[tuple[NamePlace, NamePlace]] = []
    while True:
        before = read_place(reader)
        reader.expect("TO")
        pairs.append((before, read_place(reader)))
        if not reader.accept(","):
            reader.expect_end()
            return tuple(pairs)
