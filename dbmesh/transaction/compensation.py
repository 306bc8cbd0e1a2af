"""Undoes the committed writes of a BASE transaction on one data source, last one first.

Decides what is put back: a row that is as the write left it becomes what it was before; one that is so already stays; any other
is *dirty*, somebody else has changed it: then nothing of that write is undone, nor of those before it, and the undo table says
why. Each write is undone in a local transaction together with its undo row, so that several may do it at once, and again.
"""

from __future__ import annotations

from collections.abc import Sequence

from dbmesh.backend.connection import Connection
from dbmesh.backend.state import SessionState
from dbmesh.engine.collect import collect
from dbmesh.errors import READ_ONLY, ShardError
from dbmesh.planner.images import ImageTable, Row
from dbmesh.transaction import undo
from dbmesh.transaction.undo import Change, TableChanges

STATE = SessionState(
    variables=(
        ("innodb_lock_wait_timeout", "5"),
        ("sql_mode", "'NO_AUTO_VALUE_ON_ZERO'"),
        ("time_zone", "'+00:00'"),
        ("transaction isolation", "ISOLATION LEVEL READ COMMITTED"),
    ),
)
"""Nothing is refused, rounded or filled in that a table already held."""

_DUPLICATE = 1062

_AGAIN = READ_ONLY | {1053, 1205, 1213, 1317, 1969, 3024}
"""The row is not dirty: a lock was not to be had, somebody has ended the statement (KILL, a time limit), or the server stops or
takes no writes."""

KEYS_PER_QUERY = 500


class Dirty(Exception):
    """A row is neither as the write left it nor as it was before; the text says which one."""


async def compensate(
    connection: Connection, gtrid: str, own: str, above: int = 0, *, again: bool = False
) -> str:
    """Undo a transaction's writes on this connection's data source (its sign `own`) that come after the one numbered
    `above`. Returns why it stopped, '' when all is undone. A write known to be dirty is tried again only with `again`. Raises
    ShardError or MeshError when it cannot be told now; what was undone by then stays so."""
    await connection.bring_to(STATE)
    while True:
        await collect(connection, b"START TRANSACTION")
        try:
            rows = (await collect(connection, undo.last(gtrid, own, above).encode())).rows
            if not rows:
                await collect(connection, b"ROLLBACK")
                return ""
            sequence, images, known = int(rows[0][0] or 0), (rows[0][1] or b"").decode(), rows[0][2]
            if known is not None and not again:
                await collect(connection, b"ROLLBACK")
                return known.decode("utf-8", "replace")
            reason = await _undo(connection, images)
            if not reason:
                await collect(connection, undo.undone(gtrid, own, sequence).encode())
                await collect(connection, b"COMMIT")
                continue
        except BaseException:
            await _leave(connection)
            raise
        await collect(connection, b"ROLLBACK")
        await collect(connection, undo.mark(gtrid, own, sequence, reason).encode())
        return reason


async def keep_current(connection: Connection, gtrid: str, own: str) -> int:
    """Give up undoing what is known to be dirty: its undo row goes, the rows of the tables stay as they are. Returns how many
    writes that is. Raises ShardError or MeshError."""
    result = await collect(connection, undo.give_up(gtrid, own).encode())
    return 0 if result.ok is None else result.ok.affected_rows


async def _undo(connection: Connection, images: str) -> str:
    """Undo one write; returns why it must stay. Raises ShardError for a lock that is not to be had."""
    try:
        for one in reversed(undo.decode(images)):
            await _put_back(connection, one)
    except (Dirty, ValueError) as error:
        return str(error)
    except ShardError as error:
        if error.number in _AGAIN:
            raise
        return str(error)
    return ""


async def _put_back(connection: Connection, changed: TableChanges) -> None:
    """Rows that were made go first and those that were deleted come last: they may share unique keys. So may those that were
    changed: one whose former value another row still has goes first and comes last too."""
    table = changed.table
    keys = [table.key_of(change.after or change.before or ()) for change in changed.changes]
    current = await _current(connection, table, keys)
    wanted: list[Change] = []
    for key, change in zip(keys, changed.changes, strict=True):
        now = current.get(key)
        if now == change.before:
            continue
        if now != change.after:
            raise Dirty(f"row {_named(table, key)} of {table.name} was changed by others")
        wanted.append(change)
    made = [change for change in wanted if change.before is None]
    gone = [change for change in wanted if change.after is None]
    rest = [change for change in wanted if change.before is not None and change.after is not None]
    for change in made:
        await _run(connection, table.put_back(None, change.after))
    for change in reversed(rest):
        try:
            await _run(connection, table.put_back(change.before, change.after))
        except ShardError as error:
            if error.number != _DUPLICATE:
                raise
            await _run(connection, table.put_back(None, change.after))
            gone.append(change)
    for change in gone:
        await _run(connection, table.put_back(change.before, None))
    await _check(connection, table, wanted)


async def _check(connection: Connection, table: ImageTable, wanted: Sequence[Change]) -> None:
    """Raises Dirty unless the rows are what they were: the table itself may have been altered, and a server cuts a value that
    does not fit any more without an error."""
    keys = [table.key_of(change.after or change.before or ()) for change in wanted]
    current = await _current(connection, table, keys)
    for key, change in zip(keys, wanted, strict=True):
        if current.get(key) != change.before:
            raise Dirty(f"row {_named(table, key)} of {table.name} cannot become what it was")


async def _run(connection: Connection, statement: str) -> None:
    await collect(connection, statement.encode("utf-8", "surrogateescape"))


async def _current(connection: Connection, table: ImageTable, keys: Sequence[Row]) -> dict[Row, Row]:
    """The rows as they are now, locked."""
    current: dict[Row, Row] = {}
    for start in range(0, len(keys), KEYS_PER_QUERY):
        query = table.query(table.condition(keys[start : start + KEYS_PER_QUERY]))
        rows = (await collect(connection, query.encode("utf-8", "surrogateescape"))).rows
        current.update((table.key_of(tuple(row)), tuple(row)) for row in rows)
    return current


async def _leave(connection: Connection) -> None:
    """A connection whose local transaction failed must not go back to its pool with it."""
    if connection.usable:
        connection.abort()


def _named(table: ImageTable, key: Row) -> str:
    values = [(value or b"NULL").decode("utf-8", "backslashreplace") for value in key]
    names = [table.columns[index].name for index in table.key]
    return ", ".join(f"{name} = {value}" for name, value in zip(names, values, strict=True))
