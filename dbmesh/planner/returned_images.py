"""Writes that return their rows (RETURNING), whose images are asked for behind what the client asks for.

Decides the text and what else has to be read for it. What a write returns is what it has written, so that nothing needs to be told from
the keys it names. Knows nothing of who keeps the images.
"""

from __future__ import annotations

from dataclasses import dataclass

from dbmesh.errors import not_supported
from dbmesh.planner.capture import MOVING, KeyedRows, SchemaOf, known_table, refuse_new_key
from dbmesh.planner.derived.keyed import outside_brackets
from dbmesh.planner.images import ImageTable, image_table
from dbmesh.planner.insert_reading import InsertReading, read_insert
from dbmesh.planner.lexemes import Lexeme, LexemeReader
from dbmesh.sql.lexer import LexerFlags


@dataclass(frozen=True, slots=True)
class ReturnedImages:
    """One write on one data node. `sql` returns the images of its rows, too: of a DELETE (`deletes`) as they were, else as they are.
    `before` is the query of rows that a REPLACE may take away, '' for none."""

    table: ImageTable
    sql: str
    deletes: bool
    before: str = ""


def returns_rows(sql: str, flags: LexerFlags) -> bool:
    """Whether a write returns its rows. O(length)."""
    if "returning" not in sql.lower():
        return False
    return _returning(LexemeReader(sql, flags=flags)) is not None


def _returning(reader: LexemeReader) -> Lexeme | None:
    return next((one for one in outside_brackets(reader.lexemes) if one.word == "RETURNING"), None)


def returned_images(sql: str, schema_of: SchemaOf, flags: LexerFlags) -> ReturnedImages:
    """How to take the images of the rows that a write to a table that moves returns. Raises MeshError(NOT_SUPPORTED)."""
    reader = LexemeReader(sql, flags=flags)
    end = next(lexeme.end for lexeme in reversed(reader.lexemes) if lexeme.text != ";")

    def with_images(table: ImageTable) -> str:
        return f"{sql[:end]},{table.items}{sql[end:]}"

    if reader.looks_at("DELETE"):
        name = _deleted(reader)
        table = image_table(name, known_table(name, schema_of, MOVING))
        return ReturnedImages(table, with_images(table), deletes=True)
    reading = read_insert(reader)
    name = reading.table.name
    schema = known_table(name, schema_of, MOVING)
    table = image_table(name, schema)
    refuse_new_key(reading, schema, MOVING)
    before = ""
    if reading.replaces and schema.unique_keys:
        _refuse_query(reading)
        before = " OR ".join(KeyedRows(sql, reading, schema, MOVING).unique_keys())
    return ReturnedImages(table, with_images(table), deletes=False, before=before and table.query(before))


def _deleted(reader: LexemeReader) -> str:
    """The table of a DELETE, which has no alias: with RETURNING there is but one."""
    reader.take()
    while reader.accept_any("LOW_PRIORITY", "QUICK", "IGNORE"):
        pass
    if not reader.accept("FROM"):
        raise reader.error()
    return reader.expect_name().value


def _refuse_query(reading: InsertReading) -> None:
    """Whose rows it replaces nobody knows before they are read."""
    if not reading.rows:
        raise not_supported(
            f"{MOVING.write} that replaces rows by those of a query", "read the rows first, and use VALUES"
        )
