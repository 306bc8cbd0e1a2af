"""Templates: the client's own text cut into fixed pieces, slots and table names, ready to be filled in per node.

Decides how edited text becomes SQL bytes. A statement is never generated from its tree: MySQL names unnamed columns by
their source text, and a server may know syntax the parser spells differently. Knows nothing of routing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dbmesh.errors import INTERNAL, PARSE_ERROR, MeshError
from dbmesh.model import IncompleteDate, QualifiedTable, SqlValue, UnsignedInteger
from dbmesh.planner.plan import Call
from dbmesh.planner.session_values import SessionValue
from dbmesh.planner.session_view import SessionView
from dbmesh.sql.fingerprint import RowSet
from dbmesh.sql.lexer import LexerFlags
from dbmesh.sql.literals import incomplete_date, literal_value, value_text
from dbmesh.sql.shape import Shape, Slot, SlotKind

_MOST_ROWS = (1 << 64) - 1
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*\Z")


@dataclass(frozen=True, slots=True)
class TableName:
    """The actual table of a table reference (its index) stands here, in quotes when the client wrote some."""

    reference: int
    quoted: bool = False


@dataclass(frozen=True, slots=True)
class SchemaQualifier:
    """The schema of a table reference's actual table stands here with its dot; nothing where names carry none."""

    reference: int


@dataclass(frozen=True, slots=True)
class RowCount:
    """The sum of LIMIT's and OFFSET's values: the rows one shard must send."""

    limit: Slot
    offset: Slot


@dataclass(frozen=True, slots=True)
class Rows:
    """All rows of a row set: `pieces` are the texts around the `gaps` of one row, each of which is its next cell (None) or
    what an edit has put there."""

    index: int
    pieces: tuple[str, ...]
    gaps: tuple[TableName | SchemaQualifier | SessionValue | None, ...]

    def filled(self, text: Callable[[TableName | SchemaQualifier | SessionValue], str | None]) -> Rows:
        """The same with the gaps closed that `text` knows."""
        pieces, gaps = [self.pieces[0]], list[TableName | SchemaQualifier | SessionValue | None]()
        for gap, piece in zip(self.gaps, self.pieces[1:], strict=True):
            found = None if gap is None else text(gap)
            if found is None:
                gaps.append(gap)
                pieces.append(piece)
            else:
                pieces[-1] += found + piece
        return Rows(self.index, tuple(pieces), tuple(gaps))


Segment = str | Slot | TableName | SchemaQualifier | SessionValue | RowCount | Rows


def slot_value(slot: Slot, call: Call, flags: LexerFlags) -> SqlValue:
    """The value in a slot that is neither a list nor a row set."""
    if slot.parameter:
        return call.parameters[slot.index]
    literal = call.literals[slot.index]
    if not isinstance(literal, str):
        raise MeshError(INTERNAL, reason="a folded literal was read as one value")
    return literal_value(literal, slot.kind, flags)


def row_count(slot: Slot, call: Call, flags: LexerFlags) -> int:
    """The value of LIMIT or OFFSET. Raises MeshError(PARSE_ERROR) for anything but a count, as MySQL does."""
    value = slot_value(slot, call, flags)
    if isinstance(value, str) and slot.parameter and value.isdigit():
        value = int(value)
    if not isinstance(value, int) or value < 0:
        raise MeshError(PARSE_ERROR, near=str(value)[:80], line=1)
    return value


def parameter_text(slot: Slot, value: SqlValue, session: SessionView, flags: LexerFlags) -> str:
    """SQL text of a bound value at its place: of its type, as far as text can say that."""
    if isinstance(value, UnsignedInteger) and slot.plain:
        return str(int(value))
    if isinstance(value, IncompleteDate) and session.takes_zero_dates:
        return incomplete_date(value)
    return value_text(value, flags)


