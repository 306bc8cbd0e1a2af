"""What MariaDB tells of a cursor: it keeps the rows in a temporary table, whose columns are not quite the query's.

Decides which flags such a column has, and how a BIT that a query computes is sent: by its digits otherwise, by its bits there.
Refuses to know where rows come from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from dbmesh.wire.constants import ColumnFlag, ColumnType
from dbmesh.wire.packets import ColumnDefinition
from dbmesh.wire.values import strings_rewriter

_NUMBERS = frozenset(
    (
        ColumnType.TINY,
        ColumnType.SHORT,
        ColumnType.INT24,
        ColumnType.LONG,
        ColumnType.LONGLONG,
        ColumnType.FLOAT,
        ColumnType.DOUBLE,
        ColumnType.NEWDECIMAL,
        ColumnType.BIT,
    )
)
_BINARY = ColumnFlag.BINARY.value
_FORGOTTEN = (
    ColumnFlag.PRIMARY_KEY
    | ColumnFlag.UNIQUE_KEY
    | ColumnFlag.MULTIPLE_KEY
    | ColumnFlag.PART_KEY
    | ColumnFlag.AUTO_INCREMENT
    | ColumnFlag.NUM
).value


def column_of_cursor(column: ColumnDefinition) -> ColumnDefinition:
    """The definition of the temporary table's column: it is in no key and no group, and a number is no binary text."""
    gone = _FORGOTTEN | (_BINARY if column.type in _NUMBERS else 0)
    return replace(column, flags=column.flags & ~gone) if column.flags & gone else column


def bits_of_cursor(columns: Sequence[ColumnDefinition]) -> Callable[[Sequence[bytes]], list[bytes]] | None:
    """What makes the cursor's rows of the query's binary rows; None where they are the same. Of a table's own column the query
    sends the bits already, and does not call it binary."""
    writers = [
        partial(_bits, size=(column.length + 7) // 8)
        if column.type == ColumnType.BIT and column.flags & _BINARY
        else None
        for column in columns
    ]
    return strings_rewriter(columns, writers) if any(writers) else None


def _bits(digits: bytes, size: int) -> bytes:
    return int(digits).to_bytes(size, "big")
