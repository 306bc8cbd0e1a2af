"""Functions and variables only the session can answer, and how its answer is written into a shard's text.

Decides which they are and the text's form. Knows neither sessions nor positions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class SessionValue:
    """An answer of the session itself: the field of `SessionView`, and the `call` it answers."""

    field: str
    call: str
    unsigned: bool = False

    def text(self, literal: str) -> str:
        """SQL of this value. The call stands where it is never evaluated, so that type, length and collation are its own."""
        return f"IF(0, {self.call}, {f'CAST({literal} AS UNSIGNED)' if self.unsigned else literal})"


TRANSACTION_TYPE = "dbmesh_transaction_type"
"""The variable of the mesh that says how a session's transactions commit."""

_DATABASE = SessionValue("database", "DATABASE()")
_USER = SessionValue("user", "USER()")

SESSION_FUNCTIONS: Mapping[str, SessionValue] = MappingProxyType(
    {
        "DATABASE": _DATABASE,
        "SCHEMA": _DATABASE,
        "USER": _USER,
        "SESSION_USER": _USER,
        "SYSTEM_USER": _USER,
        "CURRENT_USER": SessionValue("current_user", "CURRENT_USER()"),
        "CURRENT_ROLE": SessionValue("current_role", "CURRENT_ROLE()"),
        "CONNECTION_ID": SessionValue("connection_id", "CONNECTION_ID()", unsigned=True),
        "LAST_INSERT_ID": SessionValue("last_insert_id", "LAST_INSERT_ID()", unsigned=True),
        "FOUND_ROWS": SessionValue("found_rows", "FOUND_ROWS()"),
        "ROW_COUNT": SessionValue("row_count", "ROW_COUNT()"),
    }
)
"""By the function's name in capitals."""

WITHOUT_PARENTHESES = frozenset(("CURRENT_USER", "CURRENT_ROLE"))
"""Those that are called without them too."""

SESSION_VARIABLES: Mapping[str, SessionValue] = MappingProxyType(
    {
        "last_insert_id": SessionValue("last_insert_id", "@@last_insert_id", unsigned=True),
        "identity": SessionValue("last_insert_id", "@@identity", unsigned=True),
        "pseudo_thread_id": SessionValue("connection_id", "@@pseudo_thread_id", unsigned=True),
        "warning_count": SessionValue("warning_count", "@@warning_count", unsigned=True),
        "error_count": SessionValue("error_count", "@@error_count", unsigned=True),
        TRANSACTION_TYPE: SessionValue("transaction_type", "''"),
    }
)
"""By the variable's name in lower case."""
