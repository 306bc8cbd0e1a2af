"""The sidecars of a mesh know of each other by the store; workers' numbers are never shared."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import pymysql
import pytest

from dbmesh.backend.tasks import TaskOwner
from dbmesh.governance import instances
from dbmesh.governance.embedded import EmbeddedStore
from dbmesh.governance.instances import Instance, Registration, State, read_instances
from dbmesh.governance.store import Guard, StoreError, Write
from dbmesh.rules.keygen.snowflake import WORKERS, Worker
from tests.plugins.auto_mesh import AutoMesh
from tests.plugins.database_server import DatabaseServer
from tests.plugins.etcd import EtcdMember
from tests.plugins.fix_auto_mesh import etcd_mode
from tests.plugins.mesh import Mesh
from tests.plugins.processes import wait_until

pytestmark = pytest.mark.integration

WORKER_IDS = "/nodes/compute_nodes/worker_id/"


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[EmbeddedStore]:
    made = await EmbeddedStore.open(tmp_path / "store.db", time.time)
    yield made
    await made.close()


def _registration(store: EmbeddedStore, name: str, seconds: float = 30.0) -> tuple[Registration, Worker]:
    worker = Worker(clock=time.monotonic)
    entry = Instance(name, "1.0", "abc", 5.0)
    return Registration(store, entry, seconds, time.monotonic, worker), worker


async def test_an_entry_lives_with_its_sidecar(store: EmbeddedStore) -> None:
    registration, _ = _registration(store, "a")
    await registration.prepare()
    await registration.begin("127.0.0.1", 3307)
    assert await read_instances(store) == [Instance("a", "1.0", "abc", 5.0, "127.0.0.1:3307")]
    await registration.drain()
    assert (await read_instances(store))[0].state is State.DRAINING
    await registration.withdraw()
    assert not (await store.range("/")).entries


async def test_an_entry_that_was_lost_comes_back(store: EmbeddedStore) -> None:
    registration, _ = _registration(store, "a", seconds=0.3)
    await registration.prepare()
    await registration.begin("0.0.0.0", 3307)
    [entry] = (await store.range("/nodes/compute_nodes/online/")).entries
    failures: list[BaseException] = []
    tasks = TaskOwner(failures.append)
    changes = store.watch("/nodes/compute_nodes/online/", entry.revision)
    await store.revoke(entry.lease)
    tasks.start(registration.serve(), "registration")
    seen = [write.value is None for write in (await asyncio.wait_for(anext(changes), 20)).writes]
    while False not in seen:
        seen += [write.value is None for write in (await asyncio.wait_for(anext(changes), 20)).writes]
    assert seen[0]
    assert len(await read_instances(store)) == 1
    await tasks.close()
    assert not failures


class Slow(EmbeddedStore):
    """Does what it is told, and answers when it is `let`."""

    holds = False
    done: asyncio.Event
    let: asyncio.Event

    async def commit(self, writes: Sequence[Write], guards: Sequence[Guard] = ()) -> int:
        revision = await super().commit(writes, guards)
        if self.holds:
            self.done.set()
            await self.let.wait()
        return revision


@pytest.fixture
async def slow(tmp_path: Path) -> AsyncIterator[Slow]:
    made = await Slow.open(tmp_path / "slow.db", time.time)
    assert isinstance(made, Slow)
    made.done, made.let = asyncio.Event(), asyncio.Event()
    yield made
    await made.close()


async def test_what_is_said_while_an_entry_is_put_there_is_in_it(slow: Slow) -> None:
    registration, _ = _registration(slow, "a")
    await registration.prepare()
    slow.holds = True
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        group.create_task(registration.begin("127.0.0.1", 3307))
        await slow.done.wait()
        group.create_task(registration.tell(lambda one: replace(one, rules="prepared 7")))
        await asyncio.sleep(0)
        slow.let.set()
    assert [one.rules for one in await read_instances(slow)] == ["prepared 7"]


async def test_who_ends_while_its_entry_is_put_there_leaves_nothing(slow: Slow) -> None:
    """What it left would stand for a sidecar that may be serving, and keep rows from being moved."""
    registration, _ = _registration(slow, "a")
    await registration.prepare()
    slow.holds = True
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        beginning = group.create_task(registration.begin("127.0.0.1", 3307))
        await slow.done.wait()
        beginning.cancel()
    slow.holds = False
    await registration.withdraw()
    assert not (await slow.range("/")).entries


async def test_no_two_have_one_number(store: EmbeddedStore) -> None:
    made = [_registration(store, str(number)) for number in range(20)]
    await asyncio.gather(*(registration.prepare() for registration, _ in made))
    assert len({worker.number for _, worker in made}) == 20
    assert all(worker.held for _, worker in made)


async def test_a_number_that_was_lost_is_replaced(
    store: EmbeddedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(instances, "WORKER_SECONDS", 6.0)  # looked after every quarter of a second
    registration, worker = _registration(store, "a", seconds=0.3)
    await registration.prepare()
    await registration.begin("h", 1)
    [entry] = (await store.range(WORKER_IDS)).entries
    await store.revoke(entry.lease)
    changes = store.watch(WORKER_IDS, (await store.range("/")).revision)
    tasks = TaskOwner(lambda error: None)
    tasks.start(registration.serve(), "registration")
    [write] = (await asyncio.wait_for(anext(changes), 20)).writes
    await tasks.close()
    assert write.key == f"{WORKER_IDS}{worker.number:04}"
    assert worker.held


async def test_all_numbers_taken(store: EmbeddedStore) -> None:
    for first in range(0, WORKERS, 64):
        await store.commit([Write(f"{WORKER_IDS}{number:04}", b"x") for number in range(first, first + 64)])
    registration, _ = _registration(store, "a")
    with pytest.raises(StoreError, match="all 1024 worker numbers"):
        await registration.prepare()


@pytest.mark.parametrize("auto", ["embedded", "etcd"], indirect=True)
def test_the_status_of_the_mesh(auto: AutoMesh, tmp_path: Path) -> None:
    second = Mesh(auto.mesh.configuration, tmp_path / "second.log").start()
    try:

        def listed() -> dict[str, dict[str, object]]:
            shown = auto.command("mesh", "status", "--json")
            assert shown.returncode == 0, shown.stderr
            return {str(one["address"]): one for one in json.loads(shown.stdout)}

        first, other = f"127.0.0.1:{auto.mesh.port}", f"127.0.0.1:{second.port}"
        assert set(listed()) == {first, other}
        assert listed()[first]["state"] == "serving"
        assert listed()[first]["configuration"] == listed()[other]["configuration"]
        assert "as here" in auto.command("mesh", "status").stdout
        second.stop_cleanly()
        wait_until(lambda: set(listed()) == {first}, 20, "the end of the second")
    finally:
        if second.running:
            second.stop()


def test_a_mesh_goes_on_and_starts_while_etcd_is_away(
    auto_servers: list[DatabaseServer], tmp_path: Path
) -> None:
    member = EtcdMember("etcd", tmp_path)
    member.start([member])
    member.wait_ready()
    auto = AutoMesh(auto_servers, tmp_path, etcd_mode(member, seconds=0.5))

    def listed() -> set[str]:
        return {str(one["id"]) for one in json.loads(auto.command("mesh", "status", "--json").stdout)}

    try:
        before = listed()
        with auto.connect() as connection, connection.cursor() as cursor:
            cursor.execute("CREATE TABLE t (id INT PRIMARY KEY, v INT)")
            cursor.execute("INSERT INTO t VALUES (1, 1), (2, 2), (3, 3), (4, 4)")
            snapshot = auto.mesh.configuration / "dbmesh-snapshot.json"
            wait_until(lambda: snapshot.exists() and "metadata" in snapshot.read_text(), 20, "the snapshot")
            member.kill()
            cursor.execute("SELECT COUNT(*), SUM(v) FROM t")
            assert cursor.fetchone() == (4, 10)
            cursor.execute("INSERT INTO t VALUES (5, 5)")
            with pytest.raises(pymysql.err.MySQLError, match="the store failed"):
                cursor.execute("CREATE TABLE u (id INT PRIMARY KEY)")
        auto.mesh.stop_cleanly()
        auto.mesh.start()
        with auto.connect() as connection, connection.cursor() as cursor:
            cursor.execute("SELECT COUNT(*), SUM(v) FROM t")
            assert cursor.fetchone() == (5, 15)
            assert sum(auto.counts("t")) == 5
            cursor.execute("INSERT INTO t VALUES (6, 6), (7, 7)")
            member.start([member])
            member.wait_ready()

            def created() -> str:
                try:
                    cursor.execute("CREATE TABLE u (id INT PRIMARY KEY)")
                except pymysql.err.MySQLError as error:
                    return str(error)
                return ""

            wait_until(lambda: "the store failed" not in created(), 20, "the store")
            wait_until(lambda: listed() - before, 20, "the entry of the new process")
        assert "ds_0.u_0" in auto.tables()
        auto.mesh.stop_cleanly()
    finally:
        if auto.mesh.running:
            auto.mesh.stop()
        member.stop()
