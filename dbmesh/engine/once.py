"""Which warnings of a query over several data nodes belong to the statement, and not to rows of its sharded tables: one server
gives them once, of several shards every one does. Constants that are converted when they are first needed, subqueries and
joined tables that every data node holds.

Decides by trial: a data node runs the statement over each of its rows once, and over each twice. What grows is about rows.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Sequence

from dbmesh.backend.mysql import MySQLConnection
from dbmesh.engine.collect import Collector
from dbmesh.engine.prepared import Execution
from dbmesh.engine.warnings import Repetition, ShardWarning, warnings_in
from dbmesh.errors import ShardError
from dbmesh.planner.plan import OwnStatement
from dbmesh.wire.commands import make_statement_command
from dbmesh.wire.constants import Command


class Trial:
    """Tells the warnings of a statement from those of rows. `statement` gives its text for a shot's place and a number of
    times; one that keeps parameters is run in this `way`."""

    def __init__(self, statement: Callable[[int, int], OwnStatement], way: Execution | None) -> None:
        self._statement = statement
        self._way = way

    async def of_statement(
        self, connection: MySQLConnection, place: int, open_: Collection[ShardWarning]
    ) -> list[ShardWarning] | None:
        """Which of the `open_` warnings one data node gives once; None where it cannot be told. The connection is at rest.
        Raises MeshError when it is lost."""
        found: list[Counter[ShardWarning]] = []
        for times in (1, 2):
            try:
                warnings = await self._warnings(connection, self._statement(place, times))
            except ShardError:
                return None
            if warnings is None:
                return None
            found.append(Counter(warnings))
        once, twice = found
        if not once.keys() >= set(open_):
            # Over derived tables the server has gone another way, on which it does not meet them.
            return None
        return [one for one in open_ for _ in range(2 * once[one] - twice[one])]

    async def _warnings(
        self, connection: MySQLConnection, own: OwnStatement
    ) -> Sequence[ShardWarning] | None:
        """All its warnings; None where the server does not keep them all."""
        collector, counts = Collector(), [0]
        receiver = Repetition(connection, collector, lambda ok: counts.append(ok.warnings))
        try:
            if self._way is None:
                connection.query(own.sql, receiver)
                warnings = warnings_in(await collector.future)
            else:
                ready = await self._way.prepare(connection, own.sql, own.parameters)
                connection.prepared.pop(own.sql, None)
                connection.execute(ready.payload, receiver)
                warnings = warnings_in(await collector.future)
                if ready.statement_id is not None:
                    connection.send_only(make_statement_command(Command.STMT_CLOSE, ready.statement_id))
        except asyncio.CancelledError:
            connection.abort()
            raise
        return warnings if len(warnings) == counts[-1] else None
