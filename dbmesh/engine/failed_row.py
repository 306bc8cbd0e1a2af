"""Which error of a split INSERT is told: that of the first row one server would not have inserted.

Decides how it is found out which row a shard's error is about: MariaDB keeps its number (ROW_NUMBER); elsewhere the text may name
it, and else the shard's first row stands for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from dbmesh.backend.mysql import MySQLConnection
from dbmesh.engine.collect import Collector, Result
from dbmesh.errors import ROLLED_BACK_BY_SERVER, MeshError, ShardError

_KEEP = b"GET DIAGNOSTICS CONDITION 1 @dbmesh_row = ROW_NUMBER"
_TELL = b"SELECT @dbmesh_row, @dbmesh_row := NULL"

BEFORE_ROWS = frozenset((1052, 1054, 1064, 1109, 1110, 1136, 1146, 1241, 1305, 1318, 1364, 1582, 1584))
"""Errors of the statement itself: it is looked at as a whole before its first row."""

NO_ROW = -1
"""In place of a row's number: the error is of no row, or the rows have no order."""

_ENDS_TRANSACTION = -2


def rank(error: Exception, row: int) -> int:
    """Where an error stands among those of one statement, the least is told; `row` is the failed row's number. Below 0 the
    others do not matter any more."""
    if not isinstance(error, ShardError):
        return NO_ROW
    if error.number in ROLLED_BACK_BY_SERVER:
        return _ENDS_TRANSACTION
    return 0 if row != NO_ROW and error.number in BEFORE_ROWS else row


def ask_failed_row(connection: MySQLConnection, told: Callable[[int | None], None]) -> None:
    """Ask for the number of the row the connection's last error is about, counted by the shard; None where it does not say.
    The connection is at rest."""
    collector = Collector()
    collector.future.add_done_callback(partial(_kept, connection, told))
    connection.query(_KEEP, collector)


def _kept(
    connection: MySQLConnection, told: Callable[[int | None], None], future: asyncio.Future[Result]
) -> None:
    if future.exception() is not None:
        told(None)
        return
    collector = Collector()
    collector.future.add_done_callback(partial(_told, told))
    connection.query(_TELL, collector)


def _told(told: Callable[[int | None], None], future: asyncio.Future[Result]) -> None:
    try:
        rows = future.result().rows
    except (MeshError, ShardError):
        rows = []
    # A SELECT of constants that a KILL meets ends without rows.
    number = rows[0][0] if rows else None
    told(int(number) if number else None)
