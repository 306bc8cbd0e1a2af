"""A connection to a PostgreSQL data source: `backend.connection.Connection` over asyncpg.

Decides how answers reach their receiver without growing: one batch is read, handed over, and the next is read when
reading is not paused. Knows no SQL.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Iterator
from contextlib import aclosing, contextmanager, suppress
from typing import Any

import asyncpg

from dbmesh.backend.connection import Connection, Flavour, Guard, Home, Observer, Product, Receiver
from dbmesh.backend.postgres.database import Database, Rows
from dbmesh.backend.postgres.errors import LOST, translate
from dbmesh.backend.state import SessionState
from dbmesh.backend.tasks import TaskOwner
from dbmesh.backend.transpile.answers import Done
from dbmesh.errors import (
    DATA_SOURCE_LOST,
    DATA_SOURCE_UNREACHABLE,
    INTERNAL,
    INVALID_TEXT,
    MeshError,
    ShardError,
)
from dbmesh.model import TableSchema
from dbmesh.rules.ruleset import DataSourceConfig
from dbmesh.wire.constants import Status
from dbmesh.wire.packets import ColumnDefinition, OkPacket

_log = logging.getLogger(__name__)
_SETTINGS = {
    "timezone": "UTC",
    "lock_timeout": "50s",
    "application_name": "dbmesh",
    "standard_conforming_strings": "on",
    "datestyle": "ISO",
}


class _NoPool:
    """The home of a connection that somebody has opened for himself."""

    observer: Observer | None = None
    guard: Guard | None = None
    catalog_reads = 0

    def release(self, connection: Connection, now: float) -> None:
        """See `Home`."""
        del now
        connection.abort()

    def discard(self, connection: Connection) -> None:
        """See `Home`."""
        connection.abort()


class PostgresConnection:
    """See the module's docstring."""

    relays = False
    product = Product.OTHER
    began_with_autocommit = True
    interrupting = False

    def __init__(
        self, config: DataSourceConfig, flavour: Flavour, connection: asyncpg.Connection, opened_at: float
    ) -> None:
        self.data_source = config.name
        self.schema = config.database
        self.flavour = flavour
        self.state = SessionState(names="")
        self.opened_at = opened_at
        self.home: Home = _NoPool()
        self._config = config
        self._connection = connection
        self._database = Database(connection, config.database)
        self._database.found_rows = flavour.found_rows
        self._tasks = TaskOwner(self._unexpected)
        self._busy = False
        self._catalog_reads = 0
        self._reading = asyncio.Event()
        self._reading.set()

    @classmethod
    async def open(cls, config: DataSourceConfig, flavour: Flavour) -> PostgresConnection:
        """Open and log in. Raises MeshError DATA_SOURCE_UNREACHABLE."""
        connection: asyncpg.Connection | None = None
        try:
            connection = await _connect(config)
            made = cls(config, flavour, connection, asyncio.get_running_loop().time())
            await made._database.prepare()
        except (asyncpg.PostgresError, *LOST, ValueError) as error:
            if connection is not None:
                connection.terminate()
            reason = str(error) or type(error).__name__
            raise MeshError(DATA_SOURCE_UNREACHABLE, data_source=config.name, reason=reason) from error
        return made

    # ------------------------------------------------------------------ state

    @property
    def usable(self) -> bool:
        """See `Connection`."""
        return not self._busy and not self._connection.is_closed()

    @property
    def prepares(self) -> bool:
        """See `Connection`."""
        return self._database.prepares

    @property
    def in_transaction(self) -> bool:
        """See `Connection`."""
        return not self._connection.is_closed() and self._database.in_transaction

    async def bring_to(self, state: SessionState) -> None:
        """See `Connection`."""
        try:
            with self._translating():
                await self._database.bring_to(state)
        except asyncio.CancelledError:
            # The server may have been told by then, or not.
            self.abort()
            raise
        self.state = state

    async def ping(self) -> bool:
        """See `Connection`."""
        if not self.usable:
            return False
        try:
            await self._connection.execute("SELECT 1")
        except (asyncpg.PostgresError, *LOST):
            return False
        return True

    # ------------------------------------------------------------------ statements

    def query(self, sql: bytes, receiver: Receiver) -> None:
        """See `Connection`."""
        if self._connection.is_closed():
            receiver.failed(self._lost("it was already closed"))
            return
        self._busy = True
        self._notice_changes()
        self._tasks.start(self._run(sql, receiver), f"postgres {self.data_source}")

    async def own(self, sql: str) -> list[tuple[Any, ...]]:
        """See `OwnDialect`."""
        self._busy = True
        try:
            with self._translating():
                return [tuple(row) for row in await self._connection.fetch(sql)]
        except asyncio.CancelledError:
            self.abort()
            raise
        finally:
            self._rest()

    async def describe(self, sql: bytes) -> tuple[ColumnDefinition, ...]:
        """The columns of a statement that may hold `?`, which is not run. Raises ShardError or MeshError."""
        self._notice_changes()
        with self._translating():
            return await self._database.describe(_decoded(sql))

    async def load_catalog(self) -> dict[str, TableSchema]:
        """Actual table name → schema. Raises ShardError or MeshError."""
        with self._translating():
            tables = await self._database.tables()
        self.home.catalog_reads += 1
        self._catalog_reads = self.home.catalog_reads
        return tables

    def _notice_changes(self) -> None:
        """The catalog has been read on another connection, because somebody may have changed it."""
        if self._catalog_reads != self.home.catalog_reads:
            self._catalog_reads = self.home.catalog_reads
            self._database.outdated = True

    def pause_reading(self) -> None:
        """See `Connection`."""
        self._reading.clear()

    def resume_reading(self) -> None:
        """See `Connection`."""
        self._reading.set()

    async def interrupt(self) -> None:
        """See `Connection`."""
        self.interrupting = True
        try:
            if self._busy and not self._connection.is_closed():
                await self._cancel()
        finally:
            self.interrupting = False

    async def _cancel(self) -> None:
        try:
            killer = await _connect(self._config)
        except (asyncpg.PostgresError, *LOST) as error:
            # Whoever waits for an answer would wait until the network comes back.
            self.abort()
            raise self._lost(str(error)) from error
        try:
            await killer.execute(f"SELECT pg_cancel_backend({self._connection.get_server_pid()})")
        finally:
            await killer.close()

    def abort(self) -> None:
        """See `Connection`."""
        self._connection.terminate()
        self._reading.set()

    async def close(self) -> None:
        """See `Connection`."""
        with suppress(asyncpg.PostgresError, *LOST):
            await self._connection.close(timeout=2)
        await self._tasks.close()

    # ------------------------------------------------------------------ running

    async def _run(self, sql: bytes, receiver: Receiver) -> None:
        try:
            answer = await self._database.run(_decoded(sql))
            done = answer if isinstance(answer, Done) else Done()
            if isinstance(answer, Rows):
                receiver.columns(answer.columns)
                async with aclosing(answer.batches) as batches:  # type: ignore[type-var]
                    async for batch in batches:
                        receiver.rows(batch)
                        await self._reading.wait()
        except ShardError as error:
            self._rest()
            receiver.failed(error)
        except MeshError as error:
            self._rest()
            receiver.failed(error)
        except LOST as error:
            self.abort()
            self._rest()
            receiver.failed(self._lost(str(error) or type(error).__name__))
        except Exception as error:
            # Whatever went wrong must reach the waiting client; the connection's state is unknown then.
            self.abort()
            self._rest()
            receiver.failed(MeshError(INTERNAL, reason=f"PostgreSQL data source: {error!r}"))
        else:
            self._rest()
            receiver.done(self._ok(done), more=False)

    def _rest(self) -> None:
        self._reading.set()
        self._busy = False

    def _ok(self, done: Done) -> OkPacket:
        status = Status.AUTOCOMMIT.value
        if self.in_transaction:
            status |= Status.IN_TRANS.value
        return OkPacket(done.affected_rows, done.last_insert_id, status, 0, done.info.encode())

    @contextmanager
    def _translating(self) -> Iterator[None]:
        """The block raises ShardError or MeshError, and what is none of the server's."""
        try:
            yield
        except LOST as error:
            self.abort()
            raise self._lost(str(error) or type(error).__name__) from error
        except asyncpg.PostgresError as error:
            raise translate(error, {}) from error

    def _lost(self, reason: str) -> MeshError:
        return MeshError(DATA_SOURCE_LOST, data_source=self.data_source, reason=reason)

    def _unexpected(self, error: BaseException) -> None:
        _log.error("data source %s: %r", self.data_source, error)


