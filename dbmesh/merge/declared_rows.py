"""Rows of information_schema about foreign keys that were declared and that no server has: as one server would have them.

Decides the values of every column. Knows no connections; MariaDB's word for an action that was not written (RESTRICT) stands for
MySQL's (NO ACTION) too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from dbmesh.merge.system_rows import SourceRows
from dbmesh.model import Catalog
from dbmesh.planner.system_tables import SystemNode
from dbmesh.rules.ruleset import DeclaredKey, RuleSet

DECLARED_TABLES = frozenset(("KEY_COLUMN_USAGE", "REFERENTIAL_CONSTRAINTS", "TABLE_CONSTRAINTS"))
"""The system tables that have such rows."""


def declared_rows(
    system_table: str, columns: Sequence[str], rule_set: RuleSet, catalog: Catalog
) -> SourceRows:
    """The rows of one logic database, in logic names. `columns` are the system table's, in upper case. O(declared keys)."""
    values = _VALUES[system_table]
    found: list[list[bytes | None]] = []
    nodes: dict[str, SystemNode] = {}
    for one in rule_set.declared.values():
        schema = catalog.table(one.table)
        if schema is None:
            continue
        nodes[schema.name] = SystemNode(schema.name, first=True, counts=False)
        for key in one.keys:
            rows = values(rule_set.database, schema.name, key, catalog)
            found += [[_bytes(row.get(column)) for column in columns] for row in rows]
    return SourceRows(rule_set.database, rule_set.database, nodes, found)


def _bytes(value: str | None) -> bytes | None:
    return None if value is None else value.encode("utf-8", "surrogateescape")


def _common(database: str, table: str, key: DeclaredKey) -> Mapping[str, str]:
    return {
        "CONSTRAINT_CATALOG": "def",
        "CONSTRAINT_SCHEMA": database,
        "CONSTRAINT_NAME": key.name,
        "TABLE_CATALOG": "def",
        "TABLE_SCHEMA": database,
        "TABLE_NAME": table,
        "REFERENCED_TABLE_SCHEMA": key.database or database,
        "REFERENCED_TABLE_NAME": key.parent,
    }


def _usage(database: str, table: str, key: DeclaredKey, catalog: Catalog) -> Iterator[Mapping[str, str]]:
    for number, column in enumerate(key.columns, 1):
        row = {
            **_common(database, table, key),
            "COLUMN_NAME": column,
            "ORDINAL_POSITION": str(number),
            "POSITION_IN_UNIQUE_CONSTRAINT": str(number),
        }
        if number <= len(key.referenced):
            row["REFERENCED_COLUMN_NAME"] = key.referenced[number - 1]
        yield row


def _reference(database: str, table: str, key: DeclaredKey, catalog: Catalog) -> Iterator[Mapping[str, str]]:
    row = {
        **_common(database, table, key),
        "UNIQUE_CONSTRAINT_CATALOG": "def",
        "UNIQUE_CONSTRAINT_SCHEMA": key.database or database,
        "MATCH_OPTION": "NONE",
        "UPDATE_RULE": key.on_update or "RESTRICT",
        "DELETE_RULE": key.on_delete or "RESTRICT",
    }
    parent = None if key.database else catalog.table(key.parent)
    wanted = [column.lower() for column in key.referenced]
    if parent is None or [column.lower() for column in parent.primary_key[: len(wanted)]] == wanted:
        row["UNIQUE_CONSTRAINT_NAME"] = "PRIMARY"
    yield row


def _constraint(database: str, table: str, key: DeclaredKey, catalog: Catalog) -> Iterator[Mapping[str, str]]:
    yield {**_common(database, table, key), "CONSTRAINT_TYPE": "FOREIGN KEY", "ENFORCED": "NO"}


_VALUES = {
    "KEY_COLUMN_USAGE": _usage,
    "REFERENTIAL_CONSTRAINTS": _reference,
    "TABLE_CONSTRAINTS": _constraint,
}
