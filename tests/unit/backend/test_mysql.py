"""A connection to a MySQL server: every answer reaches its receiver, and nothing unknown is ever usable again."""

from __future__ import annotations

import asyncio

import pytest

from dbmesh.backend import mysql
from dbmesh.backend.connection import Flavour
from dbmesh.backend.mysql import PREPARED_PER_CONNECTION, MySQLConnection
from dbmesh.backend.state import ISOLATION, SessionState
from dbmesh.errors import MeshError, ShardError
from dbmesh.wire.constants import ColumnType, Command
from dbmesh.wire.framing import frame
from dbmesh.wire.packets import ColumnDefinition, OkPacket
from dbmesh.wire.progress import Progress
from dbmesh.wire.response import ResponseReader
from tests.plugins import canned
from tests.plugins.canned import MODERN, OLD, MemoryTransport
from tests.plugins.scripted import column

COLUMNS = [column("a", ColumnType.LONGLONG), column("b")]
ROWS = [[b"1", b"x"], [b"2", None]]
IN_TRANSACTION = 3


class Kept:
    """A receiver that notes everything, and may act on rows."""

    def __init__(self) -> None:
        self.events: list[object] = []
        self.act = lambda: None

    def columns(self, columns: list[ColumnDefinition]) -> None:
        self.events.append([c.name for c in columns])

    def rows(self, rows: list[bytes]) -> None:
        self.events.extend(rows)
        self.act()

    def done(self, ok: OkPacket, *, more: bool) -> None:
        self.events.append(("done", ok.affected_rows, more))

    def failed(self, error: Exception) -> None:
        self.events.append(type(error))


class Raw:
    """A raw receiver that joins what a client would get."""

    def __init__(self) -> None:
        self.data = b""
        self.ends: list[Progress] = []
        self.error: Exception | None = None

    def advance(self, reader: ResponseReader, progress: Progress) -> None:
        self.data += reader.header + reader.rows
        if progress is not Progress.NEED_DATA:
            self.data += reader.terminal
            self.ends.append(progress)

    def failed(self, error: Exception) -> None:
        self.error = error


class Server:
    """The far end of a connection."""

    def __init__(self, *, capabilities: int = MODERN) -> None:
        self.transport = MemoryTransport()
        self.killed: list[int] = []
        self.reached = True
        self.kill_gate = asyncio.Event()
        self.kill_gate.set()
        self.connection = MySQLConnection(
            "ds_0",
            "shop_0",
            Flavour(deprecate_eof=capabilities == MODERN),
            self.transport,
            None,
            capabilities,
            7,
            2,
            0.0,
            self._kill,
        )

    async def _kill(self, thread_id: int) -> bool:
        self.killed.append(thread_id)
        await self.kill_gate.wait()
        return self.reached

    def sent(self) -> bytes:
        """What the connection wrote since the last look."""
        data, self.transport.written = self.transport.written, b""
        return data

    async def answer(self, *answers: bytes) -> None:
        """Let the other side run, then answer one command after another."""
        for answer in answers:
            await asyncio.sleep(0)
            self.connection.data_received(answer)
        await asyncio.sleep(0)


@pytest.fixture
async def server() -> Server:
    return Server()


@pytest.mark.parametrize("capabilities", [MODERN, OLD])
@pytest.mark.parametrize("step", [1, 3, 10_000])
async def test_a_decoded_answer_arrives_in_any_chunks(capabilities: int, step: int) -> None:
    server = Server(capabilities=capabilities)
    kept = Kept()
    server.connection.query(b"SELECT a, b", kept)
    assert server.sent() == frame(b"\x03SELECT a, b", 0)
    answer = canned.result_set(COLUMNS, ROWS, capabilities=capabilities)
    for start in range(0, len(answer), step):
        assert not server.connection.usable
        server.connection.data_received(answer[start : start + step])
    assert kept.events == [[b"a", b"b"], b"\x011\x01x", b"\x012\xfb", ("done", 0, False)]
    assert server.connection.usable


@pytest.mark.parametrize("step", [1, 7, 10_000])
async def test_a_raw_answer_of_two_results_passes_whole(server: Server, step: int) -> None:
    raw = Raw()
    server.connection.relay(frame(b"\x03CALL p()", 0), raw)
    answer = canned.result_set(COLUMNS, ROWS, status=10) + canned.ok(affected=3)
    for start in range(0, len(answer), step):
        server.connection.data_received(answer[start : start + step])
    assert raw.data == answer
    assert raw.ends == [Progress.RESULT_END, Progress.ANSWER_END]
    assert server.connection.usable


