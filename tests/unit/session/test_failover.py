"""A statement that a read-only server has refused waits for nobody but the groups that could have refused it; a read that a
replica has failed goes to another one."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dbmesh.backend.connection import Connection, Flavour
from dbmesh.backend.pool import Pool
from dbmesh.backend.replica_health import Observation
from dbmesh.backend.replicas import Replicas
from dbmesh.errors import DATA_SOURCE_LOST, MeshError, ShardError
from dbmesh.planner.plan import PinReason
from dbmesh.rules.replica_groups import ReplicaGroup
from dbmesh.rules.ruleset import DataSourceConfig
from dbmesh.session.failover import again, reads_again
from dbmesh.session.rule_view import follow_rules
from dbmesh.wire.commands import make_execute
from dbmesh.wire.constants import ColumnType, Status
from dbmesh.wire.framing import frame
from dbmesh.wire.packets import make_column_definition, make_end_of_rows
from tests.plugins import canned
from tests.plugins.planner_world import SOURCES
from tests.plugins.scripted import column
from tests.plugins.session_world import SessionWorld, prepared

REFUSED = ShardError(1290, "HY000", "read-only")


def _group(name: str, seen: Observation) -> Replicas:
    async def open_connection(flavour: Flavour) -> Connection:
        raise AssertionError("nobody connects")

    config = DataSourceConfig(f"{name}_p", "mysql", "host", 3306, "shop", "mesh")
    group = ReplicaGroup(name, config, (), failover_wait=0.01)
    replicas = Replicas(group, (), lambda one: Pool(one, open_connection), lambda: 0.5)
    replicas.observe({config.name: seen}, 0.0)
    return replicas


def _session(*groups: Replicas) -> Any:
    database = SimpleNamespace(replicas={one.group.name: one for one in groups})
    return SimpleNamespace(
        mesh=SimpleNamespace(databases={"shop": database}),
        given=(b"\x03UPDATE", 1),
        command_since=asyncio.get_running_loop().time(),
    )


@pytest.mark.parametrize(
    ("seen", "expected"),
    [(Observation("connection refused"), ShardError), (Observation(read_only=True), MeshError)],
)
async def test_a_group_that_does_not_answer_is_not_waited_for(
    seen: Observation, expected: type[Exception]
) -> None:
    session = _session(_group("others", seen), _group("own", Observation()))
    with pytest.raises(expected):
        await again(cast("Any", session), REFUSED)


class Reads:
    """A session whose data sources are groups of a primary and two replicas each; `failing` servers answer with error 1053, or
    hang up where they are in `lost`."""

    def __init__(self, share: float = 1.0) -> None:
        self.world = SessionWorld()
        self.failing: set[str] = set()
        self.lost: set[str] = set()
        self.world.reply = self._reply
        (database,) = self.world.mesh.databases.values()
        groups = {name: self._group(name, share) for name in database.pools}
        database = replace(database, replicas=groups)
        self.groups = groups
        self.world.mesh.add_database(database)

    def _group(self, name: str, share: float) -> Replicas:
        servers = [replace(SOURCES[name], name=one, host=f"{name}.{one}") for one in ("p", "r1", "r2")]
        replicas = Replicas(
            ReplicaGroup(name, servers[0], tuple(servers[1:]), retry_share=share, least_retries=0.0),
            (self.world.pools[name],),
            lambda config: Pool(config, self.world.opener(config.host)),
            lambda: 0.5,
        )
        seen = {"p": Observation(stalled="it is nobody's replica", server_id=1)}
        seen |= {one: Observation(follows=True, lag=0.0, sources=frozenset({1})) for one in ("r1", "r2")}
        replicas.observe(seen, asyncio.get_running_loop().time())
        replicas.retries.reads = 10
        return replicas

    def _reply(self, name: str, payload: bytes) -> bytes:
        if name in self.lost:
            (server,) = (
                one
                for group in self.groups.values()
                for one in group.servers.values()
                if one.config.host == name
            )
            asyncio.get_running_loop().call_soon(server.pool.abandon)
            return b""
        if name in self.failing and b"t_order" in payload:
            return canned.failure(1053, "Server shutdown in progress")
        return canned.result_set([column("id", ColumnType.LONGLONG)], [[b"7"]])

    async def ask(self, statement: str) -> tuple[bool, list[str]]:
        """Whether it was answered, and the servers asked for it."""
        before = len(self.world.sent)
        packets = await self.world.command(b"\x03" + statement.encode())
        asked = [name for name, payload in self.world.sent[before:] if b"t_order" in payload]
        return packets[-1][1][:1] != b"\xff", asked


POINT = "SELECT * FROM t_order WHERE user_id = 4"
MERGED = "SELECT user_id FROM t_order WHERE user_id IN (4, 5) ORDER BY user_id"


@pytest.mark.parametrize("statement", [POINT, MERGED, f"{POINT} LIMIT 1 OFFSET 0"])
@pytest.mark.parametrize("way", ["failing", "lost"])
async def test_another_replica_is_asked_for_what_one_has_failed(statement: str, way: str) -> None:
    reads = Reads()
    seen: list[list[str]] = []
    for server in ("r1", "r2"):
        getattr(reads, way).add(f"ds_0.{server}")
    # Whichever is asked first, the second one is the other: then the primary, which falls back.
    for _ in range(2):
        getattr(reads, way).discard("ds_0.r2")
        answered, asked = await reads.ask(statement)
        assert answered
        seen.append(asked)
    assert any("ds_0.r1" in asked and "ds_0.r2" in asked for asked in seen)
    assert reads.groups["ds_0"].retries.made == 1
    assert [server.name for server in reads.groups["ds_0"].readable] == ["r2"], "it is out at once"
    await reads.world.end()


@pytest.mark.parametrize(
    "statement",
    [
        f"{POINT} FOR UPDATE",
        "SELECT *, SLEEP(1) FROM t_order WHERE user_id = 4",
        "SELECT *, @a := 1 FROM t_order WHERE user_id = 4",
        "SELECT *, f(1) FROM t_order WHERE user_id = 4",
        "SELECT *, GET_LOCK('a', 1) FROM t_order WHERE user_id = 4",
    ],
)
async def test_what_locks_waits_or_leaves_something_behind_is_asked_once(statement: str) -> None:
    reads = Reads()
    reads.failing = {f"ds_0.{server}" for server in ("p", "r1", "r2")} | {"ds_0"}
    answered, asked = await reads.ask(statement)
    assert not answered
    assert len(asked) == 1
    assert reads.groups["ds_0"].retries.made == 0


async def test_a_read_is_sent_again_once_and_never_in_a_transaction() -> None:
    reads = Reads()
    reads.failing = {f"ds_0.{server}" for server in ("p", "r1", "r2")} | {"ds_0"}
    answered, asked = await reads.ask(POINT)
    assert (answered, len(asked)) == (False, 2)
    reads = Reads()
    reads.failing = {"ds_0"}
    await reads.ask("BEGIN")
    answered, asked = await reads.ask(POINT)
    assert (answered, len(asked)) == (False, 1)


async def test_without_a_budget_the_error_is_told() -> None:
    reads = Reads(share=0.0)
    reads.failing = {"ds_0.r1", "ds_0.r2"}
    answered, asked = await reads.ask(POINT)
    assert (answered, len(asked)) == (False, 1)
    assert reads.groups["ds_0"].retries.refused == 1


async def test_what_was_killed_is_not_sent_again() -> None:
    reads = Reads()
    reads.world.reply = lambda name, payload: b""
    await reads.world.running(b"\x03" + POINT.encode())
    reads.world.session.kill_query()
    for group in reads.groups.values():
        for server in group.servers.values():
            server.pool.abandon()
    await reads.world.client.answered.wait()
    assert reads.world.client.packets()[-1][1][:1] == b"\xff"
    assert len([one for one in reads.world.sent if b"t_order" in one[1]]) == 1


async def test_who_allows_a_retry_that_another_refuses_does_not_count_it() -> None:
    one, other = _group("one", Observation()), _group("other", Observation())
    session = _session()
    session.autocommit, session.transaction, session.now = True, SimpleNamespace(open=False), lambda: 5.0
    while other.may_retry(5.0):
        pass
    lost = MeshError(DATA_SOURCE_LOST, data_source="ds", reason="gone")
    plan: Any = SimpleNamespace(repeatable=True)
    for _ in range(3):
        assert not reads_again(session, plan, lost, (one, other))
    assert (one.retries.made, other.retries.refused) == (0, 4)
    assert reads_again(session, plan, lost, (one,))
    assert one.retries.made == 1


async def test_a_connection_that_the_session_keeps_stays_its_own_when_its_server_refuses_a_write() -> None:
    reads = Reads()
    world, session = reads.world, reads.world.session
    session.databases = world.mesh.databases
    pool = world.pools["ds_0"]
    connection = await pool.acquire(session.flavour)
    key = world.mesh.databases["shop"].connection_key("ds_0")
    session.pins[key] = (connection, PinReason.USER_LOCK)
    world.reply = lambda name, payload: canned.failure(1290, "read-only")
    ((_, packet),) = await world.command(b"\x03UPDATE t_order SET status = 'x' WHERE user_id = 4")
    assert packet[0] == 0xFF
    assert session.pins[key] == (connection, PinReason.USER_LOCK)
    assert not pool.idle, "nobody else may be lent what a session keeps"
    world.reply = lambda name, payload: canned.ok()
    await world.end()


NUMBER = column("user_id", ColumnType.LONGLONG, "t_order_0")


def _opens_cursors(name: str, payload: bytes) -> bytes:
    if payload[0] == 0x16:
        return prepared([column("?", ColumnType.LONGLONG)], [NUMBER])
    if payload[0] == 0x17:
        opened = frame(b"\x01", 1) + frame(make_column_definition(NUMBER), 2)
        return opened + frame(make_end_of_rows(2 | Status.CURSOR_EXISTS, 0, canned.MODERN), 3)
    return canned.ok(1)


async def test_what_a_session_with_a_cursor_on_a_replica_writes_goes_to_the_primary() -> None:
    reads = Reads()
    world, replicas = reads.world, reads.groups["ds_0"]
    world.reply = _opens_cursors
    for number in (1, 2):
        await world.command(b"\x16SELECT user_id FROM t_order WHERE user_id = ?")
        await world.command(make_execute(number, [4], cursor_flags=1))
    executed = [name for name, payload in world.sent if payload[0] == 0x17]
    await world.command(b"\x03UPDATE t_order SET status = 'x' WHERE user_id = 4")
    assert world.sent[-1][0] == "ds_0"
    assert sorted(executed) == ["ds_0.r1", "ds_0.r2"], "reads take turns"
    follow_rules(world.session)
    assert world.session.databases is world.mesh.databases, "both replicas are there as before"
    assert sum(pool.size - pool.idle for pool in replicas.pools) == 2
    for number in (1, 2):
        await world.command(b"\x19" + number.to_bytes(4, "little"))
    assert not world.session.pins
    assert not any(pool.size - pool.idle for pool in replicas.pools)
    await world.end()
