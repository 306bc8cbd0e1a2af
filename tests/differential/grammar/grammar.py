"""The whole grammar: one statement after another, forever.

Decides how often each family of statements comes.
"""

from __future__ import annotations

from tests.differential.grammar.queries import Queries
from tests.differential.tree import Part


class Grammar(Queries):
    """Statements of one scene and seed."""

    def statement(self) -> Part:
        """The next statement."""
        self.ctes.clear()
        return self.select()
