"""Which database statements are planned in before one was chosen, what KILL QUERY does when, and what a client leaves."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dbmesh.backend.connection import Connection
from dbmesh.backend.mysql import MySQLConnection
from dbmesh.backend.tasks import TaskOwner
from dbmesh.engine.exchange import Exchange, Outcome
from dbmesh.errors import DEADLOCK, QUERY_INTERRUPTED, ShardError
from dbmesh.rules.privileges import OF_DATABASE, Privileges, Target, grant
from dbmesh.rules.ruleset import TransactionType
from dbmesh.session.gate import Gate
from dbmesh.session.session import Session
from dbmesh.session.statements import compensated
from dbmesh.session.statements.compensated import _end
from dbmesh.session.statements.own_transaction import in_own_transaction
from dbmesh.transaction.compensator import RecordLocked
from dbmesh.transaction.transaction import Branch, Transaction
from dbmesh.wire.constants import Capability, ColumnType, Status
from dbmesh.wire.framing import frame
from dbmesh.wire.packets import (
    OkPacket,
    make_column_definition,
    make_end_of_rows,
    parse_err,
    parse_ok,
)
from tests.plugins import canned
from tests.plugins.canned import MODERN
from tests.plugins.scripted import RecordingClient, ScriptedConnection, column
from tests.plugins.session_world import SessionWorld, prepared


@pytest.fixture
async def world() -> AsyncIterator[SessionWorld]:
    made = SessionWorld()
    yield made
    await made.end()


def _current(allowed: tuple[str, ...], chosen: str | None = None) -> str:
    databases = {name: SimpleNamespace(name=name) for name in ("hr", "shop")}
    privileges = Privileges(frozenset().union(*(grant(Target(name), OF_DATABASE) for name in allowed)))
    made = SimpleNamespace(databases=databases, database=chosen, logic_database=chosen, privileges=privileges)
    return Session.current_database(made).name  # type: ignore[arg-type]


def test_only_a_database_the_account_may_use() -> None:
    assert _current(("hr", "shop")) == "hr"
    assert _current(("shop",)) == "shop"
    assert _current(("hr", "shop"), "Shop") == "shop"
    # Nothing there is open to the account, but SELECT 1 needs nothing.
    assert _current(()) == "hr"


_LOCAL = SimpleNamespace(transaction_type=TransactionType.LOCAL)


class Killed:
    """A session with nothing behind it, and whether the work it was given began and ended."""

    def __init__(self) -> None:
        self.client = RecordingClient()
        self.failures: list[BaseException] = []
        self.tasks = TaskOwner(self.failures.append)
        world = SimpleNamespace(
            sessions={},
            traces=False,
            databases={},
            autocommit=True,
            configuration=_LOCAL,
            ends_by=lambda _: (None, None),
        )
        mesh = cast("Any", world)
        world.gate = Gate(mesh)
        capabilities = int(Capability.PROTOCOL_41)
        self.session = Session(mesh, self.client, self.tasks, 7, capabilities, "localhost", {})
        self.go_on = asyncio.Event()
        self.began = False

    async def work(self) -> None:
        self.began = True
        await self.go_on.wait()
        self.session.ok()

    async def ended(self) -> list[bytes]:
        """The packets of the answer, when every task has ended."""
        self.go_on.set()
        running = asyncio.all_tasks() - {cast("asyncio.Task[Any]", asyncio.current_task())}
        if running:
            await asyncio.wait(running)
        assert not len(self.tasks)
        assert not self.failures
        return [payload for _, payload in self.client.packets()]


def _is_interrupted(packet: bytes) -> bool:
    return packet[0] == 0xFF and int.from_bytes(packet[1:3], "little") == QUERY_INTERRUPTED.number


@pytest.mark.parametrize("steps", [0, 2])
async def test_a_killed_command_is_answered_whether_it_had_begun_or_not(steps: int) -> None:
    killed = Killed()
    killed.session.run(killed.work())
    for _ in range(steps):
        await asyncio.sleep(0)
    assert killed.began == (steps > 0)
    killed.session.kill_query()
    (packet,) = await killed.ended()
    assert _is_interrupted(packet)
    assert killed.client.commands == 1


async def test_a_write_that_has_begun_to_commit_everywhere_is_not_interrupted() -> None:
    killed = Killed()

    class Slow(Transaction):
        async def end_write(self) -> None:
            await killed.work()

    killed.session.transaction = Slow()
    killed.session.run(cast("Any", _end(killed.session, cast("Any", None))))
    await asyncio.sleep(0)
    killed.session.kill_query()
    (packet,) = await killed.ended()
    assert packet[0] == 0


@pytest.mark.parametrize("perseveres", [False, True])
async def test_the_work_of_a_client_that_left_at_once_is_not_left_behind(perseveres: bool) -> None:
    killed = Killed()
    killed.session.run(killed.work(), perseveres=perseveres)
    await killed.session.end()
    assert not killed.began
    assert not await killed.ended()


async def test_a_command_that_has_its_error_gets_no_second_one() -> None:
    killed = Killed()
    session = killed.session
    asked = asyncio.Event()
    connection = ScriptedConnection(answer=lambda *_: asked.set())
    session.transaction.branches["shop.ds_0"] = Branch("shop.ds_0", cast("Connection", connection))
    deadlock = ShardError(1213, "40001", "Deadlock found")
    session.error(deadlock)
    session.settle(deadlock)
    await asked.wait()
    session.kill_query()
    await asyncio.sleep(0)
    connection.abort()
    assert len(await killed.ended()) == 1
    assert killed.client.commands == 1


async def test_a_statement_whose_shards_have_all_answered_is_not_killed() -> None:
    killed = Killed()
    killed.session.run(killed.work())
    await asyncio.sleep(0)
    killed.session.exchange = cast("Exchange", SimpleNamespace(busy_connections=list, interrupt=lambda: None))
    killed.session.kill_query()
    (packet,) = await killed.ended()
    assert packet[0] == 0x00


RUNNING = {
    "relayed": (b"\x03SELECT status FROM t_order WHERE user_id = 1", ["ds_0"]),
    "merged": (b"\x03SELECT status FROM t_order ORDER BY order_id", ["ds_0", "ds_0", "ds_1", "ds_1"]),
}


@pytest.mark.parametrize("kind", RUNNING)
async def test_what_runs_for_a_client_that_is_gone_is_killed_on_every_shard_and_never_lent_again(
    kind: str,
) -> None:
    world = SessionWorld()
    payload, shards = RUNNING[kind]
    await world.running(payload, len(set(shards)))
    await world.end()
    assert sorted(world.kills) == shards
    assert not any(pool.size for pool in world.pools.values())


async def test_the_transaction_of_a_client_that_is_gone_is_rolled_back_everywhere() -> None:
    world = SessionWorld()
    world.reply = lambda name, payload: canned.ok(status=2 if payload[1:] == b"ROLLBACK" else 3)
    await world.command(b"\x03BEGIN")
    await world.command(b"\x03UPDATE t_order SET status = 'x'")
    assert world.lent == 2
    await world.end()
    assert sorted(world.statements()[-2:]) == [("ds_0", "ROLLBACK"), ("ds_1", "ROLLBACK")]
    assert sum(pool.idle for pool in world.pools.values()) == 2


@pytest.mark.parametrize("kind", RUNNING)
async def test_kill_query_reaches_every_shard(kind: str) -> None:
    world = SessionWorld()
    payload, shards = RUNNING[kind]
    await world.running(payload, len(set(shards)))
    world.session.kill_query()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert sorted(world.kills) == shards
    await world.end()


@pytest.mark.parametrize(
    ("mode", "flag"), [("NO_BACKSLASH_ESCAPES", Status.NO_BACKSLASH_ESCAPES), ("ANSI_QUOTES", 0)]
)
async def test_the_status_tells_drivers_how_to_escape(mode: str, flag: int) -> None:
    world = SessionWorld()
    ((_, packet),) = await world.command(f"\x03SET sql_mode = '{mode}'".encode())
    assert parse_ok(packet, MODERN).status & Status.NO_BACKSLASH_ESCAPES == flag
    await world.end()


async def test_kill_connection_closes_the_clients_own() -> None:
    world = SessionWorld()
    world.session.kill_connection()
    assert world.client.aborted
    await world.end()


@pytest.mark.parametrize("kind", RUNNING)
async def test_a_client_that_does_not_read_stops_its_shards_and_reading_sets_them_going(kind: str) -> None:
    world = SessionWorld()
    payload, shards = RUNNING[kind]
    await world.running(payload, len(set(shards)))
    lent = [connection for pool in world.pools.values() for connection in pool._lent]
    assert len(lent) == len(shards)
    world.session.pause()
    assert not any(cast("Any", connection)._transport.reading for connection in lent)
    world.session.resume()
    assert all(cast("Any", connection)._transport.reading for connection in lent)
    await world.end()


async def test_what_begins_while_the_client_does_not_read_waits_with_its_first_row() -> None:
    world = SessionWorld()
    world.session.pause()
    payload, shards = RUNNING["merged"]
    await world.running(
        payload, 2, canned.header([column("status"), column("dbmesh_0", ColumnType.LONGLONG)])
    )
    for _ in range(3):
        await asyncio.sleep(0)
    lent = [connection for pool in world.pools.values() for connection in pool._lent]
    assert len(lent) == len(shards)
    assert not any(cast("Any", connection)._transport.reading for connection in lent)
    await world.end()


class _Deadlocks:
    """Data sources of which one undoes its transaction at so many UPDATEs."""

    def __init__(self, count: int) -> None:
        self.left = count

    def __call__(self, name: str, payload: bytes) -> bytes:
        if b"UPDATE" in payload and name == "ds_1" and self.left:
            self.left -= 1
            return canned.failure(1213, "Deadlock found when trying to get lock; try restarting transaction")
        return canned.ok(1)


@pytest.mark.parametrize(("deadlocks", "number"), [(1, None), (3, None), (100, 1213)])
async def test_a_write_to_several_shards_that_a_deadlock_undoes_is_run_again(
    world: SessionWorld, deadlocks: int, number: int | None
) -> None:
    world.reply = _Deadlocks(deadlocks)
    ((_, packet),) = await world.command(b"\3UPDATE t_order SET status = 'x'")
    assert (parse_err(packet).number if packet[0] == 0xFF else None) == number
    assert world.session.broken_transaction is None
    assert not world.session.transaction.open
    statements = [text for _, text in world.statements()]
    assert ("COMMIT" in statements) is (number is None)
    assert not [text for text in statements if "SAVEPOINT" in text], "the transaction is the statement"


async def test_in_a_transaction_of_several_statements_a_deadlock_is_the_clients(world: SessionWorld) -> None:
    await world.command(b"\3BEGIN")
    await world.command(b"\3UPDATE t_order SET status = 'x'")
    world.reply = _Deadlocks(1)
    ((_, packet),) = await world.command(b"\3UPDATE t_order SET status = 'y'")
    assert parse_err(packet).number == 1213
    assert not world.session.transaction.open


async def test_what_is_run_again_finds_the_sessions_variables_as_they_were(world: SessionWorld) -> None:
    session = world.session
    session.state = session.state.with_user_variable("v", "5")
    session.last_insert_id = 7
    found: list[tuple[object, int]] = []

    async def work() -> Outcome:
        found.append((session.state.user_variables, session.last_insert_id))
        # A query of the write's own: `INSERT … SELECT @v := @v + 1, LAST_INSERT_ID(id)`.
        session.state = session.state.with_user_variable("v", str(5 + len(found)))
        session.last_insert_id = 7 + len(found)
        if len(found) < 3:
            raise ShardError(*DEADLOCK)
        return Outcome(OkPacket(1), None, [])

    await in_own_transaction(session, work, tries=8)
    assert found == [((("v", "5"),), 7)] * 3
    assert session.last_insert_id == 10


async def _tries(world: SessionWorld, meanwhile: Callable[[], None]) -> int:
    """How often what a deadlock undoes is begun, when each try does something else too."""
    tries = 0

    async def work() -> Outcome:
        nonlocal tries
        tries += 1
        meanwhile()
        raise ShardError(*DEADLOCK)

    with pytest.raises(ShardError, match="Deadlock"):
        await in_own_transaction(world.session, work, tries=8)
    return tries


async def test_what_was_planned_by_former_rules_is_not_run_again(world: SessionWorld) -> None:
    mesh = world.mesh

    def switch() -> None:
        mesh.databases = dict(mesh.databases)

    assert await _tries(world, lambda: None) == 8
    assert await _tries(world, switch) == 1


async def test_what_has_waited_as_long_as_one_statement_may_is_not_run_again(world: SessionWorld) -> None:
    session = world.session
    session.state = session.state.with_variable("innodb_lock_wait_timeout", "3")
    began, waited = session.now(), 0.0
    session.now = lambda: began + waited

    def wait() -> None:
        nonlocal waited
        waited += 2.0

    assert await _tries(world, wait) == 2


async def test_a_locking_query_that_fails_has_done_nothing(world: SessionWorld) -> None:
    rows = canned.result_set([column("order_id", ColumnType.LONGLONG)], [[b"1"]])
    timeout = canned.failure(1205, "Lock wait timeout exceeded; try restarting transaction")
    world.reply = lambda name, payload: timeout if name == "ds_1" and b"t_order" in payload else rows
    *_, (_, packet) = await world.command(b"\3SELECT order_id FROM t_order LOCK IN SHARE MODE")
    assert parse_err(packet).number == 1205
    assert "done" not in parse_err(packet).message.decode()


async def test_what_waited_for_a_record_lock_begins_with_the_variables_it_had(
    world: SessionWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, seen = world.session, list[str | None]()

    async def once(*_: object) -> Outcome:
        seen.append(session.state.user_variable("v"))
        session.state = session.state.with_user_variable("v", "1")
        if len(seen) == 1:
            raise RecordLocked("another")
        return Outcome(OkPacket(0, 0, 2, 0), None)

    monkeypatch.setattr(compensated, "_once", once)
    monkeypatch.setattr(compensated, "readable", lambda session, database, bound: bound)
    session.transaction.commit_by(None, cast("Any", object()))
    bound = cast("Any", SimpleNamespace(answer=None))
    database = world.mesh.databases["shop"]
    session.mesh.sessions[session.connection_id] = session
    await compensated.compensated(session, database, cast("Any", None), bound, cast("Any", None))
    session.transaction.commit_by(None)
    assert seen == [None, None]


FOUR_NODES = b"\3INSERT INTO t_order (order_id, user_id) VALUES (1, 0), (2, 1), (3, 2), (4, 3)"


def _refuses(*data_sources: str, beginning: bytes) -> Callable[[str, bytes], bytes]:
    def reply(name: str, payload: bytes) -> bytes:
        if name in data_sources and payload[1:].startswith(beginning):
            return canned.failure(1290, "read only")
        return canned.ok(1)

    return reply


@pytest.mark.parametrize("statement", [FOUR_NODES, b"\3UPDATE t_order SET status = 'x'"])
@pytest.mark.parametrize("begun", [False, True])
async def test_who_is_refused_a_transaction_is_told_why(
    world: SessionWorld, statement: bytes, begun: bool
) -> None:
    if begun:
        await world.command(b"\3BEGIN")
    world.reply = _refuses("ds_0", "ds_1", beginning=b"START TRANSACTION")
    ((_, packet),) = await world.command(statement)
    error = parse_err(packet)
    assert (error.number, error.message) == (1290, b"read only")


async def test_a_refused_beginning_leaves_the_transaction_elsewhere(world: SessionWorld) -> None:
    await world.command(b"\3BEGIN")
    await world.command(b"\3UPDATE t_order SET status = 'x' WHERE user_id = 0")
    world.reply = _refuses("ds_1", beginning=b"START TRANSACTION")
    ((_, packet),) = await world.command(b"\3UPDATE t_order SET status = 'x' WHERE user_id = 2")
    assert parse_err(packet).number == 1290
    assert world.session.broken_transaction is None
    assert list(world.session.transaction.branches) == ["shop.ds_0"]


async def test_a_refused_savepoint_leaves_the_transaction(world: SessionWorld) -> None:
    await world.command(b"\3BEGIN")
    await world.command(b"\3UPDATE t_order SET status = 'x' WHERE user_id = 0")
    world.reply = _refuses("ds_0", beginning=b"SAVEPOINT `dbmesh statement`")
    ((_, packet),) = await world.command(b"\3UPDATE t_order SET status = 'y' WHERE user_id IN (0, 1)")
    assert parse_err(packet).number == 1290
    assert world.session.broken_transaction is None


MOVES = b"\3UPDATE t_order SET user_id = 2 WHERE user_id = 0"
"""Reads the row on ds_0, deletes it there, and inserts it on ds_1."""


async def test_a_statement_that_is_killed_between_two_of_its_steps_is_undone(world: SessionWorld) -> None:
    """While a data source joins nothing runs that could be stopped there: the command is cancelled."""
    await world.command(b"\3BEGIN")
    columns = [column(name, ColumnType.LONGLONG, "t_order_0") for name in "abcdef"]
    row = b"\0\0" + struct.pack("<6q", 1, 0, 1, 0, 5, 2)
    packets = [b"\6", *map(make_column_definition, columns), row, make_end_of_rows(3, 0, MODERN)]
    rows = b"".join(frame(packet, number) for number, packet in enumerate(packets, 1))
    joins = asyncio.Event()

    def reply(name: str, payload: bytes) -> bytes:
        if name == "ds_1" and payload[1:].startswith(b"START TRANSACTION"):
            joins.set()
            return b""
        if payload[0] == 0x16:
            return prepared([], columns)
        return rows if payload[0] == 0x17 else canned.ok(1, status=3)

    world.reply = reply
    state = world.session.state
    world.client.answered.clear()
    world.session.handle(MOVES, 1)
    await asyncio.wait_for(joins.wait(), 20)
    assert "DELETE" in " ".join(text for name, text in world.statements() if name == "ds_0")
    world.session.kill_query()
    await world.client.answered.wait()
    assert parse_err(world.client.packets()[-1][1]).number == QUERY_INTERRUPTED.number
    assert world.statements()[-1] == ("ds_0", "ROLLBACK TO SAVEPOINT `dbmesh statement`")
    assert list(world.session.transaction.branches) == ["shop.ds_0"], "the client may go on"
    assert world.session.state == state
    world.reply = lambda name, payload: canned.ok()
    await world.command(b"\3COMMIT")


async def test_a_session_has_its_state_after_a_statement_of_steps_that_could_not_begin(
    world: SessionWorld,
) -> None:
    await world.command(b"\3BEGIN")
    await world.command(b"\3UPDATE t_order SET status = 'x' WHERE user_id = 0")
    state = world.session.state
    world.reply = _refuses("ds_0", beginning=b"SAVEPOINT `dbmesh statement`")
    ((_, packet),) = await world.command(MOVES)
    assert parse_err(packet).number == 1290
    assert world.session.state == state, "the moment of one statement is not that of the next"
    world.reply = lambda name, payload: canned.ok()
    await world.command(b"\3ROLLBACK")


async def test_a_kill_that_meets_no_statement_on_a_shard_stops_those_that_would_follow(
    world: SessionWorld,
) -> None:
    """KILL takes a connection of its own: what it is for may have ended when the server hears of it."""
    await world.command(b"\3BEGIN")
    await world.command(b"\3UPDATE t_order SET status = 'x'")
    running = asyncio.Event()

    def reply(name: str, payload: bytes) -> bytes:
        if payload[1:].startswith(b"UPDATE"):
            if name == "ds_1":
                running.set()
            return b""
        return canned.ok(status=3)

    world.reply = reply
    world.sent.clear()
    world.client.answered.clear()
    world.session.handle(b"\3UPDATE t_order SET status = 'y'", 1)
    await asyncio.wait_for(running.wait(), 20)
    world.session.kill_query()
    for pool in world.pools.values():
        for connection in pool._lent:
            cast("MySQLConnection", connection).data_received(canned.ok(1, status=3))
    await asyncio.wait_for(world.client.answered.wait(), 20)
    assert parse_err(world.client.packets()[-1][1]).number == QUERY_INTERRUPTED.number
    updates = [(name, text) for name, text in world.statements() if text.startswith("UPDATE")]
    assert sorted(name for name, _ in updates) == ["ds_0", "ds_1"]
    undone = [name for name, text in world.statements() if text.startswith("ROLLBACK TO")]
    assert sorted(undone) == ["ds_0", "ds_1"]
    world.reply = lambda name, payload: canned.ok()
    await world.command(b"\3COMMIT")
