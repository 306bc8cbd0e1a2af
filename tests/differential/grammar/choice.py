"""Chance from a seed, and the columns a piece of SQL may name.

Decides how chances are drawn, so that the same seed gives the same statements. Knows no form of SQL.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from tests.differential.schema import Check, Family, Type
from tests.differential.tree import ColumnRef, Literal, Part, Raw
from tests.differential.values import NULL

_T = TypeVar("_T")

NOTHING = Raw("")
"""The source of a scope that is only looked into."""


@dataclass(frozen=True)
class Scope:
    """What FROM offers: its text, the columns, and columns that name one row (none when rows can be equal)."""

    source: Part
    columns: tuple[ColumnRef, ...]
    key: tuple[ColumnRef, ...] = ()
    tables: tuple[str, ...] = ()
    starred: bool = True  # whether `*` gives exactly these columns

    def having(self, condition: Callable[[Type], bool]) -> list[ColumnRef]:
        """The columns whose type fits."""
        return [column for column in self.columns if condition(column.type)]

    @property
    def exact(self) -> list[ColumnRef]:
        """Columns whose bytes are settled, so that any function of them is."""
        return self.having(lambda type_: type_.check is Check.EXACT)

    def beside(self, other: Scope) -> Scope:
        """Both scopes' columns, for a subquery that looks outside."""
        return Scope(self.source, self.columns + other.columns, self.key, self.tables)


class Chooser:
    """Chance, from one seed."""

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed)
        self._names = 0

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return self._random.random() < probability

    def pick(self, choices: Sequence[_T]) -> _T:
        """One of them."""
        return choices[int(self._random.random() * len(choices))]

    def weighted(self, choices: Sequence[tuple[_T, float]]) -> _T:
        """One of them, by weight."""
        [(chosen, _)] = self._random.choices(choices, [weight for _, weight in choices])
        return chosen

    def some(self, choices: Sequence[_T], least: int, most: int) -> list[_T]:
        """A few of them in any order."""
        return self._random.sample(list(choices), min(len(choices), self._random.randint(least, most)))

    def between(self, low: int, high: int) -> int:
        """A number, both ends included."""
        return self._random.randint(low, high)

    def fresh(self, prefix: str) -> str:
        """A name nobody has."""
        self._names += 1
        return f"{prefix}{self._names}"

    def literal(self, type_: Type) -> Literal:
        """A value of the type, rarely NULL."""
        if self.chance(0.03):
            return Literal(NULL, NULL, type_)
        return Literal(self.pick(type_.values), self.pick(type_.values), type_)


TEXTS = (Family.TEXT, Family.ENUM, Family.SET)
TIMES = (Family.DATE, Family.DATETIME)
