"""Which columns are masked, by what, and for whom.

Decides who reads a column as it is. Knows neither YAML nor statements.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from dbmesh.model import ColumnSchema


class MaskAlgorithm(Protocol):
    """What is read in place of a column's values."""

    def expression(self, column: str, schema: ColumnSchema) -> str:
        """SQL over `column` (its name as a statement writes it). It never fails and never warns, and NULL stays NULL."""
        ...


@dataclass(frozen=True, slots=True)
class Readers:
    """Whom a mask is for: everybody (`only` is None) or users and roles by name, and who is `exempt`."""

    only: frozenset[str] | None = None
    exempt: frozenset[str] = frozenset()

    def masks(self, principals: frozenset[str]) -> bool:
        """Whether somebody with these names, a user's and those of its roles, reads masked values."""
        return (self.only is None or not self.only.isdisjoint(principals)) and self.exempt.isdisjoint(
            principals
        )


@dataclass(frozen=True, slots=True)
class MaskedColumn:
    """One masked column. `written` is the algorithm as the rules write it, by which two are the same."""

    name: str
    algorithm: MaskAlgorithm = field(compare=False)
    readers: Readers
    written: str = ""


@dataclass(frozen=True, slots=True)
class MaskedTable:
    """The masked columns of one table. `real_predicates`: WHERE and ON compare the values as they are."""

    name: str
    columns: tuple[MaskedColumn, ...]
    real_predicates: bool = False

    def read_by(self, principals: frozenset[str]) -> Mapping[str, MaskAlgorithm]:
        """The masks of these readers by column in lower case."""
        return {
            column.name.lower(): column.algorithm
            for column in self.columns
            if column.readers.masks(principals)
        }
