"""The whole grammar: one statement after another, forever.

Decides how often each family of statements comes.
"""

from __future__ import annotations

from collections.abc import Callable

from tests.differential.grammar.scripts import Scripts
from tests.differential.tree import Part


class Grammar(Scripts):
    """Statements of one scene and seed."""

    def statement(self) -> Part:
        """The next statement."""
        self.ctes.clear()
        forms: tuple[tuple[Callable[[], Part], float], ...] = (
            (self.select, 54),
            (self.compound, 9),
            (self.with_ctes, 5),
            (self.recursive, 1.5),
            (self.listed_values, 1),
            (self.without_table, 1.5),
            (self.write, 24),
            (self.script, 4),
        )
        return self.weighted(forms)()
