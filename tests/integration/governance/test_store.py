"""The store port's contract, kept by every store; what etcd adds to it: accounts, TLS, clusters whose members go."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from aetcd import rpc

from dbmesh.backend.tasks import TaskOwner
from dbmesh.governance import embedded, etcd
from dbmesh.governance.embedded import EmbeddedStore
from dbmesh.governance.etcd import EtcdSettings, EtcdStore
from dbmesh.governance.namespaced import Namespaced
from dbmesh.governance.store import (
    ABSENT,
    MOST_CHANGES,
    Changes,
    Compacted,
    Conflict,
    Entry,
    Guard,
    LeaseLost,
    Store,
    StoreError,
    StoreUnavailable,
    Write,
)
from tests.plugins.certificates import make_certificate
from tests.plugins.etcd import EtcdMember

pytestmark = pytest.mark.integration


@dataclass
class Kind:
    """A kind of store: `open` connects to what is stored, `forget` compacts all changes but the last."""

    open: Callable[[], Awaitable[Store]]
    forget: Callable[[int], Awaitable[None]]


async def _open(settings: EtcdSettings) -> EtcdStore:
    """A store that is known to answer."""
    store = await EtcdStore.make(settings)
    try:
        await store.check()
    except BaseException:
        await store.close()
        raise
    return store


@pytest.fixture
def member(tmp_path: Path) -> Iterator[EtcdMember]:
    """One etcd process."""
    made = EtcdMember("one", tmp_path)
    made.start([made])
    made.wait_ready()
    yield made
    made.stop()


@pytest.fixture(params=["embedded", "etcd"])
def kind(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kind:
    if request.param == "embedded":

        async def keep_one(_: int) -> None:
            monkeypatch.setattr(embedded, "HISTORY_KEPT", 1)
            store = await EmbeddedStore.open(tmp_path / "store.db", time.time)
            await store.commit([Write("/last", b"")])
            await store.close()

        return Kind(lambda: EmbeddedStore.open(tmp_path / "store.db", time.time), keep_one)
    server: EtcdMember = request.getfixturevalue("member")

    async def compact(revision: int) -> None:
        async with etcd.grpc.aio.insecure_channel(server.address) as channel:
            await rpc.KVStub(channel).Compact(rpc.CompactionRequest(revision=revision))

    monkeypatch.setattr(etcd, "PAGE", 2)

    async def open_part() -> Store:
        return Namespaced(await _open(EtcdSettings((server.address,))), "mesh")

    return Kind(open_part, compact)


@pytest.fixture
async def store(kind: Kind) -> AsyncIterator[Store]:
    made = await kind.open()
    yield made
    await made.close()


async def test_a_key_lives_from_its_first_write_to_its_deletion(store: Store) -> None:
    assert await store.get("/a") is None
    first = await store.commit([Write("/a", b"1", expected=ABSENT)])
    assert await store.get("/a") == Entry("/a", b"1", first)
    second = await store.commit([Write("/a", b"2", expected=first)])
    assert second > first
    assert await store.get("/a") == Entry("/a", b"2", second)
    await store.commit([Write("/a", None, expected=second)])
    assert await store.get("/a") is None


@pytest.mark.parametrize("expected", [ABSENT, 99])
async def test_a_commit_from_another_revision_changes_nothing(store: Store, expected: int) -> None:
    revision = await store.commit([Write("/a", b"1")])
    with pytest.raises(Conflict, match=f"/a is at revision {revision}, not {expected}"):
        await store.commit([Write("/b", b"x"), Write("/a", b"2", expected=expected)])
    assert (await store.range("/")).entries == (Entry("/a", b"1", revision),)


async def test_a_guard_decides_without_writing(store: Store) -> None:
    revision = await store.commit([Write("/gate", b"open")])
    await store.commit([Write("/a", b"1")], guards=[Guard("/gate", revision)])
    with pytest.raises(Conflict):
        await store.commit([Write("/a", b"2")], guards=[Guard("/gate", ABSENT)])
    entry = await store.get("/a")
    assert entry is not None
    assert entry.value == b"1"


async def test_of_many_writers_from_one_revision_one_wins(store: Store) -> None:
    results = await asyncio.gather(
        *(store.commit([Write("/a", str(n).encode(), expected=ABSENT)]) for n in range(20)),
        return_exceptions=True,
    )
    assert sum(isinstance(result, int) for result in results) == 1
    assert sum(isinstance(result, Conflict) for result in results) == 19


async def test_a_range_is_the_prefix_in_key_order_at_one_revision(store: Store) -> None:
    keys = [f"/p/{letter}" for letter in "edcba"]
    await store.commit([*(Write(key, b"1") for key in keys), Write("/q", b"3"), Write("/p", b"0")])
    snapshot = await store.range("/p/")
    assert [entry.key for entry in snapshot.entries] == sorted(keys)
    assert await store.commit([Write("/z", b"9")]) == snapshot.revision + 1
    assert await store.range("/nothing/") == (await store.range("/none/"))


async def test_a_commit_has_a_most(store: Store) -> None:
    await store.commit([Write(f"/a/{number:03}", b"") for number in range(MOST_CHANGES)])
    assert len((await store.range("/a/")).entries) == MOST_CHANGES
    with pytest.raises(ValueError, match="101 keys"):
        await store.commit(
            [Write(f"/b/{number}", b"") for number in range(MOST_CHANGES)], [Guard("/a/000", 1)]
        )
    assert not (await store.range("/b/")).entries


async def _next(changes: AsyncIterator[Changes]) -> Changes:
    return await asyncio.wait_for(anext(changes), 20)


async def test_a_watch_misses_nothing_after_its_snapshot(store: Store) -> None:
    snapshot = await store.range("/p/")
    await store.commit([Write("/p/a", b"1"), Write("/other", b"x")])
    await store.commit([Write("/p/a", None)])
    changes = store.watch("/p/", snapshot.revision)
    seen: list[tuple[str, bytes | None]] = []
    while len(seen) < 2:
        seen += [(write.key, write.value) for write in (await _next(changes)).writes]
    assert seen == [("/p/a", b"1"), ("/p/a", None)]
    waiting = asyncio.ensure_future(anext(changes))  # noqa: TID251  the test awaits it below
    revision = await store.commit([Write("/p/b", b"2")])
    assert await asyncio.wait_for(waiting, 20) == Changes(revision, (Write("/p/b", b"2"),))


async def test_a_watch_sees_what_another_process_changes(store: Store, kind: Kind) -> None:
    other = await kind.open()
    changes = store.watch("/", 0)
    await other.commit([Write("/a", b"1")])
    assert (await _next(changes)).writes == (Write("/a", b"1"),)
    await other.close()


async def test_a_watch_from_too_long_ago_says_so(store: Store, kind: Kind) -> None:
    first = await store.commit([Write("/a", b"first")])
    for number in range(5):
        revision = await store.commit([Write("/a", str(number).encode())])
    await kind.forget(revision)
    with pytest.raises(Compacted):
        await _next(store.watch("/", first))
    changes = store.watch("/", (await store.range("/")).revision)
    revision = await store.commit([Write("/a", b"now")])
    assert await _next(changes) == Changes(revision, (Write("/a", b"now"),))


async def test_closing_ends_watches(store: Store) -> None:
    changes = store.watch("/", (await store.range("/")).revision)
    waiting = asyncio.ensure_future(anext(changes, None))  # noqa: TID251  the test awaits it below
    await asyncio.sleep(0)
    await store.close()
    assert await asyncio.wait_for(waiting, 20) is None
    with pytest.raises(StoreUnavailable):
        await store.get("/a")


async def test_a_watch_ends_with_its_task_whatever_has_just_changed(store: Store) -> None:
    async def watch() -> None:
        async for _ in store.watch("/", (await store.range("/")).revision):
            begun.set()

    begun = asyncio.Event()
    failures: list[BaseException] = []
    tasks = TaskOwner(failures.append)
    tasks.start(watch(), "watch")
    while not begun.is_set():
        await store.commit([Write("/a", b"1")])
    await store.commit([Write("/a", b"2")])
    await asyncio.wait_for(tasks.close(), 20)
    assert not failures


async def test_a_lease_takes_its_keys_with_it(store: Store) -> None:
    lease = await store.grant(2)
    revision = await store.commit([Write("/alive", b"me", lease=lease), Write("/stays", b"1")])
    await store.keep_alive(lease)
    entry = await store.get("/alive")
    assert entry == Entry("/alive", b"me", revision, lease)
    assert (await _next(store.watch("/", revision))).writes == (Write("/alive", None),)
    assert [entry.key for entry in (await store.range("/")).entries] == ["/stays"]
    with pytest.raises(LeaseLost):
        await store.keep_alive(lease)
    with pytest.raises(LeaseLost):
        await store.commit([Write("/alive", b"again", lease=lease)])


async def test_a_revoked_lease_is_gone_at_once(store: Store) -> None:
    lease = await store.grant(60)
    await store.commit([Write("/alive", b"me", lease=lease)])
    await store.revoke(lease)
    await store.revoke(lease)
    assert await store.get("/alive") is None


async def test_a_key_written_anew_without_the_lease_outlives_it(store: Store) -> None:
    lease = await store.grant(60)
    await store.commit([Write("/a", b"1", lease=lease)])
    await store.commit([Write("/a", b"2")])
    await store.revoke(lease)
    assert await store.get("/a") is not None


# ------------------------------------------------------------------------------------------------------- etcd


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[list[EtcdMember]]:
    """Three members."""
    members = [EtcdMember(name, tmp_path) for name in ("one", "two", "three")]
    for one in members:
        one.start(members)
    for one in members:
        one.wait_ready()
    yield members
    for one in members:
        one.stop()


async def test_a_cluster_that_loses_a_member_goes_on(cluster: list[EtcdMember]) -> None:
    store = await _open(EtcdSettings(tuple(one.address for one in cluster)))
    first = await store.commit([Write("/a", b"1")])
    changes = store.watch("/", first)
    waiting = asyncio.ensure_future(anext(changes))  # noqa: TID251  the test awaits it below
    await asyncio.sleep(0)
    cluster[0].kill()  # the member that is asked first
    # What was on its way when the member went may be lost; nothing that was answered is.
    revision = 0
    while not revision:
        try:
            revision = await store.commit([Write("/a", b"2")])
        except StoreUnavailable:
            continue
    assert (await asyncio.wait_for(waiting, 20)).writes[-1] == Write("/a", b"2")
    assert await store.get("/a") == Entry("/a", b"2", revision)
    cluster[1].kill()  # no majority is left
    with pytest.raises(StoreUnavailable):
        await store.commit([Write("/a", b"3")])
    cluster[0].start(cluster)
    while (await _value(store, "/a")) is None:
        continue
    await store.commit([Write("/a", b"4")])
    await store.close()


async def _value(store: EtcdStore, key: str) -> bytes | None:
    """A key's value; None while the cluster has no majority, which each request waits for."""
    try:
        entry = await store.get(key)
    except StoreUnavailable:
        return None
    return None if entry is None else entry.value