async def test_an_error_leaves_the_connection_usable_and_its_transaction_open(server: Server) -> None:
    kept = Kept()
    server.connection.query(b"BEGIN", kept)
    server.connection.data_received(canned.ok(status=IN_TRANSACTION))
    assert server.connection.in_transaction
    server.connection.query(b"SELEC", kept)
    server.connection.data_received(canned.failure())
    assert kept.events[-1] is ShardError
    assert server.connection.usable
    assert server.connection.in_transaction


@pytest.mark.parametrize("cut", range(len(canned.result_set(COLUMNS, ROWS))))
async def test_a_connection_cut_at_any_byte_is_told_and_never_usable(cut: int) -> None:
    for receiver in (Kept(), Raw()):
        other = Server()
        if isinstance(receiver, Kept):
            other.connection.query(b"SELECT", receiver)
        else:
            other.connection.relay(frame(b"\x03SELECT", 0), receiver)
        if cut:
            other.connection.data_received(canned.result_set(COLUMNS, ROWS)[:cut])
        other.connection.connection_lost(None)
        told = receiver.events[-1] is MeshError if isinstance(receiver, Kept) else receiver.error is not None
        assert told
        assert not other.connection.usable


async def test_bytes_nobody_asked_for_end_the_connection(server: Server) -> None:
    server.connection.data_received(canned.ok())
    assert not server.connection.usable
    assert server.transport.closed


@pytest.mark.parametrize("step", [1, 7, 10_000])
async def test_statements_sent_together_are_answered_in_their_order(server: Server, step: int) -> None:
    kept = Kept()
    server.connection.query_all([b"SELECT 1", b"SELECT 2", b"SELECT 3"], kept)
    assert server.sent() == b"".join(frame(b"\x03SELECT %d" % n, 0) for n in (1, 2, 3))
    rows = canned.result_set(COLUMNS, [[b"1", b"x"]], capabilities=MODERN)
    answers = rows + canned.failure(1317, "no") + rows
    for start in range(0, len(answers), step):
        assert not server.connection.usable
        server.connection.data_received(answers[start : start + step])
    answer = [[b"a", b"b"], b"\x011\x01x", ("done", 0, False)]
    assert kept.events == [*answer, ShardError, *answer]
    assert server.connection.usable


async def test_a_lost_connection_is_told_for_every_statement_sent_together(server: Server) -> None:
    kept = Kept()
    server.connection.query_all([b"SELECT 1", b"SELECT 2", b"SELECT 3"], kept)
    await server.answer(canned.result_set(COLUMNS, [], capabilities=MODERN))
    server.connection.connection_lost(None)
    assert kept.events == [[b"a", b"b"], ("done", 0, False), MeshError, MeshError]
    server.connection.query_all([b"SELECT 1"], kept)
    assert kept.events[4:] == [MeshError]


async def test_a_kill_reaches_what_was_sent_behind_the_statement_it_stops(server: Server) -> None:
    kept = Kept()
    server.connection.query_all([b"SELECT 1", b"SELECT 2", b"SELECT 3"], kept)
    interrupting = asyncio.get_running_loop().create_task(server.connection.interrupt())
    for killed in (1, 2):
        await server.answer()
        assert server.killed == [7] * killed
        await server.answer(canned.failure(1317, "interrupted"))
    await interrupting
    assert server.killed == [7, 7, 7]
    await server.answer(canned.failure(1317, "interrupted"))
    assert kept.events == [ShardError] * 3
    assert server.connection.usable


@pytest.mark.parametrize("paused", [False, True])
async def test_a_kill_does_not_wait_long_for_an_answer_that_never_ends(
    server: Server, paused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mysql, "KILLED_SECONDS", 60.0 if paused else 0.01)
    server.connection.query_all([b"SELECT 1", b"SELECT 2"], Kept())
    if paused:
        server.connection.pause_reading()
    async with asyncio.timeout(5):
        await server.connection.interrupt()
    assert server.killed == [7]
    assert not server.connection.interrupting


async def test_a_statement_whose_server_cannot_be_reached_ends_here(server: Server) -> None:
    kept = Kept()
    server.connection.query(b"SELECT SLEEP(9)", kept)
    server.reached = False
    await server.connection.interrupt()
    assert kept.events == [MeshError]
    assert not server.connection.usable


