"""Federation: scans are loaded into temporary tables of a merge node, where the final statement runs.

Decides the order of work on the merge connection, flow control between scans and INSERTs, and the limits. Refuses to
know sessions: connections arrive ready, and the caller is told what runs, so that it can pause or kill it.

Whatever goes wrong, the merge connection is closed: its server then drops the temporary tables. It goes back to its pool
only after they were dropped.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from dbmesh.backend.connection import Connection
from dbmesh.backend.mysql import MySQLConnection, PreparedOnShard
from dbmesh.backend.state import CHARACTERISTICS, SessionState
from dbmesh.engine.collect import collect, found_rows
from dbmesh.engine.exchange import Exchange, Outcome, Sink
from dbmesh.engine.lane import Lane, ShotWatch
from dbmesh.engine.prepared import Execution
from dbmesh.errors import INTERNAL, MERGE_LIMIT, QUERY_INTERRUPTED, TABLE_CHANGED, MeshError, not_supported
from dbmesh.merge.inserts import RowsWriter, make_rows_writer
from dbmesh.merge.limits import MergeLimits
from dbmesh.planner.federation.definition import TableDefinition, read_definition, temporary_table
from dbmesh.planner.plan import Relay, RowMerge, Shot
from dbmesh.planner.scans import Federation, Scan
from dbmesh.planner.template import quote_name
from dbmesh.wire.commands import make_statement_command
from dbmesh.wire.constants import Command
from dbmesh.wire.packets import ColumnDefinition, OkPacket

LOAD_STATE = SessionState(
    variables=(("sql_mode", "'NO_AUTO_VALUE_ON_ZERO'"), ("time_zone", "'+00:00'")),
)
"""The merge connection while it loads: nothing is refused, rounded or filled in that a table already held."""

STATEMENT_BYTES = 512 * 1024
"""Size from which an INSERT is sent; rows longer than that go alone."""

STATEMENTS_WAITING = 4
"""INSERTs that may wait for the merge node before the scans are paused."""


@dataclass(frozen=True, slots=True)
class FederationLimits:
    """What one federated statement may load: `max_rows` rows and `max_bytes` bytes."""

    max_rows: int = 1_000_000
    max_bytes: int = 512 * 1024 * 1024


@dataclass(slots=True)
class FederationCounts:
    """What federated statements have loaded on merge nodes, and the seconds that took and those of their final statements."""

    runs: int = 0
    rows: int = 0
    size: int = 0
    seconds: float = 0.0


class UnderWay(Protocol):
    """A part of a statement that can be paused for a slow client and whose connections can be killed."""

    def pause(self) -> None:
        """The client reads too slowly."""
        ...

    def resume(self) -> None:
        """The client reads again."""
        ...

    def busy_connections(self) -> Sequence[Connection]:
        """Connections whose statement still runs, for KILL."""
        ...

    def interrupt(self) -> None:
        """KILL: what is left is not begun. What has been done in full stays done."""
        ...


Announce = Callable[[UnderWay | None], None]
"""Told what runs from now on; None between two parts."""


def final_state(session: SessionState) -> SessionState:
    """The session's state for the final statement, which runs outside the session's transaction."""
    for name in ("autocommit", *CHARACTERISTICS):
        session = session.with_variable(name, None)
    return session


async def definition_of(connection: Connection, scan: Scan) -> TableDefinition:
    """The definition of a scan's table, read on a connection in `LOAD_STATE` to its data source.

    Raises MeshError: NOT_SUPPORTED for a view, TABLE_CHANGED when the plan knew other columns; ShardError.
    """
    name = quote_name(scan.node.table, quoted=True)
    shown = (await collect(connection, f"SHOW CREATE TABLE {name}".encode("utf-8", "surrogateescape"))).rows
    text = (shown[0][1] or b"").decode("utf-8", "surrogateescape") if shown else ""
    try:
        definition = read_definition(text)
    except ValueError:
        raise not_supported(
            f"the view '{scan.logic_table}' in a statement over several data nodes", "name its tables instead"
        ) from None
    if frozenset(column.name.lower() for column in definition.columns) != scan.known:
        raise MeshError(TABLE_CHANGED, table=scan.logic_table)
    return definition


class FederatedRun:
    """One federated statement. Create, `await prepare(…)`, `await load(…)`, `await finish(…)`; then `close`, always."""

    def __init__(
        self,
        federation: Federation,
        merge: Connection,
        limits: FederationLimits,
        announce: Announce,
        watch: ShotWatch | None = None,
    ) -> None:
        self._watch = watch
        self.loaded = _Load(limits)
        self._federation = federation
        self._merge = merge
        self._limits = limits
        self._announce = announce
        self._prepared: int | None = None
        self._clean = False

    async def prepare(self, definitions: Sequence[TableDefinition]) -> None:
        """Make the temporary tables; the merge connection is in `LOAD_STATE`. Raises ShardError or MeshError."""
        for scan, definition in zip(self._federation.scans, definitions, strict=True):
            columns = [column.name for column in scan.columns]
            text = temporary_table(definition, scan.table, columns)
            await collect(self._merge, text.encode("utf-8", "surrogateescape"))

    async def load(self, lanes: Sequence[Lane], merge_limits: MergeLimits) -> None:
        """Run every scan on these lanes' connections (one per data source) and load its rows. Raises as `prepare`."""
        own = {lane.connection.data_source: lane for lane in lanes}
        load = self.loaded
        for scan in self._federation.scans:
            table = _TableLoad(scan, self._merge, load)
            exchange = Exchange(_scan_lanes(scan, own), RowMerge(), table, merge_limits, watch=self._watch)
            table.source = exchange
            self._announce(_Loading(exchange, self._merge))
            await exchange.run()
            await table.finish()
        self._announce(None)

    async def finish(
        self,
        state: SessionState,
        sink: Sink,
        merge_limits: MergeLimits,
        execution: Execution | None = None,
    ) -> Outcome:
        """Run the final statement in the session's `state`; with `execution` it is prepared and executed. Raises as `prepare`."""
        await self._merge.bring_to(final_state(state))
        shot = Shot(self._federation.merge_node, self._federation.final)
        lane = Lane(self._merge, (shot,))
        if execution is not None:
            ready = await execution.prepare(self._merge, self._federation.final, None)
            self._forget_prepared(ready.statement_id)
            lane = replace(
                lane,
                executes=(ready.payload,),
                binary=execution.binary,
                gives_text=execution.gives_text,
                warned=(0,) if ready.warned else (),
            )
        exchange = Exchange((lane,), Relay(), sink, merge_limits, watch=self._watch)
        self._announce(exchange)
        outcome = await exchange.run()
        self._announce(None)
        return outcome

    async def prepare_final(self) -> PreparedOnShard:
        """Prepare the final statement. Raises as `prepare`."""
        if not isinstance(self._merge, MySQLConnection):
            raise MeshError(INTERNAL, reason="a merge node that cannot prepare was asked to")
        prepared = await self._merge.prepare(self._federation.final)
        self._forget_prepared(prepared.statement_id)
        return prepared

    def _forget_prepared(self, statement_id: int | None) -> None:
        """Its tables will not stay: nobody may find it prepared."""
        self._prepared = statement_id
        if isinstance(self._merge, MySQLConnection):
            self._merge.prepared.pop(self._federation.final, None)

    async def found_rows(self) -> int:
        """FOUND_ROWS() of the final statement. Raises as `prepare`."""
        return await found_rows(self._merge)

    async def drop_tables(self) -> None:
        """Drop what was made; only then may the connection be used again. Raises as `prepare`."""
        if self._prepared is not None and isinstance(self._merge, MySQLConnection):
            self._merge.send_only(make_statement_command(Command.STMT_CLOSE, self._prepared))
        names = ", ".join(scan.table for scan in self._federation.scans)
        await collect(self._merge, f"DROP TEMPORARY TABLE IF EXISTS {names}".encode())
        self._clean = True

    def close(self) -> None:
        """The statement is over. A connection that may still hold temporary tables is closed."""
        if not self._clean:
            self._merge.abort()


