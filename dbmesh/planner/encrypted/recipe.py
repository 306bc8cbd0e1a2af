"""From the values of a client's statement to those of the statement that is planned in its place.

Decides where each literal of the other text comes from: one of the client's as it is, or what an encryptor makes of one. A pure function
of values, keys and the random bytes it is given. Knows no tables.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from dbmesh.errors import INTERNAL, MeshError, not_supported
from dbmesh.model import SqlValue
from dbmesh.planner.context import PlanContext
from dbmesh.planner.plan import Call
from dbmesh.planner.session_view import SessionView
from dbmesh.rules.encryption.logic_type import Unstorable
from dbmesh.rules.encryption.rule import EncryptedColumn, StoredColumn
from dbmesh.sql.fingerprint import ListLiteral, Literal, RowSet
from dbmesh.sql.lexer import LexerFlags
from dbmesh.sql.literals import literal_value, value_text
from dbmesh.sql.shape import Shape, Slot, cut


class Part(Enum):
    """Which of the columns a value is made for."""

    CIPHER = "cipher"
    EQUALITY = "equality"
    LIKE = "like"
    PATTERN = "pattern"


@dataclass(frozen=True, slots=True)
class Made:
    """What an encryptor makes of the value in a slot of the client's statement. `forms`: all that may be stored for it, as a
    list."""

    slot: Slot
    column: EncryptedColumn
    part: Part
    forms: bool = False

    def texts(self, value: SqlValue, call: Call, recipe: Recipe) -> list[str]:
        """SQL texts. Raises MeshError(NOT_SUPPORTED) for a value the column does not take."""
        if value is None or (value == "" and call.session.empties_are_null):
            return ["NULL"]
        made = self._made(value, call.session)
        name = _column_of(self.column, self.part)
        if made and len(made[0]) > recipe.lengths.get(name.lower(), len(made[0])):
            # Without a strict sql_mode a server would cut it: nobody could decrypt the rest, or find it.
            raise not_supported(
                f"a value of '{self.column.name}', of which more is stored than the column '{name}' holds",
                "make that column longer on the data sources",
            )
        return [value_text(text, recipe.flags) for text in made]

    def _made(self, value: SqlValue, session: SessionView) -> Sequence[str]:
        column = self.column
        if self.part is Part.PATTERN:
            if not isinstance(value, str) or column.like is None:
                raise not_supported(
                    f"LIKE with no text on the encrypted column '{column.name}'", "write a text"
                )
            return [column.like.digest.pattern(value, "\\")]
        try:
            text = column.type.text_of(value)
        except Unstorable as wanted:
            raise not_supported(
                f"this value for the encrypted column '{column.name}', which the mesh would have to convert",
                f"give {wanted}",
            ) from None
        if self.part is Part.LIKE:
            return [] if column.like is None else [column.like.digest.digest(text)]
        stored = _stored(column, self.part)
        if self.forms:
            return stored.encryptor.forms(text)
        return [stored.encryptor.encrypt(text, session.random_bytes(stored.encryptor.nonce_size))]


def _column_of(column: EncryptedColumn, part: Part) -> str:
    """The column that a value is made for."""
    if part in (Part.LIKE, Part.PATTERN):
        return "" if column.like is None or part is Part.PATTERN else column.like.name
    return _stored(column, part).name


def _stored(column: EncryptedColumn, part: Part) -> StoredColumn:
    found = column.cipher if part is Part.CIPHER else column.equality
    if found is None:
        raise MeshError(INTERNAL, reason="a column without a deterministic part was compared")
    return found


@dataclass(frozen=True, slots=True)
class Fixed:
    """A literal that an edit has brought with it."""

    text: str


Source = Slot | Made | Fixed
Piece = str | Slot | Made


@dataclass(frozen=True, slots=True)
class _Place:
    """A literal of the other text: from one source, or of rows that are one literal a source for each of their cells."""

    sources: tuple[Source, ...]
    rows: bool
    members: bool


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the literals and parameters of the other text are made. `lengths`: characters that columns (in lower case) can hold."""

    places: tuple[_Place, ...]
    parameters: tuple[int, ...]
    flags: LexerFlags
    lengths: Mapping[str, int] = field(default_factory=dict)

    def literals(self, call: Call) -> list[Literal]:
        """The literals. Raises MeshError."""
        return [self._literal(place, call) for place in self.places]

    def values(self, call: Call) -> Sequence[SqlValue]:
        """The parameters that stay."""
        return [call.parameters[index] for index in self.parameters]

    def literals_of(self, place: int) -> list[int]:
        """The client's literals that one of the other text is made of."""
        sources = [one for one in self.places[place].sources if not isinstance(one, Fixed)]
        return [slot.index for source in sources if not (slot := _slot(source)).parameter]

    def _literal(self, place: _Place, call: Call) -> Literal:
        if place.rows:
            return self._rows(place.sources, call)
        [source] = place.sources
        if isinstance(source, Fixed):
            return source.text
        if isinstance(source, Slot):
            literal = call.literals[source.index]
            assert isinstance(literal, str | ListLiteral | RowSet)
            return literal
        texts = list(self._texts(source, call))
        if place.members and len(texts) > 1:
            return ListLiteral(texts)
        return texts[0] if texts else "NULL"

    def _texts(self, made: Made, call: Call) -> Iterator[str]:
        slot = made.slot
        if slot.parameter:
            yield from made.texts(call.parameters[slot.index], call, self)
            return
        literal = call.literals[slot.index]
        for raw in literal.members if isinstance(literal, ListLiteral) else [literal]:
            value = literal_value(str(raw), slot.kind, self.flags)
            yield from made.texts(value, call, self)

    def _rows(self, sources: Sequence[Source], call: Call) -> RowSet:
        """The rows of an INSERT: cells of the client's rows, and what is made of them or of its other values."""
        slots = [_slot(source) for source in sources if not isinstance(source, Fixed)]
        own = next((slot.index for slot in slots if slot.cell is not None), None)
        rows: Sequence[tuple[str, ...]] = ((),)
        if own is not None:
            literal = call.literals[own]
            assert isinstance(literal, RowSet)
            rows = list(literal.rows())
        cells = [self._cell(source, row, call) for row in rows for source in sources]
        return RowSet(len(sources), cells)

    def _cell(self, source: Source, row: Sequence[str], call: Call) -> str:
        if isinstance(source, Fixed):
            return source.text
        slot = _slot(source)
        if slot.cell is None:
            return (
                next(self._texts(source, call))
                if isinstance(source, Made)
                else str(call.literals[slot.index])
            )
        raw = row[slot.cell]
        if isinstance(source, Slot):
            return raw
        [text] = source.texts(literal_value(raw, slot.kind, self.flags), call, self)
        return text


