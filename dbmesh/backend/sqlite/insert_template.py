"""INSERTs that differ in their literals alone, compiled once.

Decides which INSERT may be kept by its shape (`dbmesh.sql.fingerprint`) and turns new literals into the same compiled
statement without parsing. Only plain rows are kept: every cell a number, a string or NULL, every other column a known
default. Anything else is compiled each time.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import dataclass, replace

from sqlglot import exp

from dbmesh.backend.sqlite import names
from dbmesh.backend.sqlite.constants import literal
from dbmesh.backend.sqlite.writes import Insert, stored_constant
from dbmesh.backend.transpile.coerce import Coercion, Stored
from dbmesh.backend.transpile.schema import Column
from dbmesh.backend.transpile.scope import Typed
from dbmesh.backend.transpile.types import NULL
from dbmesh.sql.fingerprint import Fingerprint, RowSet
from dbmesh.sql.literals import decode_literal

CACHED_INSERTS = 256
_PLAIN_NUMBER = re.compile(r"-?\d+(?:\.\d+)?\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Template:
    """A compiled INSERT whose first columns come from the literals; `defaults` are the others' values."""

    insert: Insert
    given: tuple[tuple[Column, Coercion], ...]
    defaults: tuple[Stored, ...]
    generates: bool


class InsertTemplates:
    """The kept INSERTs of one connection. They hold until tables change."""

    def __init__(self) -> None:
        self._templates: OrderedDict[str, _Template] = OrderedDict()

    def clear(self) -> None:
        """Forget all."""
        self._templates.clear()

    def bind(self, statement: Fingerprint) -> Insert | None:
        """The compiled INSERT, or None when it has to be parsed. Raises ShardError for a value that does not fit."""
        template, cells = self._templates.get(statement.shape), _cells(statement)
        if template is None or cells is None:
            return None
        self._templates.move_to_end(statement.shape)
        return _bound(template, cells)

    def keep(self, statement: Fingerprint, tree: exp.Insert, insert: Insert) -> None:
        """Remember a compiled INSERT where its shape fixes everything but plain cells."""
        cells = _cells(statement)
        if cells is None or not insert.rows or not _is_plain(tree.expression, cells):
            return
        columns = [column for name in insert.columns if (column := insert.table.column(name)) is not None]
        template = _Template(
            insert,
            tuple((column, Coercion(column.name, column.type)) for column in columns[: cells.width]),
            insert.rows[0][cells.width :],
            any(column.auto_increment for column in columns[cells.width :]),
        )
        if _bound(template, cells) != insert:
            return
        self._templates[statement.shape] = template
        if len(self._templates) > CACHED_INSERTS:
            self._templates.popitem(last=False)


def _cells(statement: Fingerprint) -> RowSet | None:
    """The rows, where they are all the literals there are."""
    only = statement.literals[0] if len(statement.literals) == 1 else None
    return only if isinstance(only, RowSet) else None


def _is_plain(source: exp.Expression, cells: RowSet) -> bool:
    """Whether each cell of each row is one literal: `x'41'` and DEFAULT, for two, stand in the shape."""
    if not isinstance(source, exp.Values) or len(source.expressions) != len(cells):
        return False
    return all(
        isinstance(row, exp.Tuple)
        and len(row.expressions) == cells.width
        and all(
            isinstance(cell.this if isinstance(cell, exp.Neg) else cell, exp.Literal | exp.Null)
            for cell in row.expressions
        )
        for row in source.expressions
    )


def _bound(template: _Template, cells: RowSet) -> Insert | None:
    insert = template.insert
    if cells.width != len(template.given):
        return None
    defaults = [names.literal(value) for value in template.defaults]
    generates = template.generates
    texts: list[str] = []
    rows: list[tuple[Stored, ...]] = []
    for number, row in enumerate(cells.rows(), start=1):
        stored = []
        for (column, coercion), raw in zip(template.given, row, strict=True):
            value = _value(raw)
            if value is None:
                return None
            cell = stored_constant(column, coercion, value, number)
            generates |= column.auto_increment and cell.sql == "NULL"
            stored.append(cell)
        texts.append(f"({', '.join([*(cell.sql for cell in stored), *defaults])})")
        rows.append((*(cell.value for cell in stored), *template.defaults))
    sql = f"{insert.head}{', '.join(texts)}{insert.tail}"
    found = tuple(rows)
    return replace(insert, sql=sql, rows=found, entries=found, generates=generates, count=len(rows))


def _value(raw: str) -> Typed | None:
    """A cell as the compiler reads it, None for spellings left to the parser."""
    if _PLAIN_NUMBER.match(raw):
        return literal(raw, is_string=False)
    if raw[:1] == "'":
        text = decode_literal(raw)
        return literal(text, is_string=True) if isinstance(text, str) else None
    return Typed("NULL", NULL, constant=True) if raw.upper() == "NULL" else None
