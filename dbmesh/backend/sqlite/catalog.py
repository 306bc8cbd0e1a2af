"""The records of one SQLite file's tables. A table that was not created through the mesh has none, and is not there."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

from dbmesh.backend.transpile.schema import CATALOG_TABLE, Table, restore

CREATE_CATALOG = f"CREATE TABLE IF NOT EXISTS {CATALOG_TABLE} (name TEXT PRIMARY KEY COLLATE NOCASE, definition TEXT NOT NULL)"


def read_tables(database: sqlite3.Connection) -> Mapping[str, Table]:
    """Every recorded table by its name in lower case."""
    rows = database.execute(f"SELECT definition FROM {CATALOG_TABLE} ORDER BY name").fetchall()
    tables = [restore(record) for (record,) in rows]
    return {table.name.lower(): table for table in tables}
