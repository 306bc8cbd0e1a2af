"""Names and session functions in a statement read by lexemes: where they stand and what stands there on a shard.

Decides edits for statements that are not read as trees (INSERT, DDL). Knows no routes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dbmesh.planner.ddl_reading import NamePlace
from dbmesh.planner.lexemes import Kind, Lexeme
from dbmesh.planner.session_values import SESSION_FUNCTIONS, WITHOUT_PARENTHESES, SessionValue
from dbmesh.planner.template import Edits, TableName


def rename_table(edits: Edits, lexemes: Sequence[Lexeme], place: NamePlace, reference: int) -> None:
    """Put the actual name at `place` and wherever the table's name qualifies a column (`t.a`, `shop.t.a`). It is quoted where
    the client's name was, and where that stood behind a dot: a keyword may be a name there without quotes."""
    written = next(lexeme for lexeme in lexemes if lexeme.end == place.end)
    quoted = written.kind is Kind.QUOTED or place.database is not None
    edits.replace(place.start, place.end, TableName(reference, quoted))
    for start, end, quoted in _qualifiers(lexemes, place.name):
        if not (place.start <= start < place.end):
            edits.replace(start, end, TableName(reference, quoted))


def _qualifiers(lexemes: Sequence[Lexeme], table: str) -> Iterator[tuple[int, int, bool]]:
    names = (Kind.WORD, Kind.QUOTED)
    for at, lexeme in enumerate(lexemes[:-1]):
        if lexeme.kind not in names or lexeme.value.lower() != table.lower() or lexemes[at + 1].text != ".":
            continue
        qualified = at >= 2 and lexemes[at - 1].text == "." and lexemes[at - 2].kind in names
        start = lexemes[at - 2].start if qualified else lexeme.start
        yield start, lexeme.end, qualified or lexeme.kind is Kind.QUOTED


def session_functions(lexemes: Sequence[Lexeme]) -> Iterator[tuple[int, int, SessionValue]]:
    """Ranges of calls only the session can answer, such as LAST_INSERT_ID() without an argument."""
    for at, lexeme in enumerate(lexemes):
        value = SESSION_FUNCTIONS.get(lexeme.word)
        if value is None or (at > 0 and lexemes[at - 1].text in (".", "@")):
            continue
        if [following.text for following in lexemes[at + 1 : at + 3]] == ["(", ")"]:
            yield lexeme.start, lexemes[at + 2].end, value
        elif lexeme.word in WITHOUT_PARENTHESES:
            yield lexeme.start, lexeme.end, value
