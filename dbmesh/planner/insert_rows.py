"""Rows of an INSERT as values: the text of each, its sharding keys, and the keys the mesh generates.

Decides how one call's rows become texts and keys, fast for the folded rows of a big INSERT. Knows no routes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum

from dbmesh.errors import INTERNAL, NULL_REFUSED, MeshError
from dbmesh.model import ColumnFamily, ColumnSchema, SqlValue
from dbmesh.planner.plan import Call
from dbmesh.planner.session_values import SessionValue
from dbmesh.planner.template import Frame, slot_value
from dbmesh.rules.stored_values import most_integer
from dbmesh.rules.values import Key, stored_key
from dbmesh.sql.fingerprint import RowSet
from dbmesh.sql.lexer import LexerFlags
from dbmesh.sql.literals import literal_value, stored_text, value_text
from dbmesh.sql.shape import Slot, SlotKind


class Generated(Enum):
    """A value the mesh generates for every row."""

    KEY = "generated key"


@dataclass(frozen=True, slots=True)
class Constant:
    """A value written in the statement's shape (NULL, TRUE)."""

    value: SqlValue


@dataclass(frozen=True, slots=True)
class Negative:
    """A number behind a minus."""

    slot: Slot


Source = Slot | Constant | SessionValue | Generated | Negative
"""Where a value of a row comes from."""


def row_values(source: Source, call: Call, flags: LexerFlags) -> list[SqlValue]:
    """The values of one column, of every row that takes them from this source. Raises MeshError(INTERNAL) for a generated one."""
    if isinstance(source, Negative):
        return [_negated(value) for value in row_values(source.slot, call, flags)]
    if not isinstance(source, Slot):
        return [_constant(source, call)]
    rows = call.literals[source.index] if source.cell is not None else None
    if not isinstance(rows, RowSet):
        return [slot_value(source, call, flags)]
    return [literal_value(raw, source.kind, flags) for raw in rows.cells[source.cell :: rows.width]]


@dataclass(frozen=True, slots=True)
class ShardingValue:
    """The value of one sharding column in every row; `is_key` tells that it is the generated column itself,
    `exact_text` what the operator promises of text keys. `most` is the greatest number the column holds, where it has one."""

    source: Source
    schema: ColumnSchema | None
    is_key: bool
    exact_text: bool = False
    most: int | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Works out once what every row asks for."""
        object.__setattr__(self, "most", None if self.schema is None else most_integer(self.schema))

    def key(self, value: SqlValue) -> Key:
        """The key of one row's value. Raises MeshError: NOT_SUPPORTED for a text that could not be found again,
        NULL_REFUSED where a server would refuse NULL too."""
        schema = self.schema
        if value is None and not (self.is_key or schema is None or schema.nullable or schema.has_default):
            raise MeshError(NULL_REFUSED, column=schema.name)
        return stored_key(value, self.schema, exact_text=self.exact_text)


@dataclass(frozen=True, slots=True)
class PlacedRows:
    """Rows of one call: their texts, and per sharding column the rows' keys."""

    texts: list[str]
    keys: list[list[Key]]
    first_generated: int | str | None


Numberer = Callable[[Sequence[object]], Sequence[int | str | None]]
"""`KeyGenerator.number`."""


@dataclass(frozen=True, slots=True)
class FoldedRows:
    """Rows that look alike: one row set. `columns` are the values that change from row to row, `pieces` the texts
    around them, one more. `key` is the source of the generated column among `columns`; a slot is filled where it is
    NULL (or 0 with `zero_generates`)."""

    index: int
    pieces: tuple[str, ...]
    columns: tuple[Slot | SessionValue | Generated, ...]
    values: tuple[ShardingValue, ...]
    key: Slot | Generated | None
    zero_generates: bool
    flags: LexerFlags

    def place(self, call: Call, number: Numberer | None) -> PlacedRows:
        """Texts and keys of the call's rows. O(rows)."""
        rows = call.literals[self.index]
        if not isinstance(rows, RowSet):
            raise MeshError(INTERNAL, reason="a row set was expected")
        texts: list[Sequence[str]] = []
        generated: list[int | str | None] = []
        for column in self.columns:
            if column is self.key and number is not None:
                zero_generates = self.zero_generates and call.session.numbers_zero
                cells, generated = self._fill(column, rows, number, zero_generates)
                texts.append(cells)
            elif isinstance(column, Slot):
                texts.append(rows.cells[column.cell :: rows.width])
            else:
                texts.append([self._text(_session_value(column, call))] * len(rows))
        keys = [self._keys(value, rows, generated, call) for value in self.values]
        row = "%s".join([piece.replace("%", "%%") for piece in self.pieces])
        lines = [row % cells for cells in zip(*texts, strict=True)] if texts else [row % ()] * len(rows)
        return PlacedRows(lines, keys, next((key for key in generated if key is not None), None))

    def example(self) -> Frame:
        """One row as a frame, for a shard to prepare."""
        quoted = (SlotKind.HEX, SlotKind.BIT)
        values = tuple(
            "''" if isinstance(column, Slot) and column.kind in quoted else "NULL" for column in self.columns
        )
        text = "%s".join([piece.replace("%", "%%") for piece in self.pieces]) % values
        return Frame(text.replace("%", "%%"), (), self.flags, True)

    def _fill(
        self,
        column: Slot | SessionValue | Generated,
        rows: RowSet,
        number: Numberer,
        zero_generates: bool,
    ) -> tuple[list[str], list[int | str | None]]:
        """The column's texts with missing keys generated, and which those were."""
        if not isinstance(column, Slot):
            made = list(number([None] * len(rows)))
            return [str(key) if type(key) is int else self._text(key) for key in made], made
        cells = rows.cells[column.cell :: rows.width]
        keys = list(
            number([None if cell[0] in "nN" or (zero_generates and cell == "0") else cell for cell in cells])
        )
        texts = [cell if key is None else self._text(key) for cell, key in zip(cells, keys, strict=True)]
        return texts, keys

    def _keys(
        self, value: ShardingValue, rows: RowSet, generated: Sequence[int | str | None], call: Call
    ) -> list[Key]:
        if isinstance(value.source, Negative):
            return [value.key(_negated(number)) for number in self._decoded(value.source.slot, rows)]
        if not isinstance(value.source, Slot):
            if value.is_key and generated:
                return [value.key(key) for key in generated]
            return [value.key(_constant(value.source, call))] * len(rows)
        keys = self._cells(value, value.source, rows)
        if value.is_key and generated:
            return [
                key if made is None else value.key(made) for key, made in zip(keys, generated, strict=True)
            ]
        return keys

    def _cells(self, value: ShardingValue, slot: Slot, rows: RowSet) -> list[Key]:
        raws = rows.cells[slot.cell :: rows.width]
        integers = value.schema is None or value.schema.family is ColumnFamily.INTEGER
        if integers and all(map(str.isdigit, raws)):
            numbers = list(map(int, raws))
            if value.most is None or max(numbers) <= value.most:
                return list(numbers)
        return [value.key(decoded) for decoded in self._decoded(slot, rows)]

    def _decoded(self, slot: Slot, rows: RowSet) -> list[SqlValue]:
        raws = rows.cells[slot.cell :: rows.width]
        return [literal_value(raw, slot.kind, self.flags) for raw in raws]

    def _text(self, value: SqlValue) -> str:
        return value_text(value, self.flags)


