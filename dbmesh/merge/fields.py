"""Fields of text-protocol rows: found by walking lengths, cut out column by column, never decoded as a whole.

Decides where a field begins and ends in a row payload. Knows neither types nor order. A field is its raw bytes, or
None for NULL. Columns are absolute indexes here. Source: manual, "Text Resultset Row".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dbmesh.errors import ProtocolError
from dbmesh.wire.primitives import unpack_lenenc_bytes, unpack_lenenc_int

Field = bytes | None
FieldReader = Callable[[Sequence[bytes]], tuple[list[list[Field]], Sequence[bytes]]]

_NULL = 0xFB


def make_field_reader(columns: Sequence[int], visible: int | None = None) -> FieldReader:
    """A function that takes the fields of `columns` (ascending, without repeats) out of many rows at once.

    It returns one list of fields per column, and the rows cut down to their first `visible` columns (uncut when
    None). Raises ProtocolError for a row that ends before a field begins.
    """
    if list(columns) == [0] and visible is None:
        return _read_first_column
    stops = sorted({*columns, *(() if visible is None else (visible,))})
    previous = 0
    plan: list[tuple[range, bool, bool]] = []
    wanted = set(columns)
    for stop in stops:
        plan.append((range(stop - previous), stop == visible, stop in wanted))
        previous = stop + 1 if stop in wanted else stop
    if len(columns) == 1 and visible in (None, columns[0]):
        return _single_column_reader(columns[0], cuts=visible is not None)
    return _general_reader(plan, len(columns), visible is not None)


def _read_first_column(rows: Sequence[bytes]) -> tuple[list[list[Field]], Sequence[bytes]]:
    try:
        fields = [row[1 : row[0] + 1] if row[0] < _NULL else _field_at(row, 0)[0] for row in rows]
    except IndexError:
        raise _malformed() from None
    return [fields], rows


def _single_column_reader(column: int, *, cuts: bool) -> FieldReader:
    """`cuts`: rows lose that column and what follows it."""
    skipped = range(column)

    def read(rows: Sequence[bytes]) -> tuple[list[list[Field]], Sequence[bytes]]:
        fields: list[Field] = []
        append = fields.append
        cut_rows: list[bytes] = []
        try:
            for row in rows:
                at = 0
                for _ in skipped:
                    size = row[at]
                    at = at + size + 1 if size < _NULL else _next(row, at)
                size = row[at]
                append(row[at + 1 : at + size + 1] if size < _NULL else _field_at(row, at)[0])
                if cuts:
                    cut_rows.append(row[:at])
        except IndexError:
            raise _malformed() from None
        return [fields], (cut_rows if cuts else rows)

    return read


def _general_reader(plan: Sequence[tuple[range, bool, bool]], count: int, cuts: bool) -> FieldReader:
    """`plan`: columns to skip, whether the row is cut there, whether the field there is wanted."""

    def read(rows: Sequence[bytes]) -> tuple[list[list[Field]], Sequence[bytes]]:
        columns: list[list[Field]] = [[] for _ in range(count)]
        cut_rows: list[bytes] = []
        targets = iter(columns)
        steps = [(skipped, cut, next(targets).append if wanted else None) for skipped, cut, wanted in plan]
        try:
            for row in rows:
                at = 0
                for skipped, cut, append in steps:
                    for _ in skipped:
                        size = row[at]
                        at = at + size + 1 if size < _NULL else _next(row, at)
                    if cut:
                        cut_rows.append(row[:at])
                    if append is not None:
                        size = row[at]
                        if size < _NULL:
                            end = at + size + 1
                            append(row[at + 1 : end])
                            at = end
                        else:
                            field, at = _field_at(row, at)
                            append(field)
        except IndexError:
            raise _malformed() from None
        return columns, (cut_rows if cuts else rows)

    return read


def _next(row: bytes, at: int) -> int:
    """Where the field after the one at `at` begins, when that one is NULL or long."""
    if row[at] == _NULL:
        return at + 1
    length, start = unpack_lenenc_int(row, at)
    return start + length


def _field_at(row: bytes, at: int) -> tuple[Field, int]:
    if row[at] == _NULL:
        return None, at + 1
    return unpack_lenenc_bytes(row, at)


def _malformed() -> ProtocolError:
    return ProtocolError("a row ends inside a field")
