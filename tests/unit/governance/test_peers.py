"""Sidecars ask one another through the store, and nothing of that stays there."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dbmesh.backend.tasks import TaskOwner
from dbmesh.errors import NOT_THREAD_OWNER, STORE, UNKNOWN_THREAD, MeshError
from dbmesh.governance import layout, peers
from dbmesh.governance.embedded import EmbeddedStore
from dbmesh.governance.instances import Instance, Registration
from dbmesh.governance.peers import StorePeers
from dbmesh.governance.switches import Switches, read_switches
from dbmesh.rules.keygen.snowflake import Worker
from dbmesh.session.peers import Asker, connection_id
from dbmesh.sql.lexer import DEFAULT

ROOT, APP, OTHER = Asker("root@%", True), Asker("app@%", False), Asker("other@%", False)


class Sidecar:
    """One with a session of `app@%` that runs a statement."""

    def __init__(self, store: EmbeddedStore, name: str) -> None:
        self.worker = Worker(clock=time.monotonic)
        entry = Instance(name, "1.0", "abc", 5.0)
        self.registration = Registration(store, entry, 30.0, time.monotonic, self.worker)
        self.killed: list[str] = []
        self.mesh = SimpleNamespace(sessions={})
        self.peers = StorePeers(store, cast("Any", self.mesh), name, os.urandom)
        self.id = 0

    async def start(self, port: int) -> None:
        await self.registration.prepare()
        await self.registration.begin("127.0.0.1", port)
        self.id = connection_id(self.worker.number, 7)
        self.mesh.sessions[self.id] = SimpleNamespace(
            connection_id=self.id,
            account="app@%",
            user_name="app",
            host="h",
            database="shop",
            command_text=b"SELECT * FROM t WHERE name = 'Anna'",
            command_since=1.0,
            now=lambda: 6.5,
            lexer_flags=DEFAULT,
            kill_query=lambda: self.killed.append("query"),
            kill_connection=lambda: self.killed.append("connection"),
        )


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[tuple[EmbeddedStore, Sidecar, Sidecar]]:
    store = await EmbeddedStore.open(tmp_path / "store.db", time.time)
    one, two = Sidecar(store, "a"), Sidecar(store, "b")
    failures: list[BaseException] = []
    tasks = TaskOwner(failures.append)
    for port, sidecar in enumerate((one, two)):
        await sidecar.start(port)
        tasks.start(sidecar.peers.serve(), "peers")
    yield store, one, two
    await tasks.close()
    assert not failures
    await store.close()


async def test_the_sessions_of_all(world: tuple[EmbeddedStore, Sidecar, Sidecar]) -> None:
    store, one, two = world
    found = await one.peers.processes(ROOT)
    assert [(address, process.id) for address, process in found] == [
        ("127.0.0.1:0", one.id),
        ("127.0.0.1:1", two.id),
    ]
    assert found[0][1].text == found[1][1].text == "SELECT * FROM t WHERE name = ?"
    assert (found[1][1].seconds, found[1][1].command) == (5, "Query")
    assert len(await one.peers.processes(APP)) == 2
    assert await one.peers.processes(OTHER) == []
    for prefix in ("/requests/", "/answers/"):
        assert not (await store.range(prefix)).entries


async def test_kill_over_there(world: tuple[EmbeddedStore, Sidecar, Sidecar]) -> None:
    _, one, two = world
    await one.peers.kill(ROOT, two.id, query=True)
    await one.peers.kill(APP, two.id, query=False)
    assert (one.killed, two.killed) == ([], ["query", "connection"])
    with pytest.raises(MeshError) as refused:
        await one.peers.kill(OTHER, two.id, query=False)
    assert refused.value.kind is NOT_THREAD_OWNER
    nobody = next(number for number in range(3) if number not in (one.worker.number, two.worker.number))
    for unknown in (two.id + 1, connection_id(nobody, 1), one.id + 1):
        with pytest.raises(MeshError) as missing:
            await one.peers.kill(ROOT, unknown, query=False)
        assert missing.value.kind is UNKNOWN_THREAD


async def test_one_that_does_not_answer(
    world: tuple[EmbeddedStore, Sidecar, Sidecar], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, one, _ = world
    monkeypatch.setattr(peers, "PATIENCE", 0.2)
    silent = Sidecar(store, "c")
    await silent.start(2)
    found = await one.peers.processes(ROOT)
    assert (found[2][0], found[2][1].state) == ("127.0.0.1:2", "no answer within 0.2 s")
    with pytest.raises(MeshError, match=r"has not answered within 0\.2 s") as unsure:
        await one.peers.kill(ROOT, silent.id, query=False)
    assert unsure.value.kind is STORE
    await silent.registration.withdraw()
    with pytest.raises(MeshError) as gone:
        await one.peers.kill(ROOT, silent.id, query=False)
    assert gone.value.kind is UNKNOWN_THREAD
    assert not (await store.range(layout.requests_prefix("c"))).entries


def test_ids_have_32_bits() -> None:
    assert connection_id(1023, (1 << 22) - 1) == 0xFFFFFFFF
    assert connection_id(0, 1) == 1
    assert connection_id(3, (1 << 22) + 5) == connection_id(3, 5)


async def test_what_one_sidecar_tells_fits_into_the_store(
    world: tuple[EmbeddedStore, Sidecar, Sidecar], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, one, two = world
    monkeypatch.setattr(peers, "MOST_BYTES", 1000)
    session = two.mesh.sessions[two.id]
    for number in range(1, 50):
        two.mesh.sessions[two.id + number] = SimpleNamespace(
            **vars(session) | {"connection_id": two.id + number}
        )
    of_two = [process for address, process in await one.peers.processes(ROOT) if address == "127.0.0.1:1"]
    *told, last = of_two
    assert [process.id for process in told] == [two.id + number for number in range(len(told))]
    assert 3 < len(told) < 20
    assert last.state == f"{50 - len(told)} sessions more are not shown"


async def test_sidecars_are_told_and_switched(world: tuple[EmbeddedStore, Sidecar, Sidecar]) -> None:
    store, one, _ = world
    await one.peers.switch_sidecar("b", on=False)
    await one.peers.switch_data_source("shop.ds_0", on=False)
    assert await read_switches(store) == Switches(frozenset({"b"}), frozenset({"shop.ds_0"}))
    assert [(found.id, found.status, found.own) for found in await one.peers.sidecars()] == [
        ("a", "OK", True),
        ("b", "CIRCUIT_BREAK", False),
    ]
    await one.peers.switch_sidecar("b", on=True)
    with pytest.raises(MeshError):
        await one.peers.switch_sidecar("c", on=False)
