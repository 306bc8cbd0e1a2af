"""What a table for operators is, and what it is made of.

Decides nothing; the tables themselves are in `tables`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from dbmesh.governance.mirroring.recorder import Recorder
from dbmesh.governance.mirroring.report import Report
from dbmesh.governance.protection.protector import Protector
from dbmesh.governance.statistics import Statistics
from dbmesh.session.mesh import Mesh

Value = str | int | float | None

MICROSECONDS = 1_000_000


@dataclass(frozen=True, slots=True)
class Operated:
    """The running mesh as operators see it. `clock` gives monotonic seconds, `ready` tells whether new clients are served; without a
    `protector` nothing is protected."""

    mesh: Mesh
    statistics: Statistics
    version: str
    clock: Callable[[], float]
    ready: Callable[[], bool]
    protector: Protector | None = None

    @property
    def mirrored(self) -> Report | None:
        """What mirroring has found; None where nothing is mirrored."""
        return next((one.report for one in self.mesh.filters if isinstance(one, Recorder)), None)


class Table(ABC):
    """Rows that are made when somebody asks. `name` is the one in addresses and on the command line, `sql_name` the one
    for MySQL clients; `columns` are names with their SQL types."""

    name: ClassVar[str]
    sql_name: ClassVar[str]
    title: ClassVar[str]
    columns: ClassVar[Sequence[tuple[str, str]]]

    @abstractmethod
    def rows(self, operated: Operated) -> Iterator[tuple[Value, ...]]:
        """One tuple per row. O(rows)."""
