"""Which rows a write changes on the data node it is for: the query that finds them first, and the keys an INSERT names.

Decides from the text a data source gets, edited at positions: WHERE of an UPDATE or DELETE stands in the query as the client
wrote it. What cannot be told beforehand is refused with its reason. What has been told is checked afterwards
against what the server counted (`Capture.agrees`). Knows nothing of who keeps the images.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, NamedTuple

from dbmesh.errors import not_supported
from dbmesh.model import ColumnFamily, TableSchema
from dbmesh.planner.derived.keyed import outside_brackets
from dbmesh.planner.images import ImageTable, Row, image_table
from dbmesh.planner.insert_reading import CellPlace, InsertReading, read_insert
from dbmesh.planner.lexemes import Kind, Lexeme, LexemeReader
from dbmesh.planner.native_functions import calls_stored
from dbmesh.planner.template import quote_name
from dbmesh.planner.unrepeatable import find_unrepeatable
from dbmesh.sql.lexer import LexerFlags
from dbmesh.sql.parse import parse
from dbmesh.wire.packets import OkPacket

_MODIFIERS = frozenset(("LOW_PRIORITY", "QUICK", "IGNORE"))
_MATCHED = re.compile(rb"Rows matched: (\d+)  Changed: (\d+)")


class Occasion(NamedTuple):
    """Why the rows of a write have to be told: what it is called in a refusal, and what can be done instead of it."""

    write: str
    instead: str


BASE: Final = Occasion("a write of a BASE transaction", "use type XA")
MOVING: Final = Occasion("a write to a table whose rows are being moved", "wait until they are moved")

KEYS_PER_QUERY = 500
"""Rows one query of images names at most."""

SchemaOf = Callable[[str], TableSchema | None]
"""The schema of an actual table, None for one nobody knows."""


class Effect(Enum):
    """What a write does to rows."""

    UPDATES = "update"
    DELETES = "delete"
    INSERTS = "insert"
    """An INSERT that fails when a row is there already."""
    KEEPS = "insert ignore"
    REPLACES = "replace"
    MERGES = "insert on duplicate key update"


@dataclass(frozen=True, slots=True)
class Found:
    """What the images before and after a write say: rows there were, those of them that changed or are gone, rows made, and
    rows there are with the keys the write names."""

    before: int
    changed: int
    made: int
    named: int


@dataclass(frozen=True, slots=True)
class Capture:
    """One write on one data node. `before` is the query of the rows that are there and may change, '' for none. `made`
    is the condition for rows it makes by the keys it names, '' for none; `generated` is the number of rows whose key the server
    counts, `rows` that of all rows it writes in VALUES. `unique`: the table has unique keys beside the primary one.
    `outdated`: it assigns a column nobody knew when the schema was read, which the images do not show."""

    table: ImageTable
    effect: Effect
    before: str
    made: str = ""
    generated: int = 0
    rows: int = 0
    unique: bool = False
    outdated: bool = False

    def named(self, first_id: int) -> str:
        """The query of the rows with the keys an INSERT names; `first_id` is the first number the server counted. '' for
        none."""
        if self.made:
            return self.table.query(self.made)
        if not self.generated or not first_id:
            return ""
        column = quote_name(self.table.columns[self.table.key[0]].name, quoted=True)
        ids = [f"{first_id}+{at}*@@auto_increment_increment" for at in range(self.generated)]
        return self.table.query(f"{column} IN ({','.join(ids)})")

    def again(self, keys: Sequence[Row]) -> list[str]:
        """The queries of the rows of these keys. O(keys)."""
        starts = range(0, len(keys), KEYS_PER_QUERY)
        return [self.table.query(self.table.condition(keys[at : at + KEYS_PER_QUERY])) for at in starts]

    def agrees(self, ok: OkPacket, found: Found, *, counts_found: bool, exactly: bool = True) -> bool:
        """Whether the server counted as many rows as the images show. It does not where another transaction's row came in
        between, or where a value is stored otherwise than written. `counts_found`: rows that stay as they are count too
        (CLIENT_FOUND_ROWS); unless `exactly`, where that cannot be told of a row put in the place of its equal, it need not be."""
        affected, unchanged = ok.affected_rows, found.before - found.changed
        if self.effect is Effect.UPDATES:
            matched = _MATCHED.match(ok.info)
            if matched is None:
                return found.before == affected
            return (found.before, found.changed) == (int(matched[1]), int(matched[2]))
        if self.effect is Effect.DELETES:
            return affected == found.before == found.changed
        if self.effect in (Effect.INSERTS, Effect.KEEPS):
            return affected == found.made
        if self.effect is Effect.REPLACES:
            # A row put in the place of its equal counts once or twice, depending on which key they meet in; one that a later row of the
            # statement has replaced is not there.
            replaced = self.rows - found.named
            least = self.rows + found.changed + replaced
            most = least + (unchanged if self.unique else 0)
            told = least == most and not replaced
            return least <= affected <= most and (told or not exactly)
        return affected == found.made + 2 * found.changed + (unchanged if counts_found else 0)


def capture(sql: str, schema_of: SchemaOf, flags: LexerFlags, occasion: Occasion = BASE) -> Capture:
    """How to take the images of a write's rows on this occasion. Raises MeshError(NOT_SUPPORTED) with the reason why that cannot be told."""
    if occasion is BASE and (flags.ansi_quotes or flags.no_backslash_escapes):
        raise not_supported(
            f"{occasion.write} under sql_mode ANSI_QUOTES or NO_BACKSLASH_ESCAPES",
            "leave them out of sql_mode",
        )
    reader = LexemeReader(sql, flags=flags)
    if any(lexeme.kind is Kind.PARAMETER for lexeme in reader.lexemes):
        raise not_supported(
            "a prepared write whose hint makes it a BASE transaction",
            "SET dbmesh_transaction_type = 'BASE' before it is executed",
        )
    word = reader.peek().word
    if word in ("INSERT", "REPLACE"):
        return _inserting(sql, reader, schema_of, occasion)
    if word == "UPDATE":
        return _updating(sql, reader, schema_of, occasion)
    if word == "DELETE":
        return _deleting(sql, reader, schema_of, occasion)
    raise not_supported(f"{occasion.write} that begins with {reader.peek().text[:40]}", occasion.instead)


