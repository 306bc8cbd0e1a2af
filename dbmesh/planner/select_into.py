"""SELECT … INTO @variables: where the clause stands, and the query without it.

Decides positions only, from lexemes: the clause may stand before FROM, behind the query or before its locks.
"""

from __future__ import annotations

from dbmesh.planner.lexemes import Kind, LexemeReader
from dbmesh.planner.session_plan import SelectInto
from dbmesh.sql.lexer import DEFAULT, LexerFlags

_SETS = frozenset(("UNION", "EXCEPT", "INTERSECT"))


def read_select_into(text: str, flags: LexerFlags = DEFAULT) -> SelectInto | None:
    """The query and the variables (lower case), None where a query goes into none. Raises MeshError(PARSE_ERROR)."""
    reader = LexemeReader(text, flags=flags)
    depth, behind = 0, False
    while not reader.at_end:
        start = reader.peek().start
        if reader.peek().word == "INTO" and reader.peek(1).kind is Kind.USER_VARIABLE:
            if depth:
                raise reader.error()
            reader.take()
            break
        lexeme = reader.take()
        depth += {"(": 1, ")": -1}.get(lexeme.text, 0)
        behind = behind or (not depth and lexeme.word in ("FROM", *_SETS))
    else:
        return None
    names = [reader.take().value.lower()]
    while reader.accept(","):
        if reader.peek().kind is not Kind.USER_VARIABLE:
            raise reader.error()
        names.append(reader.take().value.lower())
    if reader.peek().word in _SETS:
        raise reader.error()
    end = reader.peek(-1).end
    return SelectInto(f"{text[:start]} {text[end:]}", tuple(names), behind)
