"""Turns actual table names inside row values back into logic names (SHOW CREATE TABLE, SHOW INDEX …).

Decides which values of a metadata answer change. Only small answers pass here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from dbmesh.backend.connection import Product
from dbmesh.engine.exchange import Sink
from dbmesh.merge.encrypted_rows import logic_definition
from dbmesh.planner.plan import Names, RenameValues
from dbmesh.rules.encryption.logic_type import COLLATIONS
from dbmesh.session.answering.errors import logic_text
from dbmesh.wire.packets import ColumnDefinition
from dbmesh.wire.values import decode_text_row, encode_text_row


def exact_collation(product: Product) -> str:
    """The collation that encrypted texts have, as servers of this product call it."""
    return COLLATIONS[product is Product.MYSQL]


class RenamingSink:
    """A sink in front of a client's sink."""

    def __init__(self, sink: Sink, answer: RenameValues, names: Names, product: Product) -> None:
        self._sink = sink
        self._columns = answer.columns
        self._names = names
        self._constraints = answer.constraints
        self._encrypted = answer.encrypted
        self._product = product
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
        # EXPLAIN has one column where a server explains as a tree by itself, and a table in the third where it does not.
        for index in (index for index in self._columns if index < len(values)):
            value = values[index]
            if value is not None:
                text = value.decode("utf-8", "surrogateescape")
                if self._suffixed is not None:
                    text = self._suffixed.sub(r"\1`", text)
                text = logic_text(text, self._names, "")
                text = _with_constraints(text, self._constraints) if self._constraints else text
                if self._encrypted is not None:
                    text = logic_definition(text, self._encrypted, exact_collation(self._product))
                values[index] = text.encode("utf-8", "surrogateescape")
        return encode_text_row(values)


def _with_constraints(definition: str, lines: Sequence[str]) -> str:
    """A table's definition with more foreign keys, in their place: by name, before other constraints. A text that is no
    definition stays."""
    head, end, tail = definition.partition("\n) ")
    if not end:
        return definition
    parts = head.split(",\n")
    first = next((at for at, part in enumerate(parts) if part.startswith("  CONSTRAINT `")), len(parts))
    foreign = [part for part in parts[first:] if "` FOREIGN KEY (" in part]
    others = [part for part in parts[first:] if "` FOREIGN KEY (" not in part]
    foreign = sorted((*foreign, *lines), key=lambda part: part.partition("` FOREIGN KEY (")[0])
    return ",\n".join([*parts[:first], *foreign, *others]) + end + tail
