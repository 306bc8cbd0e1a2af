"""The rows of a LOAD DATA file: bytes in, fields out, wherever the bytes happen to be cut.

Decides where fields and lines end, what is escaped, enclosed or NULL. Knows no tables and no types. Source: manual,
"LOAD DATA Statement", "Field and Line Handling".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, NamedTuple

_UNESCAPED: Final = {
    ord("n"): b"\n",
    ord("t"): b"\t",
    ord("r"): b"\r",
    ord("b"): b"\b",
    ord("0"): b"\0",
    ord("Z"): b"\x1a",
}
_NULL_LETTER: Final = b"N"
_NULL_WORD: Final = b"NULL"


@dataclass(frozen=True, slots=True)
class FileFormat:
    """FIELDS and LINES of a LOAD DATA. `enclosed` and `escaped` are one byte or none. Fields of fixed width, which
    empty `terminated` and `enclosed` ask for, are not read here."""

    terminated: bytes = b"\t"
    enclosed: bytes = b""
    escaped: bytes = b"\\"
    starting: bytes = b""
    ending: bytes = b"\n"


class FileRow(NamedTuple):
    """The fields of a line, at most as many as were asked for; `cut`: the line had more."""

    fields: tuple[bytes | None, ...]
    cut: bool


class _NeedsData(Exception):
    """The buffer ends before the row does."""


class _Field(NamedTuple):
    value: bytes | None
    ends_line: bool


class FileReader:
    """Turns a stream of bytes into rows of at most `width` fields; the first `skipped` lines are left out. Memory: the
    longest row."""

    def __init__(self, layout: FileFormat, width: int, skipped: int = 0) -> None:
        self._layout = layout
        self._width = width
        self._skipped = skipped
        # A line terminator equal to the field terminator is none: every row has all its fields.
        self._ending = b"" if layout.ending == layout.terminated else layout.ending
        first = {layout.escaped[:1], layout.terminated[:1], self._ending[:1]} - {b""}
        self._open = _one_of(first)
        self._closed = _one_of({layout.escaped[:1], layout.enclosed[:1]} - {b""})
        self._tail = _one_of({layout.escaped[:1], self._ending[:1]} - {b""})
        self._data = b""
        self._at = 0
        self._last = False
        self._arrived: list[bytes] = []
        self.waiting = 0
        """Bytes of a row that is not complete yet."""
        self._retry = 0

    def feed(self, data: bytes) -> list[FileRow]:
        """The rows these bytes complete. O(bytes)."""
        self._arrived.append(data)
        self.waiting += len(data)
        # A row longer than what has come is read again when as much has come once more: O(log) readings of it.
        return self._rows() if self.waiting >= self._retry else []

    def finish(self) -> list[FileRow]:
        """The file has ended: the rows left."""
        self._last = True
        return self._rows()

    def _rows(self) -> list[FileRow]:
        rows: list[FileRow] = []
        self._data = b"".join([self._data[self._at :], *self._arrived])
        self._arrived = []
        start = self._at = 0
        try:
            while True:
                start = self._at
                if self._skipped:
                    self._skip_line()
                    self._skipped = 0 if self._last and self._at == len(self._data) else self._skipped - 1
                    continue
                row = self._row()
                if row is None:
                    break
                rows.append(row)
        except _NeedsData:
            self._at = start
        self.waiting = len(self._data) - self._at
        self._retry = 0 if rows else 2 * self.waiting
        return rows

    def _row(self) -> FileRow | None:
        if self._layout.starting:
            found = self._data.find(self._layout.starting, self._at)
            if found < 0:
                self._need()
                self._at = len(self._data)
                return None
            self._at = found + len(self._layout.starting)
        fields: list[bytes | None] = []
        while len(fields) < self._width:
            field = self._field()
            if field is None:
                return FileRow(tuple(fields), False) if fields else None
            fields.append(field.value)
            if field.ends_line:
                return FileRow(tuple(fields), False)
        return FileRow(tuple(fields), self._skip_line() if self._ending else False)

    def _skip_line(self) -> bool:
        """Move behind the line's end; whether anything stood before it. A last line without an end says nothing."""
        start = self._at
        end = len(self._data)
        while self._ending:
            found = self._tail.search(self._data, self._at)
            if found is None:
                break
            self._at = found.start()
            if self._layout.escaped and found[0] == self._layout.escaped:
                self._need(2)
                self._at = min(self._at + 2, end)
            elif self._stands(self._ending, self._at):
                cut = self._at > start
                self._at += len(self._ending)
                return cut
            else:
                self._at += 1
        self._need()
        self._at = end
        return False

    def _field(self) -> _Field | None:
        """The next field; None when the file ended before it."""
        data = self._data
        if self._at == len(data):
            self._need()
            return None
        layout = self._layout
        enclosed = layout.enclosed if layout.enclosed and data.startswith(layout.enclosed, self._at) else b""
        pieces: list[bytes] = []
        if enclosed:
            self._at += 1
        seeks = self._closed if enclosed else self._open
        null_letter = False
        while True:
            found = seeks.search(data, self._at)
            if found is None:
                self._need()
                pieces.append(data[self._at :])
                self._at = len(data)
                # Quotes nobody closed belong to the value.
                return _Field(self._value(enclosed + b"".join(pieces), null_letter, quoted=False), True)
            at = found.start()
            pieces.append(data[self._at : at])
            self._at = at
            mark = found[0]
            if layout.escaped and mark == layout.escaped:
                following = self._byte(at + 1)
                if following == b"":
                    pieces.append(mark)
                    self._at = at + 1
                    continue
                if mark != layout.enclosed or following == mark:
                    pieces.append(_UNESCAPED.get(following[0], following))
                    null_letter = null_letter or following == _NULL_LETTER
                    self._at = at + 2
                    continue
            if enclosed and mark == enclosed:
                ended = self._closing(at, pieces)
                if ended is not None:
                    return _Field(self._value(b"".join(pieces), null_letter, quoted=True), ended)
                continue
            if not enclosed:
                ended = self._terminator(at)
                if ended is not None:
                    return _Field(self._value(b"".join(pieces), null_letter, quoted=False), ended)
            pieces.append(mark)
            self._at = at + 1

    def _closing(self, at: int, pieces: list[bytes]) -> bool | None:
        """At the enclosing mark: whether the field ends the line, or None when it goes on."""
        following = self._byte(at + 1)
        if following == self._layout.enclosed:
            pieces.append(following)
            self._at = at + 2
            return None
        if following == b"":
            self._at = at + 1
            return True
        ended = self._terminator(at + 1)
        if ended is None:
            pieces.append(self._layout.enclosed)
            self._at = at + 1
        return ended

    def _terminator(self, at: int) -> bool | None:
        """Move behind the terminator at `at`: whether it ends the line; None when there is none."""
        if self._ending and self._stands(self._ending, at):
            self._at = at + len(self._ending)
            return True
        if self._layout.terminated and self._stands(self._layout.terminated, at):
            self._at = at + len(self._layout.terminated)
            return False
        return None

    def _value(self, value: bytes, null_letter: bool, *, quoted: bool) -> bytes | None:
        if null_letter and len(value) == 1:
            return None
        if self._layout.enclosed and not quoted and value == _NULL_WORD:
            return None
        return value

    def _stands(self, mark: bytes, at: int) -> bool:
        if self._data.startswith(mark, at):
            return True
        if mark.startswith(self._data[at:]):
            self._need()
        return False

    def _byte(self, at: int) -> bytes:
        if at >= len(self._data):
            self._need()
        return self._data[at : at + 1]

    def _need(self, ahead: int | None = None) -> None:
        """More bytes are needed: `ahead` from here, or any."""
        if not self._last and (ahead is None or self._at + ahead > len(self._data)):
            raise _NeedsData


def _one_of(marks: set[bytes]) -> re.Pattern[bytes]:
    if not marks:
        return re.compile(rb"(?!)")
    return re.compile(b"[" + b"".join(b"\\x%02x" % mark[0] for mark in sorted(marks)) + b"]")