def _slot(source: Slot | Made) -> Slot:
    return source if isinstance(source, Slot) else source.slot


class Rewriting:
    """Edits of a client's text, whose pieces may be slots of it, or what is made of them. Edits must not overlap; several at one place
    keep their order."""

    def __init__(self, context: PlanContext) -> None:
        self._shape = context.statement.shape
        self._flags = context.flags
        self._edits: list[tuple[int, int, tuple[Piece, ...]]] = []

    def replace(self, start: int, end: int, *pieces: Piece) -> None:
        """Put pieces in place of a span."""
        self._edits.append((start, end, pieces))

    def insert(self, at: int, *pieces: Piece) -> None:
        """Put pieces in front of the character at `at`."""
        self.replace(at, at, *pieces)

    def makes_between(self, start: int, end: int) -> bool:
        """Whether an edit in a span has something that is made of a value."""
        return any(
            start <= first and last <= end and any(isinstance(piece, Made) for piece in pieces)
            for first, last, pieces in self._edits
        )

    def build(self) -> tuple[str, Recipe]:
        """The other text, routing hints in front, and its recipe."""
        text, sources = self._text()
        shape = cut(text, self._flags)
        return text, Recipe(
            tuple(_places(shape, sources)),
            tuple(
                source.index
                for slot in shape.slots
                if slot.parameter and isinstance(source := sources[slot.start], Slot)
            ),
            self._flags,
        )

    def _text(self) -> tuple[str, dict[int, Source]]:
        out: list[str] = []
        sources: dict[int, Source] = {}
        length = position = 0

        def put(piece: Piece) -> None:
            nonlocal length
            written = piece if isinstance(piece, str) else self._written(piece)
            if not isinstance(piece, str):
                sources[length] = piece
            out.append(written)
            length += len(written)

        for start, end, pieces in [*sorted(self._edits, key=_span), (len(self._shape.text),) * 2 + ((),)]:
            if start < position:
                raise MeshError(INTERNAL, reason=f"edits of a statement overlap at {start}")
            for slot in self._shape.slots:
                if position <= slot.start and slot.end <= start:
                    put(self._shape.text[position : slot.start])
                    put(slot)
                    position = slot.end
            put(self._shape.text[position:start])
            for piece in pieces:
                put(piece)
            position = end
        return "".join(out), sources

    def _written(self, piece: Slot | Made) -> str:
        return "''" if isinstance(piece, Made) else self._shape.text[piece.start : piece.end]


def _span(edit: tuple[int, int, tuple[Piece, ...]]) -> tuple[int, int]:
    return edit[0], edit[1]


def _places(shape: Shape, sources: dict[int, Source]) -> Iterator[_Place]:
    """The sources of the literals of a text, in the order of their indexes."""

    def source_of(slot: Slot) -> Source:
        return sources.get(slot.start) or Fixed(shape.text[slot.start : slot.end])

    slots = [slot for slot in shape.slots if not slot.parameter]
    at = 0
    while at < len(slots):
        last = at + 1
        while slots[at].cell is not None and last < len(slots) and slots[last].index == slots[at].index:
            last += 1
        yield _Place(
            tuple(map(source_of, slots[at:last])),
            slots[at].cell is not None,
            slots[at].members,
        )
        at = last
