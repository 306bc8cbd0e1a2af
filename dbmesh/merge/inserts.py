"""Rows a data source sent, as the rows of an INSERT: value for value the same on the other side.

Decides how a text-protocol value is written as a literal. The reader is a connection with UTF-8, backslash escapes and
the time zone +00:00; what each column holds is said by its `LoadedColumn`. Source: manual, "String Literals".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dbmesh.errors import ProtocolError
from dbmesh.planner.scans import LiteralForm, LoadedColumn
from dbmesh.wire.primitives import unpack_lenenc_int

_NULL = 0xFB
_ZERO_MOMENTS = (b"0", b"0.0", b"0.00", b"0.000", b"0.0000", b"0.00000", b"0.000000")

RowsWriter = Callable[[Sequence[bytes]], list[bytes]]


def make_rows_writer(columns: Sequence[LoadedColumn]) -> RowsWriter:
    """A function from text row payloads to `(…)` each. It raises ProtocolError for a row that is not `columns` long."""
    writers = tuple(map(_writer, columns))

    def write(rows: Sequence[bytes]) -> list[bytes]:
        return [_row(row, writers) for row in rows]

    return write


Writer = Callable[[bytes], bytes]


def _row(row: bytes, writers: Sequence[Writer | None]) -> bytes:
    pieces: list[bytes] = []
    at = 0
    try:
        for write in writers:
            size = row[at]
            start = at + 1
            if size > _NULL:
                size, start = unpack_lenenc_int(row, at)
            elif size == _NULL:
                pieces.append(b"NULL")
                at = start
                continue
            at = start + size
            pieces.append(row[start:at] if write is None else write(row[start:at]))
    except IndexError:
        raise ProtocolError("a truncated row") from None
    if at != len(row):
        raise ProtocolError(f"a row that is not {len(writers)} values long")
    return b"(%b)" % b",".join(pieces)


def _writer(column: LoadedColumn) -> Writer | None:
    """None: the text is the literal."""
    if column.form is LiteralForm.NUMBER:
        return None
    if column.form is LiteralForm.QUOTED:
        return _quoted
    if column.form is LiteralForm.MOMENT:
        return _moment
    introducer = (column.introducer or "_binary ").encode()
    return lambda value: introducer + _quoted(value)


def _quoted(value: bytes) -> bytes:
    if b"\\" in value or b"'" in value:
        value = value.replace(b"\\", b"\\\\").replace(b"'", b"\\'")
    return b"'%b'" % value


def _moment(value: bytes) -> bytes:
    # Second 0 is before the first TIMESTAMP there can be: UNIX_TIMESTAMP says it of the zero date.
    return b"'0000-00-00 00:00:00'" if value in _ZERO_MOMENTS else b"FROM_UNIXTIME(%b)" % value
