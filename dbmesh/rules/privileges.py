"""What an account may do: MySQL's privileges on everything, a database, a table, a column.

Decides what a set of grants allows. Knows no accounts, no roles and no statements. Names of databases, tables and columns are
compared without regard to case, as the mesh finds them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import Enum
from functools import cached_property
from typing import Final, NamedTuple


class Privilege(Enum):
    """A privilege by MySQL's name, in the order servers list them. SUPER makes an administrator: it opens the servers behind the mesh, and no ALL includes it."""

    SELECT = "SELECT"
    INSERT = "INSERT"
    UPDATE = "UPDATE"
    DELETE = "DELETE"
    CREATE = "CREATE"
    DROP = "DROP"
    RELOAD = "RELOAD"
    FILE = "FILE"
    REFERENCES = "REFERENCES"
    INDEX = "INDEX"
    ALTER = "ALTER"
    SUPER = "SUPER"
    CREATE_TEMPORARY_TABLES = "CREATE TEMPORARY TABLES"
    LOCK_TABLES = "LOCK TABLES"
    EXECUTE = "EXECUTE"
    CREATE_VIEW = "CREATE VIEW"
    SHOW_VIEW = "SHOW VIEW"
    CREATE_ROUTINE = "CREATE ROUTINE"
    ALTER_ROUTINE = "ALTER ROUTINE"
    CREATE_USER = "CREATE USER"
    EVENT = "EVENT"
    TRIGGER = "TRIGGER"
    GRANT_OPTION = "GRANT OPTION"


_OF_SERVER: Final = frozenset((Privilege.FILE, Privilege.RELOAD, Privilege.CREATE_USER, Privilege.SUPER))
OF_DATABASE: Final = frozenset(Privilege) - _OF_SERVER - {Privilege.GRANT_OPTION}
"""Everything there is to be done within a database."""
OF_COLUMN: Final = frozenset((Privilege.SELECT, Privilege.INSERT, Privilege.UPDATE, Privilege.REFERENCES))
"""What can be granted on single columns."""
OF_TABLE: Final = OF_COLUMN | {
    Privilege.DELETE,
    Privilege.CREATE,
    Privilege.DROP,
    Privilege.INDEX,
    Privilege.ALTER,
    Privilege.CREATE_VIEW,
    Privilege.SHOW_VIEW,
    Privilege.TRIGGER,
}
"""What can be granted on a table."""
_NONE: Final[frozenset[Privilege]] = frozenset()


class Target(NamedTuple):
    """What a privilege is for: everything, the databases a pattern names (`%` and `_`, `\\` before them as themselves), one of its
    tables, one of that one's columns; in lower case."""

    database: str | None = None
    table: str | None = None
    column: str | None = None

    @property
    def all_privileges(self) -> frozenset[Privilege]:
        """What ALL means there."""
        if self.column is not None:
            return OF_COLUMN
        if self.table is not None:
            return OF_TABLE
        return OF_DATABASE if self.database is not None else OF_DATABASE | _OF_SERVER - {Privilege.SUPER}

    @property
    def grantable(self) -> frozenset[Privilege]:
        """What can be granted there."""
        return self.all_privileges | (
            {Privilege.GRANT_OPTION, Privilege.SUPER} if self.database is None else {Privilege.GRANT_OPTION}
        )


EVERYTHING: Final = Target()
Grants = frozenset[tuple[Target, Privilege]]
"""Privileges and what they are for."""


def grant(target: Target, privileges: Iterable[Privilege]) -> Grants:
    """These privileges on one target."""
    return frozenset((target, privilege) for privilege in privileges)


