"""What a statement leaves behind on the connection that ran it, beside rows: variables, LAST_INSERT_ID.

Decides by the text alone which of them a statement may change (manual, "User-Defined Variables", "LAST_INSERT_ID()").
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from dbmesh.planner.lexemes import Kind, Lexeme
from dbmesh.planner.plan import SideEffects


def side_effects(lexemes: Sequence[Lexeme]) -> SideEffects | None:
    """The variables assigned with `:=`, and whether LAST_INSERT_ID is given a value; None for neither. O(lexemes)."""
    variables: dict[str, None] = {}
    insert_id = False
    for first, second, third in itertools.zip_longest(lexemes, lexemes[1:], lexemes[2:]):
        if second is None:
            break
        if first.kind is Kind.USER_VARIABLE and second.text == ":=":
            variables[first.value.lower()] = None
        elif first.word == "LAST_INSERT_ID" and second.text == "(":
            insert_id = insert_id or (third is not None and third.text != ")")
    return SideEffects(tuple(variables), insert_id) if variables or insert_id else None
