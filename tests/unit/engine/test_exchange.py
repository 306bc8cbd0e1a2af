"""Fan-out: rows in order, slow clients, LIMIT, errors and cancellation, with nothing left running."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from dbmesh.backend.connection import Receiver
from dbmesh.engine import exchange as module
from dbmesh.engine.exchange import Exchange
from dbmesh.engine.failed_row import NO_ROW, rank
from dbmesh.engine.lane import ROWS_DROPPED_BEFORE_ABORT, Lane
from dbmesh.engine.warnings import ShardWarning, fetch_warnings
from dbmesh.errors import DATA_SOURCE_LOST, INTERNAL, MERGE_LIMIT, MeshError, ShardError
from dbmesh.merge.rows import MergeLimits
from dbmesh.planner.plan import Answer, CountMerge, RowMerge, Shot, SortKey
from dbmesh.wire.constants import ColumnType
from dbmesh.wire.packets import ColumnDefinition, OkPacket
from dbmesh.wire.values import decode_text_row, encode_text_row
from tests.plugins.scripted import ScriptedConnection, error, ok, silence

LIMITS = MergeLimits(max_rows=100_000, max_bytes=1 << 26)
NUMBER = ColumnDefinition(b"def", b"", b"", b"", b"n", b"n", 63, 20, ColumnType.LONGLONG, 1, 0)
ORDERED = RowMerge(order_by=(SortKey(0),))


def numbers(*values: int) -> list[bytes]:
    return [encode_text_row([b"%d" % value]) for value in values]


class Kept:
    def __init__(self) -> None:
        self.names: list[bytes] = []
        self.values: list[int] = []

    def columns(self, columns: list[ColumnDefinition]) -> None:
        self.names = [column.name for column in columns]

    def rows(self, rows: list[bytes]) -> None:
        self.values += [int(decode_text_row(row)[0] or b"") for row in rows]


def run(
    connections: list[ScriptedConnection],
    answer: Answer,
    *,
    shots: int = 1,
    limits: MergeLimits = LIMITS,
    kept_by_session: bool = False,
) -> tuple[Exchange, Kept, asyncio.Task[module.Outcome]]:
    kept = Kept()
    lanes = [
        Lane(one, (Shot(one.data_source, b"SELECT n"),) * shots, kept=kept_by_session) for one in connections
    ]
    work = Exchange(lanes, answer, kept, limits)
    return work, kept, asyncio.get_running_loop().create_task(work.run())


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_rows_of_two_shards_come_in_order() -> None:
    connections = [ScriptedConnection("ds_0", silence), ScriptedConnection("ds_1", silence)]
    _, kept, work = run(connections, ORDERED)
    await settle()
    connections[1].rows([NUMBER], numbers(2, 4))
    connections[0].rows([NUMBER], numbers(1, 3, 5))
    outcome = await work
    assert kept.values == [1, 2, 3, 4, 5]
    assert kept.names == [b"n"]
    assert outcome.row_count == 5


async def test_counts_add_up_and_warnings_are_fetched() -> None:
    def answer(connection: ScriptedConnection, sql: str, receiver: object) -> None:
        if sql == "SHOW WARNINGS":
            connection.rows([NUMBER] * 3, [encode_text_row([b"Note", b"1051", b"unknown"])])
        else:
            ok(2, warnings=1)(connection, sql, receiver)  # type: ignore[arg-type]

    connections = [ScriptedConnection("ds_0", answer), ScriptedConnection("ds_1", answer)]
    _, _, work = run(connections, CountMerge())
    outcome = await work
    assert (outcome.ok.affected_rows, outcome.row_count) == (4, None)
    assert outcome.warnings == [ShardWarning("Note", 1051, "unknown")] * 2


async def test_the_same_write_everywhere_tells_the_first_ones_warnings() -> None:
    def answer(connection: ScriptedConnection, sql: str, receiver: object) -> None:
        if sql == "SHOW WARNINGS":
            connection.rows([NUMBER] * 3, [encode_text_row([b"Warning", b"1062", b"duplicate"])])
        else:
            ok(2, warnings=1)(connection, sql, receiver)  # type: ignore[arg-type]

    connections = [ScriptedConnection("ds_0", answer), ScriptedConnection("ds_1", answer)]
    _, _, work = run(connections, CountMerge(broadcast=True))
    outcome = await work
    assert (outcome.ok.affected_rows, outcome.ok.warnings) == (2, 1)
    assert outcome.warnings == [ShardWarning("Warning", 1062, "duplicate")]


async def test_warnings_of_merged_rows_are_counted_and_fetched() -> None:
    def answer(connection: ScriptedConnection, sql: str, receiver: Receiver) -> None:
        if sql == "SHOW WARNINGS":
            connection.rows([NUMBER] * 3, [encode_text_row([b"Warning", b"1292", b"truncated"])])
            return
        receiver.columns([NUMBER])
        receiver.rows(numbers(1))
        connection.rest()
        receiver.done(OkPacket(warnings=70), more=False)

    _, kept, work = run([ScriptedConnection("ds_0", answer), ScriptedConnection("ds_1", answer)], ORDERED)
    outcome = await work
    assert kept.values == [1, 1]
    assert outcome.warnings == [ShardWarning("Warning", 1292, "truncated")] * 2
    assert outcome.ok.warnings == 140, "the packets count those that SHOW WARNINGS does not tell, too"


async def test_a_limit_ends_the_statement_and_the_rows_behind_it_are_read_and_dropped() -> None:
    connection = ScriptedConnection("ds_0", silence)
    _, kept, work = run([connection], RowMerge(limit=2))
    await settle()
    assert connection.receiver is not None
    connection.receiver.columns([NUMBER])
    connection.receiver.rows(numbers(1, 2, 3))
    assert not connection.paused
    connection.receiver.rows(numbers(4))
    receiver = connection.receiver
    connection.rest()
    receiver.done(OkPacket(), more=False)
    assert (await work).row_count == 2
    assert kept.values == [1, 2]
    assert connection.usable


async def test_two_shards_with_a_limit_come_to_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GATHERED_BYTES", 0)
    connections = [ScriptedConnection("ds_0", silence), ScriptedConnection("ds_1", silence)]
    _, kept, work = run(connections, RowMerge(order_by=(SortKey(0),), limit=2))
    await settle()
    for start, connection in enumerate(connections):
        assert connection.receiver is not None
        connection.receiver.columns([NUMBER])
        connection.receiver.rows(numbers(*range(start, 100, 2)))
    assert kept.values == [0, 1]
    assert not any(connection.paused for connection in connections)
    for connection in connections:
        connection.rows([NUMBER], [])
    assert (await work).row_count == 2


@pytest.mark.parametrize(("in_transaction", "pinned"), [(False, False), (True, False), (False, True)])
async def test_far_behind_a_limit_a_shard_is_closed_unless_its_session_keeps_it(
    in_transaction: bool, pinned: bool
) -> None:
    connection = ScriptedConnection("ds_0", silence)
    connection.in_transaction = in_transaction
    _, kept, work = run([connection], RowMerge(limit=1), shots=2, kept_by_session=pinned)
    await settle()
    receiver = connection.receiver
    assert receiver is not None
    receiver.columns([NUMBER])
    receiver.rows(numbers(1))
    receiver.rows(numbers(*range(ROWS_DROPPED_BEFORE_ABORT + 1)))
    if in_transaction or pinned:
        assert connection.open
        connection.rest()
        receiver.done(OkPacket(), more=False)
    assert (await work).row_count == 1
    assert kept.values == [1]
    assert connection.open == (in_transaction or pinned)
    assert len(connection.sent) == 1, "shots behind a reached limit are not sent"


async def test_a_small_answer_is_merged_when_the_last_shard_has_sent_its_part() -> None:
    connections = [ScriptedConnection("ds_0", silence), ScriptedConnection("ds_1", silence)]
    _, kept, work = run(connections, ORDERED)
    await settle()
    connections[0].rows([NUMBER], numbers(1, 3))
    assert connections[1].receiver is not None
    connections[1].receiver.columns([NUMBER])
    connections[1].receiver.rows(numbers(0, 2, 4))
    assert kept.names == [b"n"]
    assert kept.values == []
    connections[1].rows([NUMBER], [])
    assert (await work).row_count == 5
    assert kept.values == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("answer", [ORDERED, RowMerge()])
async def test_an_answer_that_grows_streams_from_there_on(answer: RowMerge) -> None:
    connections = [ScriptedConnection("ds_0", silence), ScriptedConnection("ds_1", silence)]
    _, kept, work = run(connections, answer)
    await settle()
    connections[0].rows([NUMBER], numbers(1, 3))
    second = connections[1].receiver
    assert second is not None
    second.columns([NUMBER])
    second.rows(numbers(2))
    second.rows(numbers(*range(4, 40_000)))
    assert len(kept.values) == 39_999, "nothing the others could still precede is held"
    connections[1].rest()
    second.done(OkPacket(), more=False)
    assert (await work).row_count == 39_999
    assert sorted(kept.values) == list(range(1, 40_000))


class Pipelined(ScriptedConnection):
    """Takes statements that are sent together; the test answers them through `receiver`, one `end` after another."""

    waiting = 0

    def query_all(self, statements: Sequence[bytes], receiver: Receiver) -> None:
        assert not self.busy
        self.busy = True
        self.receiver = receiver
        self.waiting = len(statements)
        self.sent += [statement.decode() for statement in statements]

    def end(self, outcome: OkPacket | Exception, rows: list[bytes] | None = None) -> None:
        receiver = self.receiver
        assert receiver is not None
        if rows is not None:
            receiver.columns([NUMBER])
            receiver.rows(rows)
        self.waiting -= 1
        if not self.waiting:
            self.rest()
        if isinstance(outcome, Exception):
            receiver.failed(outcome)
        else:
            receiver.done(outcome, more=False)

    def abort(self) -> None:
        receiver, waiting = self.receiver, self.waiting
        super().abort()
        for _ in range(waiting - 1):
            assert receiver is not None
            receiver.failed(MeshError(DATA_SOURCE_LOST, data_source=self.data_source, reason="aborted"))


def run_together(
    connections: list[Pipelined], answer: Answer
) -> tuple[Exchange, Kept, asyncio.Task[module.Outcome]]:
    kept = Kept()
    lanes = [
        Lane(one, tuple(Shot(one.data_source, b"SELECT %d" % n) for n in range(3)), one)
        for one in connections
    ]
    work = Exchange(lanes, answer, kept, LIMITS)
    return work, kept, asyncio.get_running_loop().create_task(work.run())


async def test_shots_of_a_pipeline_are_sent_at_once_and_merged() -> None:
    connection = Pipelined("ds_0", silence)
    _, kept, work = run_together([connection], ORDERED)
    await settle()
    assert connection.sent == ["SELECT 0", "SELECT 1", "SELECT 2"]
    for n in (2, 1, 0):
        connection.end(OkPacket(), numbers(n, n + 10))
    assert (await work).row_count == 6
    assert kept.values == [0, 1, 2, 10, 11, 12]


async def test_shots_of_a_pipeline_that_had_warnings_run_again_for_them() -> None:
    connection = Pipelined("ds_0", silence)
    _, kept, work = run_together([connection], ORDERED)
    await settle()
    connection.end(OkPacket(warnings=1), numbers(1))
    connection.end(OkPacket(), numbers(2))

    def answer(scripted: ScriptedConnection, sql: str, receiver: object) -> None:
        about = scripted.sent[-2].encode()
        if sql == "SHOW WARNINGS":
            scripted.rows([NUMBER] * 3, [encode_text_row([b"Note", b"1292", about])])
        else:
            scripted.rows([NUMBER], numbers(99))

    connection.answer = answer
    connection.end(OkPacket(warnings=1), numbers(3))
    outcome = await work
    assert connection.sent[3:] == ["SHOW WARNINGS", "SELECT 0", "SHOW WARNINGS"]
    assert [warning.message for warning in outcome.warnings] == ["SELECT 0", "SELECT 2"]
    assert kept.values == [1, 2, 3]


@pytest.mark.parametrize("in_transaction", [False, True])
async def test_behind_a_failed_shot_of_a_pipeline_rows_are_dropped_or_the_connection_closed(
    in_transaction: bool,
) -> None:
    connection = Pipelined("ds_0", silence)
    connection.in_transaction = in_transaction
    _, kept, work = run_together([connection], RowMerge())
    await settle()
    connection.end(ShardError(1205, "HY000", "locked"))
    assert connection.open == in_transaction
    if in_transaction:
        connection.end(OkPacket(), numbers(1))
        assert not work.done()
        connection.end(OkPacket(), numbers(2))
    with pytest.raises(ShardError, match="locked"):
        await work
    assert kept.values == []
    assert connection.usable == in_transaction


async def test_the_first_error_is_told_after_all_have_come_to_rest() -> None:
    connections = [ScriptedConnection("ds_0", silence), ScriptedConnection("ds_1", silence)]
    _, _, work = run(connections, ORDERED)
    await settle()
    assert connections[0].receiver is not None
    connections[0].receiver.columns([NUMBER])
    connections[0].receiver.rows(numbers(1))
    error(1317, "first")(connections[1], "", connections[1].receiver)  # type: ignore[arg-type]
    with pytest.raises(ShardError, match="first"):
        await work
    assert not connections[0].open, "rows nobody will read must not go on coming"
    assert connections[1].usable


async def test_of_an_insert_the_error_of_the_first_row_is_told_whoever_answers_first() -> None:
    places = {"ds_0": (0, 3), "ds_1": (1, 2)}
    connections = [ScriptedConnection(name, silence) for name in places]
    lanes = [
        Lane(one, (Shot(one.data_source, b"INSERT"),) * 2, places=places[one.data_source])
        for one in connections
    ]
    rows = [[1, 8], [4, 5], [6], [7]]
    exchange = Exchange(lanes, CountMerge(inserts=True, numbers=lambda: rows), Kept(), LIMITS)
    work = asyncio.get_running_loop().create_task(exchange.run())
    await settle()
    ok(1)(connections[1], "", connections[1].receiver)  # type: ignore[arg-type]
    error(1062, "third")(connections[1], "", connections[1].receiver)  # type: ignore[arg-type]
    assert not work.done()
    error(1048, "first")(connections[0], "", connections[0].receiver)  # type: ignore[arg-type]
    assert not work.done(), "an error of the statement itself would come before"
    ok(1)(connections[0], "", connections[0].receiver)  # type: ignore[arg-type]
    with pytest.raises(ShardError, match="first"):
        await work
    assert [len(one.sent) for one in connections] == [2, 2]


@pytest.mark.parametrize(
    ("number", "row", "expected"), [(1062, 7, 7), (1054, 7, 0), (1213, 7, -2), (1062, NO_ROW, NO_ROW)]
)
def test_errors_of_a_statement_have_an_order(number: int, row: int, expected: int) -> None:
    assert rank(ShardError(number, "HY000", ""), row) == expected
    assert rank(MeshError(INTERNAL, reason=""), row) == NO_ROW


async def test_shots_before_a_failed_one_of_an_insert_still_run() -> None:
    connections = [ScriptedConnection("ds_0", silence), ScriptedConnection("ds_1", silence)]
    _, _, work = run(connections, CountMerge(inserts=True), shots=2)
    await settle()
    error(1062, "behind")(connections[1], "", connections[1].receiver)  # type: ignore[arg-type]
    ok(1)(connections[0], "", connections[0].receiver)  # type: ignore[arg-type]
    error(1048, "before")(connections[0], "", connections[0].receiver)  # type: ignore[arg-type]
    ok(1)(connections[1], "", connections[1].receiver)  # type: ignore[arg-type]
    with pytest.raises(ShardError, match="before"):
        await work


async def test_an_error_that_ended_the_transaction_is_told_before_all_others() -> None:
    connections = [ScriptedConnection("ds_0", silence), ScriptedConnection("ds_1", silence)]
    _, _, work = run(connections, CountMerge(inserts=True))
    await settle()
    error(1062, "duplicate")(connections[0], "", connections[0].receiver)  # type: ignore[arg-type]
    error(1213, "deadlock")(connections[1], "", connections[1].receiver)  # type: ignore[arg-type]
    with pytest.raises(ShardError, match="deadlock"):
        await work


async def test_a_slow_client_stops_every_shard_until_it_reads() -> None:
    connections = [ScriptedConnection("ds_0", silence), ScriptedConnection("ds_1", silence)]
    exchange, kept, work = run(connections, RowMerge())
    await settle()
    exchange.pause()
    assert all(connection.paused for connection in connections)
    exchange.resume()
    assert not any(connection.paused for connection in connections)
    for connection in connections:
        connection.rows([NUMBER], numbers(7))
    await work
    assert kept.values == [7, 7]


async def test_a_shard_far_ahead_waits_and_goes_on() -> None:
    connections = [ScriptedConnection("ds_0", silence), ScriptedConnection("ds_1", silence)]
    _, kept, work = run(connections, ORDERED)
    await settle()
    first = connections[0].receiver
    assert first is not None
    first.columns([NUMBER])
    for start in range(0, 1_000_000, 10_000):
        if connections[0].paused:
            break
        first.rows(numbers(*range(start, start + 10_000)))
    assert connections[0].paused
    connections[1].rows([NUMBER], numbers(999_999))
    assert not connections[0].paused
    connections[0].rest()
    first.done(OkPacket(), more=False)
    await work
    assert kept.values == sorted(kept.values)
    assert kept.values[-1] == 999_999


async def test_cancelled_it_closes_what_still_runs() -> None:
    connections = [ScriptedConnection("ds_0", silence), ScriptedConnection("ds_1")]
    exchange, _, work = run(connections, CountMerge())
    await settle()
    assert exchange.busy_connections() == [connections[0]]
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert not connections[0].open
    assert connections[1].usable


async def test_cancelled_between_two_statements_it_sends_no_more() -> None:
    connection = ScriptedConnection("ds_0", ok(1, warnings=1))
    _, _, work = run([connection], CountMerge(), shots=2)
    connection_answers = connection.answer

    def answer(one: ScriptedConnection, sql: str, receiver: Receiver) -> None:
        (silence if sql == "SHOW WARNINGS" else connection_answers)(one, sql, receiver)

    connection.answer = answer
    await settle()
    assert connection.sent == ["SELECT n", "SHOW WARNINGS"]
    # The answer comes before the statement has learned that it is cancelled.
    work.cancel()
    connection.rows([NUMBER] * 3, [])
    with pytest.raises(asyncio.CancelledError):
        await work
    await settle()
    assert connection.sent == ["SELECT n", "SHOW WARNINGS"]
    assert not connection.open, "whoever ends its transaction must not meet the lane's next statement there"


@pytest.mark.parametrize("shots", [1, 2])
async def test_killed_between_two_statements_it_begins_no_more(shots: int) -> None:
    connection = ScriptedConnection("ds_0", ok(1, warnings=1))
    exchange, _, work = run([connection], CountMerge(), shots=shots)
    connection_answers = connection.answer

    def answer(one: ScriptedConnection, sql: str, receiver: Receiver) -> None:
        (silence if sql == "SHOW WARNINGS" else connection_answers)(one, sql, receiver)

    connection.answer = answer
    await settle()
    # The answer has come, and the lane goes on in the next turn of the loop.
    connection.rows([NUMBER] * 3, [])
    assert not exchange.busy_connections()
    exchange.interrupt()
    if shots == 1:
        assert (await work).ok.affected_rows == 1, "nothing is left to be stopped"
    else:
        with pytest.raises(MeshError, match="interrupted"):
            await work
    assert connection.sent == ["SELECT n", "SHOW WARNINGS"]
    assert connection.usable


class Watching:
    """A guard that notes how calls ended."""

    def __init__(self) -> None:
        self.told: list[Exception | None] = []

    def permits(self, now: float) -> bool:
        raise NotImplementedError

    async def admit(self) -> None:
        raise NotImplementedError

    def ended(self, began: float, now: float, error: Exception | None) -> None:
        self.told.append(error)


async def test_what_is_closed_since_nobody_wants_its_rows_is_no_failure_of_the_data_source() -> None:
    connection = ScriptedConnection("ds_0", silence)
    connection.home.guard = guard = Watching()
    _, _, work = run([connection], RowMerge(limit=1))
    await settle()
    assert connection.receiver is not None
    connection.receiver.columns([NUMBER])
    connection.receiver.rows(numbers(1))
    connection.receiver.rows(numbers(*range(ROWS_DROPPED_BEFORE_ABORT + 1)))
    await work
    assert not connection.open
    assert guard.told == [None]


async def test_what_is_closed_since_its_client_is_gone_is_no_failure_of_the_data_source() -> None:
    connection = ScriptedConnection("ds_0", silence)
    connection.home.guard = guard = Watching()
    _, _, work = run([connection], CountMerge())
    await settle()
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert not connection.open
    assert guard.told == []


async def test_too_much_to_hold_is_refused() -> None:
    connection = ScriptedConnection("ds_0", silence)
    _, _, work = run([connection], ORDERED, shots=2, limits=MergeLimits(max_rows=10, max_bytes=1 << 20))
    await settle()
    assert connection.receiver is not None
    connection.receiver.columns([NUMBER])
    connection.receiver.rows(numbers(*range(20)))
    with pytest.raises(MeshError) as caught:
        await work
    assert caught.value.kind is MERGE_LIMIT


async def test_an_unexpected_failure_of_the_merge_ends_the_statement() -> None:
    connection = ScriptedConnection("ds_0", silence)
    kept = Kept()

    def fail(rows: list[bytes]) -> None:
        raise ValueError("a bug")

    kept.rows = fail  # type: ignore[method-assign]
    lanes = [Lane(connection, (Shot("ds_0", b"SELECT n"),))]
    work = asyncio.get_running_loop().create_task(Exchange(lanes, RowMerge(), kept, LIMITS).run())
    await settle()
    connection.rows([NUMBER], numbers(1))
    with pytest.raises(MeshError, match="ValueError"):
        await work


async def test_warnings_are_read_as_rows() -> None:
    def answer(connection: ScriptedConnection, sql: str, receiver: object) -> None:
        connection.rows([NUMBER] * 3, [encode_text_row([b"Warning", b"1265", b"Data truncated"])])

    found = await fetch_warnings(ScriptedConnection("ds_0", answer))
    assert found == [ShardWarning("Warning", 1265, "Data truncated")]
