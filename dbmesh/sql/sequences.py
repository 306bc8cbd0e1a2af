"""Numbers of sequences (MariaDB): `NEXT VALUE FOR s`, `NEXTVAL(s)` and their like, as the tree's readers see them.

Decides the form: a call whose first argument is a table, because that is what a sequence is. The parser knows neither
`NEXT VALUE FOR` nor that the name is no column.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from sqlglot import exp

_VALUE_FOR: Final = re.compile(r"\b(NEXT|PREVIOUS)(\s+)VALUE(\s+)FOR\b(\s*)", re.IGNORECASE)
_CALLS: Final = {"NEXT": "NEXTVAL", "PREVIOUS": "LASTVAL"}
SEQUENCE_CALLS: Final = frozenset(("NEXTVAL", "LASTVAL", "SETVAL"))


def as_operators(text: str) -> tuple[str, Mapping[int, str]]:
    """The text with an operator in place of `NEXT VALUE FOR`, of the same length, and where the sequences' names begin →
    the call that was meant."""
    if "VALUE" not in text.upper():
        return text, {}
    places: dict[int, str] = {}

    def blank(found: re.Match[str]) -> str:
        places[found.end()] = _CALLS[found[1].upper()]
        return "~".ljust(len(found[0]))

    return _VALUE_FOR.sub(blank, text), places


def name_sequences(tree: exp.Expression, places: Mapping[int, str]) -> exp.Expression:
    """Put calls of tables in place of the operators, and tables in place of columns in calls. Changes the tree."""
    for operator in tuple(tree.find_all(exp.BitwiseNot)) if places else ():
        column = operator.this
        call = places.get(_start(column)) if isinstance(column, exp.Column) else None
        if call is not None:
            operator.replace(exp.Anonymous(this=call, expressions=[column.copy()]))
    for function in tuple(tree.find_all(exp.Anonymous)):
        name = function.expressions[0] if function.expressions else None
        if function.name.upper() in SEQUENCE_CALLS and isinstance(name, exp.Column):
            name.replace(exp.Table(this=name.this, db=name.args.get("table"), catalog=name.args.get("db")))
    return tree


def _start(column: exp.Column) -> int:
    first = column.args.get("table") or column.this
    start = first.meta.get("start", -1)
    return start if isinstance(start, int) else -1