# ---------------------------------------------------------------------------------------------- UPDATE, DELETE


def _updating(sql: str, reader: LexemeReader, schema_of: SchemaOf, occasion: Occasion) -> Capture:
    reader.take()
    while reader.accept_any(*_MODIFIERS):
        pass
    clauses = _Clauses(sql, reader.lexemes[reader.position :], ("SET", "WHERE", "ORDER", "LIMIT"), occasion)
    name, schema = _one_table(clauses.head, schema_of, occasion)
    table = image_table(name, schema)
    keys = {table.columns[index].name.lower() for index in table.key}
    assigned = _assigned(clauses.lexemes("SET"))
    moved = next((name for name in assigned if name.lower() in keys), None)
    if moved is not None:
        raise not_supported(
            f"{occasion.write} that assigns '{moved}' of the primary key",
            "delete the row and insert it again",
        )
    return Capture(
        table, Effect.UPDATES, clauses.query(table), outdated=_names_unknown_columns(assigned, schema)
    )


def _deleting(sql: str, reader: LexemeReader, schema_of: SchemaOf, occasion: Occasion) -> Capture:
    reader.take()
    while reader.accept_any(*_MODIFIERS):
        pass
    if not reader.accept("FROM"):
        raise not_supported(f"{occasion.write} that deletes from several tables", "write one table at a time")
    clauses = _Clauses(
        sql, reader.lexemes[reader.position :], ("USING", "WHERE", "ORDER", "LIMIT", "RETURNING"), occasion
    )
    if clauses.lexemes("USING"):
        raise not_supported(f"{occasion.write} that deletes from several tables", "write one table at a time")
    if clauses.lexemes("RETURNING"):
        raise not_supported(f"{occasion.write} with RETURNING", "read the rows FOR UPDATE first")
    table = image_table(*_one_table(clauses.head, schema_of, occasion))
    return Capture(table, Effect.DELETES, clauses.query(table))


