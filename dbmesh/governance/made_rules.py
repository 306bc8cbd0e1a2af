"""Rules that CREATE TABLE made, as they lie in the store.

Decides their form there: the entry of `autoTables` as JSON, which is YAML too, with the table's name as written.
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterable

from dbmesh.governance import layout
from dbmesh.governance.store import ABSENT, Store, Write
from dbmesh.rules.ruleset import MadeTable

_VERSION = "0"


async def read_made(store: Store, database: str) -> tuple[MadeTable, ...]:
    """The rules of one logic database, in the order of their names."""
    snapshot = await store.range(layout.made_tables_prefix(database))
    values = {entry.key: entry.value for entry in snapshot.entries}
    found: list[MadeTable] = []
    for key, value in values.items():
        folder, _, last = key.rpartition("/")
        if last == "active_version":
            stored = json.loads(values[f"{folder}/versions/{value.decode()}"])
            found.append(MadeTable(stored["name"], stored["rule"]))
    return tuple(found)


def writes_of(database: str, tables: Iterable[MadeTable], *, known: Container[str] = ()) -> list[Write]:
    """Store these rules, none of which may be there but those of `known` tables."""
    writes: list[Write] = []
    for table in tables:
        folder = layout.made_table(database, table.name)
        value = json.dumps({"name": table.name, "rule": dict(table.section)}).encode()
        expected = None if table.name in known else ABSENT
        writes.append(Write(f"{folder}/versions/{_VERSION}", value, expected))
        writes.append(Write(f"{folder}/active_version", _VERSION.encode(), expected))
    return writes


def removals_of(database: str, tables: Iterable[str]) -> list[Write]:
    """Take the rules of these tables away."""
    folders = [layout.made_table(database, table) for table in tables]
    return [
        Write(f"{folder}/{key}", None)
        for folder in folders
        for key in (f"versions/{_VERSION}", "active_version")
    ]
