"""Expressions that give another value on each server: writes that must be the same everywhere may not use them.

The clock is not among them: a statement of several shots tells every server its one moment. `reads_clock` decides which
statements need that.
"""

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
_CLOCK_WORDS = frozenset(
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
"""Functions of the clock that need no brackets."""
_CLOCK_FUNCTIONS = _CLOCK_WORDS | {"NOW", "CURDATE", "CURTIME", "UNIX_TIMESTAMP"}


def reads_clock(lexemes: Sequence[Lexeme]) -> bool:
    """Whether a statement asks for the time it began at. SYSDATE() does not: it tells the time of every row."""
    return any(
        lexeme.word in _CLOCK_WORDS or (lexeme.word in _CLOCK_FUNCTIONS and _is_called(lexemes, at))
        for at, lexeme in enumerate(lexemes)
    )


def _is_called(lexemes: Sequence[Lexeme], at: int) -> bool:
    return at + 1 < len(lexemes) and lexemes[at + 1].text == "("


def find_unrepeatable(lexemes: Sequence[Lexeme]) -> Lexeme | None:
    """The first function call whose value may be another each time it is evaluated."""
    calls = (
        lexeme for at, lexeme in enumerate(lexemes) if lexeme.word in _FUNCTIONS and _is_called(lexemes, at)
    )
    return next(calls, None)


def refuse_unrepeatable(lexemes: Sequence[Lexeme], table: str) -> None:
    """Refuse a write to the broadcast table `table` whose value could differ from server to server.

    Raises MeshError(NOT_SUPPORTED).
    """
    for at, lexeme in enumerate(lexemes):
        found = lexeme.word in _FUNCTIONS and _is_called(lexemes, at)
        if found or lexeme.kind is Kind.SYSTEM_VARIABLE:
            raise not_supported(
                f"{lexeme.text} in a write to the broadcast table '{table}' (its value differs from server to server)",
                "compute the value in the application and send it as a literal",
            )
