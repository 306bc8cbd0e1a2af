"""Filters see every statement of a client once, in order, and its end however it comes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from math import inf

import pytest

from dbmesh.errors import UNKNOWN_COMMAND, MeshError
from dbmesh.planner.plan import Verb
from dbmesh.session.filtering import RunningStatement, Seen, within
from dbmesh.session.planning import look_up
from dbmesh.session.session import Session
from dbmesh.sql.digest import digest_of
from dbmesh.sql.lexer import DEFAULT
from dbmesh.wire.commands import make_execute
from dbmesh.wire.constants import ColumnType
from dbmesh.wire.packets import parse_err
from tests.plugins import canned
from tests.plugins.scripted import column
from tests.plugins.session_world import SessionWorld, prepared

NUMBER = column("user_id", ColumnType.LONGLONG, "t_order_1")


class Noting:
    """Notes what it is told; refuses or delays the statements it is told to."""

    def __init__(self, name: str, notes: list[str]) -> None:
        self.name = name
        self.notes = notes
        self.refuses = False
        self.gate: asyncio.Event | None = None
        self.seen: list[RunningStatement] = []
        self.wanted = True

    def find(self, session: Session, seen: Seen) -> str | None:
        return seen[2] if self.wanted else None

    def begin(self, statement: RunningStatement, found: str) -> Awaitable[None] | None:
        assert found == statement.text
        self.notes.append(f"{self.name} begins {statement.digest.text}")
        if self.refuses:
            raise MeshError(UNKNOWN_COMMAND)
        self.seen.append(statement)
        return None if self.gate is None else self._wait(self.gate)

    async def _wait(self, gate: asyncio.Event) -> None:
        await gate.wait()
        self.notes.append(f"{self.name} lets go")

    def end(self, statement: RunningStatement) -> None:
        error = "" if statement.error is None else f" {statement.error.number}"
        self.notes.append(f"{self.name} ends{error}{'' if statement.answered else ' unanswered'}")


class Filtered(SessionWorld):
    """A world whose mesh has two filters."""

    def __init__(self) -> None:
        super().__init__()
        self.notes: list[str] = []
        self.first, self.second = Noting("first", self.notes), Noting("second", self.notes)
        self.mesh.filters = (self.first, self.second)
        self.reply = _shard


def _shard(name: str, payload: bytes) -> bytes:
    if payload[0] == 0x16:
        return prepared([column("?", ColumnType.LONGLONG)], [NUMBER])
    return canned.result_set([NUMBER], [[b"5"]]) if b"SELECT" in payload else canned.ok(affected=1)


def _both(text: str, end: str = "") -> list[str]:
    return [
        f"first begins {text}",
        f"second begins {text}",
        f"second ends{end}",
        f"first ends{end}",
    ]


@pytest.mark.parametrize(
    ("sql", "text", "verb", "shots"),
    [
        ("SELECT user_id FROM t_order WHERE user_id = 5", "SELECT user_id FROM t_order WHERE user_id = ?", "SELECT", 1),
        ("SELECT user_id FROM t_order ORDER BY 1", "SELECT user_id FROM t_order ORDER BY ?", "SELECT", 4),
        ("DELETE FROM t_order WHERE user_id IN (1, 2)", "DELETE FROM t_order WHERE user_id IN (?)", "DELETE", 2),
        ("SET @a = 'x'", "SET @a = ?", "OTHER", 0),
    ],
)  # fmt: skip
async def test_a_statement_is_seen_once_by_each(sql: str, text: str, verb: str, shots: int) -> None:
    world = Filtered()
    for _ in range(2):
        world.notes.clear()
        await world.command(b"\x03" + sql.encode())
        assert world.notes == _both(text)
    statement = world.second.seen[-1]
    assert statement.verb is Verb[verb]
    assert statement.shots == shots
    assert statement.tables == (() if verb == "OTHER" else ("t_order",))
    await world.end()


async def test_who_has_nothing_to_do_with_a_statement_is_told_nothing_of_it_and_its_observers_are() -> None:
    world = Filtered()
    observer = Counting()
    world.mesh.observe([observer])
    sql = "SELECT user_id FROM t_order WHERE user_id = 5"
    text = "SELECT user_id FROM t_order WHERE user_id = ?"
    world.second.wanted = False
    await world.command(b"\x03" + sql.encode())
    assert world.notes == [f"first begins {text}", "first ends"]
    assert observer.notes == [f"as planned: {sql}"]
    world.first.wanted = False
    await world.command(b"\x03" + sql.encode())
    await world.command(b"\x03PREPARE p FROM 'DELETE FROM t_order WHERE user_id = 5'")
    assert world.notes == [f"first begins {text}", "first ends"]
    assert observer.notes[1] == f"as planned: {sql}"
    world.notes.clear()
    await world.command(b"\x03EXECUTE p")
    assert world.notes == []
    assert observer.notes[-2:] == ["Relay 1: DELETE FROM t_order WHERE user_id = 5", "as planned: EXECUTE p"]
    world.reply = lambda name, payload: canned.failure(1213)
    await world.command(b"\x03" + sql.encode())
    assert world.notes == []
    assert observer.notes[-1] == f"Relay 1 1213: {sql}"
    await world.end()


async def test_each_of_several_statements_is_seen() -> None:
    world = Filtered()
    await world.command(b"\x03SELECT user_id FROM t_order WHERE user_id = 5; SET @a = 1")
    world.session.multi_statements = True
    world.notes.clear()
    await world.command(b"\x03SELECT user_id FROM t_order WHERE user_id = 5; SET @a = 1")
    assert world.notes == [*_both("SELECT user_id FROM t_order WHERE user_id = ?"), *_both("SET @a = ?")]
    await world.end()


async def test_an_execution_is_seen_and_not_its_preparation() -> None:
    world = Filtered()
    await world.command(b"\x16SELECT user_id FROM t_order WHERE user_id = ?")
    assert world.notes == []
    await world.command(make_execute(1, [5]))
    assert world.notes == _both("SELECT user_id FROM t_order WHERE user_id = ?")
    world.notes.clear()
    world.first.gate = asyncio.Event()
    world.first.gate.set()
    world.reply = lambda name, payload: canned.result_set([NUMBER], [[b"5"]])
    await world.command(make_execute(1, [5]))
    assert world.notes[1] == "first lets go"
    assert world.notes[-1] == "first ends"
    await world.end()


async def test_what_is_executed_by_name_is_seen_inside_its_execute() -> None:
    world = Filtered()
    await world.command(b"\x03PREPARE p FROM 'DELETE FROM t_order WHERE user_id = 5'")
    world.notes.clear()
    await world.command(b"\x03EXECUTE p")
    assert world.notes == [
        "first begins EXECUTE p",
        "second begins EXECUTE p",
        *_both("DELETE FROM t_order WHERE user_id = ?"),
        "second ends",
        "first ends",
    ]
    await world.end()


async def test_a_refused_statement_reaches_no_shard_and_its_refuser_is_not_told_the_end() -> None:
    world = Filtered()
    world.second.refuses = True
    [(_, packet)] = await world.command(b"\x03SELECT user_id FROM t_order WHERE user_id = 5")
    assert parse_err(packet).number == 1047
    assert world.sent == []
    assert world.notes[-1] == "first ends 1047"
    assert len(world.notes) == 3
    world.second.refuses = False
    await world.command(b"\x03SET @a = (SELECT 1)")
    await world.end()


async def test_a_refusal_inside_another_statement_is_the_whole_ones_error() -> None:
    world = Filtered()
    await world.command(b"\x03PREPARE p FROM 'DELETE FROM t_order WHERE user_id = 5'")
    world.notes.clear()
    world.sent.clear()
    begin = world.second.begin

    def only_the_inner(statement: RunningStatement, found: str) -> Awaitable[None] | None:
        world.second.refuses = statement.verb is Verb.DELETE
        return begin(statement, found)

    world.second.begin = only_the_inner  # type: ignore[method-assign]
    await world.command(b"\x03EXECUTE p")
    assert world.notes[-3:] == ["first ends 1047", "second ends 1047", "first ends 1047"]
    assert world.sent == []
    await world.end()


async def test_an_error_of_a_shard_is_told() -> None:
    world = Filtered()
    world.reply = lambda name, payload: canned.failure(1213)
    await world.command(b"\x03SELECT user_id FROM t_order WHERE user_id = 5")
    assert world.notes[2:] == ["second ends 1213", "first ends 1213"]
    await world.command(b"\x03SELECT user_id FROM t_order ORDER BY 1")
    assert world.notes[-1] == "first ends 1213"
    await world.end()


async def test_a_statement_waits_until_it_is_let_go() -> None:
    world = Filtered()
    world.first.gate = asyncio.Event()
    world.session.handle(b"\x03SELECT user_id FROM t_order WHERE user_id = 5", 1)
    world.client.answered.clear()
    await asyncio.sleep(0)
    assert world.sent == []
    world.first.gate.set()
    await world.client.answered.wait()
    assert world.notes == [
        "first begins SELECT user_id FROM t_order WHERE user_id = ?",
        "first lets go",
        "second begins SELECT user_id FROM t_order WHERE user_id = ?",
        "second ends",
        "first ends",
    ]
    await world.end()


@pytest.mark.parametrize("waits", [True, False])
async def test_the_end_is_told_when_the_client_is_gone(waits: bool) -> None:
    world = Filtered()
    if waits:
        world.first.gate = asyncio.Event()
        world.session.handle(b"\x03SELECT user_id FROM t_order WHERE user_id = 5", 1)
        await asyncio.sleep(0)
    else:
        await world.running(b"\x03SELECT user_id FROM t_order WHERE user_id = 5")
    await world.end()
    assert world.notes[2 - waits :] == ([] if waits else ["second ends unanswered", "first ends unanswered"])


async def test_kill_ends_the_wait() -> None:
    world = Filtered()
    world.first.gate = asyncio.Event()
    world.client.answered.clear()
    world.session.handle(b"\x03SELECT user_id FROM t_order WHERE user_id = 5", 1)
    await asyncio.sleep(0)
    world.session.kill_query()
    await world.client.answered.wait()
    assert parse_err(world.client.packets()[0][1]).number == 1317
    assert world.session.running is None
    await world.end()


class Observing:
    """Notes what it learns of the end of statements."""

    def __init__(self, least: float = 0.0) -> None:
        self.least = least
        self.notes: list[str] = []

    def ended(self, statement: RunningStatement) -> None:
        error = "" if statement.error is None else f" {statement.error.number}"
        answered = "" if statement.answered else " unanswered"
        self.notes.append(f"{statement.answer} {statement.shots}{error}{answered}: {statement.text}")


class Counting(Observing):
    """Notes which statements it learns of as planned, and takes all of them to have lasted 5 seconds."""

    def __init__(self) -> None:
        super().__init__(inf)

    def ended_as_planned(self, session: Session, seen: Seen) -> float:
        assert session.arrived > 0
        assert session.seen is session.running is None
        self.notes.append(f"as planned: {seen[2]}")
        return 5.0


@pytest.mark.parametrize("others", [(), (0.0,), (6.0, 5.0, 5.1)])
async def test_observers_learn_of_every_end_once(others: tuple[float, ...]) -> None:
    world = SessionWorld()
    counter = Counting()
    observers = [Observing(least) for least in others]
    world.mesh.observe([*observers, counter])
    world.reply = _shard
    point, merged = "SELECT user_id FROM t_order WHERE user_id = 5", "SELECT user_id FROM t_order ORDER BY 1"
    for sql in (
        point,
        merged,
        "SET @a = 1",
        "PREPARE p FROM 'DELETE FROM t_order WHERE user_id = 5'",
        "EXECUTE p",
    ):
        await world.command(b"\x03" + sql.encode())
    await world.command(b"\x16" + point.replace("5", "?").encode())
    await world.command(make_execute(1, [5]))
    world.reply = lambda name, payload: canned.failure(1213)
    await world.command(b"\x03" + point.encode())
    await world.running(b"\x03" + point.encode())
    await world.end()
    assert counter.notes == [
        f"as planned: {point}",
        f"RowMerge 4: {merged}",
        "as planned: SET @a = 1",
        "as planned: PREPARE p FROM 'DELETE FROM t_order WHERE user_id = 5'",
        "Relay 1: DELETE FROM t_order WHERE user_id = 5",
        "as planned: EXECUTE p",
        f"as planned: {point.replace('5', '?')}",
        f"Relay 1 1213: {point}",
        f"Relay 1 unanswered: {point}",
    ]
    for observer in observers:
        assert observer.notes == [
            note.replace("as planned:", "Relay 1:" if "SELECT" in note else "Session 0:")
            for note in counter.notes
            if observer.least <= 5.0 or "as planned" not in note
        ]


async def test_without_a_counter_observers_learn_of_what_took_long() -> None:
    world = SessionWorld()
    every, slow = Observing(), Observing(60.0)
    world.mesh.observe([every, slow])
    world.reply = _shard
    sql = "SELECT user_id FROM t_order WHERE user_id = 5"
    await world.command(b"\x03" + sql.encode())
    await world.running(b"\x03" + sql.encode())
    world.session.arrived -= 60.0
    [connection] = world.session.relay.busy_connections()
    connection.data_received(_shard("ds_1", b"SELECT"))
    assert every.notes == [f"Relay 1: {sql}"] * 2
    assert slow.notes == [f"Relay 1: {sql}"]
    await world.end()


async def test_observers_learn_of_statements_that_cannot_be_planned() -> None:
    world = SessionWorld()
    observer = Observing()
    world.mesh.observe([observer])
    await world.command(b"\x03SELECT nope FROM nowhere WHERE a = 5")
    await world.command(b"\x03SELECT FROM")
    await world.command(b"\x16INSERT INTO nowhere VALUES (1)")
    await world.command(b"\x03SELECT 1 /* no end")
    # No statement at all.
    await world.command(b"\x02nowhere")
    await world.command(make_execute(99, [5]))
    assert observer.notes == [
        "Session 0 1146: SELECT nope FROM nowhere WHERE a = 5",
        "Session 0 1064: SELECT FROM",
        "Session 0 1146: INSERT INTO nowhere VALUES (1)",
        "Session 0 1064: SELECT 1 /* no end",
    ]
    await world.end()


async def test_an_error_is_told_once() -> None:
    """A statement inside a command that is none itself, as of a bulk execution."""
    world = SessionWorld()
    observer = Observing()
    world.mesh.observe([observer])
    session = world.session
    session.arrived, session.command_text = 1.0, b"DELETE FROM t_order WHERE user_id = 5"
    database, plan, _ = look_up(session, session.command_text.decode())
    with pytest.raises(MeshError) as refused:
        async with within(session, database, plan, session.command_text.decode()):
            raise MeshError(UNKNOWN_COMMAND)
    session.error(refused.value)
    session.finish()
    assert observer.notes == ["Relay 1 1047: DELETE FROM t_order WHERE user_id = 5"]
    await world.end()


def test_digests_tell_statements_apart_by_everything_but_their_values() -> None:
    one = digest_of("SELECT a FROM t WHERE b = 0 AND c = ''", DEFAULT)
    assert one.text == "SELECT a FROM t WHERE b = ? AND c = ?"
    assert len(one.name) == 16
    assert one.name == digest_of("SELECT a FROM t WHERE b = ? AND c = ?", DEFAULT).name
    assert one.name != digest_of("SELECT a FROM t WHERE b = ? AND d = ?", DEFAULT).name
    long = digest_of(f"SELECT {'a, ' * 5000}b", DEFAULT)
    assert len(long.text) == 4096
    assert long.name != digest_of(f"SELECT {'a, ' * 5000}c", DEFAULT).name