async def test_bytes_behind_an_answer_end_the_connection_and_are_told(server: Server) -> None:
    kept = Kept()
    server.connection.query(b"DO 1", kept)
    server.connection.data_received(canned.ok() + b"\x00")
    assert kept.events == [MeshError]
    assert not server.connection.usable


async def test_a_file_is_never_given_away(server: Server) -> None:
    raw = Raw()
    server.connection.relay(frame(b"\x03LOAD DATA", 0), raw)
    server.connection.data_received(frame(b"\xfb/etc/passwd", 1))
    assert raw.error is not None
    assert server.sent() == frame(b"\x03LOAD DATA", 0)


async def test_a_receiver_that_cannot_read_the_answer_is_told_so(server: Server) -> None:
    class Broken(Raw):
        def advance(self, reader: ResponseReader, progress: Progress) -> None:
            from dbmesh.errors import ProtocolError

            raise ProtocolError("a column definition that is none")

    broken = Broken()
    server.connection.relay(frame(b"\x03SELECT", 0), broken)
    server.connection.data_received(canned.result_set(COLUMNS, ROWS))
    assert isinstance(broken.error, MeshError)
    assert not server.connection.usable


async def test_closed_by_its_receiver_in_mid_answer_it_stays_closed(server: Server) -> None:
    kept = Kept()
    kept.act = server.connection.abort
    server.connection.query(b"SELECT", kept)
    server.connection.data_received(canned.result_set(COLUMNS, ROWS))
    assert not server.connection.usable
    assert kept.events[-1] is MeshError


async def test_a_command_on_a_closed_connection_fails_at_once(server: Server) -> None:
    server.connection.abort()
    kept, raw, fetched = Kept(), Raw(), Raw()
    server.connection.query(b"SELECT", kept)
    server.connection.relay(frame(b"\x03SELECT", 0), raw)
    server.connection.relay_fetch(frame(b"\x1c", 0), fetched)
    assert kept.events == [MeshError]
    assert isinstance(raw.error, MeshError)
    assert isinstance(fetched.error, MeshError)
    with pytest.raises(MeshError):
        await server.connection.prepare(b"SELECT 1")


async def test_a_connection_at_rest_is_read_even_when_its_client_was_slow(server: Server) -> None:
    kept = Kept()
    kept.act = server.connection.pause_reading
    server.connection.query(b"SELECT", kept)
    server.connection.data_received(canned.result_set(COLUMNS, ROWS))
    assert server.transport.reading
    server.connection.pause_reading()
    assert server.transport.reading, "an idle connection is never paused"


async def test_pausing_stops_reading_while_rows_come(server: Server) -> None:
    server.connection.query(b"SELECT", Kept())
    server.connection.pause_reading()
    assert not server.transport.reading
    server.connection.resume_reading()
    assert server.transport.reading


async def test_interrupting_is_seen_as_long_as_the_kill_is_on_its_way(server: Server) -> None:
    await server.connection.interrupt()
    assert server.killed == [], "an idle connection has nothing to interrupt"
    server.connection.query(b"SELECT SLEEP(9)", Kept())
    server.kill_gate.clear()
    kill = asyncio.get_running_loop().create_task(server.connection.interrupt())
    await asyncio.sleep(0)
    server.connection.data_received(canned.ok())
    assert server.connection.interrupting
    server.kill_gate.set()
    await kill
    assert not server.connection.interrupting
    assert server.killed == [7]


async def test_bringing_to_a_state_sends_the_difference_once(server: Server) -> None:
    wanted = SessionState().with_variable("sql_mode", "'ANSI'")
    work = asyncio.get_running_loop().create_task(server.connection.bring_to(wanted))
    await server.answer(canned.ok())
    await work
    assert server.sent() == frame(
        b"\x03SET NAMES utf8mb4, autocommit = 1, sql_select_limit = 18446744073709551615, sql_mode = 'ANSI'",
        0,
    )
    assert server.connection.state == wanted
    await server.connection.bring_to(wanted)
    assert server.sent() == b""


async def test_a_refused_variable_leaves_the_state_known(server: Server) -> None:
    before = server.connection.state
    wanted = SessionState().with_variable("sql_mode", "'NONSENSE'")
    work = asyncio.get_running_loop().create_task(server.connection.bring_to(wanted))
    await server.answer(canned.failure(1231))
    with pytest.raises(ShardError):
        await work
    assert server.connection.usable
    assert server.connection.state == before


