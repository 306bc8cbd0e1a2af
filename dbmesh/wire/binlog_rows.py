"""Rows of a binlog: which table an event speaks of, and the keys of the rows it changed.

Decides how a row is walked: only columns of keys become values, the others are passed over by their length. Knows no table but those it is
asked for. Sources: Table_map_event and Rows_event.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from dbmesh.errors import ProtocolError, not_supported
from dbmesh.wire.binlog import Event, EventKind, uncompressed
from dbmesh.wire.binlog_values import KeyColumn, Text, bounds, layouts, text_of
from dbmesh.wire.primitives import (
    unpack_fixed_bytes,
    unpack_fixed_int,
    unpack_lenenc_bytes,
    unpack_lenenc_int,
)

Key = tuple[bytes | None, ...]

_V1 = frozenset(
    (
        EventKind.WRITE_ROWS_V1,
        EventKind.UPDATE_ROWS_V1,
        EventKind.DELETE_ROWS_V1,
        EventKind.WRITE_ROWS_COMPRESSED_V1,
        EventKind.UPDATE_ROWS_COMPRESSED_V1,
        EventKind.DELETE_ROWS_COMPRESSED_V1,
    )
)
_COMPRESSED = frozenset(
    (
        EventKind.WRITE_ROWS_COMPRESSED_V1,
        EventKind.UPDATE_ROWS_COMPRESSED_V1,
        EventKind.DELETE_ROWS_COMPRESSED_V1,
        EventKind.WRITE_ROWS_COMPRESSED,
        EventKind.UPDATE_ROWS_COMPRESSED,
        EventKind.DELETE_ROWS_COMPRESSED,
    )
)
_UPDATES = frozenset(
    (
        EventKind.UPDATE_ROWS_V1,
        EventKind.UPDATE_ROWS,
        EventKind.UPDATE_ROWS_COMPRESSED_V1,
        EventKind.UPDATE_ROWS_COMPRESSED,
    )
)
ROWS: Final = _V1 | _COMPRESSED | _UPDATES | {EventKind.WRITE_ROWS, EventKind.DELETE_ROWS}
"""Events that tell of rows."""


class TableName(NamedTuple):
    """An actual table, in lower case: some servers compare names so."""

    schema: str
    table: str


def parse_table(body: bytes) -> tuple[int, TableName, int]:
    """TABLE_MAP: the number its rows name the table by, the table, and where its columns begin. Raises ProtocolError."""
    number, position = unpack_fixed_int(body, 0, 6)
    _, position = unpack_fixed_int(body, position, 2)
    schema, position = unpack_lenenc_bytes(body, position)
    _, position = unpack_fixed_int(body, position, 1)
    table, position = unpack_lenenc_bytes(body, position)
    _, position = unpack_fixed_int(body, position, 1)
    return number, TableName(_lowered(schema), _lowered(table)), position


def _lowered(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape").lower()


def table_number(body: bytes) -> int:
    """The number of the table whose rows an event of `ROWS` tells of. Raises ProtocolError."""
    return unpack_fixed_int(body, 0, 6)[0]


class TableRows:
    """Reads the rows of one table as TABLE_MAP describes it; `columns` of its columns in all, of which `key` are wanted."""

    def __init__(self, body: bytes, position: int, columns: int, key: Sequence[KeyColumn]) -> None:
        """There is at least one of these. `body` from `position` on describes columns. Raises ProtocolError, and MeshError NOT_SUPPORTED for a table that is not what
        it was, or whose values are not read."""
        kinds, position = unpack_lenenc_bytes(body, position)
        metadata, _ = unpack_lenenc_bytes(body, position)
        if len(kinds) != columns:
            raise not_supported(
                f"following a table of {len(kinds)} columns that had {columns}", "begin again"
            )
        self._layouts = layouts(kinds, metadata)
        self._key = [(one.index, text_of(self._layouts[one.index], one)) for one in key]

    def keys(self, event: Event) -> list[Key]:
        """The keys of the rows that an event wrote, changed (before and after) or deleted. Raises ProtocolError, and MeshError
        NOT_SUPPORTED where a row's image has no key. O(bytes)."""
        body, position = event.body, 8
        if event.kind not in _V1:
            more, position = unpack_fixed_int(body, position, 2)
            _, position = unpack_fixed_bytes(body, position, max(more - 2, 0))
        width, position = unpack_lenenc_int(body, position)
        if width != len(self._layouts):
            raise ProtocolError("rows in the binlog have other columns than their table")
        before, position = _present(body, position, width)
        after = before
        if event.kind in _UPDATES:
            after, position = _present(body, position, width)
        rows = body[position:]
        if event.kind in _COMPRESSED:
            rows = uncompressed(rows)
        found: list[Key] = []
        start = 0
        while start < len(rows):
            key, start = self._row(rows, start, before, None)
            found.append(key)
            if event.kind in _UPDATES:
                changed, start = self._row(rows, start, after, key)
                if changed != key:
                    found.append(changed)
        return found

    def _row(self, rows: bytes, position: int, present: list[int], former: Key | None) -> tuple[Key, int]:
        """The key of a row and where the next begins. What the image leaves out is as in the `former` one."""
        size = (len(present) + 7) // 8
        nulls, position = unpack_fixed_int(rows, position, size)
        found: dict[int, tuple[int, int] | None] = {}
        columns = self._layouts
        for bit, index in enumerate(present):
            if nulls >> bit & 1:
                found[index] = None
            else:
                found[index] = bounds(columns[index], rows, position)
                position = found[index][1]  # type: ignore[index]
        return tuple(self._values(rows, found, former)), position

    def _values(
        self, rows: bytes, found: dict[int, tuple[int, int] | None], former: Key | None
    ) -> Iterator[bytes | None]:
        for place, (index, text) in enumerate(self._key):
            if index in found:
                yield _value(rows, found[index], text)
            elif former is not None:
                yield former[place]
            else:
                raise not_supported(
                    "a row in the binlog whose image lacks a column of the key",
                    "set binlog_row_image to FULL",
                )


def _value(rows: bytes, place: tuple[int, int] | None, text: Text) -> bytes | None:
    return None if place is None else text(rows[place[0] : place[1]])


def _present(body: bytes, position: int, width: int) -> tuple[list[int], int]:
    """The columns of an image."""
    bits, position = unpack_fixed_int(body, position, (width + 7) // 8)
    return [index for index in range(width) if bits >> index & 1], position
