"""Follows the binlogs of a job's sources for rows that somebody has changed, and hands their keys over to be looked at.

Decides how keys are gathered, from where reading goes on when a server was away, and how far behind it is. What becomes of keys is
somebody else's: whoever takes them has dealt with them when he returns.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from dbmesh.backend.binlog_stream import BinlogStream, open_binlog
from dbmesh.backend.connection import Connection, Flavour, Product
from dbmesh.backend.opening import open_data_source
from dbmesh.engine.collect import collect
from dbmesh.errors import DATA_SOURCE_LOST, MeshError, ShardError, is_unhealthy, not_supported
from dbmesh.model import DataNode
from dbmesh.reshard.binlogs.changes import Changes, FollowedTable, Found, Position
from dbmesh.rules.ruleset import DataSourceConfig
from dbmesh.wire.binlog_rows import Key, TableName

_log = logging.getLogger(__name__)

MOST_KEYS = 500
"""Keys that are handed over together, but for those of one event."""

LINGER = 0.05
"""Seconds that keys may wait for others."""

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
"""Seconds before a server that was lost is followed again."""

_KILLED = frozenset((1317, 1927))
_SYNTAX = 1064


class Bookmark(NamedTuple):
    """From where a server is followed. `server` says which one it is: positions mean nothing on another."""

    server: str
    position: Position


@dataclass(frozen=True, slots=True)
class Source:
    """A server, as one of the data sources on it reaches it, and the tables on it that are followed."""

    config: DataSourceConfig
    tables: Mapping[TableName, FollowedTable]


@dataclass(frozen=True, slots=True)
class Batch:
    """Keys of rows that somebody has changed, per actual table, each once. `statements` named such a table and say nothing of rows: all of
    its rows may be others by now."""

    keys: Mapping[DataNode, Sequence[Key]]
    statements: tuple[str, ...]


Handle = Callable[[Batch], Awaitable[None]]
"""Deals with a batch, and raises when it could not: nothing is taken as handled then. Called for one batch at a time per server."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Of one server. `bookmark`: everything before it has been dealt with. `lag` in seconds; `prepared` transactions have changed rows
    and are neither committed nor rolled back. `problem`: why it is not followed at the moment, '' where it is."""

    data_source: str
    bookmark: Bookmark
    lag: float
    events: int
    keys: int
    prepared: int
    problem: str


def sources_of(followed: Iterable[tuple[DataSourceConfig, FollowedTable]]) -> tuple[Source, ...]:
    """The servers of actual tables: each is followed once, however many data sources are on it; none for its new tables alone."""
    found: dict[tuple[str, int], tuple[DataSourceConfig, dict[TableName, FollowedTable]]] = {}
    # By the name and account of the side that is read: those of the other side may be another server's there.
    for config, table in sorted(followed, key=lambda one: one[1].new):
        _, tables = found.setdefault((config.host.lower(), config.port), (config, {}))
        tables[TableName(config.database.lower(), table.node.table.lower())] = table
    return tuple(
        Source(config, tables)
        for config, tables in found.values()
        if not all(table.new for table in tables.values())
    )


async def bookmark_now(config: DataSourceConfig) -> Bookmark:
    """Where a server's binlog ends. Of a transaction that is prepared by then nothing is told when it is committed later: its rows stay locked
    until then, so whoever copies them later has them. Raises ShardError and MeshError, NOT_SUPPORTED without a binlog."""
    connection = await open_data_source(config, Flavour())
    try:
        status = await binlog_status(connection)
        if not status:
            raise not_supported(
                f"following the data source '{config.name}', which has no binlog", "set log_bin"
            )
        return Bookmark(await _identity(connection), Position(status[0], int(status[1])))
    finally:
        await connection.close()


async def binlog_status(connection: Connection) -> Sequence[str]:
    """Where a server's binlog ends, file and offset, and the schemas that are logged alone and those that are not; nothing without one.
    Raises ShardError and MeshError."""
    try:
        asked = b"SHOW BINLOG STATUS" if connection.product is Product.MARIADB else b"SHOW BINARY LOG STATUS"
        rows = (await collect(connection, asked)).rows
    except ShardError as error:
        if error.number != _SYNTAX:
            raise
        rows = (await collect(connection, b"SHOW MASTER STATUS")).rows
    return [(value or b"").decode("utf-8", "surrogateescape") for value in rows[0]] if rows else ()


async def _identity(connection: Connection) -> str:
    """What tells a server apart from every other."""
    rows = (
        await collect(
            connection, b"SHOW VARIABLES WHERE Variable_name IN ('server_id', 'server_uid', 'server_uuid')"
        )
    ).rows
    return " ".join(sorted((value or b"").decode("ascii", "replace") for _, value in rows))


def replica_ids(count: int) -> tuple[int, ...]:
    """Ids to follow servers under that nobody else has: from the half of all that people do not give."""
    return tuple(1 << 31 | secrets.randbits(31) for _ in range(count))


class Listener:
    """Follows servers until it is cancelled. `server_ids` are what it calls itself on each (`replica_ids`): of two replicas of one id a
    server hangs up on the first."""

    def __init__(
        self, sources: Sequence[Source], start: Sequence[Bookmark], server_ids: Sequence[int], handle: Handle
    ) -> None:
        self._followers = [
            _Follower(source, bookmark, server_id, handle)
            for source, bookmark, server_id in zip(sources, start, server_ids, strict=True)
        ]

    async def run(self) -> None:
        """Until it is cancelled, or something ends it: ShardError and MeshError of a server that cannot be followed any more (its files are
        gone, another one has taken its place), ProtocolError for what cannot be read, and whatever the handler raised. A server that is
        away is waited for."""
        try:
            async with asyncio.TaskGroup() as group:
                for follower in self._followers:
                    group.create_task(follower.run())
        except ExceptionGroup as ended:
            # The first one stops the others.
            raise ended.exceptions[0] from None

    def progress(self) -> tuple[Progress, ...]:
        """How far it is, server by server."""
        return tuple(follower.progress() for follower in self._followers)

    async def catch_up(self) -> None:
        """Wait until all that is in the binlogs now has been dealt with, but for transactions that are only prepared. Raises ShardError
        and MeshError."""
        await asyncio.gather(*(follower.catch_up() for follower in self._followers))


class _Follower:
    """One server."""

    def __init__(self, source: Source, start: Bookmark, server_id: int, handle: Handle) -> None:
        self._source = source
        self._server = start.server
        self._server_id = server_id
        self._handle = handle
        # Where reading begins again, and what has been read and dealt with: more, while transactions are prepared.
        self._resumable = start.position
        self._handled = start.position
        self._moved = asyncio.Event()
        self._hurried = 0
        self._stream: BinlogStream | None = None
        self._events = self._keys = self._prepared = 0
        self._problem = "it has not begun"
        self._ended: BaseException | None = None
        # Loop time at which nothing was left to be dealt with, or at which it began and that had never been so; the server's clock against
        # the loop's; the second of what is under way.
        self._current_at = asyncio.get_running_loop().time()
        self._was_current = self._idle = False
        self._clock = 0.0
        self._moment = 0

    def progress(self) -> Progress:
        """See `Listener`."""
        bookmark = Bookmark(self._server, self._resumable)
        return Progress(
            self._source.config.name,
            bookmark,
            self._lag(),
            self._events,
            self._keys,
            self._prepared,
            self._problem,
        )

    def _lag(self) -> float:
        if self._idle and not self._problem:
            return 0.0
        now = asyncio.get_running_loop().time()
        lag = now - self._current_at
        if self._moment and not self._problem:
            age = max(0.0, now + self._clock - self._moment)
            # It may be busy without being far behind; and what took long to be committed is older than anybody waits for it.
            return min(lag, age) if self._was_current else age
        return lag

    async def run(self) -> None:
        """See `Listener`."""
        self._ended = None
        try:
            await self._follow_again_and_again()
        except BaseException as error:
            self._ended = error
            if isinstance(error, Exception):
                self._problem = str(error)
            self._moved.set()
            raise

    async def _follow_again_and_again(self) -> None:
        pause = FIRST_PAUSE
        while True:
            before = self._handled
            try:
                await self._follow()
            except (MeshError, ShardError) as error:
                if not (is_unhealthy(error) or (isinstance(error, ShardError) and error.number in _KILLED)):
                    raise
                self._problem = str(error)
                _log.warning("the binlog of data source '%s': %s", self._source.config.name, error)
            finally:
                self._stream = None
            pause = FIRST_PAUSE if self._handled != before else min(2 * pause, LONGEST_PAUSE)
            await asyncio.sleep(pause)

    async def _follow(self) -> None:
        config = self._source.config
        await self._know()
        stream = await open_binlog(config, self._server_id, *self._resumable)
        self._stream = stream
        try:
            changes = Changes(self._resumable, self._source.tables)
            self._problem = ""
            while True:
                await self._gather(stream, changes)
                await self._hand_over(changes)
                if not stream.ready:
                    self._idle = self._was_current = True
                    self._current_at = asyncio.get_running_loop().time()
                self._moved.set()
                self._moved.clear()
        finally:
            stream.close()

    async def _know(self) -> None:
        """Make sure that it is the same server; compare clocks."""
        config = self._source.config
        connection = await open_data_source(config, Flavour())
        try:
            found = await _identity(connection)
            if found != self._server:
                raise not_supported(
                    f"following the data source '{config.name}' on another server than before",
                    "begin again, and verify all rows",
                )
            rows = (await collect(connection, b"SELECT UNIX_TIMESTAMP()")).rows
            self._clock = float(rows[0][0] or b"0") - asyncio.get_running_loop().time()
        finally:
            await connection.close()

    async def _gather(self, stream: BinlogStream, changes: Changes) -> None:
        """Read until there is enough to be handed over, or nothing more comes."""
        now = asyncio.get_running_loop().time
        await stream.arrives()
        self._idle = False
        until = now() + LINGER
        while changes.found.count < MOST_KEYS:
            if not stream.ready:
                waits = (changes.found.keys or changes.found.statements) and not self._hurried
                if not waits or not await stream.arrives(max(until - now(), 0)):
                    return
            known = changes.found.count
            changes.receive(stream.take())
            self._moment = changes.moment
            if changes.found.count > known:
                # Others of this process have their turn between two events.
                await asyncio.sleep(0)

    async def _hand_over(self, changes: Changes) -> None:
        found = changes.take()
        self._events += found.events
        if found.keys or found.statements:
            self._moment = found.moment
            await self._handle(_batch(found))
            self._keys += found.count
            self._moment = changes.moment
        self._resumable = changes.position
        self._handled = changes.read_to
        self._prepared = changes.prepared

    async def catch_up(self) -> None:
        """See `Listener`."""
        end = (await bookmark_now(self._source.config)).position
        self._hurried += 1
        try:
            while self._handled.order < end.order:
                if self._ended is not None:
                    raise MeshError(
                        DATA_SOURCE_LOST,
                        data_source=self._source.config.name,
                        reason=f"its binlog is not followed any more ({self._ended})",
                    )
                if self._stream is not None:
                    self._stream.nudge()
                await self._moved.wait()
        finally:
            self._hurried -= 1


def _batch(found: Found) -> Batch:
    return Batch({node: tuple(keys) for node, keys in found.keys.items()}, tuple(found.statements))
