"""The same statement on the mesh and on one server that holds all rows: what must be equal, and how it is compared.

Decides what "equal" means: rows (as a list under ORDER BY, else as a bag), column names, tables, types and flags,
affected rows, last insert id, warnings, and for failures the error number.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pymysql
import pytest
from pymysql.constants import FIELD_TYPE

from tests.plugins.database_server import chosen_product

_ALIVE = {2006, 2013}


@dataclass(frozen=True)
class Column:
    """What a client sees of one column."""

    name: str
    table: str
    org_table: str
    org_name: str
    type_code: int
    charset: int
    flags: int
    decimals: int


@dataclass(frozen=True)
class Answer:
    """Everything one server said to one statement."""

    error: int | None
    rows: tuple[tuple[Any, ...], ...]
    columns: tuple[Column, ...]
    affected: int
    insert_id: int
    warnings: int
    text: str = ""

    def as_bag(self) -> Answer:
        """The same answer with its rows in an order of their own."""
        rows = tuple(sorted(self.rows, key=repr))
        return replace(self, rows=rows)


def ask(connection: pymysql.Connection[Any], statement: str, arguments: Any = None) -> Answer:
    """Runs one statement. An error of the server is an answer; a lost connection is not."""
    with connection.cursor() as cursor:
        try:
            cursor.execute(statement, arguments)
        except pymysql.err.MySQLError as error:
            if error.args[0] in _ALIVE:
                raise
            return Answer(int(error.args[0]), (), (), 0, 0, 0, str(error.args[1]))
        result: Any = cursor._result
        columns = tuple(
            Column(
                field.name,
                field.table_name,
                field.org_table,
                field.org_name,
                field.type_code,
                field.charsetnr,
                field.flags,
                field.scale,
            )
            for field in getattr(result, "fields", None) or ()
        )
        rows = tuple(tuple(row) for row in cursor.fetchall()) if columns else ()
        return Answer(None, rows, columns, cursor.rowcount, int(cursor.lastrowid or 0), result.warning_count)


# The flags of keys (PRI_KEY, UNIQUE_KEY, MULTIPLE_KEY, PART_KEY) and BINARY are lost when a server groups by a
# temporary table, which it does or does not do by its own judgement of the data (MySQL manual, "Internal Temporary
# Table Use in MySQL").
_TEMPORARY_FLAGS = 2 | 4 | 8 | 16384 | 128


def assert_equal_answers(mesh: Answer, plain: Answer, statement: str) -> None:
    """Compares piece by piece, so that a failure names the piece."""
    text = f" {' '.join(statement.lower().split())} "
    if " order by " not in text:
        mesh, plain = mesh.as_bag(), plain.as_bag()
    mysql = chosen_product() == "MySQL"
    if any(
        part in text for part in (" group by ", " distinct ", " join ", *([" in (select "] if mysql else []))
    ):
        # Which of several equal spellings stands for a group is any server's choice.
        mesh, plain = _folded(mesh), _folded(plain)
    if text.startswith((" show ", " describe ", " desc ")) or (mysql and " information_schema." in text):
        mesh, plain = _described(mesh), _described(plain)
    assert mesh.error == plain.error, (
        f"{statement}\nmesh:  {mesh.error} {mesh.text}\nplain: {plain.error} {plain.text}"
    )
    assert [column.name for column in mesh.columns] == [column.name for column in plain.columns], statement
    if " std(" in text:
        # A sum of floating-point numbers depends on the order of its parts.
        assert [pytest.approx(row, rel=1e-12) for row in mesh.rows] == list(plain.rows), statement
    else:
        assert mesh.rows == plain.rows, statement
    assert mesh.columns == plain.columns, statement
    assert mesh.affected == plain.affected, f"affected rows of {statement}"
    assert mesh.insert_id == plain.insert_id, f"last insert id of {statement}"
    assert mesh.warnings == plain.warnings, f"warnings of {statement}"


def _folded(answer: Answer) -> Answer:
    rows = tuple(
        tuple(value.casefold() if isinstance(value, str) else value for value in row) for row in answer.rows
    )
    columns = tuple(_without_temporary_table(column) for column in answer.columns)
    return replace(answer, rows=rows, columns=columns)


def _without_temporary_table(column: Column) -> Column:
    # MySQL says the name of a computed column twice when it stands in a temporary table.
    computed = not column.org_table and column.org_name == column.name
    return replace(
        column, flags=column.flags & ~_TEMPORARY_FLAGS, org_name="" if computed else column.org_name
    )


def _described(answer: Answer) -> Answer:
    # SHOW's columns come from server-internal tables whose names and widths differ between versions of one server.
    columns = tuple(
        Column(column.name, "", "", "", _shown_type(column.type_code), 0, 0, 0) for column in answer.columns
    )
    return replace(answer, columns=columns)


def _shown_type(code: int) -> int:
    # What is text in MariaDB's internal tables is an ENUM in MySQL's, which is sent as CHAR.
    return FIELD_TYPE.VAR_STRING if code == FIELD_TYPE.STRING else code
