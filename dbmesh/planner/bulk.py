"""Bulk execution: what a prepared write says about each of its many rows of values.

Decides whether an INSERT can take all rows as one statement, by its text, and which column a parameter is assigned to. Knows no
values and no tables.
"""

from __future__ import annotations

from dataclasses import dataclass

from dbmesh.planner.lexemes import Kind, Lexeme, split_lexemes


@dataclass(frozen=True, slots=True)
class InsertForm:
    """INSERT … VALUES (…) …: the text before its row, the row with its brackets, the text behind it. `cells` says of each `?`
    whether it is a cell by itself."""

    head: str
    row: str
    tail: str
    cells: tuple[bool, ...] = ()


def insert_form(statement: str) -> InsertForm | None:
    """The form of an INSERT or REPLACE whose `?` all stand in its only row of VALUES; None for any other."""
    lexemes = split_lexemes(statement)
    if not lexemes or lexemes[0].word not in ("INSERT", "REPLACE"):
        return None
    depth = 0
    for place, lexeme in enumerate(lexemes):
        depth += {"(": 1, ")": -1}.get(lexeme.text, 0)
        if depth == 0 and lexeme.word in ("VALUES", "VALUE"):
            return _with_row(statement, lexemes, place + 1)
        if lexeme.word == "SELECT" or lexeme.kind is Kind.PARAMETER:
            return None
    return None


def is_query(statement: str) -> bool:
    """Whether an INSERT or REPLACE gets its rows from a query."""
    ways = ("VALUES", "VALUE", "SET", "SELECT", "WITH", "TABLE")
    words = (lexeme.word for lexeme in split_lexemes(statement) if lexeme.word in ways)
    return next(words, "") in ("SELECT", "WITH", "TABLE")


def _with_row(statement: str, lexemes: tuple[Lexeme, ...], first: int) -> InsertForm | None:
    depth = 0
    for place in range(first, len(lexemes)):
        depth += {"(": 1, ")": -1}.get(lexemes[place].text, 0)
        if depth == 0:
            break
    else:
        return None
    behind = lexemes[place + 1 :]
    if any(lexeme.kind is Kind.PARAMETER for lexeme in behind) or (behind[:1] and behind[0].text == ","):
        return None
    start, end = lexemes[first].start, lexemes[place].end
    cells = _cells(lexemes[first : place + 1])
    return InsertForm(statement[:start], statement[start:end], statement[end:], cells)


def _cells(row: tuple[Lexeme, ...]) -> tuple[bool, ...]:
    depth = 0
    found: list[bool] = []
    for place, lexeme in enumerate(row):
        depth += {"(": 1, ")": -1}.get(lexeme.text, 0)
        if lexeme.kind is Kind.PARAMETER:
            around = row[place - 1].text in ("(", ",") and row[place + 1].text in (",", ")")
            found.append(around and depth == 1)
    return tuple(found)


def assigned_columns(statement: str) -> tuple[str | None, ...]:
    """For each `?` the text of the column it is assigned to in `SET column = ?`; None where it stands elsewhere."""
    lexemes = split_lexemes(statement)
    assigning = False
    found: list[str | None] = []
    for place, lexeme in enumerate(lexemes):
        if lexeme.word in ("SET", "WHERE"):
            assigning = lexeme.word == "SET"
        if lexeme.kind is Kind.PARAMETER:
            alone = (
                place + 1 == len(lexemes)
                or lexemes[place + 1].text == ","
                or lexemes[place + 1].word == "WHERE"
            )
            found.append(_column_before(statement, lexemes[:place]) if assigning and alone else None)
    return tuple(found)


def _column_before(statement: str, lexemes: tuple[Lexeme, ...]) -> str | None:
    if len(lexemes) < 2 or lexemes[-1].text != "=":
        return None
    first = last = len(lexemes) - 2
    while first >= 2 and lexemes[first - 1].text == ".":
        first -= 2
    before = lexemes[first - 1] if first else None
    if before is None or not (before.word == "SET" or before.text == ","):
        return None
    return statement[lexemes[first].start : lexemes[last].end]
