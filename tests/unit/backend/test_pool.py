"""A pool lends what is healthy, to one at a time, in order, and never more than its limit."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbmesh.backend.connection import Connection, Flavour, interrupt_all
from dbmesh.backend.pool import SILENCE_BEFORE_PING, Pool
from dbmesh.engine.collect import Collector
from dbmesh.errors import DATA_SOURCE_DISABLED, DATA_SOURCE_UNREACHABLE, POOL_EXHAUSTED, MeshError
from dbmesh.rules.ruleset import DataSourceConfig
from tests.plugins.scripted import ScriptedConnection, silence

OTHER = Flavour(deprecate_eof=False)


class Opener:
    """Opens scripted connections and counts those alive."""

    def __init__(self) -> None:
        self.opened: list[ScriptedConnection] = []
        self.fails = False
        self.gate: asyncio.Event | None = None

    async def __call__(self, flavour: Flavour) -> Connection:
        if self.gate is not None:
            await self.gate.wait()
        if self.fails:
            raise MeshError(DATA_SOURCE_UNREACHABLE, data_source="ds_0", reason="refused")
        connection = ScriptedConnection(flavour=flavour)
        connection.opened_at = asyncio.get_running_loop().time()
        self.opened.append(connection)
        return connection

    @property
    def alive(self) -> int:
        return sum(connection.open for connection in self.opened)


def make_pool(size: int = 2, timeout: float = 5.0, **settings: float) -> tuple[Pool, Opener]:
    opener = Opener()
    config = replace(
        DataSourceConfig("ds_0", "mysql", "h", 3306, "db", "u", "p"),
        max_pool_size=size,
        connection_timeout=timeout,
        **settings,
    )
    return Pool(config, opener), opener


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_a_returned_connection_is_lent_again_without_opening() -> None:
    pool, opener = make_pool()
    first = await pool.acquire(Flavour())
    pool.release(first, now())
    assert pool.try_acquire(Flavour(), now()) is first
    assert pool.try_acquire(Flavour(), now()) is None
    assert len(opener.opened) == 1


async def test_a_connection_whose_statement_is_about_to_be_killed_is_not_lent_to_another() -> None:
    pool, opener = make_pool(1)
    connection = await pool.acquire(Flavour())
    opener.opened[0].answer = silence
    connection.query(b"SELECT 1", Collector())
    killing = interrupt_all([connection])
    # It ends before the kill is under way.
    opener.opened[0].rest()
    pool.release(connection, now())
    assert pool.try_acquire(Flavour(), now()) is None
    assert await pool.acquire(Flavour()) is not connection
    await killing


async def test_a_connection_returned_twice_is_lent_once() -> None:
    pool, _ = make_pool()
    first = await pool.acquire(Flavour())
    pool.release(first, now())
    pool.release(first, now())
    assert pool.idle == 1


@pytest.mark.parametrize("flaw", ["busy", "in_transaction", "interrupting", "closed"])
async def test_what_is_in_an_unknown_state_is_closed_and_never_lent(flaw: str) -> None:
    pool, opener = make_pool(size=1)
    connection = await pool.acquire(Flavour())
    assert isinstance(connection, ScriptedConnection)
    if flaw == "closed":
        connection.open = False
    else:
        setattr(connection, flaw, True)
    pool.release(connection, now())
    assert not connection.open
    assert (pool.idle, pool.size) == (0, 0)
    assert await pool.acquire(Flavour()) is not connection
    assert opener.alive == 1


async def test_too_old_a_connection_is_closed_on_return() -> None:
    pool, opener = make_pool(max_lifetime=10.0)
    connection = await pool.acquire(Flavour())
    pool.release(connection, now() + 11.0)
    assert opener.alive == 0


async def test_idle_ones_whose_time_is_over_are_closed_whatever_the_minimum() -> None:
    pool, opener = make_pool(size=4, min_pool_size=2, max_lifetime=10.0)
    older, younger = await pool.acquire_many(Flavour(), 2)
    older.opened_at -= 5
    for connection in (younger, older):
        pool.release(connection, now())
    await pool.close_idle(now() + 6)
    assert (opener.alive, pool.size) == (1, 1)
    assert await pool.acquire(Flavour()) is younger


async def test_an_idle_connection_that_died_is_not_lent() -> None:
    pool, opener = make_pool()
    connection = await pool.acquire(Flavour())
    pool.release(connection, now())
    opener.opened[0].open = False
    assert pool.try_acquire(Flavour(), now()) is None
    assert await pool.acquire(Flavour()) is not connection
    assert pool.size == 1


async def test_long_silence_is_checked_before_lending() -> None:
    pool, _ = make_pool()
    connection = await pool.acquire(Flavour())
    pool.release(connection, now() - SILENCE_BEFORE_PING - 1)
    assert pool.try_acquire(Flavour(), now()) is None
    assert await pool.acquire(Flavour()) is connection


async def test_what_does_not_answer_after_long_silence_is_closed_and_another_opened() -> None:
    pool, opener = make_pool(size=1)
    connection = await pool.acquire(Flavour())
    assert isinstance(connection, ScriptedConnection)
    connection.answers_pings = False
    pool.release(connection, now() - SILENCE_BEFORE_PING - 1)
    assert await pool.acquire(Flavour()) is opener.opened[1]
    assert not connection.open
    assert pool.size == 1


async def test_waiters_are_served_in_order_and_nobody_overtakes() -> None:
    pool, _ = make_pool(size=1)
    held = await pool.acquire(Flavour())
    order: list[int] = []

    async def borrow(number: int) -> None:
        connection = await pool.acquire(Flavour())
        order.append(number)
        await asyncio.sleep(0)
        pool.release(connection, now())

    waiting = [asyncio.get_running_loop().create_task(borrow(number)) for number in range(5)]
    await asyncio.sleep(0)
    pool.release(held, now())
    # The connection already belongs to the first waiter: whoever comes now stands behind all of them.
    assert pool.try_acquire(Flavour(), now()) is None
    await borrow(5)
    await asyncio.gather(*waiting)
    assert order == [0, 1, 2, 3, 4, 5]
    assert (pool.idle, pool.size) == (1, 1)


async def test_a_waiter_of_another_flavour_gets_a_new_connection_in_the_place_of_the_old() -> None:
    pool, opener = make_pool(size=1)
    held = await pool.acquire(Flavour())
    waiting = asyncio.get_running_loop().create_task(pool.acquire(OTHER))
    await asyncio.sleep(0)
    pool.release(held, now())
    assert (await waiting).flavour == OTHER
    assert (opener.alive, pool.size) == (1, 1)


async def test_an_idle_connection_of_another_flavour_makes_room() -> None:
    pool, opener = make_pool(size=1)
    pool.release(await pool.acquire(Flavour()), now())
    assert (await pool.acquire(OTHER)).flavour == OTHER
    assert (opener.alive, pool.size, pool.idle) == (1, 1, 0)


@pytest.mark.parametrize("served", [False, True])
async def test_a_cancelled_waiter_leaks_nothing(served: bool) -> None:
    pool, opener = make_pool(size=1)
    held = await pool.acquire(Flavour())
    waiting = asyncio.get_running_loop().create_task(pool.acquire(Flavour()))
    await asyncio.sleep(0)
    if served:
        pool.release(held, now())
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    if not served:
        pool.release(held, now())
    assert (pool.idle, pool.size, opener.alive) == (1, 1, 1)


async def test_cancelling_an_opening_gives_its_place_to_the_next() -> None:
    pool, opener = make_pool(size=1)
    opener.gate = asyncio.Event()
    first = asyncio.get_running_loop().create_task(pool.acquire(Flavour()))
    second = asyncio.get_running_loop().create_task(pool.acquire(Flavour()))
    await asyncio.sleep(0)
    first.cancel()
    opener.gate.set()
    assert (await second).usable
    assert pool.size == 1


async def test_exhaustion_is_told_with_size_and_seconds() -> None:
    pool, _ = make_pool(size=1, timeout=0.02)
    await pool.acquire(Flavour())
    with pytest.raises(MeshError) as caught:
        await pool.acquire(Flavour())
    assert caught.value.kind is POOL_EXHAUSTED
    assert "0.02 s (pool of 1)" in str(caught.value)


async def test_a_failed_opening_counts_no_more() -> None:
    pool, opener = make_pool(size=1)
    opener.fails = True
    with pytest.raises(MeshError, match="cannot be reached: refused"):
        await pool.acquire(Flavour())
    opener.fails = False
    assert (await pool.acquire(Flavour())).usable


async def test_several_are_lent_all_or_none() -> None:
    pool, opener = make_pool(size=2, timeout=0.02)
    held = await pool.acquire(Flavour())
    with pytest.raises(MeshError):
        await pool.acquire_many(Flavour(), 2)
    assert pool.idle == 1
    pool.release(held, now())
    assert len(await pool.acquire_many(Flavour(), 2)) == 2
    assert opener.alive == 2


async def test_idle_ones_are_closed_down_to_the_minimum() -> None:
    pool, opener = make_pool(size=4, min_pool_size=1, idle_timeout=60.0)
    for connection in await pool.acquire_many(Flavour(), 3):
        pool.release(connection, now())
    await pool.close_idle(now())
    assert opener.alive == 3
    await pool.close_idle(now() + 61)
    assert (opener.alive, pool.size) == (1, 1)


async def test_closing_leaves_nothing_open() -> None:
    pool, opener = make_pool(size=3)
    lent = await pool.acquire(Flavour())
    pool.release(await pool.acquire(Flavour()), now())
    await pool.close()
    pool.release(lent, now())
    assert (opener.alive, pool.size, pool.idle) == (0, 0, 0)


@given(st.integers(0, 2**32), st.integers(1, 4))
def test_whatever_borrowers_do_the_limit_holds_and_no_connection_has_two_owners(seed: int, size: int) -> None:
    async def play() -> None:
        chance = random.Random(seed)
        pool, opener = make_pool(size=size)
        owned: set[int] = set()

        async def borrower() -> None:
            for _ in range(chance.randint(1, 4)):
                connection = await pool.acquire(chance.choice((Flavour(), OTHER)))
                assert isinstance(connection, ScriptedConnection)
                assert connection.usable
                assert id(connection) not in owned
                owned.add(id(connection))
                assert pool.size <= size
                assert opener.alive <= size
                try:
                    if chance.random() < 0.2:
                        connection.answer = silence
                        connection.query(b"SELECT SLEEP(1)", _Nobody())
                    for _ in range(chance.randint(0, 3)):
                        await asyncio.sleep(0)
                finally:
                    owned.discard(id(connection))
                    pool.release(connection, now())

        tasks = [asyncio.get_running_loop().create_task(borrower()) for _ in range(6)]
        for _ in range(10):
            await asyncio.sleep(0)
            if chance.random() < 0.3:
                chance.choice(tasks).cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert not owned
        assert pool.size == pool.idle == opener.alive
        for task in tasks:
            assert task.cancelled() or task.exception() is None

    asyncio.run(play())


class _Nobody:
    def columns(self, columns: object) -> None: ...
    def rows(self, rows: list[bytes]) -> None: ...
    def done(self, ok: object, *, more: bool) -> None: ...
    def failed(self, error: Exception) -> None: ...


async def test_out_of_service_statements_get_nothing() -> None:
    pool, opener = make_pool()
    lent, idle = await pool.acquire(Flavour()), await pool.acquire(Flavour())
    pool.release(idle, now())
    pool.disable()
    assert pool.try_acquire(Flavour(), now()) is None
    with pytest.raises(MeshError) as refused:
        await pool.acquire(Flavour())
    assert refused.value.kind is DATA_SOURCE_DISABLED
    ending = await pool.acquire(Flavour(), guarded=False)
    pool.release(ending, now())
    pool.release(lent, now())
    assert (pool.size, opener.alive) == (0, 0)
    pool.enable()
    pool.release(await pool.acquire(Flavour()), now())
    assert pool.idle == 1


async def test_a_retired_pool_lends_and_keeps_nothing() -> None:
    pool, opener = make_pool()
    lent = await pool.acquire(Flavour())
    await pool.retire()
    late = await pool.acquire(Flavour())
    assert late is not lent
    pool.release(lent, now())
    pool.release(late, now())
    assert (pool.size, opener.alive) == (0, 0)


class _Told:
    """A guard that remembers what it is told."""

    def __init__(self) -> None:
        self.errors: list[Exception | None] = []

    def permits(self, now: float) -> bool:
        return True

    async def admit(self) -> None:
        return

    def ended(self, began: float, now: float, error: Exception | None) -> None:
        self.errors.append(error)


@pytest.mark.parametrize(("long_enough", "told"), [(0.0, [DATA_SOURCE_UNREACHABLE]), (60.0, [])])
async def test_who_stops_waiting_for_a_server_tells_of_its_silence(
    monkeypatch: pytest.MonkeyPatch, long_enough: float, told: list[object]
) -> None:
    monkeypatch.setattr("dbmesh.backend.pool.SILENCE_THAT_TELLS", long_enough)
    pool, opener = make_pool()
    opener.gate = asyncio.Event()
    guard = pool.guard = _Told()
    waiting = asyncio.get_running_loop().create_task(pool.acquire(Flavour()))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert [error.kind for error in guard.errors if isinstance(error, MeshError)] == told


async def test_who_stops_waiting_for_others_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dbmesh.backend.pool.SILENCE_THAT_TELLS", 0.0)
    pool, _ = make_pool(size=1)
    lent = await pool.acquire(Flavour())
    guard = pool.guard = _Told()
    waiting = asyncio.get_running_loop().create_task(pool.acquire(Flavour()))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert guard.errors == []
    pool.release(lent, now())


ANOTHER = DataSourceConfig("ds_0", "mysql", "another", 3306, "db", "u", "p")


async def test_who_waited_for_a_server_gets_a_connection_to_the_one_the_pool_was_moved_to() -> None:
    pool, opener = make_pool()
    opener.gate, opener.fails = asyncio.Event(), True
    waiting = asyncio.get_running_loop().create_task(pool.acquire(Flavour()))
    await asyncio.sleep(0)
    pool.move(ANOTHER, abandon=True)
    opener.gate.set()
    # The former one has refused it by then; this one does not.
    fails = opener.__call__

    async def answers(flavour: Flavour) -> Connection:
        opener.fails = False
        return await fails(flavour)

    pool._open = answers
    assert await waiting is opener.opened[0]
    assert pool.size == 1


@pytest.mark.parametrize("pinged", [True, False])
async def test_a_connection_to_where_the_pool_was_is_given_to_nobody(pinged: bool) -> None:
    pool, opener = make_pool(1)
    connection = await pool.acquire(Flavour())
    if pinged:
        pool.release(connection, now() - SILENCE_BEFORE_PING - 1)
        answered = asyncio.Event()

        async def ping() -> bool:
            await answered.wait()
            return True

        opener.opened[0].ping = ping  # type: ignore[method-assign]
    waiting = asyncio.get_running_loop().create_task(pool.acquire(Flavour()))
    await asyncio.sleep(0)
    if pinged:
        pool.move(ANOTHER, abandon=False)
        answered.set()
    else:
        pool.release(connection, now())
        pool.move(ANOTHER, abandon=False)
    assert await waiting is not connection
    assert not opener.opened[0].open
    assert pool.size == 1