async def test_a_store_nobody_answers_for_is_named(tmp_path: Path) -> None:
    nobody = EtcdMember("nobody", tmp_path)
    with pytest.raises(StoreUnavailable, match=f"etcd cannot be reached at {nobody.address}"):
        await _open(EtcdSettings((nobody.address,), seconds=0.5))


async def test_a_member_that_went_is_used_again(member: EtcdMember) -> None:
    store = await _open(EtcdSettings((member.address,), seconds=0.5))
    await store.commit([Write("/a", b"1")])
    member.kill()
    with pytest.raises(StoreUnavailable):
        await store.get("/a")
    member.start([member])
    member.wait_ready()
    while (await _value(store, "/a")) is None:
        continue
    await store.close()


async def test_an_account_and_its_token(tmp_path: Path) -> None:
    member = EtcdMember("one", tmp_path, ["--auth-token-ttl=1"])
    member.start([member])
    member.wait_ready()
    try:
        async with etcd.grpc.aio.insecure_channel(member.address) as channel:
            accounts = rpc.AuthStub(channel)
            await accounts.UserAdd(rpc.AuthUserAddRequest(name="root", password="secret"))
            await accounts.RoleAdd(rpc.AuthRoleAddRequest(name="root"))
            await accounts.UserGrantRole(rpc.AuthUserGrantRoleRequest(user="root", role="root"))
            await accounts.AuthEnable(rpc.AuthEnableRequest())
        for user, password in (("", ""), ("root", "guess")):
            with pytest.raises(StoreError, match="user"):
                await _open(EtcdSettings((member.address,), user, password))
        store = await _open(EtcdSettings((member.address,), "root", "secret"))
        await store.commit([Write("/a", b"1")])
        # A token ends when its member does; the next request fetches another.
        member.kill()
        member.start([member])
        member.wait_ready()
        while (await _value(store, "/a")) is None:
            continue
        await store.commit([Write("/a", b"2")])
        await store.close()
    finally:
        member.stop()


async def test_tls_with_certificates_on_both_sides(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    options = [f"--cert-file={certificate}", f"--key-file={key}", f"--trusted-ca-file={certificate}"]
    member = EtcdMember("one", tmp_path, [*options, "--client-cert-auth"])
    member.start([member], scheme="https")
    member.wait_ready()
    server = f"localhost:{member.port}"
    try:
        store = await _open(
            EtcdSettings((server,), tls=True, ca=certificate, certificate=certificate, key=key)
        )
        await store.commit([Write("/a", b"1")])
        await store.close()
        for settings in (
            EtcdSettings((server,), seconds=0.5),
            EtcdSettings((server,), seconds=0.5, tls=True, certificate=certificate, key=key),
            EtcdSettings((server,), seconds=0.5, tls=True, ca=certificate),
        ):
            with pytest.raises(StoreUnavailable):
                await _open(settings)
        with pytest.raises(StoreUnavailable, match="nowhere"):
            await _open(EtcdSettings((server,), tls=True, ca=tmp_path / "nowhere"))
    finally:
        member.stop()
