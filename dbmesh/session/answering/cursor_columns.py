"""What MariaDB tells of a cursor: it keeps the rows in a temporary table, whose columns are not quite the query's.

Decides which flags such a column has. Refuses to know where rows come from. Values stay: what a query sends of a BIT it computes, its
digits or its bits, no definition tells.
"""

from __future__ import annotations

from dataclasses import replace

from dbmesh.wire.constants import ColumnFlag, ColumnType
from dbmesh.wire.packets import ColumnDefinition

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
