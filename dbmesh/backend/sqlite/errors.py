"""SQLite's errors as MySQL's: number, SQLSTATE and text.

Decides which error a client sees. Knows no statement beyond the rows an INSERT named.
"""

from __future__ import annotations

import re
import sqlite3

from dbmesh.backend.transpile.coerce import Stored
from dbmesh.backend.transpile.schema import Table
from dbmesh.errors import QUERY_INTERRUPTED, MeshError, ShardError

_UNIQUE = re.compile(r"UNIQUE constraint failed: (.+)")
_NOT_NULL = re.compile(r"NOT NULL constraint failed: .+\.(.+)")


def translate(error: sqlite3.Error) -> Exception:
    """The error a MySQL server would have sent; 1105 for what has no counterpart."""
    code, text = getattr(error, "sqlite_errorcode", 0) & 0xFF, str(error)
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return ShardError(1205, "HY000", "Lock wait timeout exceeded; try restarting transaction")
    if code == sqlite3.SQLITE_INTERRUPT:
        return MeshError(QUERY_INTERRUPTED)
    found = _NOT_NULL.match(text)
    if found is not None:
        return ShardError(1048, "23000", f"Column '{found[1]}' cannot be null")
    if isinstance(error, sqlite3.IntegrityError) and breaks_reference(error):
        return ShardError(1452, "23000", "Cannot add or update a child row: a foreign key constraint fails")
    if code == sqlite3.SQLITE_FULL:
        return ShardError(1021, "HY000", "Disk full")
    if code == sqlite3.SQLITE_READONLY:
        return ShardError(1290, "HY000", "The database file is read-only")
    return ShardError(1105, "HY000", f"SQLite: {text}")


def breaks_reference(error: sqlite3.Error) -> bool:
    """Whether a foreign key forbids the change."""
    return str(error).startswith("FOREIGN KEY")


def referenced() -> ShardError:
    """Error 1451: another table's rows refer to the row that was to go."""
    return ShardError(1451, "23000", "Cannot delete or update a parent row: a foreign key constraint fails")


def violated_key(error: sqlite3.Error, table: Table) -> tuple[str, tuple[str, ...]] | None:
    """The name and columns of the unique key an error is about."""
    found = _UNIQUE.match(str(error))
    if found is None:
        return None
    columns = tuple(part.rpartition(".")[2] for part in found[1].split(", "))
    for index in table.indexes:
        if index.unique and index.columns == columns:
            return index.name, columns
    return "PRIMARY", columns


COMPUTED = "?"
"""Stands in error 1062 for a key's value that only the running statement knew."""


def duplicate(key: str, values: tuple[Stored, ...]) -> ShardError:
    """Error 1062."""
    entry = "-".join("NULL" if value is None else str(value) for value in values)
    return ShardError(1062, "23000", f"Duplicate entry '{entry}' for key '{key}'")
