"""A SQLite connection keeps the contract of `backend.connection.Connection`."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from dbmesh.backend.sqlite.connection import SQLiteConnection
from dbmesh.backend.state import SessionState
from dbmesh.errors import DATA_SOURCE_UNREACHABLE, MeshError, ShardError
from dbmesh.wire.packets import ColumnDefinition, OkPacket
from dbmesh.wire.values import decode_text_row


class Collected:
    """A receiver that keeps what it is told."""

    def __init__(self) -> None:
        self.future: asyncio.Future[OkPacket] = asyncio.get_running_loop().create_future()
        self.names: list[bytes] = []
        self.values: list[list[bytes | None]] = []
        self.batches = 0
        self.begun = asyncio.Event()

    def columns(self, columns: Sequence[ColumnDefinition]) -> None:
        self.names = [column.name for column in columns]

    def rows(self, rows: list[bytes]) -> None:
        self.values.extend(map(decode_text_row, rows))
        self.batches += 1
        self.begun.set()

    def done(self, ok: OkPacket, *, more: bool) -> None:
        self.future.set_result(ok)

    def failed(self, error: Exception) -> None:
        self.future.set_exception(error)


class WatchedGate(threading.Condition):
    """The gate a connection's thread waits at; tells when it does."""

    def __init__(self, waits: Callable[[], None]) -> None:
        super().__init__()
        self._waits = waits

    def wait(self, timeout: float | None = None) -> bool:
        self._waits()
        return super().wait(timeout)


async def ask(connection: SQLiteConnection, sql: str) -> tuple[OkPacket, Collected]:
    receiver = Collected()
    connection.query(sql.encode(), receiver)
    return await receiver.future, receiver


async def test_answers_rows_and_counts(tmp_path: Path) -> None:
    connection = await SQLiteConnection.open(str(tmp_path / "a.db"), data_source="ds_0")
    await ask(connection, "CREATE TABLE t (id BIGINT PRIMARY KEY, v VARCHAR(10))")
    ok, _ = await ask(connection, "INSERT INTO t VALUES (1, 'a'), (2, NULL)")
    assert ok.affected_rows == 2
    _, found = await ask(connection, "SELECT id, v FROM t ORDER BY id")
    assert found.names == [b"id", b"v"]
    assert found.values == [[b"1", b"a"], [b"2", None]]
    with pytest.raises(ShardError):
        await ask(connection, "INSERT INTO t VALUES (1, 'x')")
    assert connection.usable
    assert set(await connection.load_catalog()) == {"t"}
    await connection.close()
    assert not connection.usable


async def test_a_paused_reader_stops_the_thread(tmp_path: Path) -> None:
    connection = await SQLiteConnection.open(str(tmp_path / "a.db"))
    await ask(connection, "CREATE TABLE t (id BIGINT PRIMARY KEY)")
    await ask(connection, "INSERT INTO t VALUES " + ", ".join(f"({n})" for n in range(5000)))
    receiver = Collected()
    loop, waiting = asyncio.get_running_loop(), asyncio.Event()
    connection._gate = WatchedGate(lambda: loop.call_soon_threadsafe(waiting.set))
    connection.pause_reading()
    connection.query(b"SELECT id FROM t", receiver)
    stopped = loop.create_task(waiting.wait())
    await asyncio.wait({stopped, receiver.future}, return_when=asyncio.FIRST_COMPLETED)
    assert stopped.done()
    assert receiver.batches == 1
    connection.resume_reading()
    await receiver.future
    assert len(receiver.values) == 5000
    await connection.close()


async def test_transaction_status_and_lock_wait(tmp_path: Path) -> None:
    path = str(tmp_path / "a.db")
    connection = await SQLiteConnection.open(path)
    await ask(connection, "CREATE TABLE t (id BIGINT PRIMARY KEY)")
    await ask(connection, "BEGIN")
    assert connection.in_transaction
    await ask(connection, "ROLLBACK")
    assert not connection.in_transaction
    await connection.close()


async def test_interrupt_stops_the_running_statement(tmp_path: Path) -> None:
    connection = await SQLiteConnection.open(str(tmp_path / "a.db"))
    await ask(connection, "CREATE TABLE t (id BIGINT PRIMARY KEY)")
    await ask(connection, "INSERT INTO t VALUES " + ", ".join(f"({n})" for n in range(2000)))
    receiver = Collected()
    connection.query(b"SELECT a.id FROM t a, t b", receiver)
    await receiver.begun.wait()
    await connection.interrupt()
    with pytest.raises(MeshError) as caught:
        await receiver.future
    assert caught.value.number == 1317
    await connection.close()


async def test_session_variables_are_remembered(tmp_path: Path) -> None:
    connection = await SQLiteConnection.open(str(tmp_path / "a.db"))
    await connection.bring_to(
        SessionState(variables=(("sql_mode", "'TRADITIONAL'"),), user_variables=(("x", "5"),))
    )
    _, found = await ask(connection, "SELECT @@sql_mode, @x")
    assert found.values == [[b"TRADITIONAL", b"5"]]
    await connection.close()


@pytest.mark.parametrize(
    "state",
    [
        SessionState(names="latin1"),
        SessionState(variables=(("sql_mode", "'ANSI_QUOTES,STRICT_ALL_TABLES'"),)),
        SessionState(variables=(("time_zone", "'+02:00'"),)),
        SessionState(variables=(("sql_select_limit", "5"),)),
    ],
)
async def test_variables_that_would_change_answers_are_refused(tmp_path: Path, state: SessionState) -> None:
    connection = await SQLiteConnection.open(str(tmp_path / "a.db"))
    with pytest.raises(MeshError) as caught:
        await connection.bring_to(state)
    assert caught.value.number == 1235
    await connection.close()


async def test_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(MeshError, match="ds_9"):
        await SQLiteConnection.open(str(tmp_path / "no" / "such" / "a.db"), data_source="ds_9")


async def test_the_variable_timestamp_is_the_time_of_its_statements(tmp_path: Path) -> None:
    connection = await SQLiteConnection.open(str(tmp_path / "a.db"), data_source="ds_0")
    await ask(
        connection, "CREATE TABLE t (id INT PRIMARY KEY, made DATETIME(6) DEFAULT CURRENT_TIMESTAMP(6))"
    )
    columns = (await connection.load_catalog())["t"].columns
    assert [column.reads_clock for column in columns] == [False, True]
    await connection.bring_to(SessionState().with_variable("timestamp", "1700000000.123456"))
    await ask(connection, "INSERT INTO t (id) VALUES (1)")
    _, found = await ask(connection, "SELECT NOW(6), made FROM t")
    assert found.values == [[b"2023-11-14 22:13:20.123456"] * 2]
    for state in (SessionState(), SessionState().with_variable("timestamp", "0")):
        await connection.bring_to(state)
        _, found = await ask(connection, "SELECT YEAR(NOW()) > 2023")
        assert found.values == [[b"1"]]
    with pytest.raises(MeshError, match="timestamp"):
        await connection.bring_to(SessionState().with_variable("timestamp", "'soon'"))
    await connection.close()


async def test_a_file_that_cannot_be_opened_is_said_to_be_unreachable(tmp_path: Path) -> None:
    with pytest.raises(MeshError) as told:
        await SQLiteConnection.open(str(tmp_path / "nowhere" / "file.db"), data_source="ds_0")
    assert told.value.kind is DATA_SOURCE_UNREACHABLE
    assert "ds_0" in str(told.value)