@dataclass(frozen=True, slots=True)
class Frame:
    """A template whose tables are known: a `%` format and what goes into its gaps."""

    format: str
    gaps: tuple[Segment, ...]
    flags: LexerFlags
    sequential: bool

    def render(self, literals: Sequence[object], call: Call, *, keep_parameters: bool = False) -> bytes:
        """The SQL of one node. `literals` may differ from the call's where a list or row set was split."""
        if self.sequential:
            return self.filled(literals)
        texts = [self._text(gap, literals, call, keep_parameters) for gap in self.gaps]
        return (self.format % tuple(texts)).encode("utf-8", "surrogateescape")

    def filled(self, literals: Sequence[object]) -> bytes:
        """The SQL of one node when only literals are open, in their order (`sequential`)."""
        count = len(self.gaps)
        if len(literals) != count:
            literals = literals[:count]
        return (self.format % tuple(literals)).encode("utf-8", "surrogateescape")

    def _text(self, gap: Segment, literals: Sequence[object], call: Call, keep_parameters: bool) -> str:
        if isinstance(gap, Slot):
            if not gap.parameter:
                return str(literals[gap.index])
            if keep_parameters:
                return "?"
            return parameter_text(gap, call.parameters[gap.index], call.session, self.flags)
        if isinstance(gap, Rows):
            return rows_text(gap.filled(lambda inside: self._answer(inside, call)), literals[gap.index])
        if isinstance(gap, SessionValue):
            return self._answer(gap, call)
        assert isinstance(gap, RowCount)
        rows = row_count(gap.limit, call, self.flags) + row_count(gap.offset, call, self.flags)
        return str(min(rows, _MOST_ROWS))

    def _answer(self, gap: Segment, call: Call) -> str:
        assert isinstance(gap, SessionValue)
        return gap.text(value_text(_session_value(gap.field, call.session), self.flags))

    @property
    def only_parameters(self) -> bool:
        """Whether nothing but `?` is left open."""
        return all(isinstance(gap, Slot) and gap.parameter for gap in self.gaps)

    @property
    def parameters(self) -> tuple[int, ...]:
        """Which parameters its `?` are, in order."""
        return tuple(gap.index for gap in self.gaps if isinstance(gap, Slot) and gap.parameter)

    def prototype(self, literals: Sequence[object] = ()) -> bytes:
        """The text a shard can prepare: `?` kept, these literals, and any of the right kind in the other gaps."""
        texts = [_sample(gap, literals) for gap in self.gaps]
        return (self.format % tuple(texts)).encode("utf-8", "surrogateescape")


def _sample(gap: Segment, literals: Sequence[object]) -> str:
    if isinstance(gap, Slot):
        if literals and not gap.parameter:
            return str(literals[gap.index])
        if gap.kind is SlotKind.INTEGER:
            # ORDER BY and GROUP BY have no column 0.
            return "1"
        return "''" if gap.kind in (SlotKind.HEX, SlotKind.BIT) else gap.kind.value
    if isinstance(gap, Rows):
        return "NULL".join(gap.filled(lambda inside: _sample(inside, literals)).pieces)
    return gap.call if isinstance(gap, SessionValue) else "0"


def _session_value(field: str, session: SessionView) -> SqlValue:
    value: SqlValue = getattr(session, field)
    return value


def rows_text(rows: Rows, literal: object) -> str:
    """Every row of a row set as SQL, brackets included, commas between."""
    assert isinstance(literal, RowSet)
    row = "%s".join(piece.replace("%", "%%") for piece in rows.pieces)
    return ",".join([row % cells for cells in literal.rows()])


@dataclass(frozen=True, slots=True)
class Template:
    """Segments of a statement."""

    segments: tuple[Segment, ...]
    flags: LexerFlags

    def frame(self, tables: Sequence[str]) -> Frame:
        """The template for these actual tables, by table reference. O(segments); keep the result."""
        texts: list[str] = []
        gaps: list[Segment] = []
        for segment in self.segments:
            if isinstance(segment, str):
                texts.append(segment.replace("%", "%%"))
                continue
            name = _actual_name(segment, tables)
            if name is not None:
                texts.append(name.replace("%", "%%"))
                continue
            texts.append("%s")
            gaps.append(
                segment.filled(lambda gap: _actual_name(gap, tables))
                if isinstance(segment, Rows)
                else segment
            )
        literals = [gap.index for gap in gaps if isinstance(gap, Slot) and not gap.parameter]
        sequential = len(literals) == len(gaps) and literals == list(range(len(gaps)))
        return Frame("".join(texts), tuple(gaps), self.flags, sequential)


def quote_name(name: str, *, quoted: bool = False) -> str:
    """An identifier as SQL text, behind its schema where it has one; back quotes only where asked for or needed."""
    if isinstance(name, QualifiedTable):
        return f"{quote_name(name.schema, quoted=True)}.{quote_name(str(name), quoted=quoted)}"
    if quoted or not _PLAIN_NAME.match(name):
        return "`" + name.replace("`", "``") + "`"
    return name


def _actual_name(segment: Segment, tables: Sequence[str]) -> str | None:
    """What stands for a name; None for anything else."""
    if isinstance(segment, TableName):
        return quote_name(tables[segment.reference], quoted=segment.quoted)
    return _schema_of(tables[segment.reference]) if isinstance(segment, SchemaQualifier) else None


def _schema_of(table: str) -> str:
    return f"{quote_name(table.schema, quoted=True)}." if isinstance(table, QualifiedTable) else ""


_Edit = tuple[int, int, tuple[Segment, ...]]


