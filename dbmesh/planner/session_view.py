"""What a plan may ask the session that runs it.

Decides the questions, and who is an administrator. Knows no session.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from dbmesh.errors import ADMINISTRATOR_NEEDED, DATABASE_DENIED, TABLE_DENIED, MeshError


class SessionView(Protocol):
    """The session's own answers to DATABASE(), USER(), LAST_INSERT_ID() …, each as the value MySQL would return."""

    @property
    def database(self) -> str | None: ...
    @property
    def user(self) -> str: ...
    @property
    def current_user(self) -> str: ...
    @property
    def connection_id(self) -> int: ...
    @property
    def last_insert_id(self) -> int: ...
    @property
    def found_rows(self) -> int: ...
    @property
    def row_count(self) -> int: ...
    @property
    def warning_count(self) -> int: ...
    @property
    def error_count(self) -> int: ...
    @property
    def transaction_type(self) -> str:
        """How transactions commit (`ruleset.TransactionType`)."""
        ...

    @property
    def numbers_zero(self) -> bool:
        """Whether 0 asks for a new AUTO_INCREMENT number, as it does without NO_AUTO_VALUE_ON_ZERO."""
        ...

    @property
    def takes_zero_dates(self) -> bool:
        """Whether sql_mode is known to let a zero date, or a month of 0, be a literal."""
        ...

    def singles_out(self, *, ignores: bool) -> bool:
        """Whether data sources take a row that is inserted alone otherwise than the same row among others, with IGNORE or
        without."""
        ...

    @property
    def numbering(self) -> tuple[int, int]:
        """The step and the first of AUTO_INCREMENT numbers (auto_increment_increment, auto_increment_offset)."""
        ...

    @property
    def allowed_databases(self) -> tuple[str, ...] | None:
        """The logic databases the account may use, None for all."""
        ...

    @property
    def administrator(self) -> bool:
        """Whether the account may reach what is no logic database: the servers themselves, others' sessions."""
        ...


@dataclass(frozen=True, slots=True)
class SessionValues:
    """A `SessionView` as a plain value, for EXPLAIN and tests."""

    database: str | None = None
    user: str = "root@localhost"
    current_user: str = "root@%"
    connection_id: int = 0
    last_insert_id: int = 0
    found_rows: int = 0
    row_count: int = -1
    warning_count: int = 0
    error_count: int = 0
    transaction_type: str = "XA"
    numbers_zero: bool = True
    takes_zero_dates: bool = False
    numbering: tuple[int, int] = (1, 1)
    allowed_databases: tuple[str, ...] | None = None
    administrator: bool = False

    def singles_out(self, *, ignores: bool) -> bool:
        """See `SessionView`."""
        return False


@dataclass(frozen=True, slots=True)
class ServersOwn:
    """What of the servers themselves a statement is about: a table of theirs, a schema, or neither."""

    schema: str | None = None
    table: str | None = None


def require_administrator(session: SessionView, about: ServersOwn | None = None) -> None:
    """Raise MeshError for an account that is none, as a server would: TABLE_DENIED, DATABASE_DENIED or ADMINISTRATOR_NEEDED."""
    if session.administrator:
        return
    name, _, host = session.current_user.rpartition("@")
    if about is not None and about.table is not None:
        raise MeshError(TABLE_DENIED, verb="SELECT", user=name, host=host, table=about.table)
    if about is not None and about.schema is not None:
        raise MeshError(DATABASE_DENIED, user=name, host=host, database=about.schema)
    raise MeshError(ADMINISTRATOR_NEEDED)
