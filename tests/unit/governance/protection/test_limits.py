"""Limits of rate, concurrency, time, answers and connections: who waits, who is refused, and that nothing is left behind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbmesh.errors import (
    ANSWER_TOO_LARGE,
    LIMIT_REACHED,
    STATEMENT_TIMEOUT,
    TOO_MANY_OF_USER,
    MeshError,
)
from dbmesh.governance.protection.gradient import Gradient
from dbmesh.governance.protection.limiter import Limiter
from dbmesh.governance.protection.limits import Limits
from dbmesh.governance.protection.timeouts import Timeouts
from dbmesh.governance.protection.token_bucket import TokenBucket
from dbmesh.rules.protection.selection import Selection
from dbmesh.rules.protection.values import ConnectionLimit, Limit, Per, Protection, Timeout
from dbmesh.wire.constants import ColumnType
from dbmesh.wire.packets import parse_err
from tests.plugins import canned
from tests.plugins.protected_world import ProtectedWorld, until
from tests.plugins.scripted import column

POINT = b"\x03UPDATE t_order SET status = 'x' WHERE user_id = 5"
READ = b"\x03SELECT user_id FROM t_order WHERE user_id = 5"
NUMBER = column("user_id", ColumnType.LONGLONG, "t_order_1")


@given(
    rate=st.floats(0.1, 1000),
    burst=st.integers(1, 50),
    steps=st.lists(st.floats(0, 2), min_size=1, max_size=60),
)
def test_a_bucket_never_gives_more_than_its_rate_and_burst_and_never_keeps_what_it_owes(
    rate: float, burst: int, steps: list[float]
) -> None:
    now, taken = 100.0, 0
    bucket = TokenBucket(rate, burst, now)
    for step in steps:
        now += step
        left = bucket.seconds_until_next(now)
        if bucket.take(now):
            assert left == 0.0
            taken += 1
        else:
            assert left > 0
            assert TokenBucket(rate, burst, 0).seconds_until_next(0) == 0
        assert taken <= burst + rate * (now - 100.0) + 1e-6
    now += bucket.seconds_until_next(now) + 1e-6
    assert bucket.take(now)


def test_a_bucket_without_a_rate_always_has_a_token() -> None:
    bucket = TokenBucket(0.0, 1, 0.0)
    assert all(bucket.take(0.0) for _ in range(100))
    assert bucket.seconds_until_next(0.0) == 0.0


@given(st.lists(st.sampled_from(["enter", "wait", "leave", "cancel", "turn"]), max_size=40))
def test_a_limiter_serves_in_order_and_loses_no_place(steps: list[str]) -> None:
    async def play() -> None:
        limiter = Limiter(Limit("l", concurrency=2, waiting=3, wait_seconds=1000))
        waiting: list[asyncio.Task[bool]] = []
        served: list[asyncio.Task[bool]] = []
        running = 0
        async with asyncio.TaskGroup() as group:
            for step in steps:
                if step == "enter":
                    running += limiter.enter()
                elif step == "wait" and limiter.has_room:
                    waiting.append(group.create_task(limiter.wait()))
                elif step == "leave" and running:
                    running -= 1
                    limiter.leave()
                elif step == "cancel" and waiting:
                    waiting.pop(0).cancel()
                for _ in range(3 if step != "cancel" else 0):
                    await asyncio.sleep(0)
                done = [task for task in waiting if task.done()]
                assert done == waiting[: len(done)], "in order"
                assert all(task.result() for task in done)
                del waiting[: len(done)]
                running += len(done)
                served += done
                assert running <= 2
            for _ in range(3):
                await asyncio.sleep(0)
            running += sum(task.done() for task in waiting)
            for task in waiting:
                task.cancel()
            for _ in range(3):
                await asyncio.sleep(0)
        assert limiter.running == running
        for _ in range(running):
            limiter.leave()
        assert limiter.idle

    asyncio.run(play())


async def test_a_rate_lets_those_who_wait_begin_when_their_token_comes() -> None:
    limiter = Limiter(Limit("l", rate=50, burst=1, waiting=5, wait_seconds=5))
    began = asyncio.get_running_loop().time()
    assert limiter.enter()
    assert not limiter.enter()
    assert await asyncio.gather(limiter.wait(), limiter.wait()) == [True, True]
    assert asyncio.get_running_loop().time() - began >= 0.039
    assert not await Limiter(Limit("l", rate=0.001, burst=0, waiting=5, wait_seconds=0.01)).wait()


@pytest.mark.parametrize(
    ("per", "others"),
    [(Per.USER, [0, 1226]), (Per.ALL, [1226, 1226]), (Per.FINGERPRINT, [1226, 0]), (Per.DATABASE, [1226, 1226])],
)  # fmt: skip
async def test_whoever_is_counted_together_is_refused_together(per: Per, others: list[int]) -> None:
    """`others`: another user's same statement, and the same user's other one."""
    limit = Limit("few", per, Selection(verbs=frozenset({"UPDATE", "DELETE"})), rate=0.001, burst=2)
    world = ProtectedWorld(Protection(limits=(limit,)))
    world.session.user_name = "app"
    assert await world.numbers(POINT, 3) == [0, 0, LIMIT_REACHED.number]
    [(_, packet)] = await world.command(POINT)
    text = parse_err(packet).message.decode()
    assert "the limit 'few' of" in text
    assert "(0.001 statements per second)" in text
    assert await world.numbers(b"\x03COMMIT") == [0]
    assert await world.numbers(b"\x03SELECT 1") == [0]
    world.session.user_name = "other"
    first = await world.numbers(POINT)
    world.session.user_name = "app"
    assert [*first, *(await world.numbers(b"\x03DELETE FROM t_order WHERE user_id = 5"))] == others
    await world.end()


async def test_one_more_than_may_run_waits_for_its_turn_and_the_next_is_refused() -> None:
    limit = Limit("one", concurrency=1, waiting=1, wait_seconds=0.05)
    world = ProtectedWorld(Protection(limits=(limit,)))
    busy, waiting, third = world.another(), world.another(), world.another()
    reply, world.reply = world.reply, lambda name, payload: b""
    busy.session.handle(POINT, 1)
    await until(lambda: bool(world.sent))
    waiting.session.handle(POINT, 1)
    await asyncio.sleep(0)
    third.session.handle(POINT, 1)
    await third.client.answered.wait()
    assert parse_err(third.client.packets()[0][1]).message.endswith(b"(1 at one time), try again later")
    await waiting.client.answered.wait()
    assert parse_err(waiting.client.packets()[0][1]).message.endswith(b"its turn did not come within 0.05 s")
    waiting.client.answered.clear()
    world.reply = reply
    waiting.session.handle(POINT, 1)
    await asyncio.sleep(0)
    await busy.session.end()
    await waiting.client.answered.wait()
    assert waiting.client.packets()[-1][1][0] == 0
    for one in (waiting, third):
        await one.session.end()
    await world.end()


async def test_what_execute_runs_is_counted_once() -> None:
    world = ProtectedWorld(
        Protection(limits=(Limit("one", concurrency=1), Limit("two", rate=0.001, burst=2)))
    )
    await world.numbers(b"\x03PREPARE p FROM 'UPDATE t_order SET status = 1 WHERE user_id = 5'")
    assert await world.numbers(b"\x03EXECUTE p", 3) == [0, 0, LIMIT_REACHED.number]
    await world.end()


async def test_a_data_source_has_a_rate_of_its_own() -> None:
    limit = Limit("calm", Per.DATA_SOURCE, data_sources=("ds_0",), rate=0.001, burst=2)
    world = ProtectedWorld(Protection(limits=(limit,)))
    assert await world.numbers(POINT, 3) == [0, 0, LIMIT_REACHED.number]
    assert await world.numbers(POINT.replace(b"5", b"7"), 3) == [0, 0, 0]
    await world.end()


async def test_a_connection_in_another_state_takes_one_token_of_its_data_source() -> None:
    limit = Limit("calm", Per.DATA_SOURCE, data_sources=("ds_0",), rate=0.001, burst=4)
    world = ProtectedWorld(Protection(limits=(limit,)))
    assert await world.numbers(POINT) == [0]
    # The data source is asked whether it would take it, and the connection has it from then on.
    assert await world.numbers(b"\x03SET sort_buffer_size = 100000") == [0]
    other = world.another()
    other.session.handle(POINT, 1)
    await other.client.answered.wait()
    assert other.client.packets()[0][1][0] == 0
    assert await world.numbers(POINT, 2) == [0, LIMIT_REACHED.number]
    await other.session.end()
    await world.end()


async def test_a_statement_that_takes_too_long_is_killed_where_it_runs() -> None:
    world = ProtectedWorld(Protection(timeouts=(Timeout("short", statement=0.02),)))
    await world.running(POINT)
    await until(lambda: bool(world.kills))
    assert world.kills == ["ds_0"]
    world.answer(canned.failure(1317))
    await world.client.answered.wait()
    packet = parse_err(world.client.packets()[-1][1])
    assert packet.number == STATEMENT_TIMEOUT.number
    assert b"timeout 'short', 0.02 s" in packet.message
    assert world.session.stopped_by is None
    await world.end()


async def test_the_time_of_a_statement_killed_before_it_began_does_not_stop_a_later_one() -> None:
    world = ProtectedWorld(Protection(timeouts=(Timeout("short", statement=30, most_rows=1000),)))
    world.client.answered.clear()
    world.session.handle(READ, 1)
    world.session.kill_query()
    await world.client.answered.wait()
    assert parse_err(world.client.packets()[-1][1]).number == 1317
    world.passed += 20
    await world.running(READ)
    world.passed += 15
    for _ in range(10):
        await asyncio.sleep(0)
    assert world.kills == []
    world.answer(canned.ok())
    await world.end()


@pytest.mark.parametrize(
    "ending", [b"\x1f", b"\x03COMMIT AND CHAIN", b"\x03BEGIN"], ids=["reset", "chain", "begin"]
)
async def test_a_transaction_does_not_inherit_the_time_of_the_one_before(ending: bytes) -> None:
    world = ProtectedWorld(Protection(timeouts=(Timeout("t", transaction=30),)))

    async def pass_by(seconds: int) -> None:
        world.passed += seconds
        for _ in range(10):
            await asyncio.sleep(0)

    await world.numbers(b"\x03BEGIN")
    await pass_by(20)
    await world.command(ending)
    if ending == b"\x1f":
        await world.numbers(b"\x03BEGIN")
    await pass_by(20)
    assert not world.client.aborted
    await pass_by(20)
    assert world.client.aborted
    await world.end()


async def test_another_interruption_keeps_its_own_error() -> None:
    world = ProtectedWorld(Protection(timeouts=(Timeout("long", statement=50),)))
    assert await world.numbers(POINT, fails=1317) == [1317]
    await world.end()


class Timers:
    """In the place of a loop: timers that run out when they are told to."""

    def __init__(self) -> None:
        self._set: list[tuple[SimpleNamespace, Callable[[], None]]] = []

    def call_later(
        self, seconds: float, callback: Callable[..., None], *arguments: object
    ) -> SimpleNamespace:
        del seconds
        handle = SimpleNamespace(cancelled=False)
        handle.cancel = lambda: setattr(handle, "cancelled", True)
        self._set.append((handle, partial(callback, *arguments)))
        return handle

    def time(self) -> float:
        """Later than anything that has happened."""
        return float("inf")

    def run_out(self) -> None:
        """Those that nobody has cancelled."""
        due, self._set = self._set, []
        for handle, callback in due:
            if not handle.cancelled:
                callback()


@pytest.mark.parametrize(
    "timeout", [Timeout("t", transaction=5), Timeout("t", idle_in_transaction=5)], ids=["whole", "idle"]
)
async def test_a_transaction_that_takes_too_long_loses_its_client(timeout: Timeout) -> None:
    world = ProtectedWorld(Protection(timeouts=(timeout,)))
    timers = Timers()
    [timeouts] = [one for one in world.mesh.filters if isinstance(one, Timeouts)]
    timeouts._loop = timers  # type: ignore[assignment]
    await world.numbers(b"\x03BEGIN")
    await world.numbers(b"\x03COMMIT")
    timers.run_out()
    await world.numbers(b"\x03BEGIN")
    # A transaction that ended without a statement.
    await world.session.give_up_connections()
    timers.run_out()
    assert not world.client.aborted
    await world.numbers(b"\x03BEGIN")
    await world.numbers(POINT)
    timers.run_out()
    assert world.client.aborted
    await world.end()


@pytest.mark.parametrize(
    ("timeout", "rows", "fails"),
    [
        (Timeout("t", most_rows=2), 2, False),
        (Timeout("t", most_rows=2), 3, True),
        (Timeout("t", most_bytes=8), 2, False),
        (Timeout("t", most_bytes=8), 5, True),
    ],
)
@pytest.mark.parametrize("read", [READ, READ.replace(b"= 5", b"IN (5, 7)")], ids=["one shard", "several"])
async def test_an_answer_may_be_so_large(timeout: Timeout, rows: int, fails: bool, read: bytes) -> None:
    world = ProtectedWorld(Protection(timeouts=(timeout,)))
    several = b"IN" in read
    answer = canned.result_set([NUMBER], [[b"5"]] * rows)
    empty = canned.result_set([NUMBER], [])
    first: list[str] = []

    def reply(name: str, payload: bytes) -> bytes:
        if b"SELECT" not in payload:
            return canned.ok()
        first.append(name)
        return answer if len(first) == 1 or not several else empty

    world.reply = reply
    packets = await world.command(read)
    if fails:
        assert parse_err(packets[-1][1]).number == ANSWER_TOO_LARGE.number
    else:
        assert len(packets) == 3 + rows
    await world.end()


async def test_an_account_may_have_so_many_connections() -> None:
    world = ProtectedWorld(Protection(connections=(ConnectionLimit("two", ("app*",), 2),)))
    doorkeeper = world.mesh.doorkeeper
    assert doorkeeper is not None
    worlds = [world.another() for _ in range(3)]
    for one in worlds[:2]:
        one.session.user_name = "app_1"
        doorkeeper.let_in(one.session)
    worlds[2].session.user_name = "app_1"
    with pytest.raises(MeshError) as refused:
        doorkeeper.let_in(worlds[2].session)
    assert refused.value.number == TOO_MANY_OF_USER.number
    worlds[2].session.user_name = "app_2"
    doorkeeper.let_in(worlds[2].session)
    for one in worlds:
        await one.session.end()
    await world.end()


@given(
    least=st.integers(1, 20),
    more=st.integers(0, 100),
    calls=st.lists(st.tuples(st.floats(0, 10), st.integers(1, 200)), max_size=200),
)
def test_an_adaptive_limit_stays_within_its_bounds(
    least: int, more: int, calls: list[tuple[float, int]]
) -> None:
    gradient = Gradient(least, least + more)
    for seconds, running in calls:
        gradient.ended(seconds, running)
        assert least <= gradient.limit <= least + more


def simulated(capacity: int, calls: int, gradient: Gradient) -> int:
    """The limit after so many calls to something that serves `capacity` at a time in 10 ms each: beyond that they queue."""
    for _ in range(calls):
        running = gradient.limit
        gradient.ended(0.01 * max(1.0, running / capacity), running)
    return gradient.limit


def test_an_adaptive_limit_grows_while_there_is_room_and_shrinks_when_there_is_less() -> None:
    gradient = Gradient(4, 200)
    at_first = simulated(40, 4000, gradient)
    assert 40 <= at_first <= 120
    assert simulated(40, 4000, gradient) == at_first, "also when it was measured again"
    assert 10 <= simulated(10, 500, gradient) <= 30
    idle = Gradient(4, 200)
    for _ in range(100):
        idle.ended(0.01, 1)
    assert idle.limit == 4, "nobody was kept waiting"


async def test_an_adaptive_limit_lets_more_run_when_all_goes_well() -> None:
    limit = Limit("a", concurrency=50, adaptive=True, least=1)
    world = ProtectedWorld(Protection(limits=(limit,)))
    assert await world.numbers(POINT, 40) == [0] * 40
    [limits] = [one for one in world.mesh.filters if isinstance(one, Limits)]
    [(_, limiter)] = limits.limiters()
    assert 1 < limiter.concurrency <= 50
    assert limiter.idle
    await world.end()
