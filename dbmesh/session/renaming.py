"""Turns actual table names inside row values back into logic names (SHOW CREATE TABLE, SHOW INDEX …).

Decides which values of a metadata answer change. Only small answers pass here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from dbmesh.engine.exchange import Sink
from dbmesh.planner.plan import Names, RenameValues
from dbmesh.session.errors import logic_text
from dbmesh.wire.packets import ColumnDefinition
from dbmesh.wire.values import decode_text_row, encode_text_row


class RenamingSink:
    """A sink in front of a client's sink."""

    def __init__(self, sink: Sink, answer: RenameValues, names: Names) -> None:
        self._sink = sink
        self._columns = answer.columns
        self._names = names
        self._suffixed = (
            re.compile(rf"((?:KEY|CONSTRAINT) `(?:[^`]|``)+?){re.escape(answer.suffix)}`")
            if answer.suffix
            else None
        )

    def columns(self, columns: Sequence[ColumnDefinition]) -> None:
        self._sink.columns(columns)

    def rows(self, rows: list[bytes]) -> None:
        self._sink.rows([self._renamed(row) for row in rows])

    def _renamed(self, row: bytes) -> bytes:
        values = decode_text_row(row)
        for index in self._columns:
            value = values[index]
            if value is not None:
                text = value.decode("utf-8", "surrogateescape")
                if self._suffixed is not None:
                    text = self._suffixed.sub(r"\1`", text)
                text = logic_text(text, self._names, "")
                values[index] = text.encode("utf-8", "surrogateescape")
        return encode_text_row(values)