class _Clauses:
    """The clauses behind a write's verb, each from its word to the next one's."""

    def __init__(self, sql: str, lexemes: Sequence[Lexeme], words: Sequence[str], occasion: Occasion) -> None:
        self._sql = sql
        self._occasion = occasion
        self._all = lexemes
        starts: dict[str, int] = {}
        for lexeme in outside_brackets(lexemes):
            if lexeme.word in words:
                starts.setdefault(lexeme.word, lexeme.start)
        end = lexemes[-1].end if lexemes else len(sql)
        self._spans = {
            word: (start, min((other for other in starts.values() if other > start), default=end))
            for word, start in starts.items()
        }
        first = min(starts.values(), default=end)
        self.head = [lexeme for lexeme in lexemes if lexeme.start < first]

    def lexemes(self, word: str) -> list[Lexeme]:
        """Those of a clause behind its word; none where it is missing."""
        start, end = self._spans.get(word, (0, 0))
        return [lexeme for lexeme in self._all if start < lexeme.start < end]

    def query(self, table: ImageTable) -> str:
        """The query of the rows a write means."""
        if "LIMIT" in self._spans:
            raise not_supported(
                f"{self._occasion.write} with LIMIT whose rows are not read first", self._occasion.instead
            )
        self._refuse_unrepeatable()
        source = self._sql[self.head[0].start : self.head[-1].end]
        where = self._spans.get("WHERE")
        condition = "" if where is None else f" {self._sql[where[0] : where[1]].rstrip().rstrip(';')}"
        return f"SELECT {table.items} FROM {source}{condition} FOR UPDATE"

    def _refuse_unrepeatable(self) -> None:
        """A subquery reads rows that the query of images does not lock, and a stored function may tell something else each
        time."""
        lexemes = self.lexemes("WHERE")
        found = find_unrepeatable(lexemes) or next(
            (one for one in lexemes if one.text == ":=" or one.word == "SELECT"), None
        )
        what = "" if found is None else found.text
        if not what and any(one.text == "(" for one in lexemes):
            start, end = self._spans["WHERE"]
            what = (
                "a stored function" if calls_stored(parse(f"SELECT 1 FROM t {self._sql[start:end]}")) else ""
            )
        if what:
            raise not_supported(
                f"{self._occasion.write} with {what} in WHERE, which may mean other rows each time",
                self._occasion.instead,
            )


def _one_table(head: Sequence[Lexeme], schema_of: SchemaOf, occasion: Occasion) -> tuple[str, TableSchema]:
    """The only table of `name [PARTITION (…)] [AS alias]`, and its schema."""
    outer = list(outside_brackets(head))
    names = [one for one in outer if one.word not in ("PARTITION", "AS")]
    dotted = len(names) > 2 and names[1].text == "."
    name = names[2] if dotted else names[0] if names else None
    rest = names[3:] if dotted else names[1:]
    plain = all(one.kind in (Kind.WORD, Kind.QUOTED) for one in rest)
    if name is None or not plain or len(rest) > 1 or name.kind not in (Kind.WORD, Kind.QUOTED):
        raise not_supported(f"{occasion.write} of several tables", "write one table at a time")
    if dotted:
        raise not_supported(f"{occasion.write} to a table of another schema", "USE its database first")
    return name.value, known_table(name.value, schema_of, occasion)


def known_table(name: str, schema_of: SchemaOf, occasion: Occasion) -> TableSchema:
    """The schema of an actual table. Raises MeshError(NOT_SUPPORTED) where nothing is known of it."""
    schema = schema_of(name)
    if schema is None or schema.temporary:
        raise not_supported(
            f"{occasion.write} to '{name}', of which nothing is known (a temporary table?)", occasion.instead
        )
    return schema


def _names_unknown_columns(names: Iterable[str], schema: TableSchema) -> bool:
    return any(schema.column(name) is None for name in names)


def _assigned(lexemes: Sequence[Lexeme]) -> list[str]:
    """The columns a list of assignments names."""
    names: list[str] = []
    expects = True
    for lexeme, following in itertools.pairwise((*outside_brackets(lexemes), None)):
        assert lexeme is not None
        if expects and following is not None and following.text in ("=", ":="):
            names.append(lexeme.value)
            expects = False
        elif lexeme.text == ",":
            expects = True
    return names


# ---------------------------------------------------------------------------------------------- INSERT, REPLACE


def _inserting(sql: str, reader: LexemeReader, schema_of: SchemaOf, occasion: Occasion) -> Capture:
    reading = read_insert(reader)
    if not reading.rows:
        raise not_supported(
            f"{occasion.write} that inserts a query's rows",
            "read the rows first, and insert them by VALUES",
        )
    if reading.returning:
        raise not_supported(f"{occasion.write} with RETURNING", "read the rows by their keys afterwards")
    if reading.table.database is not None:
        raise not_supported(f"{occasion.write} to a table of another schema", "USE its database first")
    schema = known_table(reading.table.name, schema_of, occasion)
    table = image_table(reading.table.name, schema)
    effect = _effect(reading)
    updated = {name.lower() for name, _ in reading.updates}
    refuse_new_key(reading, schema, occasion)
    rows = KeyedRows(sql, reading, schema, occasion)
    made, generated = rows.keys()
    before = ""
    if effect is not Effect.INSERTS:
        conditions = [made, *rows.unique_keys()] if made else rows.unique_keys()
        before = table.query(" OR ".join(conditions)) if conditions else ""
    return Capture(
        table,
        effect,
        before,
        made,
        generated,
        len(reading.rows),
        unique=bool(schema.unique_keys),
        outdated=_names_unknown_columns(updated, schema),
    )


