"""A connection to the embedded data source: `backend.connection.Connection` over one SQLite connection in one thread.

Decides how answers cross from the thread to the event loop without growing: the thread reads one batch, hands it over
and waits until the loop has taken it and reading is not paused. Knows no SQL.
"""

from __future__ import annotations

import asyncio
import datetime
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import TypeVar

from dbmesh.backend.connection import Flavour, Home, Product, Receiver
from dbmesh.backend.sqlite.database import Database, Rows
from dbmesh.backend.state import SessionState
from dbmesh.backend.transpile import variables
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
from dbmesh.sql.user_values import plain_literal
from dbmesh.wire.constants import Status
from dbmesh.wire.packets import ColumnDefinition, OkPacket

_ResultT = TypeVar("_ResultT")


class SQLiteConnection:
    """See the module's docstring."""

    relays = False
    prepares = False
    product = Product.OTHER
    began_with_autocommit = True
    interrupting = False
    home: Home

    def __init__(
        self, data_source: str, flavour: Flavour, opened_at: float, executor: ThreadPoolExecutor
    ) -> None:
        self.data_source = data_source
        self.schema = ""
        self.flavour = flavour
        self.state = SessionState(names="")
        self.opened_at = opened_at
        self._loop = asyncio.get_running_loop()
        self._executor = executor
        self._database: Database | None = None
        self._busy = False
        self._open = True
        self._in_transaction = False
        self._gate = threading.Condition()
        self._paused = False
        self._taken = 0

    @classmethod
    async def open(
        cls,
        path: str,
        *,
        data_source: str = "sqlite",
        flavour: Flavour | None = None,
        now: Callable[[], datetime.datetime] | None = None,
        random: Random | None = None,
    ) -> SQLiteConnection:
        """Open the file, made when it is not there. `now` gives the current moment in UTC without zone. Raises
        MeshError DATA_SOURCE_UNREACHABLE when it cannot be opened."""
        loop = asyncio.get_running_loop()
        executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"sqlite-{data_source}")
        connection = cls(data_source, flavour or Flavour(), loop.time(), executor)
        try:
            connection._database = await loop.run_in_executor(
                executor, Database, path, now or _utc_now, random or Random()
            )
        except BaseException as error:
            executor.shutdown(wait=False)
            if isinstance(error, Exception):
                raise MeshError(
                    DATA_SOURCE_UNREACHABLE, data_source=data_source, reason=str(error)
                ) from error
            raise
        connection._database.found_rows = connection.flavour.found_rows
        return connection

    # ------------------------------------------------------------------ state

    @property
    def usable(self) -> bool:
        """See `Connection`."""
        return self._open and not self._busy

    @property
    def in_transaction(self) -> bool:
        """See `Connection`."""
        return self._in_transaction

    async def bring_to(self, state: SessionState) -> None:
        """See `Connection`. Variables are remembered and answered; those that would have to change answers are
        refused with MeshError."""
        database = self._require()
        database.settings = variables.settings_of(state)
        database.user_variables = {
            name: variables.value_of(plain_literal(value)) for name, value in state.user_variables
        }
        self.state = state

    async def ping(self) -> bool:
        """See `Connection`."""
        return self._open

    # ------------------------------------------------------------------ statements

    def query(self, sql: bytes, receiver: Receiver) -> None:
        """See `Connection`."""
        if not self._open:
            receiver.failed(self._lost("it was already closed"))
            return
        self._busy = True
        self._executor.submit(self._run, sql, receiver)

    async def describe(self, sql: bytes) -> tuple[ColumnDefinition, ...]:
        """The columns of a statement that may hold `?`, which is not run. Raises ShardError or MeshError."""
        return await self._in_thread(lambda: self._require().describe(_decoded(sql)))

    async def load_catalog(self) -> dict[str, TableSchema]:
        """Actual table name → schema."""
        return await self._in_thread(self._require().tables)

    def pause_reading(self) -> None:
        """See `Connection`."""
        with self._gate:
            self._paused = True

    def resume_reading(self) -> None:
        """See `Connection`."""
        with self._gate:
            self._paused = False
            self._gate.notify_all()

    async def interrupt(self) -> None:
        """See `Connection`."""
        self.interrupting = False
        if self._busy and self._open:
            self._require().interrupt()

    def abort(self) -> None:
        """See `Connection`."""
        if not self._open:
            return
        database = self._require()
        with self._gate:
            self._open = False
            self._gate.notify_all()
        if self._busy:
            database.interrupt()
        self._executor.submit(database.close)
        self._executor.shutdown(wait=False)

    async def close(self) -> None:
        """See `Connection`. Waits until the file is closed."""
        if not self._open:
            return
        self.abort()
        await asyncio.to_thread(self._executor.shutdown, wait=True)

    # ------------------------------------------------------------------ in the thread

    def _run(self, sql: bytes, receiver: Receiver) -> None:
        database = self._require()
        try:
            answer = database.run(_decoded(sql))
            if isinstance(answer, Rows):
                self._deliver(answer, receiver)
                ok = self._ok(Done())
            else:
                ok = self._ok(answer)
        except (MeshError, ShardError) as error:
            self._tell(self._fail, receiver, error)
        except Exception as error:
            # Whatever went wrong must reach the waiting client; the connection's state is unknown then.
            self._tell(self._break, receiver, MeshError(INTERNAL, reason=f"embedded data source: {error!r}"))
        else:
            self._tell(self._done, receiver, ok)

    def _deliver(self, answer: Rows, receiver: Receiver) -> None:
        batches: Iterator[list[bytes]] = answer.batches
        self._tell(receiver.columns, answer.columns)
        self._taken = 0
        for before, batch in enumerate(batches):
            self._tell(self._take, receiver, batch)
            if not self._wait_until_taken(before):
                return

    def _wait_until_taken(self, count: int) -> bool:
        """Wait until the loop took `count` batches and reading is not paused; False when the connection closed."""
        with self._gate:
            self._gate.wait_for(lambda: not self._open or (self._taken >= count and not self._paused))
            return self._open

    def _tell(self, call: Callable[..., None], *arguments: object) -> None:
        """Call in the event loop. A loop that is gone has nobody left to tell."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call, *arguments)

    def _ok(self, done: Done) -> OkPacket:
        status = Status.AUTOCOMMIT.value
        if self._require().in_transaction:
            status |= Status.IN_TRANS.value
        return OkPacket(done.affected_rows, done.last_insert_id, status, 0, done.info.encode())

    # ------------------------------------------------------------------ in the event loop

    def _take(self, receiver: Receiver, batch: list[bytes]) -> None:
        if self._open:
            receiver.rows(batch)
        with self._gate:
            self._taken += 1
            self._gate.notify_all()

    def _done(self, receiver: Receiver, ok: OkPacket) -> None:
        self._rest()
        if self._open:
            receiver.done(ok, more=False)
        else:
            receiver.failed(self._lost("closed by the mesh"))

    def _fail(self, receiver: Receiver, error: Exception) -> None:
        self._rest()
        receiver.failed(error if self._open else self._lost("closed by the mesh"))

    def _break(self, receiver: Receiver, error: Exception) -> None:
        self.abort()
        self._busy = False
        receiver.failed(error)

    def _rest(self) -> None:
        self.resume_reading()
        self._busy = False
        self._in_transaction = self._open and self._require().in_transaction

    async def _in_thread(self, work: Callable[[], _ResultT]) -> _ResultT:
        return await self._loop.run_in_executor(self._executor, work)

    def _require(self) -> Database:
        if self._database is None:
            raise self._lost("it is not open")
        return self._database

    def _lost(self, reason: str) -> MeshError:
        return MeshError(DATA_SOURCE_LOST, data_source=self.data_source, reason=reason)


def _decoded(sql: bytes) -> str:
    try:
        return sql.decode()
    except UnicodeDecodeError as error:
        sample = sql[max(0, error.start - 10) : error.start + 4].decode("utf-8", "backslashreplace")
        raise MeshError(INVALID_TEXT, charset="utf8mb4", text=sample) from None


def _utc_now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