class Privileges:
    """What a set of grants allows. Immutable; equal ones are the same object where one `Authority` made them, so that plans can be
    remembered for it."""

    def __init__(self, grants: Grants) -> None:
        self.grants = grants

    @cached_property
    def _everywhere(self) -> frozenset[Privilege]:
        return frozenset(privilege for target, privilege in self.grants if target == EVERYTHING)

    @cached_property
    def _patterns(self) -> Mapping[str, frozenset[Privilege]]:
        found = [(t.database, p) for t, p in self.grants if t.database is not None and t.table is None]
        return {name: frozenset(p for other, p in found if other == name) for name, _ in found}

    @cached_property
    def _tables(self) -> Mapping[tuple[str, str], frozenset[Privilege]]:
        found = [
            ((t.database, t.table), p)
            for t, p in self.grants
            if t.database is not None and t.table is not None and t.column is None
        ]
        return {name: frozenset(p for other, p in found if other == name) for name, _ in found}

    @cached_property
    def _columns(self) -> Mapping[tuple[str, str], Mapping[str, frozenset[Privilege]]]:
        found: dict[tuple[str, str], dict[str, frozenset[Privilege]]] = {}
        for target, privilege in self.grants:
            if target.database is not None and target.table is not None and target.column is not None:
                columns = found.setdefault((target.database, target.table), {})
                columns[target.column] = columns.get(target.column, _NONE) | {privilege}
        return found

    @property
    def administrator(self) -> bool:
        """Whether the servers behind the mesh are open to the account."""
        return Privilege.SUPER in self._everywhere

    def may(self, privilege: Privilege, database: str | None = None, table: str | None = None) -> bool:
        """Whether the account may do this everywhere, in all of a database, or with all of a table."""
        if privilege in self._everywhere:
            return True
        if database is None:
            return False
        database = database.lower()
        for pattern, privileges in self._patterns.items():
            if privilege in privileges and matches(pattern, database):
                return True
        return table is not None and privilege in self._tables.get((database, table.lower()), _NONE)

    def may_grant(self, privilege: Privilege, target: Target) -> bool:
        """Whether the account holds this on all of a target. A pattern of databases is held as it is written, by another one only
        if it names a single database."""
        if privilege in self._everywhere:
            return True
        if target.database is None:
            return False
        if target.table is None:
            if privilege in self._patterns.get(target.database, _NONE):
                return True
            name = _single(target.database)
            return name is not None and self.may(privilege, name)
        if target.column is None:
            return self.may(privilege, target.database, target.table)
        return self.may_column(privilege, target.database, target.table, target.column)

    def may_column(self, privilege: Privilege, database: str, table: str, column: str) -> bool:
        """Whether the account may do this with a column."""
        columns = self._columns.get((database.lower(), table.lower()), {})
        return privilege in columns.get(column.lower(), _NONE) or self.may(privilege, database, table)

    def may_some(self, privilege: Privilege, database: str, table: str) -> bool:
        """Whether the account may do this with a table or at least one column of it."""
        columns = self._columns.get((database.lower(), table.lower()), {})
        return self.may(privilege, database, table) or any(privilege in held for held in columns.values())

    def has_all(self, privileges: Iterable[Privilege], database: str) -> bool:
        """Whether the account has all of these on all of a database."""
        return all(self.may(privilege, database) for privilege in privileges)

    def sees_database(self, database: str) -> bool:
        """Whether the account may know of a logic database: it holds any privilege there."""
        database = database.lower()
        if not self._everywhere.isdisjoint(OF_DATABASE):
            return True
        if any(matches(pattern, database) for pattern in self._patterns):
            return True
        return any(name == database for name, _ in (*self._tables, *self._columns))

    def sees_table(self, database: str, table: str) -> bool:
        """Whether the account may know of a table: it holds any privilege on it or a column of it."""
        if any(self.may(privilege, database, table) for privilege in OF_TABLE):
            return True
        return (database.lower(), table.lower()) in self._columns

    def sees_columns(self, database: str, table: str) -> bool:
        """Whether the account may know of every column of a table: it holds a privilege that columns have on all of it."""
        return any(self.may(privilege, database, table) for privilege in OF_COLUMN)

    def sees_column(self, database: str, table: str, column: str) -> bool:
        """Whether the account may know of a column."""
        if self.sees_columns(database, table):
            return True
        return column.lower() in self._columns.get((database.lower(), table.lower()), {})


def matches(pattern: str, database: str) -> bool:
    """Whether a pattern of a grant names a database."""
    if pattern == database:
        return True
    if not _WILD.search(pattern):
        return False
    pieces = [_WILDCARDS.get(piece) or re.escape(piece[-1]) for piece in _PIECES.findall(pattern)]
    return re.fullmatch("".join(pieces), database, re.DOTALL) is not None


def _single(pattern: str) -> str | None:
    """The one database a pattern names; None for one that may name several."""
    pieces = _PIECES.findall(pattern)
    return None if any(piece in _WILDCARDS for piece in pieces) else "".join(piece[-1] for piece in pieces)


_WILD = re.compile(r"[%_\\]")
_PIECES = re.compile(r"\\.|.", re.DOTALL)
_WILDCARDS: Final = {"%": ".*", "_": "."}

NOTHING: Final = Privileges(frozenset())
"""What nobody in particular may do."""
PERMITTED: Final = grant(EVERYTHING, OF_DATABASE)
"""What ALL_PERMITTED gives to every account: everything within the logic databases."""
ADMINISTRATOR: Final = grant(EVERYTHING, frozenset(Privilege))
"""What `admin: true` gives."""
