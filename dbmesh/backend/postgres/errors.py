"""PostgreSQL's errors as MySQL's: number, SQLSTATE and text.

Decides which error a client sees for an SQLSTATE. Source: PostgreSQL's appendix "PostgreSQL Error Codes", MySQL's
"Server Error Message Reference".
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import asyncpg

from dbmesh.backend.transpile.schema import Table
from dbmesh.errors import QUERY_INTERRUPTED, MeshError, ShardError, not_supported

_KEY_DETAIL = re.compile(r"Key \((.*?)\)=\((.*)\) already exists")
_NARROW = re.compile(r"smallint|integer|real|field overflow|for type")
_TEXTS: Mapping[str, tuple[int, str, str]] = {
    "40001": (1213, "40001", "Deadlock found when trying to get lock; try restarting transaction"),
    "40P01": (1213, "40001", "Deadlock found when trying to get lock; try restarting transaction"),
    "55P03": (1205, "HY000", "Lock wait timeout exceeded; try restarting transaction"),
    "21000": (1242, "21000", "Subquery returns more than 1 row"),
    "25006": (1792, "25006", "Cannot execute statement in a READ ONLY transaction."),
    "53300": (1040, "08004", "Too many connections"),
    "42501": (1142, "42000", "command denied to user"),
    "53100": (1021, "HY000", "Disk full"),
}
_NUMBERS: Mapping[str, tuple[int, str]] = {
    "42P01": (1146, "42S02"),
    "42703": (1054, "42S22"),
    "42702": (1052, "23000"),
    "42803": (1055, "42000"),
    "42P07": (1050, "42S01"),
    "42701": (1060, "42S21"),
    "42601": (1064, "42000"),
    "22P02": (1366, "HY000"),
    "22007": (1292, "22007"),
    "22008": (1292, "22007"),
    "2BP01": (1451, "23000"),
}
ABORTS = frozenset({"40001", "40P01"})
"""MySQL rolls the whole transaction back at these, and only the statement at others."""

LOST = (
    OSError,
    EOFError,
    asyncpg.InterfaceError,
    # Among others at a statement that comes between the server's last word and the end of its connection.
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
)
"""The connection is gone, or cannot be used any more."""


def translate(error: asyncpg.PostgresError, tables: Mapping[str, Table]) -> Exception:
    """The error a MySQL server would have sent; 1105 with PostgreSQL's own text for what has no counterpart."""
    state = error.sqlstate or ""
    if state == "57014":
        return MeshError(QUERY_INTERRUPTED)
    if "a second time" in str(error):
        return not_supported(
            "ON DUPLICATE KEY UPDATE of one row twice in a statement on PostgreSQL", "send two"
        )
    if state in _TEXTS:
        return ShardError(*_TEXTS[state])
    if state in ("42883", "42804"):
        return not_supported(f"this mix of types on PostgreSQL ({error.args[0]})", "CAST to one type")
    column = getattr(error, "column_name", None) or ""
    if state == "23505":
        return _duplicate(error, tables)
    if state == "23503":
        return _reference(error)
    if state == "23502":
        return ShardError(1048, "23000", f"Column '{column}' cannot be null")
    if state == "22001":
        return ShardError(1406, "22001", "Data too long for column")
    if state in ("22003", "23514"):
        # Whatever is computed has 64 bits; a narrower type is a column's.
        number = 1264 if state == "23514" or _NARROW.search(str(error)) else 1690
        place = "for column" if number == 1264 else "in an expression"
        return ShardError(number, "22003", f"Out of range value {place} ({error.args[0]})")
    if state in _NUMBERS:
        return ShardError(*_NUMBERS[state], str(error.args[0]))
    return ShardError(1105, "HY000", f"PostgreSQL: {error.args[0]}")


def _duplicate(error: asyncpg.PostgresError, tables: Mapping[str, Table]) -> ShardError:
    """Error 1062 with the entry and the key's name in MySQL."""
    detail = _KEY_DETAIL.search(getattr(error, "detail", None) or "")
    entry = "-".join(detail[2].split(", ")) if detail else "?"
    key = getattr(error, "constraint_name", None) or "?"
    table = tables.get((getattr(error, "table_name", None) or "").lower())
    if table is not None and detail is not None:
        columns = tuple(part.strip('"') for part in detail[1].split(", "))
        key = next((index.name for index in table.indexes if index.unique and index.columns == columns), key)
    return ShardError(1062, "23000", f"Duplicate entry '{entry}' for key '{key}'")


def _reference(error: asyncpg.PostgresError) -> ShardError:
    if "still referenced" in (getattr(error, "detail", None) or ""):
        return ShardError(
            1451, "23000", "Cannot delete or update a parent row: a foreign key constraint fails"
        )
    return ShardError(1452, "23000", "Cannot add or update a child row: a foreign key constraint fails")
