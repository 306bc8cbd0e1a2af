"""Tables of a PostgreSQL schema as MySQL sees them.

Decides what a table's MySQL declaration is: the record kept beside it when it was made through the mesh and still fits,
else what PostgreSQL's own catalog says. Tables with columns of types MySQL does not know are left out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import asyncpg

from dbmesh.backend.postgres.types import COLLATION, PLAIN, Native, native, seen_as
from dbmesh.backend.transpile import types
from dbmesh.backend.transpile.schema import CATALOG_TABLE, Column, Index, Table, restore
from dbmesh.model import DECISION_TABLE

_COLUMNS = """
SELECT c.relname AS table_name, a.attname AS name, split_part(format_type(a.atttypid, a.atttypmod), '(', 1)
         || CASE WHEN format_type(a.atttypid, a.atttypmod) LIKE '%) with%'
                 THEN substr(format_type(a.atttypid, a.atttypmod), strpos(format_type(a.atttypid, a.atttypmod), ')') + 1)
                 ELSE '' END AS kind,
       a.atttypmod AS modifier, t.typtype = 'e' AS is_enum, a.attnotnull AS not_null,
       a.attidentity <> '' OR coalesce(pg_get_expr(d.adbin, d.adrelid) LIKE 'nextval(%', false) AS is_auto,
       d.adbin IS NOT NULL AS has_default, coalesce(l.collisdeterministic, true) AS deterministic
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_collation l ON l.oid = a.attcollation
LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')
ORDER BY c.relname, a.attnum"""
_KEYS = """
SELECT c.relname AS table_name, i.relname AS name, x.indisunique AS is_unique, x.indisprimary AS is_primary,
       array_agg(a.attname::text ORDER BY k.place) AS columns
FROM pg_index x JOIN pg_class c ON c.oid = x.indrelid JOIN pg_class i ON i.oid = x.indexrelid
CROSS JOIN LATERAL unnest(x.indkey::int2[]) WITH ORDINALITY AS k(number, place)
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.number
WHERE c.relnamespace = current_schema()::regnamespace AND x.indpred IS NULL AND x.indexprs IS NULL
GROUP BY 1, 2, 3, 4 ORDER BY 1, 4 DESC, 3 DESC, 2"""


@dataclass(frozen=True, slots=True)
class PostgresTable(Table):
    """A table with the columns that are not stored as they are shown."""

    natives: Mapping[str, Native] = field(default_factory=dict)

    def native(self, column: str) -> Native:
        """How a column is read and written."""
        return self.natives.get(column, PLAIN)


DECISIONS: Final = PostgresTable(
    DECISION_TABLE,
    (
        Column("gtrid", "varbinary(64)", COLLATION, nullable=False),
        Column("committed", "tinyint(4)", COLLATION, nullable=False),
        Column("branches", "text", COLLATION, nullable=False),
        Column("decided_at", "bigint(20)", COLLATION, nullable=False),
    ),
    (Index("PRIMARY", True, ("gtrid",)),),
)
"""The table that `transaction.decisions` makes."""


async def read_tables(connection: asyncpg.Connection) -> dict[str, PostgresTable]:
    """Every table by its name in lower case. Raises asyncpg.PostgresError."""
    columns: dict[str, list[asyncpg.Record]] = defaultdict(list)
    for row in await connection.fetch(_COLUMNS):
        columns[row["table_name"]].append(row)
    indexes: dict[str, list[Index]] = defaultdict(list)
    for row in await connection.fetch(_KEYS):
        name = "PRIMARY" if row["is_primary"] else row["name"].removeprefix(f"{row['table_name']}$")
        indexes[row["table_name"]].append(Index(name, row["is_unique"], tuple(row["columns"])))
    recorded: dict[str, Table] = {}
    if CATALOG_TABLE in columns:
        rows = await connection.fetch(f"SELECT definition FROM {CATALOG_TABLE}")
        recorded = {table.name: table for table in (restore(row["definition"]) for row in rows)}
    found: dict[str, PostgresTable] = {}
    for name, rows in columns.items():
        table = _table(name, rows, tuple(indexes[name]), recorded.get(name))
        if table is not None and name != CATALOG_TABLE:
            found[name.lower()] = table
    return found


def _table(
    name: str, rows: list[asyncpg.Record], indexes: tuple[Index, ...], recorded: Table | None
) -> PostgresTable | None:
    if recorded is not None and [c.name for c in recorded.columns] == [row["name"] for row in rows]:
        # Keys may have been changed behind the record's back; what is there counts.
        return PostgresTable(name, recorded.columns, indexes, recorded.foreign_keys, recorded.comment)
    columns: list[Column] = []
    natives: dict[str, Native] = {}
    for row in rows:
        declared = seen_as(row["kind"], row["modifier"], is_enum=row["is_enum"])
        if declared is None or not row["deterministic"]:
            return None
        declared, _ = types.declared(declared)
        columns.append(
            Column(
                row["name"],
                declared,
                COLLATION,
                nullable=not row["not_null"],
                auto_increment=row["is_auto"],
                has_default=row["has_default"] and not row["is_auto"],
            )
        )
        if (how := native(row["kind"], declared)) is not PLAIN:
            natives[row["name"]] = how
    return PostgresTable(name, tuple(columns), indexes, natives=natives)


def with_collation(table: Table) -> Table:
    """The table with its texts in the one collation PostgreSQL data sources have."""
    return replace(table, columns=tuple(replace(column, collation=COLLATION) for column in table.columns))
