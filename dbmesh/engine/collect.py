"""Whole answers in memory, for the mesh's own small statements (SET, BEGIN, SHOW WARNINGS, COMMIT).

Decides how a callback answer becomes an awaited value. Not for clients' rows: those stream (engine.exchange).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from dbmesh.backend.connection import Connection, Pipeline
from dbmesh.wire.packets import ColumnDefinition, OkPacket
from dbmesh.wire.values import decode_text_row, text_rows_encoder

Done = TypeVar("Done")


@dataclass(slots=True)
class Result:
    """One collected result: decoded text rows and the closing OK."""

    columns: tuple[ColumnDefinition, ...] = ()
    rows: list[list[bytes | None]] = field(default_factory=list)
    ok: OkPacket | None = None


class Collector:
    """A receiver that keeps everything; `future` resolves to the last result or raises the error. With `binary` the rows
    are those of an EXECUTE."""

    def __init__(self, *, binary: bool = False) -> None:
        self.future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._result = Result()
        self._binary = binary

    def columns(self, columns: Sequence[ColumnDefinition]) -> None:
        self._result = Result(tuple(columns))

    def rows(self, rows: list[bytes]) -> None:
        if self._binary:
            rows = text_rows_encoder(self._result.columns)(rows)
        self._result.rows.extend(decode_text_row(row) for row in rows)

    def done(self, ok: OkPacket, *, more: bool) -> None:
        self._result.ok = ok
        if not more and not self.future.done():
            self.future.set_result(self._result)

    def failed(self, error: Exception) -> None:
        if not self.future.done():
            self.future.set_exception(error)


async def collect(connection: Connection, sql: bytes) -> Result:
    """Run one statement and return its whole (last) result. Raises ShardError or MeshError.

    A cancelled wait leaves the answer under way, so the connection is closed.
    """
    return await _answered(connection, sql, Collector())


async def _answered(connection: Connection, sql: bytes, collector: Collector) -> Result:
    connection.query(sql, collector)
    try:
        return await collector.future
    except asyncio.CancelledError:
        connection.abort()
        raise


@dataclass(slots=True)
class Within:
    """Rows that were kept: their bytes, and whether they are all there are."""

    rows: list[list[bytes | None]]
    size: int
    whole: bool


class _Bounded(Collector):
    """Keeps rows until they have so many bytes, and drops what comes then."""

    def __init__(self, most_bytes: int | None) -> None:
        super().__init__()
        self.kept = Within([], 0, whole=True)
        self._most = most_bytes

    def rows(self, rows: list[bytes]) -> None:
        kept, most = self.kept, self._most
        for row in rows:
            if most is not None and kept.size >= most:
                kept.whole = False
                return
            kept.size += len(row)
            kept.rows.append(decode_text_row(row))


async def collect_within(connection: Connection, sql: bytes, most_bytes: int | None) -> Within:
    """`collect` a query's rows, the first ones of about so many bytes, and one at least."""
    collector = _Bounded(most_bytes)
    await _answered(connection, sql, collector)
    return collector.kept


async def all_of(works: Iterable[Awaitable[Done]]) -> list[Done]:
    """Wait for all of them, then raise the first error: none is still under way on its connection when this returns."""
    several = list(works)
    if len(several) == 1:
        # Nothing to do beside it, so no task of its own.
        return [await several[0]]
    results = await asyncio.gather(*several, return_exceptions=True)
    done: list[Done] = []
    for result in results:
        if isinstance(result, BaseException):
            raise result
        done.append(result)
    return done


async def found_rows(connection: Connection) -> int:
    """FOUND_ROWS() of the query that just ended on this connection. Raises as `collect`."""
    return int((await collect(connection, b"SELECT FOUND_ROWS()")).rows[0][0] or 0)


class _Answers:
    """A receiver of so many answers, one after another; `future` resolves to all of them."""

    def __init__(self, count: int) -> None:
        self.future: asyncio.Future[list[Result | Exception]] = asyncio.get_running_loop().create_future()
        self._count = count
        self._answers: list[Result | Exception] = []
        self._result = Result()

    def columns(self, columns: Sequence[ColumnDefinition]) -> None:
        self._result = Result(tuple(columns))

    def rows(self, rows: list[bytes]) -> None:
        self._result.rows.extend(decode_text_row(row) for row in rows)

    def done(self, ok: OkPacket, *, more: bool) -> None:
        self._result.ok = ok
        if not more:
            self._answered(self._result)

    def failed(self, error: Exception) -> None:
        self._answered(error)

    def _answered(self, answer: Result | Exception) -> None:
        self._answers.append(answer)
        self._result = Result()
        if len(self._answers) == self._count and not self.future.done():
            self.future.set_result(self._answers)


async def collect_all(connection: Pipeline, statements: Sequence[bytes]) -> list[Result | Exception]:
    """Send statements together; what each of them came to, ShardError and MeshError among it.

    A cancelled wait leaves answers under way, so the connection is closed."""
    answers = _Answers(len(statements))
    connection.query_all(statements, answers)
    try:
        return await answers.future
    except asyncio.CancelledError:
        connection.abort()
        raise
