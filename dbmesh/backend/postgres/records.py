"""The statements that keep the records of declared tables beside the tables (`transpile.schema`)."""

from __future__ import annotations

from typing import Final

from dbmesh.backend.postgres import names
from dbmesh.backend.transpile.schema import CATALOG_TABLE, Table, dump

CREATE_CATALOG: Final = (
    f"CREATE TABLE IF NOT EXISTS {CATALOG_TABLE} (name text PRIMARY KEY, definition text NOT NULL)"
)


def recorded(table: Table) -> tuple[str, ...]:
    """A table's record, in the place of the one it had."""
    value = f"{names.text(table.name)}, {names.text(dump(table))}"
    return (
        CREATE_CATALOG,
        *forgotten(table.name),
        f"INSERT INTO {CATALOG_TABLE} (name, definition) VALUES ({value})",
    )


def forgotten(name: str) -> tuple[str, ...]:
    """A table has no record any more; where there are records."""
    return (f"DELETE FROM {CATALOG_TABLE} WHERE name = {names.text(name)}",)
