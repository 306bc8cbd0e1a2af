"""A needed privilege as a value, and what the client is told that does not hold it.

Decides the sentences, MySQL's own. Knows no statements.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from dbmesh.errors import (
    COLUMN_DENIED,
    DATABASE_DENIED,
    PRIVILEGE_NEEDED,
    ROUTINE_DENIED,
    TABLE_DENIED,
    ErrorKind,
    MeshError,
)
from dbmesh.rules.privileges import OF_DATABASE, Privilege, Privileges


class Need(NamedTuple):
    """A privilege that a statement needs: everywhere, on a database, a table, or each of `columns` of it; with `some` one column is
    enough. `routine` is what it is needed for, `table` then None. `whole`: every privilege there is on the database. `of_server`: the
    database is a schema of the servers, which only administrators may look at. `described`: any privilege that tells of all its columns will do."""

    privilege: Privilege
    database: str | None = None
    table: str | None = None
    columns: tuple[str, ...] | None = None
    some: bool = False
    routine: str = ""
    whole: bool = False
    of_server: bool = False
    described: bool = False


class Denied(Exception):
    """The account does not hold a privilege. Whoever knows the account makes the client's error of it (`error`)."""

    def __init__(self, kind: ErrorKind, **values: str) -> None:
        super().__init__(kind.name)
        self.kind = kind
        self.values = values

    def error(self, account: str) -> MeshError:
        """What the client is told. `account` is `user@host`."""
        user, _, host = account.rpartition("@")
        return MeshError(self.kind, user=user, host=host, **self.values)


def check(needs: Iterable[Need], privileges: Privileges) -> None:
    """Raise Denied for the first need that is not met. O(needs)."""
    for need in needs:
        if need.of_server:
            _check_server(need, privileges)
        elif need.described and need.database is not None:
            _check_described(need, need.database, privileges)
        elif need.database is None:
            _check_everywhere(need.privilege, privileges)
        elif need.table is None:
            _check_database(need, need.database, privileges)
        else:
            _check_table(need, need.database, need.table, privileges)


def _check_everywhere(privilege: Privilege, privileges: Privileges) -> None:
    if not privileges.may(privilege):
        raise Denied(PRIVILEGE_NEEDED, privilege=privilege.value)


def _check_server(need: Need, privileges: Privileges) -> None:
    if privileges.administrator:
        return
    if need.table is not None:
        raise Denied(TABLE_DENIED, verb=_verb(need), table=need.table)
    raise Denied(DATABASE_DENIED, database=need.database or "")


def _check_described(need: Need, database: str, privileges: Privileges) -> None:
    if need.table is None:
        if not privileges.sees_database(database):
            raise Denied(DATABASE_DENIED, database=database)
    elif not privileges.sees_columns(database, need.table):
        raise Denied(TABLE_DENIED, verb=_verb(need), table=need.table)


def _check_database(need: Need, database: str, privileges: Privileges) -> None:
    met = (
        privileges.has_all(OF_DATABASE, database) if need.whole else privileges.may(need.privilege, database)
    )
    if met:
        return
    if need.routine:
        raise Denied(ROUTINE_DENIED, verb=_verb(need), routine=f"{database}.{need.routine}")
    raise Denied(DATABASE_DENIED, database=database)


def _check_table(need: Need, database: str, table: str, privileges: Privileges) -> None:
    if privileges.may(need.privilege, database, table):
        return
    some = privileges.may_some(need.privilege, database, table)
    if need.some and some:
        return
    if need.columns is not None and some:
        for column in need.columns:
            if not privileges.may_column(need.privilege, database, table, column):
                raise Denied(COLUMN_DENIED, verb=_verb(need), column=column, table=table)
        return
    raise Denied(TABLE_DENIED, verb=_verb(need), table=table)


def _verb(need: Need) -> str:
    # MySQL writes EXECUTE and ALTER ROUTINE of a routine in small letters.
    return need.privilege.value.lower() if need.routine else need.privilege.value
