"""The store behind a network that is cut, slow or loses its leader: what is followed catches up, what is leased is put there anew."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from aetcd import rpc

from dbmesh.backend.tasks import TaskOwner
from dbmesh.governance import etcd, following, instances, layout, rule_follower
from dbmesh.governance.etcd import EtcdSettings, EtcdStore
from dbmesh.governance.following import follow
from dbmesh.governance.instances import Instance, Registration, read_instances
from dbmesh.governance.lease_clock import lease_clock
from dbmesh.governance.revisions import Outcome, Revision, propose, read_known
from dbmesh.governance.rule_follower import RuleFollower
from dbmesh.governance.store import ABSENT, StoreUnavailable, Write
from dbmesh.rules.keygen.snowflake import Worker
from dbmesh.rules.loader import load_configuration
from dbmesh.rules.ruleset import Configuration
from tests.plugins.etcd import EtcdMember
from tests.plugins.fix_network import LinkFactory
from tests.plugins.network import FaultyLink

pytestmark = pytest.mark.integration

_FILES = {
    "global.yaml": "authority: {users: [{user: root, password: '${env:PW}'}]}\n",
    "database-shop.yaml": "databaseName: shop\ndataSources: {ds: {url: 'sqlite:x'}}\n",
}
_SECONDS = 0.5


@pytest.fixture(autouse=True)
def _without_long_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "PAUSE", 0.1)
    monkeypatch.setattr(rule_follower, "PAUSE", 0.1)
    monkeypatch.setattr(instances, "RETRY", 0.1)


@pytest.fixture(scope="module")
def member(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdMember]:
    made = EtcdMember("one", tmp_path_factory.mktemp("etcd"))
    made.start([made])
    made.wait_ready()
    yield made
    made.stop()


@pytest.fixture
def link(member: EtcdMember, faulty_link: LinkFactory) -> FaultyLink:
    return faulty_link("127.0.0.1", member.port)


@pytest.fixture
async def direct(member: EtcdMember) -> AsyncIterator[EtcdStore]:
    """A store whose network is whole; what a test leaves is gone."""
    made = await EtcdStore.make(EtcdSettings((member.address,)))
    yield made
    for entry in (await made.range("/")).entries:
        await made.commit([Write(entry.key, None)])
    await made.close()


@pytest.fixture
async def behind(link: FaultyLink) -> AsyncIterator[EtcdStore]:
    """The same store over the link."""
    made = await EtcdStore.make(EtcdSettings((f"127.0.0.1:{link.port}",), seconds=_SECONDS))
    yield made
    await made.close()


@pytest.fixture
async def tasks() -> AsyncIterator[TaskOwner]:
    failures: list[BaseException] = []
    made = TaskOwner(failures.append)
    yield made
    await made.close()
    assert not failures


class Seen:
    """The last value of a key that somebody follows."""

    def __init__(self, store: EtcdStore) -> None:
        self._store = store
        self._news = asyncio.Event()
        self.value = b""

    async def look(self) -> None:
        entry = await self._store.get("/p/a")
        self.value = b"" if entry is None else entry.value
        self._news.set()

    async def until(self, value: bytes) -> None:
        """Wait until it is this."""
        async with asyncio.timeout(30):
            while self.value != value:
                self._news.clear()
                await self._news.wait()


@pytest.mark.parametrize("how", ["refuse", "stall"])
async def test_what_is_followed_catches_up_with_what_was_compacted(
    how: str, member: EtcdMember, link: FaultyLink, direct: EtcdStore, behind: EtcdStore, tasks: TaskOwner
) -> None:
    seen = Seen(behind)
    await direct.commit([Write("/p/a", b"before")])
    tasks.start(follow(behind, "/p/", seen.look, "a key"), "follower")
    await seen.until(b"before")
    getattr(link, how)()
    for number in range(5):
        revision = await direct.commit([Write("/p/a", str(number).encode())])
    async with etcd.grpc.aio.insecure_channel(member.address) as channel:
        await rpc.KVStub(channel).Compact(rpc.CompactionRequest(revision=revision))
    with pytest.raises(StoreUnavailable):
        await behind.get("/p/a")
    link.restore()
    await seen.until(b"4")
    await direct.commit([Write("/p/a", b"after")])
    await seen.until(b"after")


async def test_a_sidecar_that_was_not_heard_of_registers_anew(
    link: FaultyLink, direct: EtcdStore, behind: EtcdStore, tasks: TaskOwner
) -> None:
    worker = Worker(clock=lease_clock)
    registration = Registration(behind, Instance("a", "1.0", "abc", 5.0), 2.0, lease_clock, worker)
    await registration.prepare()
    await registration.begin("127.0.0.1", 3307)
    number = worker.number
    tasks.start(registration.serve(), "registration")
    assert 0 < registration.alive_for <= 2.0
    [entry] = (await direct.range(layout.instances_prefix())).entries
    link.stall()
    changes = direct.watch(layout.instances_prefix(), entry.revision)
    async with asyncio.timeout(30):
        while (await anext(changes)).writes[-1].value is not None:
            continue
    assert registration.alive_for <= 0, "it knows before the store does"
    assert worker.held, "keys go on"
    link.restore()
    async with asyncio.timeout(30):
        while (await anext(changes)).writes[-1].value is None:
            continue
    # Told behind the new entry, not lost with the old one.
    await registration.tell(lambda one: replace(one, rules="prepared 2"))
    assert registration.alive_for > 0
    assert [(one.id, one.rules) for one in await read_instances(direct)] == [("a", "prepared 2")]
    assert worker.number == number
    assert await direct.get(layout.member(registration.place)) is not None


async def test_a_slow_member_is_waited_for_no_longer_than_said(
    member: EtcdMember, link: FaultyLink, direct: EtcdStore
) -> None:
    await direct.commit([Write("/a", b"1")])
    settings = EtcdSettings((f"127.0.0.1:{link.port}", member.address), seconds=_SECONDS)
    store = await EtcdStore.make(settings)
    try:
        assert await store.get("/a") is not None
        link.delay(0.1)
        assert await store.get("/a") is not None, "slow, and answers"
        link.delay(2 * _SECONDS)
        began = asyncio.get_running_loop().time()
        assert await store.get("/a") is not None, "another member answers"
        assert asyncio.get_running_loop().time() - began < 3 * _SECONDS
        began = asyncio.get_running_loop().time()
        await store.commit([Write("/b", b"1", ABSENT)])
        assert asyncio.get_running_loop().time() - began < _SECONDS, "which is asked from here on"
    finally:
        await store.close()


# ------------------------------------------------------------------------------------------------- a cluster


class Gate:
    """Nothing is ever under way."""

    def close(self, reason: str) -> None:
        """See `Holding`."""

    def shut(self, reason: str) -> None:
        """See `Holding`."""

    def watch(self, expired: Callable[[], str]) -> None:
        """See `Holding`."""

    def open(self) -> None:
        """See `Holding`."""

    async def drained(self, *, by_force: bool) -> bool:
        """See `Holding`."""
        return True

    def under_way(self) -> str:
        """See `Holding`."""
        return ""


class Sidecar:
    """What one runs; `prepared` waits for `go_on`."""

    def __init__(self, store: EtcdStore, name: str, tasks: TaskOwner) -> None:
        self.gate = Gate()
        self.go_on = asyncio.Event()
        self.preparing = asyncio.Event()
        self.runs = asyncio.Event()
        worker = Worker(clock=lease_clock)
        self._tasks = tasks
        self._registration = Registration(store, Instance(name, "1.0", "abc", 5.0), 5.0, lease_clock, worker)
        own = load_configuration(_FILES, lambda kind, name: "x")
        self._follower = RuleFollower(
            store, self, self._registration, own, lambda kind, name: "x", 0, lease_clock
        )

    async def start(self, port: int) -> None:
        """Take part."""
        await self._registration.begin("127.0.0.1", port)
        await self._follower.begin()
        self._tasks.start(self._registration.serve(), "registration")
        self._tasks.start(self._follower.serve(), "follower")

    async def prepare(self, configuration: Configuration, *, moves: bool) -> Configuration:
        del moves
        self.preparing.set()
        await self.go_on.wait()
        return configuration

    async def run(self, prepared: Configuration) -> None:
        del prepared
        self.runs.set()

    async def left_prepared(self) -> str:
        """See `Serving`."""
        return ""

    async def work(
        self,
        prepared: Configuration,
        still: Callable[[], Awaitable[bool]],
        tell: Callable[[str], Awaitable[None]],
    ) -> None:
        """See `Serving`."""
        raise AssertionError("no revision takes anything")

    async def discard(self, prepared: Configuration) -> None:
        raise AssertionError("nothing is refused")

    def refuse_clients(self, reason: str) -> None:
        assert not reason


async def _leader(members: list[EtcdMember]) -> EtcdMember:
    for one in members:
        async with etcd.grpc.aio.insecure_channel(one.address) as channel:
            status = await rpc.MaintenanceStub(channel).Status(rpc.StatusRequest())
            if status.leader == status.header.member_id:
                return one
    raise AssertionError("no member leads")


@pytest.mark.parametrize("moves", [False, True])
async def test_a_roll_out_survives_the_leader(moves: bool, tmp_path: Path, tasks: TaskOwner) -> None:
    members = [EtcdMember(name, tmp_path) for name in ("one", "two", "three")]
    stores: list[EtcdStore] = []
    try:
        for one in members:
            one.start(members)
        for one in members:
            one.wait_ready()
        addresses = tuple(one.address for one in members)
        for _ in range(3):
            stores += [await EtcdStore.make(EtcdSettings(addresses, seconds=2.0))]
        sidecars = [Sidecar(store, f"s{number}", tasks) for number, store in enumerate(stores)]
        for number, sidecar in enumerate(sidecars):
            await sidecar.start(3307 + number)
        known = await read_known(stores[0])
        revision = Revision(0, "me", 5.0, "", "", moves)
        await propose(stores[0], known, revision, _FILES)
        async with asyncio.timeout(60):
            for sidecar in sidecars:
                await sidecar.preparing.wait()
            (await _leader(members)).kill()
            for sidecar in sidecars:
                sidecar.go_on.set()
            for sidecar in sidecars:
                await sidecar.runs.wait()
            while True:
                try:
                    known = await read_known(stores[0])
                    break
                except StoreUnavailable:
                    continue
        assert (known.active, known.rolling, known.holding) == (1, None, False)
        assert known.revisions[1].outcome is Outcome.ACCEPTED
        await tasks.close()
    finally:
        for store in stores:
            await store.close()
        for one in members:
            one.stop()