@dataclass(frozen=True, slots=True)
class WrittenRow:
    """One row as written: the text before the key the mesh may generate, where that key comes from, the text after."""

    before: Frame
    key: Slot | Constant | Generated | None
    after: Frame
    values: tuple[ShardingValue, ...]


@dataclass(frozen=True, slots=True)
class WrittenRows:
    """Rows that differ in form, or hold parameters."""

    rows: tuple[WrittenRow, ...]
    zero_generates: bool
    flags: LexerFlags

    def place(self, call: Call, number: Numberer | None, *, keep_parameters: bool = False) -> PlacedRows:
        """Texts and keys of the call's rows. With `keep_parameters` every `?` stays."""
        texts: list[str] = []
        keys: list[list[Key]] = [[] for _ in self.rows[0].values]
        made: Sequence[int | str | None] = [None] * len(self.rows)
        if number is not None and any(row.key is not None for row in self.rows):
            made = number([self._given(row.key, call) for row in self.rows])
        for row, key in zip(self.rows, made, strict=True):
            texts.append(self._text(row, key, call, keep_parameters))
            for column, value in zip(keys, row.values, strict=True):
                known = key if value.is_key and key is not None else self._value(value.source, call)
                column.append(value.key(known))
        return PlacedRows(texts, keys, next((key for key in made if key is not None), None))

    def example(self) -> tuple[Frame, ...]:
        """The frames of all rows with commas between, for a shard to prepare."""
        frames: list[Frame] = []
        for row in self.rows:
            text = "," if frames else ""
            if row.key is None or row.key is Generated.KEY or isinstance(row.key, Constant):
                frames += (self._plain(text), row.before, self._plain("NULL" if row.key else ""), row.after)
            else:
                frames += (
                    self._plain(text),
                    row.before,
                    Frame("%s", (row.key,), self.flags, False),
                    row.after,
                )
        return tuple(frames)

    def _plain(self, text: str) -> Frame:
        return Frame(text, (), self.flags, True)

    def _text(self, row: WrittenRow, key: int | str | None, call: Call, keep: bool) -> str:
        before = row.before.render(call.literals, call, keep_parameters=keep)
        after = row.after.render(call.literals, call, keep_parameters=keep)
        middle = "" if row.key is None else self._key_text(row.key, key, call)
        return before.decode(*_TEXT) + middle + after.decode(*_TEXT)

    def _given(self, source: Slot | Constant | Generated | None, call: Call) -> SqlValue:
        """The key a row has, a text for one that only the server knows; None asks for a new one."""
        if source is None:
            return ""
        value = None if isinstance(source, Generated) else self._value(source, call)
        return None if self.zero_generates and call.session.numbers_zero and value == 0 else value

    def _value(self, source: Source, call: Call) -> SqlValue:
        if isinstance(source, Slot):
            return slot_value(source, call, self.flags)
        if isinstance(source, Negative):
            return _negated(slot_value(source.slot, call, self.flags))
        return _constant(source, call)

    def _key_text(self, source: Slot | Constant | Generated, key: int | str | None, call: Call) -> str:
        if key is None and isinstance(source, Slot) and not source.parameter:
            return str(call.literals[source.index])
        value = self._value(source, call) if key is None else key
        return stored_text(value, self.flags)


def _negated(value: SqlValue) -> SqlValue:
    if not isinstance(value, int | float | Decimal):
        raise MeshError(INTERNAL, reason="a minus before what is no number")
    return -value


def _constant(source: Source, call: Call) -> SqlValue:
    if isinstance(source, Constant):
        return source.value
    return _session_value(source, call)


def _session_value(source: Source, call: Call) -> SqlValue:
    if not isinstance(source, SessionValue):
        raise MeshError(INTERNAL, reason="a generated key without its generator")
    value: SqlValue = getattr(call.session, source.field)
    return value


_TEXT = ("utf-8", "surrogateescape")
