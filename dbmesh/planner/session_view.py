"""What a plan may ask the session that runs it.

Decides the questions. Knows no session.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class SessionView(Protocol):
    """The session's own answers to DATABASE(), USER(), LAST_INSERT_ID() …, each as the value MySQL would return."""

    @property
    def database(self) -> str | None: ...
    @property
    def user(self) -> str: ...
    @property
    def current_user(self) -> str: ...
    @property
    def current_role(self) -> str | None: ...
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

    @property
    def empties_are_null(self) -> bool:
        """Whether an empty text of a statement is NULL, as it is under MariaDB's EMPTY_STRING_IS_NULL."""
        ...

    def random_bytes(self, count: int) -> bytes:
        """So many random bytes, for ciphers; never the same again."""
        ...

    def singles_out(self, *, ignores: bool) -> bool:
        """Whether data sources take a row that is inserted alone otherwise than the same row among others, with IGNORE or
        without."""
        ...

    @property
    def numbering(self) -> tuple[int, int]:
        """The step and the first of AUTO_INCREMENT numbers (auto_increment_increment, auto_increment_offset)."""
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
    current_role: str | None = None
    numbers_zero: bool = True
    takes_zero_dates: bool = False
    empties_are_null: bool = False
    numbering: tuple[int, int] = (1, 1)

    def random_bytes(self, count: int) -> bytes:
        """See `SessionView`; here always the same."""
        return bytes(count)

    def singles_out(self, *, ignores: bool) -> bool:
        """See `SessionView`."""
        return False
