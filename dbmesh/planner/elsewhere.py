"""Tables of another logic database than the one a statement is planned in.

Decides which database a written table belongs to, and in which databases a statement must be planned when they are not
those: whoever plans tries again there. Knows neither sessions nor who may use which database.
"""

from __future__ import annotations

from dbmesh.errors import NO_DATABASE, NOT_SUPPORTED, MeshError
from dbmesh.planner.context import PlanContext
from dbmesh.planner.template import quote_name


class InAnotherDatabase(MeshError):
    """A statement names a table of a database it is not planned for, or writes one of a database that is not the first
    of those it is planned for. The refusal, unless it can be planned otherwise."""

    def __init__(self, database: str, table: str, here: str) -> None:
        super().__init__(
            NOT_SUPPORTED,
            what=f"tables of the databases '{here}' and '{database}' in one statement",
            instead=f"use tables of '{here}' only",
        )
        self.database = database
        self.table = table


def check_database(context: PlanContext, database: str | None, table: str) -> None:
    """A table, written with the name of its database or without one (None), must be of the first database being planned
    for.

    Raises MeshError: NO_DATABASE, InAnotherDatabase.
    """
    found = database_of(context, database, table)
    if found != context.rule_set.database:
        raise InAnotherDatabase(found, table, context.rule_set.database)


def database_of(context: PlanContext, database: str | None, table: str) -> str:
    """The database of a table written with or without (None) its name: one of those being planned for.

    Raises MeshError: NO_DATABASE, InAnotherDatabase.
    """
    written = database if database is not None else context.database
    if written is None:
        raise MeshError(NO_DATABASE)
    for known in (context.rule_set.database, *context.rule_set.joined):
        if written.lower() == known.lower():
            return known
    raise InAnotherDatabase(written, table, context.rule_set.database)


def logic_name(context: PlanContext, database: str, table: str) -> str:
    """A table as the mesh's own statements name it for the session: with its database where that is not the current
    one."""
    name = quote_name(table, quoted=True)
    if context.database is not None and context.database.lower() == database.lower():
        return name
    return f"{quote_name(database, quoted=True)}.{name}"
