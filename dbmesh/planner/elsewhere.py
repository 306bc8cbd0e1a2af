"""Tables of another logic database than the one a statement is planned in.

Decides which database a written table belongs to, and that a statement whose tables are all of one other database is
planned in that one. Knows neither sessions nor who may use which database.
"""

from __future__ import annotations

from dbmesh.errors import NO_DATABASE, NOT_SUPPORTED, MeshError
from dbmesh.planner.context import PlanContext


class InAnotherDatabase(MeshError):
    """A statement names a table of another database: the refusal, unless all its tables are of that one."""

    def __init__(self, database: str, table: str, here: str) -> None:
        super().__init__(
            NOT_SUPPORTED,
            what=f"tables of the databases '{here}' and '{database}' in one statement",
            instead=f"use tables of '{here}' only",
        )
        self.database = database
        self.table = table


def check_database(context: PlanContext, database: str | None, table: str) -> None:
    """A table, written with the name of its database or without one (None), must be of the database being planned for.

    Raises MeshError: NO_DATABASE, InAnotherDatabase.
    """
    written = database if database is not None else context.database
    if written is None:
        raise MeshError(NO_DATABASE)
    if written.lower() != context.rule_set.database.lower():
        raise InAnotherDatabase(written, table, context.rule_set.database)