def refuse_new_key(reading: InsertReading, schema: TableSchema, occasion: Occasion) -> None:
    """Raises MeshError(NOT_SUPPORTED) for an ON DUPLICATE KEY UPDATE that gives a row another primary key."""
    keys = {name.lower() for name in schema.primary_key}
    for name, value in reading.updates:
        column = name.lower()
        # The usual way to learn the number of a row that is there already.
        same = ([column], ["last_insert_id", "(", column, ")"])
        if column in keys and [lexeme.value.lower() for lexeme in value] not in same:
            raise not_supported(
                f"{occasion.write} that assigns a column of the primary key", occasion.instead
            )


def _effect(reading: InsertReading) -> Effect:
    if reading.replaces:
        return Effect.REPLACES
    if reading.updates:
        return Effect.MERGES
    return Effect.KEEPS if reading.ignore else Effect.INSERTS


class KeyedRows:
    """The rows of VALUES, by their keys."""

    def __init__(self, sql: str, reading: InsertReading, schema: TableSchema, occasion: Occasion) -> None:
        self._sql = sql
        self._occasion = occasion
        self._rows = reading.rows
        self._schema = schema
        names = (
            reading.columns if reading.columns is not None else [one.name for one in schema.visible_columns]
        )
        self._places = {name.lower(): at for at, name in enumerate(names)}

    def keys(self) -> tuple[str, int]:
        """The condition for the rows whose primary key is given, and how many others are numbered by the server."""
        given: list[str] = []
        generated = 0
        for row in self._rows:
            values = [self._value(row.cells, name) for name in self._schema.primary_key]
            if None not in values:
                given.append(self._equals(self._schema.primary_key, values))
            elif len(values) == 1 and self._numbered(self._schema.primary_key[0]):
                generated += 1
            else:
                raise not_supported(
                    f"{self._occasion.write} that gives a row of '{self._schema.name}' no primary key",
                    "give it one",
                )
        if given and generated:
            raise not_supported(
                f"{self._occasion.write} some of whose rows get a number and some have one",
                "insert them apart",
            )
        return " OR ".join(given), generated

    def unique_keys(self) -> list[str]:
        """The conditions for rows that other unique keys may meet. NULL meets none."""
        return [
            self._equals(key, values)
            for key in self._schema.unique_keys
            for row in self._rows
            if None not in (values := [self._value(row.cells, name) for name in key])
        ]

    def _equals(self, names: Sequence[str], values: Sequence[str | None]) -> str:
        pairs = zip(names, values, strict=True)
        return "(" + " AND ".join(f"{quote_name(name, quoted=True)}={value}" for name, value in pairs) + ")"

    def _numbered(self, name: str) -> bool:
        column = self._schema.column(name)
        return column is not None and column.auto_increment

    def _value(self, cells: Sequence[CellPlace], name: str) -> str | None:
        """SQL of a row's value in a column; None where it is NULL or gets a number."""
        place = self._places.get(name.lower())
        cell = cells[place] if place is not None and place < len(cells) else None
        if cell is None or cell.word == "DEFAULT":
            column = self._schema.column(name)
            default = column is not None and column.has_default and not column.auto_increment
            return f"DEFAULT({quote_name(name, quoted=True)})" if default else None
        if cell.word == "NULL":
            return None
        column = self._schema.column(name)
        # A text is stored in a BIT column by its bytes, and compared with it as a number.
        bits = column is not None and column.family is ColumnFamily.BIT
        if any(not _is_literal(one) or (bits and one.kind is Kind.STRING) for one in cell.lexemes):
            raise not_supported(
                f"{self._occasion.write} with an expression for the key column '{name}'",
                "send the value as a literal",
            )
        text = self._sql[cell.start : cell.end]
        return None if self._numbered(name) and _SOME_DIGIT.search(text) is None else text


_SOME_DIGIT = re.compile("[1-9]|TRUE", re.IGNORECASE)
"""In every literal but those of zero, for which a column may get a number."""

_LITERAL_WORDS = frozenset(("TRUE", "FALSE", "DATE", "TIME", "TIMESTAMP"))


def _is_literal(lexeme: Lexeme) -> bool:
    if lexeme.kind in (Kind.STRING, Kind.NUMBER):
        return True
    return lexeme.text in ("-", "+") or lexeme.word in _LITERAL_WORDS or lexeme.text.startswith("_")
