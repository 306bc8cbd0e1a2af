"""Derived writes as values: the queries that find a write's rows, and what becomes of these.

Decides their shape. Making them is `derived`'s business, running them the session's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple, Protocol

from dbmesh.wire.packets import ColumnDefinition

if TYPE_CHECKING:
    from dbmesh.planner.plan import BoundStatement


class DerivedStatement(NamedTuple):
    """A statement in logic names that the mesh makes for a client's. `counts`: its affected rows are the client's.
    `otherwise`: it runs only when the one before has written nothing. `on_duplicate`: the UPDATE that runs in place of an
    INSERT which finds its row there already, together they count as one INSERT. `rows`: how many of the client's rows it
    inserts."""

    sql: str
    counts: bool = True
    otherwise: bool = False
    on_duplicate: str = ""
    rows: int = 0


class RowWriter(Protocol):
    """Turns the rows a query named into the statements that write them."""

    def statements(
        self, columns: Sequence[ColumnDefinition], rows: Sequence[Sequence[bytes | None]]
    ) -> Iterator[DerivedStatement]:
        """The statements for these rows (text-protocol values), in the order they must run. Raises
        MeshError(NOT_SUPPORTED) for values that cannot be carried."""
        ...


@dataclass(frozen=True, slots=True)
class DerivedStep:
    """A query in logic names, and what its rows become. `returned`: from which column on the rows are themselves what
    RETURNING gives."""

    query: str
    writer: RowWriter
    returned: int | None = field(default=None, repr=False)


class Strictness(Enum):
    """Which values that cannot be converted, met while a write looks for its rows, are errors in strict mode. MariaDB turns
    warnings into errors from the moment on that a write begins to change rows, which is another one for each."""

    NONE = "none"
    """All rows are found first: DELETE, UPDATE … ORDER BY, UPDATE of the primary key."""
    ROWS = "rows"
    """What is not converted before the first row is read: UPDATE of one table."""
    ROWS_AND_SUBQUERIES = "rows and subqueries"
    """The same, but subqueries are strict whenever they run: INSERT … SELECT."""
    ALL = "all"
    """What is not converted before the first row is read, and subqueries: UPDATE of a join, and one that looks at its own
    table in a subquery, which MariaDB runs as that of a join."""


@dataclass(frozen=True, slots=True)
class DerivedWrite:
    """A write in several steps, all in one transaction: every query first, then every writer's statements. There are no
    shots: the statements are planned like a client's own. `info` is the OK packet's text when nothing was written. With
    `ignores` (IGNORE) a value that cannot be converted is only warned of, whatever sql_mode says. `returning` is a query
    with the columns that RETURNING gives and no rows, '' where nothing is returned. `explained` is EXPLAIN of the client's
    own statement on one data node, on all where its subqueries read these, on none where none holds all its tables.
    `without_value` is a column that strict mode does not leave without one, told before anything is read. `looks_row_by_row`:
    MariaDB 10 runs its subqueries for each row, neither materialized nor as joins, as in any UPDATE or DELETE of one table.
    `values_calls`: how often the client's text calls VALUES(column), in none of the statements that are sent."""

    steps: tuple[DerivedStep, ...]
    info: bytes = b""
    ignores: bool = False
    returning: str = field(default="", repr=False)
    strictness: Strictness = field(default=Strictness.ROWS_AND_SUBQUERIES, repr=False)
    explained: Callable[[], Iterable[BoundStatement]] = field(default=tuple, repr=False, compare=False)
    looks_row_by_row: bool = field(default=False, repr=False)
    without_value: str = field(default="", repr=False)
    values_calls: int = field(default=0, repr=False)