async def test_refused_half_way_the_state_is_unknown_and_the_connection_closed(server: Server) -> None:
    wanted = SessionState().with_variable(ISOLATION, "ISOLATION LEVEL NONSENSE")
    work = asyncio.get_running_loop().create_task(server.connection.bring_to(wanted))
    await server.answer(canned.ok(), canned.failure())
    with pytest.raises(ShardError):
        await work
    assert not server.connection.usable


async def test_a_cancelled_command_closes_the_connection(server: Server) -> None:
    work = asyncio.get_running_loop().create_task(server.connection.ping())
    await asyncio.sleep(0)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert not server.connection.usable


async def test_a_statement_is_prepared_once_and_the_oldest_is_closed(server: Server) -> None:
    answer = bytes([0]) + (5).to_bytes(4, "little") + bytes(4) + bytes([0]) + bytes(2)
    for number in range(PREPARED_PER_CONNECTION + 1):
        work = asyncio.get_running_loop().create_task(server.connection.prepare(b"DO %d" % number))
        await server.answer(frame(answer, 1))
        assert (await work).statement_id == 5
    assert server.sent().endswith(frame(bytes([Command.STMT_CLOSE]) + (5).to_bytes(4, "little"), 0))
    await server.connection.prepare(b"DO 256")
    assert server.sent() == b""
    assert b"DO 0" not in server.connection.prepared


async def test_what_prepare_told_is_asked_again_when_the_tables_have_changed(server: Server) -> None:
    before, after = object(), object()
    for number, seen in ((5, before), (6, after)):
        work = asyncio.get_running_loop().create_task(server.connection.prepare(b"DO 1", seen))
        answer = bytes([0]) + number.to_bytes(4, "little") + bytes(4) + bytes([0]) + bytes(2)
        await server.answer(frame(answer, 1))
        assert (await work).statement_id == number
    closed = frame(bytes([Command.STMT_CLOSE]) + (5).to_bytes(4, "little"), 0)
    assert closed in server.sent()
    assert (await server.connection.prepare(b"DO 1", after)).statement_id == 6
    assert (await server.connection.prepare(b"DO 1")).statement_id == 6


@pytest.mark.parametrize(
    ("state", "schema", "stays"),
    [
        (SessionState(), "shop", True),
        (SessionState().with_variable("autocommit", "0").with_user_variable("a", "1"), "shop", True),
        (SessionState().with_variable("sql_mode", "'ANSI_QUOTES'"), "shop", False),
        (SessionState().with_names("latin1"), "shop", False),
        (SessionState(), "another", False),
    ],
)
async def test_what_was_prepared_is_found_by_who_reads_its_text_alike(
    server: Server, state: SessionState, schema: str, stays: bool
) -> None:
    connection, sql = server.connection, b'SELECT "a"'
    connection.state, connection.schema = SessionState(), "shop"
    numbers = iter((5, 6, 7))

    async def prepare() -> int:
        work = asyncio.get_running_loop().create_task(connection.prepare(sql))
        await asyncio.sleep(0)
        if not work.done():
            answer = bytes([0]) + next(numbers).to_bytes(4, "little") + bytes(4) + bytes([0]) + bytes(2)
            await server.answer(frame(answer, 1))
        return (await work).statement_id

    assert await prepare() == 5
    connection.state, connection.schema = state, schema
    assert (connection.find_prepared(sql) is not None) is stays
    assert await prepare() == (5 if stays else 6)
    closed = frame(bytes([Command.STMT_CLOSE]) + (5).to_bytes(4, "little"), 0)
    assert (closed in server.sent()) is not stays
    assert connection.find_prepared(sql) is connection.prepared[sql]


async def test_row_packets_are_known_between_packets_only(server: Server) -> None:
    answer = canned.result_set(COLUMNS, ROWS)
    raw = Raw()
    server.connection.relay(frame(b"\x03SELECT", 0), raw)
    start = len(canned.header(COLUMNS))
    server.connection.data_received(answer[: start + 8])
    assert server.connection.row_packets == 1
    server.connection.data_received(answer[start + 8 : start + 14])
    assert server.connection.row_packets in (None, 1)
    assert (server.connection.row_packets is None) == (len(raw.data) > start + 8)


async def test_closing_says_goodbye(server: Server) -> None:
    await server.connection.close()
    assert server.sent() == frame(bytes([Command.QUIT]), 0)
    assert not server.connection.usable
