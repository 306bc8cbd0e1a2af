"""Finishes a DDL statement that stopped half-way: what is left to do, on the nodes that have not done it.

Decides which answers of a server mean that a node has the change already. The connection comes in as a function.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

from dbmesh.errors import ShardError
from dbmesh.governance import ddl_journal
from dbmesh.governance.ddl_journal import DdlRecord
from dbmesh.governance.store import Store

RunOn = Callable[[str, str], Awaitable[None]]
"""Runs SQL on a data source. Raises ShardError or MeshError."""

_DONE = {
    "CREATE": frozenset((1050, 1061)),
    "DROP": frozenset((1051, 1091, 1146)),
    "ALTER": frozenset((1054, 1060, 1061, 1091, 1826)),
    "RENAME": frozenset((1146, 1050)),
    "TRUNCATE": frozenset[int](),
}
"""Statement → errors that say that the object has, or has not, what was to be made or taken away (manual, "Server Error
Message Reference")."""

_DROP_TABLE = re.compile(r"\s*DROP\s+TABLES?\s+(?!IF\b)", re.IGNORECASE)


async def resume(store: Store, record: DdlRecord, run_on: RunOn) -> int:
    """Run what is left of a statement, then change the rules and forget the record. Returns how many nodes were asked.
    Raises ShardError or MeshError, and what was done until then is remembered; Conflict when somebody else goes on with it, or has."""
    # Nobody who has read it before goes on with it from here.
    record = await ddl_journal.stop(store, record, ())
    done_already = _DONE.get(record.nodes[0].sql.split(maxsplit=1)[0].upper(), frozenset())
    if record.change.made and record.change.gone:
        done_already |= _DONE["RENAME"]
    asked = 0
    for node in record.nodes:
        if node.done:
            continue
        # A list of tables of which some are gone: every server must drop the others.
        sql = _DROP_TABLE.sub("DROP TABLE IF EXISTS ", node.sql)
        try:
            await run_on(node.data_source, sql)
        except ShardError as error:
            if error.number not in done_already:
                raise
        record = await ddl_journal.stop(store, record, [node])
        asked += 1
    await ddl_journal.finish(store, record, None)
    return asked
