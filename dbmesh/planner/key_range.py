"""Ranges of a key of several columns, as conditions that servers find in its index.

Decides the form: written out by columns, since a comparison of rows, `(a, b) > (1, 2)`, makes servers read, and lock, the index from its
beginning (manual, "Range Optimization of Row Constructor Expressions").
"""

from __future__ import annotations

from collections.abc import Sequence


def behind(names: Sequence[str], literals: Sequence[str]) -> str:
    """Whether a row's key is greater than this one; columns as they are quoted, values as SQL."""
    return _beyond(names, literals, ">", ">")


def up_to(names: Sequence[str], literals: Sequence[str]) -> str:
    """Whether it is this one or less."""
    return _beyond(names, literals, "<", "<=")


def _beyond(names: Sequence[str], literals: Sequence[str], comparison: str, last: str) -> str:
    alternatives = []
    for at, (name, literal) in enumerate(zip(names, literals, strict=True)):
        equal = [f"{names[one]} = {literals[one]}" for one in range(at)]
        sign = last if at == len(names) - 1 else comparison
        alternatives.append(" AND ".join([*equal, f"{name} {sign} {literal}"]))
    return f"({' OR '.join(alternatives)})"
