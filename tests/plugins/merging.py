"""Helpers of the merge tests: columns, rows, and driving a merger with random chunks in a random order."""

from __future__ import annotations

import random
from collections.abc import Sequence

from dbmesh.merge.fields import Field
from dbmesh.merge.limits import MergeLimits
from dbmesh.merge.rows import RowMerger, make_row_merger, stream_keys
from dbmesh.planner.plan import RowMerge
from dbmesh.wire.constants import ColumnFlag, ColumnType
from dbmesh.wire.packets import ColumnDefinition
from dbmesh.wire.values import decode_text_row, encode_text_row

LIMITS = MergeLimits(max_rows=10_000, max_bytes=10_000_000)
BINARY = 63
UTF8MB4 = 45


def column(
    name: str,
    kind: ColumnType,
    *,
    decimals: int = 0,
    flags: int = 0,
    character_set: int = BINARY,
    stored: bool = True,
) -> ColumnDefinition:
    """A column definition as a server sends it; `stored` columns belong to a table."""
    name_bytes = name.encode()
    table = b"t" if stored else b""
    return ColumnDefinition(
        b"def",
        b"shop",
        table,
        table,
        name_bytes,
        name_bytes if stored else b"",
        character_set,
        20,
        kind,
        flags,
        decimals,
    )


def integer(name: str) -> ColumnDefinition:
    """A BIGINT column."""
    return column(name, ColumnType.LONGLONG)


def decimal(name: str, decimals: int) -> ColumnDefinition:
    """A DECIMAL column."""
    return column(name, ColumnType.NEWDECIMAL, decimals=decimals)


def double(name: str) -> ColumnDefinition:
    """A DOUBLE column that shows all its digits."""
    return column(name, ColumnType.DOUBLE, decimals=31)


def text(name: str) -> ColumnDefinition:
    """A VARCHAR column with a collation."""
    return column(name, ColumnType.VAR_STRING, character_set=UTF8MB4)


def binary(name: str) -> ColumnDefinition:
    """A VARBINARY column; also what WEIGHT_STRING returns."""
    return column(name, ColumnType.VAR_STRING, flags=ColumnFlag.BINARY)


def row(*values: object) -> bytes:
    """A row payload: None is NULL, bytes are as they are, anything else its text."""
    return encode_text_row([_field(value) for value in values])


def _field(value: object) -> Field:
    if value is None or isinstance(value, bytes):
        return value
    return str(value).encode()


def values(rows: Sequence[bytes]) -> list[tuple[str | None, ...]]:
    """Rows as texts; bytes that are no UTF-8 are escaped."""
    return [
        tuple(
            None if field is None else field.decode(errors="backslashreplace")
            for field in decode_text_row(item)
        )
        for item in rows
    ]


def drive(merger: RowMerger, sources: Sequence[Sequence[bytes]], seed: int = 0) -> list[bytes]:
    """What comes out when sources are read in random chunks and turns, as far as the merger wants them."""
    chance = random.Random(seed)
    positions = [0] * len(sources)
    unfinished = set(range(len(sources)))
    out: list[bytes] = []
    while unfinished and not merger.done:
        wanted = [source for source in sorted(unfinished) if merger.wants(source)]
        assert wanted, "the merger waits for nobody"
        source = chance.choice(wanted)
        start = positions[source]
        chunk = list(sources[source][start : start + chance.randint(1, 4)])
        positions[source] += len(chunk)
        out += merger.push(source, chunk)
        if positions[source] == len(sources[source]) and chance.random() < 0.7:
            out += merger.finish(source)
            unfinished.discard(source)
    return out


def merge_rows(
    merge: RowMerge,
    columns: Sequence[ColumnDefinition],
    sources: Sequence[Sequence[bytes]],
    *,
    seed: int = 0,
    limits: MergeLimits = LIMITS,
) -> list[tuple[str | None, ...]]:
    """The merged rows as texts. Where they have an order, whole answers merged at once must give the same."""
    merged = drive(make_row_merger(merge, columns, len(sources), limits), sources, seed)
    if stream_keys(merge, columns):
        whole = make_row_merger(merge, columns, len(sources), limits)
        assert whole.merge([list(source) for source in sources]) == merged
        assert whole.done
    return values(merged)
