"""The columns of a merged answer as one server tells them.

Decides when they are asked for. Shards run another text than the client's, with hidden columns, other groups or another
order; what a server tells of a column (flags, decimals, origin) depends on
whether it sorts or groups in a temporary table (manual, "Internal Temporary Table Use in MySQL"), which it settles for the
whole statement. So the client's own statement is run beside, once per plan, on one data node and reading no row, and what
its definitions have otherwise is remembered (`session.corrections`). Everything else, such as the length of a literal or the session's character
set, is told by every answer itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from typing_extensions import TypeIs

from dbmesh.backend.connection import Connection
from dbmesh.backend.mysql import MySQLConnection
from dbmesh.engine.exchange import Sink
from dbmesh.engine.lane import Lane
from dbmesh.engine.prepared import Execution
from dbmesh.errors import ShardError
from dbmesh.planner.plan import BoundStatement, OwnStatement, ShardPlan
from dbmesh.session.corrections import Corrections, DefinitionCache
from dbmesh.session.system_tables import Reading
from dbmesh.wire.commands import make_statement_command
from dbmesh.wire.constants import Command
from dbmesh.wire.packets import ColumnDefinition, OkPacket

if TYPE_CHECKING:
    from dbmesh.session.mesh import Database
    from dbmesh.session.session import Session


_SORT_ABORTED = 1028


class CorrectedSink:
    """A sink in front of another: columns are put right on their way, by what is known or by what one server `told`."""

    def __init__(
        self,
        sink: Sink,
        plan: ShardPlan,
        cache: DefinitionCache,
        told: Sequence[ColumnDefinition] | None,
        *,
        empty: bool,
    ) -> None:
        self._sink = sink
        self._plan = plan
        self._cache = cache
        self._told = told
        self._empty = empty
        self.rows = sink.rows

    def columns(self, columns: Sequence[ColumnDefinition]) -> None:
        """See `Sink`."""
        if self._told is not None:
            self._cache.put(self._plan, Corrections(columns, self._told), empty=self._empty)
        known = self._cache.get(self._plan, empty=self._empty)
        self._sink.columns(columns if known is None else known.of(columns))


async def corrected(
    session: Session,
    database: Database,
    plan: ShardPlan,
    bound: BoundStatement,
    lanes: Sequence[Lane],
    way: Execution | None,
    sink: Sink,
) -> Sink:
    """A sink that gets the columns one server tells. They are asked for on the first lane when the plan runs for the
    first time. Raises ShardError (what one server says of the statement) or MeshError."""
    if bound.own is None:
        return sink
    told, cache, empty = None, database.definitions, bound.own.empty
    if cache.get(plan, empty=empty) is None:
        connection = lanes[0].connection
        if not plan.reads_only or not _ends_early(connection):
            return sink
        session.announce(Reading(connection))
        told = await _columns_of(connection, bound.own.statement(), way)
        session.announce(None)
    return CorrectedSink(sink, plan, cache, told, empty=empty)


def _ends_early(connection: Connection) -> TypeIs[MySQLConnection]:
    """LIMIT ROWS EXAMINED is MariaDB's."""
    return isinstance(connection, MySQLConnection) and "MariaDB" in connection.server_version


async def _columns_of(
    connection: MySQLConnection, own: OwnStatement, way: Execution | None
) -> Sequence[ColumnDefinition]:
    receiver = _ColumnReceiver()
    try:
        if way is None:
            connection.query(own.sql, receiver)
            return await receiver.future
        ready = await way.prepare(connection, own.sql, own.parameters)
        connection.prepared.pop(own.sql, None)
        connection.execute(ready.payload, receiver)
        columns = await receiver.future
        if ready.statement_id is not None:
            connection.send_only(make_statement_command(Command.STMT_CLOSE, ready.statement_id))
        return columns
    except asyncio.CancelledError:
        connection.abort()
        raise


class _ColumnReceiver:
    """An answer of which only the columns are kept."""

    def __init__(self) -> None:
        self.future: asyncio.Future[Sequence[ColumnDefinition]] = asyncio.get_running_loop().create_future()
        self._columns: Sequence[ColumnDefinition] = ()

    def columns(self, columns: Sequence[ColumnDefinition]) -> None:
        self._columns = columns

    def rows(self, rows: list[bytes]) -> None:
        """Nobody wants them."""

    def done(self, ok: OkPacket, *, more: bool) -> None:
        del ok, more
        if not self.future.done():
            self.future.set_result(self._columns)

    def failed(self, error: Exception) -> None:
        if self.future.done():
            return
        if isinstance(error, ShardError) and error.number == _SORT_ABORTED:
            # Told as an error, behind the columns: the limit was reached while it sorted.
            self.future.set_result(self._columns)
        else:
            self.future.set_exception(error)
