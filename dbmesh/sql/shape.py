"""Slots of a shape: where its literals and parameters stand, and which of them are folded.

Decides the numbering that the literals of a fingerprint and the parts of a template share. Knows nothing of syntax
trees; their literals are found here by position.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from dbmesh.sql import lexer
from dbmesh.sql.fingerprint import HINT_COMMENT, LIST_HEAD, LIST_TAIL, NEXT_ROW, ROWS_HEAD, row_end
from dbmesh.sql.lexer import DEFAULT, LexerFlags

_COUNT_HEAD = re.compile(r"\b(?:LIMIT|OFFSET|FIRST|NEXT|EXAMINED)\s+(?:[0-9?]+\s*,\s*)?\Z", re.IGNORECASE)
_COUNT_TAIL = re.compile(r"\s+(?:PRECEDING|FOLLOWING)\b", re.IGNORECASE)
_MOST_HEAD = 100
"""Letters before a `?` that are looked at."""


class SlotKind(Enum):
    """What a slot's text is."""

    INTEGER = "0"
    DECIMAL = "0.0"
    FLOAT = "0e0"
    STRING = "''"
    NUMBER_HEX = "0x0"
    HEX = "x''"
    BIT = "b''"
    NULL = "NULL"
    PARAMETER = "?"


@dataclass(frozen=True, slots=True)
class Slot:
    """One literal or parameter of a shape.

    `start` and `end` are its span in the shape, end exclusive (of `''` alone for `x''`). `index` counts the literals
    of the fingerprint, or for a `parameter` the `?` of the statement. A slot with `members` may hold a `ListLiteral`.
    A slot of a row set has the row set's `index` and its own `cell` number within a row. A `plain` parameter stands where an
    unsigned integer is a number like any other: a count of rows (LIMIT, a window's frame), which is digits alone to a server.
    """

    index: int
    kind: SlotKind
    start: int
    end: int
    parameter: bool = False
    members: bool = False
    cell: int | None = None
    plain: bool = False


@dataclass(frozen=True, slots=True)
class Shape:
    """A shape cut into its slots. `start` is where the statement begins, behind the routing hints.

    `row` is the span of the one row that stands for all rows of a row set, brackets included, None without one.
    """

    text: str
    start: int
    slots: tuple[Slot, ...]
    row: tuple[int, int] | None = None

    @property
    def hints(self) -> str:
        """The routing hint comments in front."""
        return self.text[: self.start]


def cut(text: str, flags: LexerFlags = DEFAULT) -> Shape:
    """The slots of a shape that `fingerprint` made under the same flags. O(length)."""
    inserting = lexer.starts_insert(text)
    pieces = lexer.pattern(flags, inserting).split(text)
    starts = [0]
    for piece in pieces:
        starts.append(starts[-1] + len(piece))
    row = _row(pieces, starts, flags) if inserting else None
    slots: list[Slot] = []
    literals = parameters = cells = 0
    for at, piece in enumerate(pieces):
        start = starts[at]
        if at % 2 == 0:
            for offset, character in enumerate(piece):
                if character == "?":
                    span = start + offset
                    slots.append(_parameter(text, span, parameters))
                    parameters += 1
            continue
        if row is not None and row[0] < start < row[1]:
            slots.append(_slot(pieces, at, start, literals, cells))
            cells += 1
            continue
        if cells and row is not None and start >= row[1]:
            literals, cells = literals + 1, 0
        if not _is_foreign(piece, flags) and piece[0] not in "nN":
            slots.append(_slot(pieces, at, start, literals, None))
            literals += 1
    return Shape(text, _hints_end(text), tuple(slots), row)


def _parameter(text: str, at: int, index: int) -> Slot:
    counts = _COUNT_HEAD.search(text, max(0, at - _MOST_HEAD), at) or _COUNT_TAIL.match(text, at + 1)
    return Slot(index, SlotKind.PARAMETER, at, at + 1, parameter=True, plain=counts is not None)


def _is_foreign(token: str, flags: LexerFlags) -> bool:
    """Whether a token of a shape is a quoted name, a kept comment, or two minus signs that a comment left at the end."""
    return token[0] in "`/#" or token[:2] == "--" or (token[0] == '"' and flags.ansi_quotes)


def _slot(pieces: list[str], at: int, start: int, index: int, cell: int | None) -> Slot:
    token, before = pieces[at], pieces[at - 1]
    kind = SlotKind(lexer.sentinel(token))
    if kind is SlotKind.STRING and before[-1:] in tuple("xXbB") and not before[-2:-1].isalnum():
        kind = SlotKind.HEX if before[-1] in "xX" else SlotKind.BIT
    members = (
        cell is None and LIST_HEAD.search(before) is not None and LIST_TAIL.match(pieces[at + 1]) is not None
    )
    return Slot(index, kind, start, start + len(token), members=members, cell=cell)


def _row(pieces: list[str], starts: list[int], flags: LexerFlags) -> tuple[int, int] | None:
    """The span of the only row of INSERT … VALUES when `fingerprint` makes a row set of it."""
    for at in range(0, len(pieces) - 2, 2):
        head = ROWS_HEAD.search(pieces[at])
        if head is None:
            continue
        end = row_end(pieces, at, head.end())
        if end is None or end[0] == at:
            return None
        last, position = end
        texts = [pieces[at][head.end() :], *pieces[at + 2 : last : 2], pieces[last][:position]]
        if NEXT_ROW.match(pieces[last], position) or any("?" in text for text in texts):
            return None
        if any(_is_foreign(token, flags) for token in pieces[at + 1 : last : 2]):
            return None
        return starts[at] + head.end() - 1, starts[last] + position
    return None


def _hints_end(text: str) -> int:
    at = 0
    while HINT_COMMENT.match(text, at):
        at = text.index("*/", at) + 2
    while at < len(text) and text[at] == " ":
        at += 1
    return at
