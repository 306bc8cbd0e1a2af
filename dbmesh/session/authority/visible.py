"""Which rows of lists an account may see: databases, tables, columns, routines it holds a privilege on.

Decides rows only. What an account holds is `rules.privileges`' business.
"""

from __future__ import annotations

from collections.abc import Sequence

from dbmesh.merge.system_rows import Row
from dbmesh.planner.one_server import INFORMATION_SCHEMA
from dbmesh.planner.session_plan import LocalRows
from dbmesh.planner.system_tables import SystemTable
from dbmesh.rules.privileges import Privilege, Privileges

_OF_DATABASE = {
    "ROUTINES": (Privilege.EXECUTE, Privilege.ALTER_ROUTINE, Privilege.CREATE_ROUTINE),
    "PARAMETERS": (Privilege.EXECUTE, Privilege.ALTER_ROUTINE, Privilege.CREATE_ROUTINE),
    "EVENTS": (Privilege.EVENT,),
}
"""Tables whose rows are about no table: one of these privileges shows them."""
_OF_TABLE = {"TRIGGERS": Privilege.TRIGGER, "VIEWS": Privilege.SHOW_VIEW}
"""Tables whose rows tell how something works, which takes a privilege of its own."""


def visible_names(privileges: Privileges, listed: LocalRows) -> Sequence[Sequence[str | None]]:
    """The rows of SHOW DATABASES and SHOW TABLES."""
    if listed.table == "SCHEMATA":
        return [
            row
            for row in listed.rows
            if row[0] is None or row[0] == INFORMATION_SCHEMA or privileges.sees_database(row[0])
        ]
    if listed.database:
        return [row for row in listed.rows if privileges.sees_table(listed.database, row[0] or "")]
    return listed.rows


def visible_rows(
    privileges: Privileges, name: str, definition: SystemTable, columns: Sequence[str], rows: list[Row]
) -> list[Row]:
    """The rows of the table `name` of information_schema. O(rows)."""
    if not columns:
        return rows
    schema = columns.index(definition.schema)
    if not definition.table:
        wanted = _OF_DATABASE.get(name)
        return [
            row
            for row in rows
            if wanted is None or any(privileges.may(one, _text(row[schema])) for one in wanted)
        ]
    table = columns.index(definition.table)
    column = columns.index("COLUMN_NAME") if "COLUMN_NAME" in columns else None
    wanted_there = _OF_TABLE.get(name)
    found: list[Row] = []
    for row in rows:
        where = _text(row[schema]), _text(row[table])
        if wanted_there is not None:
            seen = privileges.may(wanted_there, *where)
        elif column is not None:
            seen = privileges.sees_column(*where, _text(row[column]))
        else:
            seen = privileges.sees_table(*where)
        if seen:
            found.append(row)
    return found


def _text(value: bytes | None) -> str:
    return (value or b"").decode("utf-8", "replace")
