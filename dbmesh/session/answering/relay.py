"""The relay: one shard's answer passes to the client as the bytes it came in.

Decides what may pass untouched and the little that may not: names in column definitions (through a cache keyed by the
raw header block), OK packets, error texts. No task, no row is decoded, no object per packet. Whatever needs more than
this is the work of `engine.exchange`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from dbmesh.backend.connection import Product
from dbmesh.backend.mysql import MySQLConnection
from dbmesh.backend.own_limits import is_own_limit
from dbmesh.backend.receivers import shard_error
from dbmesh.engine.collect import found_rows
from dbmesh.engine.warnings import CountedWarnings, ShardWarning, fetch_warnings
from dbmesh.errors import READ_ONLY, MeshError, ShardError, is_server_failure
from dbmesh.planner.plan import Names, ShardPlan
from dbmesh.session.answering.diagnostics import remember_warnings
from dbmesh.session.answering.errors import logic_error, logic_text
from dbmesh.session.answering.result_sink import rename
from dbmesh.session.connections import free_after_error, may_hide_deadlock
from dbmesh.session.failover import again, may_wait, once_more, reads_again
from dbmesh.wire.blocks import rewrite_header
from dbmesh.wire.constants import Status
from dbmesh.wire.framing import frame
from dbmesh.wire.packets import ColumnDefinition, make_ok
from dbmesh.wire.progress import ANSWER_END, NEED_DATA, Progress
from dbmesh.wire.response import ResponseReader

if TYPE_CHECKING:
    from dbmesh.session.session import Session

_CURSOR_EXISTS = Status.CURSOR_EXISTS.value

HEADERS_KEPT = 256
"""Column definition blocks a session remembers with their renamed form."""
_NEW_HEADER = (None, b"")


class RelayReceiver:
    """One session's relay; it lives as long as the session and serves one command at a time."""

    __slots__ = (
        "_began",
        "_connection",
        "_gives_id",
        "_header",
        "_headers",
        "_last_id",
        "_names",
        "_pinned",
        "_plan",
        "_rows_seen",
        "_skips",
        "session",
    )

    def __init__(self, session: Session) -> None:
        self.session = session
        self._connection: MySQLConnection | None = None
        self._names = Names("", {})
        self._headers: dict[bytes, tuple[Mapping[str, str] | None, bytes]] = {}
        self._pinned = False
        self._gives_id = False
        self._skips = 0
        self._plan: ShardPlan | None = None
        self._rows_seen = False
        # When it was sent; known where a guard wants to know.
        self._began = 0.0
        # What the client has of the result under way: the id of the packet before it, and its header block.
        self._last_id = 0
        self._header = b""

    def start(
        self,
        connection: MySQLConnection,
        packet: bytes,
        names: Names,
        pinned: bool,
        plan: ShardPlan,
        gives_id: bool = False,
        skips: int = 0,
    ) -> None:
        """Send a query or execute packet of this plan and pass its answer on. A connection that is not `pinned` goes back
        to its pool at the end. `gives_id` and `skips` as in `BoundStatement`."""
        self._connection = connection
        self._names = names
        self._pinned = pinned
        self._gives_id = gives_id
        self._plan = plan
        # What is no server counts the rows it returns.
        self._skips = skips if skips and connection.product is not Product.OTHER else 0
        self._rows_seen = False
        self._last_id = 0
        self._header = b""
        session = self.session
        if session.running is not None and session.running.trace is not None:
            session.running.trace.relayed(connection)
        if connection.home.guard is not None:
            self._began = session.now()
        connection.relay(packet, self)

    def start_fetch(self, connection: MySQLConnection, packet: bytes) -> None:
        """Send a COM_STMT_FETCH to the connection that holds the cursor."""
        self._connection = connection
        self._pinned = True
        self._rows_seen = True
        self._last_id = 0
        self._header = b""
        connection.relay_fetch(packet, self)

    def pause(self) -> None:
        """The client reads too slowly."""
        if self._connection is not None:
            self._connection.pause_reading()

    def resume(self) -> None:
        """The client reads again."""
        if self._connection is not None:
            self._connection.resume_reading()

    def busy_connections(self) -> tuple[MySQLConnection, ...]:
        """The connection under way, for KILL."""
        return () if self._connection is None else (self._connection,)

    def drop(self) -> None:
        """The client is gone in the middle of an answer: the connection's state is of no use to anybody."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.abort()
            connection.home.discard(connection)

    # backend.mysql.RawReceiver

    def advance(self, reader: ResponseReader, progress: Progress) -> None:
        """See `RawReceiver`."""
        connection = self._connection
        if connection is None:
            return
        session = self.session
        data = reader.rows
        header = reader.header
        if not self._rows_seen:
            home = connection.home
            if home.observer is not None:
                home.observer.answered(session.now() - session.command_since)
            if home.guard is not None and not reader.failed:
                home.guard.ended(self._began, session.now(), None)
        if header:
            self._rows_seen = True
            self._header = header
            made_with, known = self._headers.get(header, _NEW_HEADER)
            if made_with is not self._names.tables:
                known = self._renamed(reader, progress)
            data = known + data
        if progress is NEED_DATA:
            if data:
                session.client.write(data)
            return
        if reader.failed:
            self._fail(reader, data)
            return
        if self._rows_seen:
            session.client.write(data + reader.terminal)
            session.found_rows = reader.row_count + self._skips
            session.row_count = -1
        else:
            self._acknowledge(reader)
        if progress is ANSWER_END:
            if self._skips and not reader.row_count:
                session.run(self._count_rows(connection, reader.warnings))
                return
            self._end(connection, reader.warnings)
        else:
            self._next_result(reader)

    def failed(self, error: Exception) -> None:
        """The connection was lost."""
        connection, self._connection = self._connection, None
        if connection is not None:
            session = self.session
            sequence = self._next_id(connection)
            if connection.home.observer is not None:
                connection.home.observer.lost(str(error), session.now())
            if connection.home.guard is not None:
                connection.home.guard.ended(self._began, session.now(), error)
            connection.home.discard(connection)
            if self._reads_again(connection, error):
                session.run(once_more(session))
            else:
                session.relay_lost(error, sequence)

    # inside

    def _renamed(self, reader: ResponseReader, progress: Progress) -> bytes:
        """The header block with logic names, which is remembered. The cache's key is the block itself, so a hit costs
        one hash; an entry made with other names does not count. It is emptied when full."""
        header, names = reader.header, self._names

        def renamed(column: ColumnDefinition) -> ColumnDefinition:
            return rename(column, names)

        # Where only a cursor opens, the packet behind the definitions is the terminal in either EOF form.
        cursor = progress is ANSWER_END and reader.status & _CURSOR_EXISTS != 0
        known = rewrite_header(header, renamed, cursor or self.session.flavour.deprecate_eof)
        if len(self._headers) >= HEADERS_KEPT:
            self._headers.clear()
        self._headers[header] = (names.tables, known)
        return known

    def _next_result(self, reader: ResponseReader) -> None:
        self._rows_seen = False
        self._last_id = reader.terminal[3]
        self._header = b""

    def _next_id(self, connection: MySQLConnection) -> int | None:
        """The id of the packet the client expects next; None when it has half a packet."""
        rows = connection.row_packets if self._rows_seen else 0
        return None if rows is None else (self._last_id + _packets(self._header) + rows + 1) & 0xFF

    def _acknowledge(self, reader: ResponseReader) -> None:
        """An OK packet: what it says belongs to the session; its form is the client's."""
        session = self.session
        ok = reader.ok()
        session.row_count = ok.affected_rows
        if ok.last_insert_id and not self._gives_id:
            session.last_insert_id = ok.last_insert_id
        if ok.session_state:
            ok = replace(ok, session_state=b"")
        packet = make_ok(ok, session.capabilities)
        session.client.write(frame(packet, reader.terminal[3]))

    def _fail(self, reader: ResponseReader, data: bytes) -> None:
        """An ERR packet, at the head of the answer or in the middle of its rows."""
        session = self.session
        connection, self._connection = self._connection, None
        schema = "" if connection is None else connection.schema
        error = logic_error(shard_error(reader.error()), self._names, schema)
        if connection is not None and connection.home.guard is not None:
            own = is_own_limit(error, connection.state, session.command_text)
            connection.home.guard.ended(self._began, session.now(), None if own else error)
        if error.number in READ_ONLY and session.mesh.has_groups and may_wait(session, error):
            if connection is not None and not self._pinned:
                connection.home.release(connection, session.now())
            session.run(again(session, error))
            return
        observer = None if connection is None else connection.home.observer
        if connection is not None and observer is not None and is_server_failure(error):
            observer.lost(str(error), session.now())
            if self._reads_again(connection, error):
                connection.home.release(connection, session.now())
                session.run(once_more(session))
                return
        if self._pinned and not self._rows_seen and may_hide_deadlock(session, error):
            # What it is called is known when it is known what it was.
            session.run(_told_after(session, error))
            return
        if data:
            session.client.write(data)
        # An error in place of a column definition comes behind packets the client never got.
        begun = self._rows_seen
        if begun and connection is not None and connection.product is not Product.MYSQL:
            session.found_rows = reader.row_count + self._skips
        session.error(error, sequence=reader.terminal[3] if begun else (self._last_id + 1) & 0xFF)
        if self._pinned or connection is None:
            session.settle(error)
            return
        connection.home.release(connection, session.now())
        session.finish()

    def _reads_again(self, connection: MySQLConnection, error: Exception) -> bool:
        """Whether another replica is asked for what this one has failed: nothing of its answer has left."""
        server = connection.home.observer
        if server is None or self._plan is None or self._pinned or self._rows_seen or self._last_id:
            return False
        return reads_again(self.session, self._plan, error, (server,))

    def _end(self, connection: MySQLConnection, warnings: int) -> None:
        session = self.session
        if warnings:
            session.run(self._collect_warnings(connection, warnings))
            return
        self._connection = None
        if session.warnings:
            remember_warnings(session, [], keeps=self._plan is None or self._plan.keeps_warnings)
        if not self._pinned:
            connection.home.release(connection, session.now())
        session.finish()

    async def _count_rows(self, connection: MySQLConnection, warnings: int) -> None:
        """OFFSET has skipped all rows there were: only their server knows how many."""
        session = self.session
        session.warnings = []
        try:
            if warnings:
                session.warnings = CountedWarnings(await self._warnings(connection), warnings)
            session.found_rows = await found_rows(connection)
        except (MeshError, ShardError):
            # The answer has left already; what is wrong with the connection shows at its return.
            session.found_rows = 0
        finally:
            self._release(connection)

    async def _collect_warnings(self, connection: MySQLConnection, count: int) -> None:
        """Warnings live on the shard's connection, which will serve others: they are fetched before it is given back."""
        session = self.session
        try:
            session.warnings = CountedWarnings(await self._warnings(connection), count)
        except (MeshError, ShardError):
            # The answer has left already; what is wrong with the connection shows at its return.
            session.warnings = []
        finally:
            self._release(connection)

    async def _warnings(self, connection: MySQLConnection) -> list[ShardWarning]:
        return [
            replace(one, message=logic_text(one.message, self._names, connection.schema))
            for one in await fetch_warnings(connection)
        ]

    def _release(self, connection: MySQLConnection) -> None:
        self._connection = None
        if not self._pinned:
            connection.home.release(connection, self.session.now())


async def _told_after(session: Session, error: ShardError) -> None:
    raise await free_after_error(session, error)


def _packets(block: bytes) -> int:
    """How many packets a header block is."""
    position = count = 0
    while position < len(block):
        position += 4 + int.from_bytes(block[position : position + 3], "little")
        count += 1
    return count
