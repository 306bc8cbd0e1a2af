"""The columns of a merged answer as one server tells them.

Decides when they are asked for. Shards run another text than the client's, with hidden columns, other groups or another
order; what a server tells of a column (flags, decimals, origin) depends on
whether it sorts or groups in a temporary table (manual, "Internal Temporary Table Use in MySQL"), which it settles for the
whole statement. So the client's own statement is run beside, once per plan, on one data node, and what its definitions have
otherwise is remembered (`session.answering.corrections`). MariaDB ends it before it reads a row; MySQL tells the columns before it
reads one, and gives up a moment later. Everything else, such as the length of a literal or the session's character
set, is told by every answer itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dbmesh.backend.connection import Connection, Product
from dbmesh.backend.mysql import MySQLConnection
from dbmesh.engine.exchange import Sink
from dbmesh.engine.lane import Lane
from dbmesh.engine.prepared import Execution
from dbmesh.errors import ShardError
from dbmesh.planner.plan import BoundStatement, OwnStatement, ShardPlan
from dbmesh.session.answering.corrections import Corrections, DefinitionCache
from dbmesh.session.statements.system_tables import Reading
from dbmesh.wire.commands import make_statement_command
from dbmesh.wire.constants import Command
from dbmesh.wire.packets import ColumnDefinition, OkPacket

if TYPE_CHECKING:
    from dbmesh.session.mesh import Database
    from dbmesh.session.session import Session


_ENDED = frozenset({1028, 3024})
"""Told as an error behind the columns: the limit was reached while rows were sorted (MariaDB), or the time (MySQL)."""

_INTERRUPTED = 1317
"""What MySQL says instead when the time is over inside a subquery, and what KILL QUERY says."""

_SYNTAX = 1064

_MOMENTS = (10, 100, 1000)
"""Milliseconds MySQL is given, the next when it was too busy to tell even the columns."""


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
        if (
            not plan.reads_only
            or not isinstance(connection, MySQLConnection)
            or connection.product is Product.OTHER
        ):
            return sink
        asking = _Asking(connection)
        session.announce(asking)
        try:
            if connection.product is Product.MARIADB:
                told = await _columns_of(asking, bound.own.statement(True), way)
            else:
                told = await _columns_in_time(asking, bound.own.statement(False), way)
        except ShardError as error:
            # What cannot be read has no columns; the client is told by its own text.
            if error.number != _SYNTAX:
                raise
        session.announce(None)
    return CorrectedSink(sink, plan, cache, told, empty=empty)


class _Asking(Reading):
    """The question under way. `stopped`: by KILL, or since the client is gone."""

    def __init__(self, connection: MySQLConnection) -> None:
        super().__init__(connection)
        self.connection = connection
        self.stopped = False

    def busy_connections(self) -> list[Connection]:
        """See `Reading`; asked by who stops it."""
        self.stopped = True
        return super().busy_connections()

    def ends(self, error: Exception) -> bool:
        """Whether an error only says that the columns are all there is."""
        if not isinstance(error, ShardError):
            return False
        return error.number in _ENDED or (error.number == _INTERRUPTED and not self.stopped)


async def _columns_in_time(
    asking: _Asking, own: OwnStatement, way: Execution | None
) -> Sequence[ColumnDefinition] | None:
    """None when the server does not come to tell them. Raises ShardError or MeshError."""
    connection = asking.connection
    usual = connection.state
    try:
        for moment in _MOMENTS:
            await connection.bring_to(usual.with_variable(_TIME, str(moment)))
            columns = await _columns_of(asking, own, way)
            if columns:
                return columns
        return None
    finally:
        if connection.usable:
            await connection.bring_to(usual)


_TIME = "max_execution_time"


async def _columns_of(
    asking: _Asking, own: OwnStatement, way: Execution | None
) -> Sequence[ColumnDefinition]:
    connection, receiver = asking.connection, _ColumnReceiver(asking)
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

    def __init__(self, asking: _Asking) -> None:
        self._asking = asking
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
        if self._asking.ends(error):
            self.future.set_result(self._columns)
        else:
            self.future.set_exception(error)
