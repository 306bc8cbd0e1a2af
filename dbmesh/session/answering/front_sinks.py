"""Sinks that stand in front of a client's: they change what a data source says, or keep the way back open.

Decides which one an answer needs. What each changes is its own module's business.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dbmesh.engine.exchange import Outcome, Sink
from dbmesh.merge.decryption import RowDecryption
from dbmesh.planner.encrypted.decryption import Decryption
from dbmesh.planner.plan import BoundStatement, LinkStatus, RenameValues, TableReports, WithOwnVariables
from dbmesh.session.answering.renaming import RenamingSink
from dbmesh.session.answering.result_sink import ResultSink
from dbmesh.session.statements.link_status import LinkStatusSink
from dbmesh.session.statements.own_variables import OwnVariablesSink, own_variables
from dbmesh.session.statements.table_reports import TableReportsSink
from dbmesh.wire.constants import Capability
from dbmesh.wire.packets import ColumnDefinition

if TYPE_CHECKING:
    from dbmesh.session.session import Session


class Attempt:
    """A sink whose answer may have to be taken back for another."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._mark = sink.mark() if isinstance(sink, ResultSink) else None
        self._has_rows = False
        self.columns = sink.columns

    def rows(self, rows: list[bytes]) -> None:
        self._has_rows = True
        self._sink.rows(rows)

    def taken_back(self) -> bool:
        """Whether nobody has seen anything. A sink of the mesh's own forgets columns when it gets others."""
        if self._mark is not None and isinstance(self._sink, ResultSink):
            return self._sink.take_back(self._mark)
        return not self._has_rows


class DecryptingSink:
    """A sink in front of another one, which gets values in place of ciphers. `dropped`: rows that were none of the answer."""

    def __init__(self, sink: Sink, decryption: Decryption) -> None:
        self._sink = sink
        self._decryption = RowDecryption(decryption)
        self.dropped = 0

    def columns(self, columns: Sequence[ColumnDefinition]) -> None:
        """See `Sink`."""
        self._sink.columns(self._decryption.columns(columns))

    def rows(self, rows: list[bytes]) -> None:
        """See `Sink`. Raises MeshError."""
        kept = self._decryption.rows(rows)
        self.dropped += len(rows) - len(kept)
        if kept:
            self._sink.rows(kept)


def front_sink(session: Session, bound: BoundStatement, sink: Sink) -> Sink:
    """Where rows go that say what only a shard would say."""
    if isinstance(bound.answer, RenameValues):
        return RenamingSink(sink, bound.answer, bound.names, session.mesh.product)
    if isinstance(bound.answer, TableReports):
        return TableReportsSink(sink, bound.answer, bound.names)
    if isinstance(bound.answer, LinkStatus):
        compresses = bool(session.capabilities & Capability.COMPRESS)
        return LinkStatusSink(sink, session.client.encryption(), compresses=compresses)
    if isinstance(bound.answer, WithOwnVariables):
        return OwnVariablesSink(sink, own_variables(session, bound.answer))
    if bound.decryption is not None:
        return DecryptingSink(sink, bound.decryption)
    return sink


def end_of_rows(sink: Sink) -> None:
    """All rows have come: what a sink in front has kept or adds goes on."""
    if isinstance(sink, TableReportsSink | OwnVariablesSink):
        sink.end()


def count_shown(outcome: Outcome, sink: Sink) -> None:
    """Rows that were found by mistake were none."""
    if isinstance(sink, DecryptingSink) and outcome.row_count is not None:
        outcome.row_count -= sink.dropped
