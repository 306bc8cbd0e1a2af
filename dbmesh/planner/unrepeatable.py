"""Expressions that give another value on each server: writes that must be the same everywhere may not use them."""

from __future__ import annotations

from collections.abc import Sequence

from dbmesh.errors import not_supported
from dbmesh.planner.lexemes import Kind, Lexeme

_FUNCTIONS = frozenset(
    [
        "RAND",
        "RANDOM_BYTES",
        "UUID",
        "UUID_SHORT",
        "SYSDATE",
        "NOW",
        "CURDATE",
        "CURTIME",
        "CURRENT_TIMESTAMP",
        "CURRENT_DATE",
        "CURRENT_TIME",
        "LOCALTIME",
        "LOCALTIMESTAMP",
        "UNIX_TIMESTAMP",
        "UTC_DATE",
        "UTC_TIME",
        "UTC_TIMESTAMP",
        "NEXTVAL",
        "LASTVAL",
        "SETVAL",
        "SLEEP",
        "GET_LOCK",
        "RELEASE_LOCK",
        "IS_FREE_LOCK",
        "IS_USED_LOCK",
        "LOAD_FILE",
        "VERSION",
        "FORMAT_PICO_TIME",
    ]
)
_WITHOUT_BRACKETS = frozenset(
    [
        "CURRENT_TIMESTAMP",
        "CURRENT_DATE",
        "CURRENT_TIME",
        "LOCALTIME",
        "LOCALTIMESTAMP",
        "UTC_DATE",
        "UTC_TIME",
        "UTC_TIMESTAMP",
    ]
)


def refuse_unrepeatable(lexemes: Sequence[Lexeme], table: str) -> None:
    """Refuse a write to the broadcast table `table` whose value could differ from server to server.

    Raises MeshError(NOT_SUPPORTED).
    """
    for at, lexeme in enumerate(lexemes):
        called = at + 1 < len(lexemes) and lexemes[at + 1].text == "("
        # UNIX_TIMESTAMP(x) and CURRENT_TIMESTAMP(6) are refused alike: telling them apart is not worth a mistake.
        found = (called and lexeme.word in _FUNCTIONS) or lexeme.word in _WITHOUT_BRACKETS
        if found or lexeme.kind is Kind.SYSTEM_VARIABLE:
            raise not_supported(
                f"{lexeme.text} in a write to the broadcast table '{table}' (its value differs from server to server)",
                "compute the value in the application and send it as a literal",
            )
