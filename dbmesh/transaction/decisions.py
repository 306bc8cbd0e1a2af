"""The table of decisions, `dbmesh_txn`: one row for each distributed transaction that has been decided on a data source.

Decides its shape and the statements about it. A row says whether its transaction is committed; the branches it names
follow, and then nobody needs the row. A row that says "rolled back" is there so that no other can be written.
Knows nothing of who sends the statements.
"""

from __future__ import annotations

from collections.abc import Sequence

from dbmesh.model import DECISION_TABLE as TABLE

MAKE_TABLE = f"""CREATE TABLE IF NOT EXISTS {TABLE} (
 gtrid VARBINARY(64) NOT NULL PRIMARY KEY COMMENT 'global part of the XA identifiers',
 committed TINYINT NOT NULL COMMENT '1: committed, 0: rolled back',
 branches TEXT CHARACTER SET ascii NOT NULL COMMENT 'signs of the data sources with a prepared branch',
 decided_at BIGINT NOT NULL COMMENT 'seconds since 1970'
) ENGINE=InnoDB COMMENT='decisions of transactions over several data sources; made by dbmesh'"""

MAKE_TABLE_ELSEWHERE = MAKE_TABLE.replace(" CHARACTER SET ascii", "")
"""The same for a data source that knows one character set."""

# SYSDATE() is the server's own clock, whatever the session's `timestamp` says.
NOW = "UNIX_TIMESTAMP(SYSDATE())"


def record(schema: str, gtrid: str, branches: Sequence[str]) -> str:
    """The decision to commit, part of the decider's transaction, whose connection may be in another schema by now. `branches`
    are signs."""
    return f"INSERT INTO {quoted(schema)}.{TABLE} VALUES ('{gtrid}', 1, '{','.join(branches)}', {NOW})"


def decide(gtrid: str, places: Sequence[str]) -> str:
    """The decision to commit a transaction whose writes are committed already, on these places (signs)."""
    return f"INSERT INTO {TABLE} VALUES ('{gtrid}', 1, '{','.join(places)}', {NOW})"


def oppose(gtrid: str) -> str:
    """The decision to roll back, unless there is one already. Waits for a row that is not committed yet."""
    return f"INSERT IGNORE INTO {TABLE} VALUES ('{gtrid}', 0, '', {NOW})"


def look_up(gtrid: str) -> str:
    """Whether a transaction is committed."""
    return f"SELECT committed FROM {TABLE} WHERE gtrid = '{gtrid}'"


def forget(gtrids: Sequence[str]) -> str:
    """Delete rows whose branches have all followed."""
    return f"DELETE FROM {TABLE} WHERE gtrid IN ({', '.join(map(repr, gtrids))})"


def old_rows(committed: int, rolled_back: int) -> str:
    """Rows at least so many seconds old, depending on what they say: name, branches. Only those that may be deleted, so that
    others do not stand in their way."""
    age = f"{NOW} - decided_at"
    return f"SELECT gtrid, branches FROM {TABLE} WHERE {age} >= IF(committed, {committed}, {rolled_back}) LIMIT 1000"


def open_snapshot(schema: str) -> str:
    """Reads a table of InnoDB, so that a branch of REPEATABLE READ has its snapshot from here on."""
    return f"SELECT COUNT(*) FROM {quoted(schema)}.{TABLE} WHERE gtrid = ''"


def quoted(name: str) -> str:
    """An identifier in backquotes."""
    return "`" + name.replace("`", "``") + "`"
