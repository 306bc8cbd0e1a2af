"""Federation as values: what is loaded onto a merge node, in which form, and the statement that runs there.

Decides their shape. Which statements are federated is `federation`'s business, loading the engine's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from dbmesh.model import DataNode

if TYPE_CHECKING:
    from dbmesh.planner.plan import Shot


class LiteralForm(Enum):
    """How a scanned value is written into the INSERT that loads it."""

    NUMBER = "number"
    """As it is."""
    QUOTED = "quoted"
    """In quotes, UTF-8."""
    BYTES = "bytes"
    """As x'…', behind the column's introducer."""
    MOMENT = "moment"
    """Seconds since 1970: a TIMESTAMP."""


@dataclass(frozen=True, slots=True)
class LoadedColumn:
    """A column of a scan. `introducer` names the character set of its bytes (`_latin1 `), '' for none."""

    name: str
    form: LiteralForm
    introducer: str = ""


@dataclass(frozen=True, slots=True)
class Scan:
    """The rows one table reference of a federated statement may need.

    `table` is the temporary table they are loaded into, `node` the actual table whose definition it takes. `known` are all columns the plan knew: a table that has others by now was planned wrongly.
    """

    table: str
    logic_table: str
    node: DataNode
    columns: tuple[LoadedColumn, ...]
    known: frozenset[str]
    shots: tuple[Shot, ...]


@dataclass(frozen=True, slots=True)
class Federation:
    """Scans are loaded into temporary tables of the data source `merge_node`, and `final`, the client's statement over
    them, runs there. `reason` is why no shard and no merge could answer."""

    merge_node: str
    scans: tuple[Scan, ...]
    final: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class SystemScan:
    """A table of information_schema as one place of a statement needs it: loaded into the temporary table `table`. Only
    rows about the logic database `schema` and the logic table `name` are wanted, where these are not None."""

    table: str
    system_table: str
    schema: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class SystemFederation:
    """Rows about every logic database are read from all data sources' information_schema and loaded into temporary
    tables of the data source `merge_node`, where `final` runs. `titles`: what a SHOW calls a column, and the column's own
    name."""

    merge_node: str
    scans: tuple[SystemScan, ...]
    final: bytes
    titles: Mapping[str, str] = field(default_factory=dict, repr=False)