class Edits:
    """Edits of a shape's text, collected in any order, applied once by `build`.

    Edits must not overlap; several insertions at one place keep their order. A replaced span swallows its slots
    unless they are named in the replacement.
    """

    def __init__(self, shape: Shape, flags: LexerFlags) -> None:
        self._shape = shape
        self._flags = flags
        self._edits: list[_Edit] = []

    def copy(self) -> Edits:
        """The same edits again, to go on differently from here."""
        twin = Edits(self._shape, self._flags)
        twin._edits = list(self._edits)
        return twin

    def insert(self, at: int, *segments: Segment) -> None:
        """Put segments in front of the character at `at`."""
        self._edits.append((at, at, segments))

    def replace(self, start: int, end: int, *segments: Segment) -> None:
        """Put segments in place of a span; none at all deletes it."""
        self._edits.append((start, end, segments))

    def replace_again(self, start: int, end: int, *segments: Segment) -> None:
        """Put segments in place of a span, and of what was put in its place before."""
        self._edits = [edit for edit in self._edits if edit[:2] != (start, end)]
        self.replace(start, end, *segments)

    def touches(self, start: int, end: int) -> bool:
        """Whether any edit so far falls into a span."""
        return any(start <= first and last <= end for first, last, _ in self._edits)

    def build(self, start: int | None = None, end: int | None = None) -> Template:
        """The template of the whole statement (routing hints left out), or of a span of it."""
        position = self._shape.start if start is None else start
        stop = len(self._shape.text) if end is None else end
        segments: list[Segment] = []
        inside = self._in_folded_row()
        for first, last, replacement in sorted(self._edits, key=_place):
            if (first, last, replacement) in inside:
                continue
            if end is not None and first >= end:
                break
            if first < position or last > stop:
                if last <= (self._shape.start if start is None else start) or first >= stop:
                    continue
                raise MeshError(INTERNAL, reason=f"edits of a statement overlap at {first}")
            segments += self._between(position, first, inside)
            segments += replacement
            position = last
        segments += self._between(position, stop, inside)
        return Template(_joined(segments), self._flags)

    def between(self, start: int, end: int) -> tuple[Segment, ...]:
        """The unedited text of a span with its slots, for use in a replacement elsewhere."""
        return _joined(self._between(start, end))

    def _in_folded_row(self) -> Sequence[_Edit]:
        """The edits inside the row that stands for all rows of a row set: they are made in each of them."""
        row = self._shape.row
        if row is None or not any(slot.cell is not None for slot in self._shape.slots):
            return ()
        return [edit for edit in self._edits if row[0] < edit[0] and edit[1] < row[1]]

    def _between(self, start: int, end: int, inside: Sequence[_Edit] = ()) -> list[Segment]:
        text, row = self._shape.text, self._shape.row
        segments: list[Segment] = []
        position = start
        for slot in self._shape.slots:
            if slot.start < position or slot.end > end:
                continue
            if slot.cell is not None and row is not None:
                segments += (text[position : row[0]], self._rows(row, slot.index, inside))
                position = row[1]
                continue
            segments += (text[position : slot.start], slot)
            position = slot.end
        segments.append(text[position:end])
        return segments

    def _rows(self, row: tuple[int, int], index: int, inside: Sequence[_Edit]) -> Rows:
        parts: list[_Edit | tuple[int, int, None]] = [
            (slot.start, slot.end, None) for slot in self._shape.slots if slot.cell is not None
        ]
        pieces, gaps = [""], list[TableName | SchemaQualifier | SessionValue | None]()
        position = row[0]
        for start, end, replacement in sorted([*parts, *inside], key=lambda part: part[:2]):
            pieces[-1] += self._shape.text[position:start]
            position = end
            for segment in (None,) if replacement is None else replacement:
                if isinstance(segment, str):
                    pieces[-1] += segment
                    continue
                assert not isinstance(segment, Slot | RowCount | Rows)
                gaps.append(segment)
                pieces.append("")
        pieces[-1] += self._shape.text[position : row[1]]
        return Rows(index, tuple(pieces), tuple(gaps))


def _place(edit: tuple[int, int, tuple[Segment, ...]]) -> tuple[int, int]:
    return edit[0], edit[1]


def _joined(segments: Sequence[Segment]) -> tuple[Segment, ...]:
    """Neighbouring texts as one."""
    joined: list[Segment] = []
    for segment in segments:
        if isinstance(segment, str):
            if not segment:
                continue
            if joined and isinstance(joined[-1], str):
                joined[-1] += segment
                continue
        joined.append(segment)
    return tuple(joined)


SlotReader = Callable[[Slot], SqlValue]
"""Reads the value of a slot of one call."""