def _scan_lanes(scan: Scan, own: dict[str, Lane]) -> list[Lane]:
    by_source: dict[str, list[Shot]] = {}
    for shot in scan.shots:
        by_source.setdefault(shot.data_source, []).append(shot)
    return [
        Lane(own[source].connection, tuple(shots), kept=own[source].kept)
        for source, shots in by_source.items()
    ]


class _Loading:
    """A scan and its INSERTs: they do not wait for the client, who gets nothing of them."""

    def __init__(self, exchange: Exchange, merge: Connection) -> None:
        self._exchange = exchange
        self._merge = merge

    def pause(self) -> None:
        """The client reads nothing yet."""

    def resume(self) -> None:
        """See `pause`."""

    def busy_connections(self) -> list[Connection]:
        """The scans' and the merge node's."""
        busy = self._exchange.busy_connections()
        return busy if self._merge.usable else [*busy, self._merge]

    def interrupt(self) -> None:
        """See `UnderWay`. What has been loaded is of no use by itself."""
        self._exchange.fail(MeshError(QUERY_INTERRUPTED))


class _Load:
    """What a statement has loaded so far, against its limits."""

    def __init__(self, limits: FederationLimits) -> None:
        self._limits = limits
        self.rows = 0
        self.size = 0

    def take(self, rows: int, size: int) -> None:
        """Count. Raises MeshError(MERGE_LIMIT)."""
        self.rows += rows
        self.size += size
        if self.rows > self._limits.max_rows:
            raise MeshError(MERGE_LIMIT, limit=f"{self._limits.max_rows} rows", setting="federation-max-rows")
        if self.size > self._limits.max_bytes:
            raise MeshError(
                MERGE_LIMIT, limit=f"{self._limits.max_bytes} bytes", setting="federation-max-bytes"
            )