async def _connect(config: DataSourceConfig) -> asyncpg.Connection:
    options: dict[str, Any] = {
        "host": config.host,
        "port": config.port,
        "user": config.username,
        "password": config.password or None,
        "database": config.database,
        "timeout": config.connection_timeout,
        "ssl": _ssl(config),
        # Another connection may change a table at any time, and a kept statement would fail then.
        "statement_cache_size": 0,
        "server_settings": {
            **_SETTINGS,
            **({"search_path": schema} if (schema := config.properties.get("currentSchema")) else {}),
        },
    }
    return await asyncpg.connect(**options)


def _ssl(config: DataSourceConfig) -> ssl.SSLContext | bool | str:
    """The TLS settings of `sslmode`, as libpq and the JDBC driver name them."""
    mode = config.properties.get("sslmode", "disable").lower()
    if mode == "disable":
        return False
    if mode in ("allow", "prefer", "require"):
        return mode
    context = ssl.create_default_context(cafile=config.properties.get("sslrootcert"))
    context.check_hostname = mode == "verify-full"
    return context


def _decoded(sql: bytes) -> str:
    try:
        return sql.decode()
    except UnicodeDecodeError as error:
        sample = sql[max(0, error.start - 10) : error.start + 4].decode("utf-8", "backslashreplace")
        raise MeshError(INVALID_TEXT, charset="utf8mb4", text=sample) from None
