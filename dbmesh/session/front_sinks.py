"""Sinks that stand in front of a client's: they change what a data source says, or keep the way back open.

Decides which one an answer needs. What each changes is its own module's business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbmesh.engine.exchange import Sink
from dbmesh.planner.plan import BoundStatement, LinkStatus, RenameValues, TableReports, WithOwnVariables
from dbmesh.session.link_status import LinkStatusSink
from dbmesh.session.own_variables import OwnVariablesSink, own_variables
from dbmesh.session.renaming import RenamingSink
from dbmesh.session.result_sink import ResultSink
from dbmesh.session.table_reports import TableReportsSink
from dbmesh.wire.constants import Capability

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


def front_sink(session: Session, bound: BoundStatement, sink: Sink) -> Sink:
    """Where rows go that say what only a shard would say."""
    if isinstance(bound.answer, RenameValues):
        return RenamingSink(sink, bound.answer, bound.names)
    if isinstance(bound.answer, TableReports):
        return TableReportsSink(sink, bound.answer, bound.names)
    if isinstance(bound.answer, LinkStatus):
        compresses = bool(session.capabilities & Capability.COMPRESS)
        return LinkStatusSink(sink, session.client.encryption(), compresses=compresses)
    if isinstance(bound.answer, WithOwnVariables):
        return OwnVariablesSink(sink, own_variables(session, bound.answer))
    return sink


def end_of_rows(sink: Sink) -> None:
    """All rows have come: what a sink in front has kept or adds goes on."""
    if isinstance(sink, TableReportsSink | OwnVariablesSink):
        sink.end()