class _TableLoad:
    """The sink of one scan: rows become INSERTs, one under way and a few waiting."""

    def __init__(self, scan: Scan, merge: Connection, load: _Load) -> None:
        names = ",".join([quote_name(column.name, quoted=True) for column in scan.columns])
        self._head = f"INSERT INTO {scan.table} ({names}) VALUES ".encode()
        self._write: RowsWriter = make_rows_writer(scan.columns)
        self._merge = merge
        self._load = load
        self.source: Exchange | None = None
        self._rows: list[bytes] = []
        self._size = 0
        self._waiting: deque[bytes] = deque()
        self._sending = False
        self._paused = False
        self._error: Exception | None = None
        self._idle: asyncio.Future[None] | None = None

    # Sink

    def columns(self, columns: Sequence[ColumnDefinition]) -> None:
        """The columns are known."""

    def rows(self, rows: list[bytes]) -> None:
        """Text row payloads. Raises MeshError or ShardError once the merge node has failed or a limit was hit."""
        if self._error is not None:
            raise self._error
        for row in self._write(rows):
            self._rows.append(row)
            self._size += len(row) + 1
            if self._size >= STATEMENT_BYTES:
                self._close_statement()
        if len(self._waiting) >= STATEMENTS_WAITING and not self._paused and self.source is not None:
            self._paused = True
            self.source.pause()

    async def finish(self) -> None:
        """Wait until everything is loaded. Raises MeshError or ShardError."""
        if self._rows:
            self._close_statement()
        if self._sending:
            self._idle = asyncio.get_running_loop().create_future()
            await self._idle
        if self._error is not None:
            raise self._error

    # INSERTs

    def _close_statement(self) -> None:
        self._load.take(len(self._rows), self._size)
        self._waiting.append(self._head + b",".join(self._rows))
        self._rows = []
        self._size = 0
        self._send()

    def _send(self) -> None:
        if self._waiting and not self._sending:
            self._sending = True
            self._merge.query(self._waiting.popleft(), _InsertReceiver(self))

    def inserted(self) -> None:
        """An INSERT has ended well."""
        self._sending = False
        self._send()
        self._go_on()

    def failed(self, error: Exception) -> None:
        """An INSERT has failed: the scan learns of it with its next rows, or at its end."""
        self._sending = False
        self._error = error
        self._waiting.clear()
        self._go_on()

    def _go_on(self) -> None:
        if self._paused and len(self._waiting) < STATEMENTS_WAITING and self.source is not None:
            self._paused = False
            self.source.resume()
        if self._idle is not None and not self._sending and not self._idle.done():
            self._idle.set_result(None)


class _InsertReceiver:
    """The answer of one INSERT."""

    def __init__(self, table: _TableLoad) -> None:
        self._table = table

    def columns(self, columns: Sequence[ColumnDefinition]) -> None:
        """An INSERT has none."""

    def rows(self, rows: list[bytes]) -> None:
        """See `columns`."""

    def done(self, ok: OkPacket, *, more: bool) -> None:
        """Loaded."""
        del ok
        if more:
            self._table.failed(MeshError(INTERNAL, reason="an INSERT with several results"))
        else:
            self._table.inserted()

    def failed(self, error: Exception) -> None:
        """Refused, or lost."""
        self._table.failed(error)
