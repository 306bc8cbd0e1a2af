"""Which collation the texts of a result have.

Decides it where columns do not tell: MariaDB calls all its collations of Unicode 14 (`utf8mb4_uca1400_…`) by the number of the
language's oldest one, so that old clients know it (`utf8mb4_unicode_ci`). What a text's collation can come from is looked
through for one of these.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dbmesh.engine.collect import collect
from dbmesh.errors import not_supported
from dbmesh.planner.plan import BoundStatement, ShardPlan
from dbmesh.wire.collations import collation_name, wide_charset
from dbmesh.wire.packets import ColumnDefinition

if TYPE_CHECKING:
    from dbmesh.session.mesh import Database
    from dbmesh.session.session import Session

_NEW = re.compile(r"\b([a-z0-9]+)_uca1400(_[a-z0-9]+?)??(?:_nopad)?_a[is]_c[is]\b", re.IGNORECASE)
_OLD = re.compile(r"_(?!general)[a-z0-9]+_ci\Z")
_WORD = re.compile(r"[\w$]+")


async def collations(
    session: Session,
    database: Database,
    plan: ShardPlan,
    bound: BoundStatement,
    text: str,
    columns: Sequence[ColumnDefinition],
) -> tuple[str, ...]:
    """The collation of each column of a statement's result; of a character set no client may use, the name of that; '' for
    numbers nobody has heard of. `text` is the statement. Raises MeshError(NOT_SUPPORTED) where several are possible."""
    told = [
        collation_name(column.character_set) or wide_charset(column.character_set) or "" for column in columns
    ]
    if not any(_OLD.search(name) for name in told):
        return tuple(told)
    words = frozenset(_WORD.findall(text.lower()))
    variables = [value for name, value in session.state.user_variables if f"@{name}" in text.lower()]
    possible = {found[0].lower() for found in _NEW.finditer(" ".join((text, *variables)))}
    possible.update(_of_tables(database, plan, words))
    if any(name.endswith("_unicode_ci") for name in told):
        possible.add(await _of_session(session, database))
    return tuple(
        _of_column(database, bound, column) or _exact(name, possible)
        for name, column in zip(told, columns, strict=True)
    )


def _of_column(database: Database, bound: BoundStatement, column: ColumnDefinition) -> str | None:
    """The collation of a table's own column; None for an expression, or where a merge node gives it."""
    table = bound.names.tables.get(column.org_table.decode("utf-8", "replace"))
    schema = None if table is None else database.catalog.table(table.lower())
    known = None if schema is None else schema.column(column.org_name.decode("utf-8", "replace"))
    return None if known is None else known.collation


def _of_tables(database: Database, plan: ShardPlan, words: frozenset[str]) -> set[str]:
    """Collations of the columns that a statement of these words names; of all in its tables where it names none of them."""
    schemas = [database.catalog.table(table.lower()) for table in plan.tables]
    columns = [column for schema in schemas if schema is not None for column in schema.columns]
    named = [column for column in columns if column.name.lower() in words]
    return {column.collation for column in named or columns if column.collation is not None}


def _exact(told: str, possible: set[str]) -> str:
    found = sorted(name for name in possible if name == told or _old_name(name) == told)
    if len(found) > 1:
        raise not_supported(
            f"a user variable of an expression whose collation may be {' or '.join(found)}",
            "write COLLATE behind it",
        )
    return found[0] if found else told


def _old_name(collation: str) -> str:
    found = _NEW.fullmatch(collation)
    return "" if found is None else f"{found[1]}{found[2] or '_unicode'}_ci"


async def _of_session(session: Session, database: Database) -> str:
    """The collation of literals. Raises ShardError or MeshError."""
    connection = await next(iter(database.pools.values())).acquire(session.flavour)
    try:
        if not connection.relays:
            return ""
        await connection.bring_to(session.state)
        return ((await collect(connection, b"SELECT @@collation_connection")).rows[0][0] or b"").decode()
    finally:
        connection.home.release(connection, session.now())
