"""Rows of a binlog: which table an event speaks of, and what became of the rows it changed.

Decides how a row is walked: only columns of keys become values, the others are passed over by their length. Knows no table but those it is
asked for. Sources: Table_map_event and Rows_event.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from dbmesh.errors import ProtocolError, not_supported
from dbmesh.wire.binlog import Event, EventKind, uncompressed
from dbmesh.wire.binlog_values import KeyColumn, Text, layouts, text_of
from dbmesh.wire.primitives import (
    truncated,
    unpack_fixed_bytes,
    unpack_fixed_int,
    unpack_lenenc_bytes,
    unpack_lenenc_int,
)

Key = tuple[bytes | None, ...]


class Change(NamedTuple):
    """What became of the row of a key: its `image` as the event has it, None where there is none any more. `whole` tells that the image has
    all columns: of two tables of one layout, such images are the same where the rows are."""

    key: Key
    image: bytes | None
    whole: bool


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
_DELETES = frozenset(
    (
        EventKind.DELETE_ROWS_V1,
        EventKind.DELETE_ROWS,
        EventKind.DELETE_ROWS_COMPRESSED_V1,
        EventKind.DELETE_ROWS_COMPRESSED,
    )
)
ROWS: Final = _V1 | _COMPRESSED | _UPDATES | {EventKind.WRITE_ROWS, EventKind.DELETE_ROWS}
"""Events that tell of rows."""


TABLE_NUMBER: Final = 6
"""Bytes of the number by which events name a table."""

MOST_WALKS: Final = 256
"""Ways of walking rows that are remembered for each table."""


class TableName(NamedTuple):
    """An actual table, in lower case: some servers compare names so."""

    schema: str
    table: str


def parse_table(body: bytes) -> tuple[TableName, int]:
    """TABLE_MAP: the table, and where its columns begin. Raises ProtocolError."""
    _, position = unpack_fixed_bytes(body, 0, TABLE_NUMBER + 2)
    schema, position = unpack_lenenc_bytes(body, position)
    _, position = unpack_fixed_int(body, position, 1)
    table, position = unpack_lenenc_bytes(body, position)
    _, position = unpack_fixed_int(body, position, 1)
    return TableName(_lowered(schema), _lowered(table)), position


def _lowered(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape").lower()


def table_number(body: bytes) -> int:
    """The number by which TABLE_MAP and the events of `ROWS` behind it name a table. Raises ProtocolError."""
    return unpack_fixed_int(body, 0, TABLE_NUMBER)[0]


class _Walk(NamedTuple):
    """How a row is walked whose image has certain columns, of which certain ones are NULL. Each step: bytes to pass over, bytes of a length, bytes
    of a value without one, and for a column of the key its place in it and what makes its text. Then `rest` bytes follow. `nulls` are places
    of the key, and `lacks` tells that the image has not got all of it."""

    steps: tuple[tuple[int, int, int, int, Text | None], ...]
    rest: int
    nulls: tuple[int, ...]
    lacks: bool


class TableRows:
    """Reads the rows of one table as TABLE_MAP describes it; `columns` of its columns in all, of which `key` are wanted."""

    def __init__(self, body: bytes, position: int, columns: int, key: Sequence[KeyColumn]) -> None:
        """There is at least one of these. `body` from `position` on describes columns. Raises ProtocolError, and MeshError NOT_SUPPORTED
        for a table that is not what it was, or whose values are not read."""
        kinds, position = unpack_lenenc_bytes(body, position)
        metadata, _ = unpack_lenenc_bytes(body, position)
        if len(kinds) != columns:
            raise not_supported(
                f"following a table of {len(kinds)} columns that had {columns}", "begin again"
            )
        self._layouts = layouts(kinds, metadata)
        self.layout = kinds + metadata
        self._size = len(key)
        self._key = {
            one.index: (place, text_of(self._layouts[one.index], one)) for place, one in enumerate(key)
        }
        # By the columns an image has, and those that are NULL. Most rows have the same.
        self._walks: dict[tuple[int, int], _Walk] = {}

    def changes(self, event: Event) -> list[Change]:
        """What became of the rows that an event wrote, changed (one whose key changed is gone from the former) or deleted. Raises
        ProtocolError, and MeshError NOT_SUPPORTED where a row's image has no key. O(bytes)."""
        body, position = event.body, 8
        if event.kind not in _V1:
            more, position = unpack_fixed_int(body, position, 2)
            _, position = unpack_fixed_bytes(body, position, max(more - 2, 0))
        width, position = unpack_lenenc_int(body, position)
        if width != len(self._layouts):
            raise ProtocolError("rows in the binlog have other columns than their table")
        updates = event.kind in _UPDATES
        before, position = unpack_fixed_int(body, position, (width + 7) // 8)
        after = before
        if updates:
            after, position = unpack_fixed_int(body, position, (width + 7) // 8)
        rows = body[position:]
        if event.kind in _COMPRESSED:
            rows = uncompressed(rows)
        removes, whole = event.kind in _DELETES, after.bit_count() == width
        found: list[Change] = []
        start = 0
        while start < len(rows):
            key, end = self._row(rows, start, before, None)
            if updates:
                former, start = key, end
                key, end = self._row(rows, start, after, former)
                if former != key:
                    found.append(Change(former, None, True))
            found.append(Change(key, None if removes else rows[start:end], whole or removes))
            start = end
        return found

    def _row(self, rows: bytes, position: int, present: int, former: Key | None) -> tuple[Key, int]:
        """The key of a row and where the next begins. What the image leaves out is as in the `former` one."""
        nulls, position = unpack_fixed_int(rows, position, (present.bit_count() + 7) // 8)
        walk = self._walks.get((present, nulls))
        if walk is None:
            walk = self._walk(present, nulls)
        key: list[bytes | None] = [None] * self._size if former is None else list(former)
        if walk.lacks and former is None:
            raise not_supported(
                "a row in the binlog whose image lacks a column of the key", "set binlog_row_image to FULL"
            )
        for place in walk.nulls:
            key[place] = None
        for passed, prefix, size, place, text in walk.steps:
            position += passed
            if prefix:
                size = int.from_bytes(rows[position : position + prefix], "little")
                position += prefix
            end = position + size
            if text is not None:
                if end > len(rows):
                    break
                key[place] = text(rows[position:end])
            position = end
        else:
            position += walk.rest
            if position <= len(rows):
                return tuple(key), position
        raise truncated("a row of the binlog")

    def _walk(self, present: int, nulls: int) -> _Walk:
        """How to walk such rows; remembered."""
        steps: list[tuple[int, int, int, int, Text | None]] = []
        none: list[int] = []
        passed = seen = bit = 0
        for index, layout in enumerate(self._layouts):
            if not present >> index & 1:
                continue
            place, text = self._key.get(index, (0, None))
            seen += text is not None
            if nulls >> bit & 1:
                if text is not None:
                    none.append(place)
            elif text is not None or layout.prefix:
                steps.append((passed, layout.prefix, layout.size, place, text))
                passed = 0
            else:
                passed += layout.size
            bit += 1
        if len(self._walks) == MOST_WALKS:
            self._walks.clear()
        walk = _Walk(tuple(steps), passed, tuple(none), seen < self._size)
        self._walks[present, nulls] = walk
        return walk
