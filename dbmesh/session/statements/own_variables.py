"""Adds the mesh's own variables to what a data source answers to SHOW VARIABLES.

Decides which they are and where they stand: rows come in the order of names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbmesh.engine.exchange import Sink
from dbmesh.planner.plan import WithOwnVariables
from dbmesh.planner.session_values import TRANSACTION_TYPE
from dbmesh.wire.values import decode_text_row, encode_text_row

if TYPE_CHECKING:
    from dbmesh.session.session import Session

Row = tuple[str, str]

_TITLES = ("Variable_name", "Value")


def own_variables(session: Session, answer: WithOwnVariables) -> list[Row]:
    """Names and values, in the order of names, of those that are asked for."""
    rows = [(TRANSACTION_TYPE, session.transaction_type)]
    return [row for row in rows if answer.kept is None or answer.kept.keeps(_TITLES, row)]


class OwnVariablesSink:
    """A sink in front of a client's sink. The last rows leave at `end`."""

    def __init__(self, sink: Sink, own: list[Row]) -> None:
        self._sink = sink
        self._own = own
        self.columns = sink.columns

    def rows(self, rows: list[bytes]) -> None:
        """See `Sink`."""
        told: list[bytes] = []
        for row in rows:
            name = (decode_text_row(row)[0] or b"").decode("utf-8", "surrogateescape").lower()
            while self._own and self._own[0][0] < name:
                told.append(_encoded(self._own.pop(0)))
            told.append(row)
        self._sink.rows(told)

    def end(self) -> None:
        """The data source has told its own."""
        if self._own:
            self._sink.rows([_encoded(row) for row in self._own])


def _encoded(row: Row) -> bytes:
    return encode_text_row([value.encode() for value in row])
