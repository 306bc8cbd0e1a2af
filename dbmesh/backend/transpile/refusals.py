"""Refusals of what a translated data source does not offer. Decides their words alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlglot import exp

from dbmesh.errors import MeshError, not_supported


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is not offered, as the sentence says it."""

    words: str

    def refusal(self, what: str, instead: str) -> MeshError:
        """The refusal of something named."""
        return not_supported(f"{what} {self.words}", instead)

    def refused(self, node: exp.Expression) -> MeshError:
        """The refusal of a form nobody handles."""
        shown = f"{type(node).__name__} ({node.sql('mysql')[:60]})"
        return self.refusal(shown, "use a MySQL or MariaDB data source")


ANYWHERE: Final = Place("on SQLite and PostgreSQL data sources")
"""What neither offers."""
