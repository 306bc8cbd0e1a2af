"""A cursor of the mesh's own: an answer that no single data source has is kept until the client fetches its rows.

Decides what the client is told when the cursor opens, and how many rows may be kept. Refuses to know where they come from.
Cursors of one data source stay there (`session.prepared.Cursor`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from dbmesh.merge.limits import Budget, MergeLimits
from dbmesh.planner.plan import Names
from dbmesh.session.answering.cursor_columns import column_of_cursor
from dbmesh.session.answering.result_sink import Mark, ResultSink
from dbmesh.session.client import Client
from dbmesh.session.prepared import HeldRows, PreparedStatement
from dbmesh.wire.constants import Status
from dbmesh.wire.packets import ColumnDefinition, ErrPacket

_CURSOR_EXISTS = Status.CURSOR_EXISTS.value


class CursorSink(ResultSink):
    """The answer to an EXECUTE that asks for a cursor: definitions only. Nothing leaves before all rows are there, so that an
    error stands alone; `as_mariadb` as its servers tell them. Raises MeshError(MERGE_LIMIT) for more rows than a merge may hold."""

    _rows_are_fetched = True

    def __init__(
        self,
        client: Client,
        capabilities: int,
        prepared: PreparedStatement,
        limits: MergeLimits,
        *,
        sequence: int = 1,
        binary: bool = False,
        as_mariadb: bool = False,
    ) -> None:
        super().__init__(client, capabilities, Names("", {}), sequence=sequence, binary=binary)
        self._prepared = prepared
        self._budget = Budget(limits)
        self._rows: deque[bytes] = deque()
        self._as_mariadb = as_mariadb
        self._begin = super().mark()

    def columns(self, columns: Sequence[ColumnDefinition]) -> None:
        """See `ResultSink`."""
        if self._as_mariadb:
            columns = [column_of_cursor(column) for column in columns]
        super().columns(columns)

    def rows(self, rows: list[bytes]) -> None:
        """See `ResultSink`."""
        if self._encode is not None:
            rows = self._encode(rows)
        self._budget.take(len(rows), sum(map(len, rows)))
        self._rows += rows

    def take_back(self, mark: Mark) -> bool:
        """See `ResultSink`. None of its rows leave before all are there."""
        self._rows.clear()
        return super().take_back(mark)

    def end_rows(self, status: int, warnings: int) -> None:
        """See `ResultSink`: the cursor is open."""
        self._prepared.cursor = HeldRows(self._rows)
        super().end_rows(status | _CURSOR_EXISTS, warnings)

    def error(self, packet: ErrPacket) -> None:
        """See `ResultSink`."""
        self.take_back(self._begin)
        super().error(packet)
