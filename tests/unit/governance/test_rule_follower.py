"""Sidecars follow the store's revisions: together, or not at all, and serve nobody with other rules than the mesh's."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from dbmesh.backend.tasks import TaskOwner
from dbmesh.governance import layout, promise, rule_follower
from dbmesh.governance.embedded import EmbeddedStore
from dbmesh.governance.instances import Instance, Registration, read_instances
from dbmesh.governance.promise import LAPSED
from dbmesh.governance.revisions import (
    LOOK,
    Known,
    Outcome,
    Revision,
    acknowledge,
    carry_out,
    propose,
    read_known,
)
from dbmesh.governance.rule_follower import (
    NotDone,
    NotPrepared,
    RuleFollower,
    refuse_rollouts,
    stored_configuration,
)
from dbmesh.governance.store import ABSENT, Changes, Store, StoreUnavailable, Write
from dbmesh.rules.keygen.snowflake import Worker
from dbmesh.rules.loader import load_configuration
from dbmesh.rules.mistakes import ConfigurationError
from dbmesh.rules.ruleset import Configuration

_FILES = {
    "global.yaml": "authority: {users: [{user: root, password: '${env:PW}'}]}\n",
    "database-shop.yaml": "databaseName: shop\ndataSources: {ds: {url: 'sqlite:x'}}\n",
}
_MORE = _FILES | {"database-hr.yaml": "databaseName: hr\ndataSources: {ds: {url: 'sqlite:y'}}\n"}


def _secrets(kind: str, name: str) -> str | None:
    return {"PW": "geheim"}.get(name)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[EmbeddedStore]:
    made = await EmbeddedStore.open(tmp_path / "store.db", time.time)
    yield made
    await made.close()


class Gate:
    """What is held back, in words; `busy` is what is under way."""

    def __init__(self, sidecar: Sidecar) -> None:
        self._sidecar = sidecar
        self._expired: Callable[[], str] | None = None
        self._reason = ""
        self.busy = False
        self.forced = False
        self.reasons: list[str] = []

    @property
    def reason(self) -> str:
        """Why no statement begins, '' when some may."""
        return self._reason or (self._expired() if self._expired else "")

    def close(self, reason: str) -> None:
        self._hold(reason, None)

    def shut(self, reason: str) -> None:
        self._hold(reason, None)

    def watch(self, expired: Callable[[], str]) -> None:
        self._hold("", expired)

    def open(self) -> None:
        self._hold("", None)

    def _hold(self, reason: str, expired: Callable[[], str] | None) -> None:
        self._reason, self._expired = reason, expired
        if self.reasons[-1:] != [reason]:
            self.reasons.append(reason)
        self._sidecar.news.set()

    async def drained(self, *, by_force: bool) -> bool:
        self.forced = self.forced or by_force
        return not self.busy or by_force

    def under_way(self) -> str:
        return "a transaction"


class Sidecar:
    """What one serves, in words."""

    def __init__(self, store: EmbeddedStore, name: str) -> None:
        self.store = store
        self.news = asyncio.Event()
        self.own = load_configuration(_FILES, _secrets)
        self.unable = ""
        self.running: tuple[str, ...] = ("shop",)
        self.users: tuple[str, ...] = ()
        self.discarded: list[str] = []
        self.refusal = ""
        self.prepared = 0
        self.worked = 0
        self.others: list[Sidecar] = []
        self.turn = asyncio.Lock()
        self.works_badly: Exception | None = None
        self.left = ""
        self.looks = 0
        self.gate = Gate(self)
        entry = Instance(name, "1.0", "abc", 5.0)
        self.registration = Registration(store, entry, 30.0, time.monotonic, Worker(clock=time.monotonic))
        self.failures: list[BaseException] = []
        self.tasks = TaskOwner(self.failures.append)

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait until something is so, looking whenever this sidecar has done anything."""
        async with asyncio.timeout(20):
            while not true():
                self.news.clear()
                await self.news.wait()

    async def start(self, running: int = 0) -> None:
        await self.registration.begin("127.0.0.1", 3307)
        follower = RuleFollower(
            self.store, self, self.registration, self.own, _secrets, running, time.monotonic
        )
        await follower.begin()
        self.tasks.start(follower.serve(), "follower")

    async def prepare(self, configuration: Configuration, *, moves: bool) -> Configuration:
        del moves
        if self.unable:
            raise NotPrepared(self.unable)
        self.prepared += 1
        return configuration

    async def run(self, prepared: Configuration) -> None:
        if self.unable:
            raise NotPrepared(self.unable)
        self.running = tuple(sorted(prepared.databases))
        self.users = tuple(user.password for user in prepared.users)
        self.news.set()

    async def work(
        self,
        prepared: Configuration,
        still: Callable[[], Awaitable[bool]],
        tell: Callable[[str], Awaitable[None]],
    ) -> None:
        async with self.turn:
            if not await still():
                raise NotDone("somebody else was faster")
            assert all(one.gate.reasons[-1] for one in self.others)
            self.worked += 1
            self.news.set()
            if isinstance(self.works_badly, NotDone):
                raise self.works_badly
            await tell(str(self.works_badly or ""))

    async def discard(self, prepared: Configuration) -> None:
        self.discarded.append(", ".join(sorted(prepared.databases)))
        self.news.set()

    async def left_prepared(self) -> str:
        self.looks += 1
        self.news.set()
        return self.left

    def refuse_clients(self, reason: str) -> None:
        self.refusal = reason
        self.news.set()


@pytest.fixture
async def sidecars(store: EmbeddedStore) -> AsyncIterator[list[Sidecar]]:
    made = [Sidecar(store, name) for name in ("a", "b")]
    turn = asyncio.Lock()
    for one in made:
        one.others, one.turn = made, turn
    yield made
    for one in made:
        await one.tasks.close()
        assert not one.failures


async def _apply(
    store: EmbeddedStore,
    files: dict[str, str] = _MORE,
    *,
    moves: bool = False,
    hold: float = 0.0,
    works: bool = False,
) -> Revision:
    revision = Revision(0, "me", 5.0, "", "", moves, limit=5.0, hold=hold, works=works)
    proposed = await propose(store, await read_known(store), revision, files)
    return await asyncio.wait_for(carry_out(store, proposed.number, time.monotonic), 20)


async def test_what_the_store_did_not_take_is_said_again(
    store: EmbeddedStore, sidecars: list[Sidecar], monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[int] = []

    async def flaky(store: Store, number: int, instance: str, reason: str) -> None:
        said.append(number)
        if len(said) == 1:
            raise StoreUnavailable("away")
        await acknowledge(store, number, instance, reason)

    monkeypatch.setattr(rule_follower, "acknowledge", flaky)
    monkeypatch.setattr(rule_follower, "PAUSE", 0.01)
    await sidecars[0].start()
    assert (await _apply(store)).outcome is Outcome.ACCEPTED
    await sidecars[0].until(lambda: sidecars[0].running == ("hr", "shop"))
    assert said == [1, 1]
    assert sidecars[0].prepared == 1


async def test_all_switch(store: EmbeddedStore, sidecars: list[Sidecar]) -> None:
    for one in sidecars:
        await one.start()
    assert (await _apply(store)).outcome is Outcome.ACCEPTED
    for one in sidecars:
        await one.until(lambda one=one: one.running == ("hr", "shop"))  # type: ignore[misc]
    assert sidecars[0].users == ("geheim",), "resolved where it is served"
    prefix = layout.acknowledgements_prefix(1)
    async with asyncio.timeout(20):
        async for _ in store.watch(prefix, 0):
            if not (await store.range(prefix)).entries:
                break

    async with asyncio.timeout(20):
        async for _ in store.watch(layout.instances_prefix(), 0):
            if {(one.revision, one.rules) for one in await read_instances(store)} == {(1, "active")}:
                break


async def test_one_that_cannot(store: EmbeddedStore, sidecars: list[Sidecar]) -> None:
    sidecars[1].unable = "ds cannot be reached"
    for one in sidecars:
        await one.start()
    ended = await _apply(store)
    assert (ended.outcome, ended.reason) == (Outcome.REFUSED, "127.0.0.1:3307: ds cannot be reached")
    await sidecars[0].until(lambda: sidecars[0].discarded == ["hr, shop"])
    assert {one.running for one in sidecars} == {("shop",)}


async def test_files_that_cannot_be_loaded(store: EmbeddedStore, sidecars: list[Sidecar]) -> None:
    await sidecars[0].start()
    secret = _MORE | {"global.yaml": _FILES["global.yaml"].replace("PW", "OTHER")}
    ended = await _apply(store, secret)
    assert ended.outcome is Outcome.REFUSED
    assert (
        "global.yaml:1: authority.users[0].password: environment variable 'OTHER' is not set" in ended.reason
    )


async def test_what_holds_and_cannot_be_run_is_not_replaced_by_what_was(
    store: EmbeddedStore, sidecars: list[Sidecar], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rule_follower, "PAUSE", 0.05)
    assert (await _apply(store)).outcome is Outcome.ACCEPTED
    late = sidecars[0]
    late.unable = "ds cannot be reached"
    await late.start()
    await late.until(lambda: bool(late.refusal))
    assert late.refusal == "revision 1 of the rules cannot be run here: ds cannot be reached"
    late.unable = ""
    await late.until(lambda: late.running == ("hr", "shop") and not late.refusal)


async def test_the_configuration_of_the_store(store: EmbeddedStore) -> None:
    own = replace(load_configuration(_FILES, _secrets), record_locks=True)
    assert await stored_configuration(store, own, _secrets) == (own, 0)
    await _apply(store)
    found, number = await stored_configuration(store, own, _secrets)
    assert (sorted(found.databases), number, found.record_locks) == (["hr", "shop"], 1, True)
    assert found.fingerprint != own.fingerprint
    with pytest.raises(ConfigurationError):
        await stored_configuration(store, own, lambda kind, name: None)


async def test_no_statement_begins_by_rules_that_hold_no_more(
    store: EmbeddedStore, sidecars: list[Sidecar]
) -> None:
    """A revision became active while it was cut off, or between its reading and its registration."""
    assert (await _apply(store)).outcome is Outcome.ACCEPTED
    late = sidecars[0]
    await late.registration.begin("127.0.0.1", 3307)
    follower = RuleFollower(store, late, late.registration, late.own, _secrets, 0, time.monotonic)
    await follower.begin()
    assert late.running == ("hr", "shop"), "before the first client"
    assert late.gate.reasons == ["revision 1 of the rules holds and is being made ready here", ""]


async def test_what_is_under_way_refuses_a_revision_that_does_not_end_it(
    store: EmbeddedStore, sidecars: list[Sidecar]
) -> None:
    for one in sidecars:
        await one.start()
    sidecars[1].gate.busy = True
    ended = await _apply(store, moves=True, hold=0.05)
    assert ended.outcome is Outcome.REFUSED
    assert ended.reason == "127.0.0.1:3307: not ended within 0.05 s: a transaction"
    for one in sidecars:
        await one.until(lambda one=one: one.gate.reasons[-1] == "")  # type: ignore[misc]
        assert not one.gate.forced
        assert one.running == ("shop",)


async def test_what_a_revision_takes_is_done_while_all_hold(
    store: EmbeddedStore, sidecars: list[Sidecar]
) -> None:
    for one in sidecars:
        await one.start()
    sidecars[0].works_badly = NotDone("a server is away")
    ended = await _apply(store, moves=True, works=True)
    assert ended.outcome is Outcome.ACCEPTED
    assert sum(one.worked for one in sidecars) >= 1
    for one in sidecars:
        await one.until(lambda one=one: one.running == ("hr", "shop"))  # type: ignore[misc]


async def test_what_cannot_be_done_yet_is_looked_at_again_after_a_while(
    store: EmbeddedStore, sidecars: list[Sidecar]
) -> None:
    for one in sidecars:
        one.works_badly = NotDone("a server is away")
        await one.start()
    applied = sidecars[0].tasks.start(_apply(store, moves=True, works=True), "applied")
    await sidecars[0].until(lambda: sidecars[0].worked > 0)
    await asyncio.sleep(4 * LOOK)
    assert sum(one.worked for one in sidecars) <= 2 * (1 + 5)
    sidecars[0].works_badly = None
    assert (await applied).outcome is Outcome.ACCEPTED


async def test_what_could_not_be_done_refuses_the_revision(
    store: EmbeddedStore, sidecars: list[Sidecar]
) -> None:
    for one in sidecars:
        await one.start()
        one.works_badly = NotPrepared("a table is in use")
    ended = await _apply(store, moves=True, works=True)
    assert (ended.outcome, ended.reason) == (Outcome.REFUSED, "127.0.0.1:3307: a table is in use")
    for one in sidecars:
        await one.until(lambda one=one: one.gate.reasons[-1] == "")  # type: ignore[misc]
        assert one.running == ("shop",)


async def test_where_rows_move_all_hold_before_one_goes_on(
    store: EmbeddedStore, sidecars: list[Sidecar]
) -> None:
    for one in sidecars:
        await one.start()
        one.gate.busy = True
    applying = asyncio.ensure_future(_apply(store, moves=True))  # noqa: TID251  the test awaits it below
    first, second = sidecars
    await first.until(lambda: first.gate.reason == "revision 1 of the rules is being rolled out")
    first.gate.busy = False
    await second.until(lambda: second.gate.forced)
    ended = await applying
    assert ended.outcome is Outcome.ACCEPTED, ended.reason
    assert not first.gate.forced
    for one in sidecars:
        await one.until(lambda one=one: one.running == ("hr", "shop") and not one.gate.reason)  # type: ignore[misc]


async def test_statements_are_held_before_all_that_is_known_is_read(
    store: EmbeddedStore, sidecars: list[Sidecar], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = sidecars[0]
    readable = asyncio.Event()

    async def read(store: Store) -> Known:
        await readable.wait()
        return await read_known(store)

    monkeypatch.setattr(rule_follower, "advance", _nothing)
    await first.start()
    await propose(store, await read_known(store), Revision(0, "me", 5.0, "", "", moves=True), _MORE)
    await first.until(lambda: first.prepared == 1 and first.gate.reasons[-1:] == [""])
    monkeypatch.setattr(rule_follower, "read_known", read)
    await store.commit([Write(layout.holding(), b"1", ABSENT)])
    await first.until(lambda: first.gate.reason == "revision 1 of the rules is being rolled out")
    await store.commit([Write(layout.holding(), None)])
    readable.set()
    await first.until(lambda: not first.gate.reason)


async def test_who_does_not_know_what_holds_lets_nothing_go_on(
    store: EmbeddedStore, sidecars: list[Sidecar], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = sidecars[0]
    monkeypatch.setattr(rule_follower, "advance", _nothing)
    await one.registration.begin("127.0.0.1", 3307)
    await one.registration.withdraw()
    monkeypatch.setattr(Registration, "alive_for", 0.0)
    follower = RuleFollower(store, one, one.registration, one.own, _secrets, 0, time.monotonic)
    await follower.begin()
    away = one.gate.reason
    assert away == "the store is away, and rows may have been moved without this sidecar"
    told = asyncio.Event()

    async def watching(store: Store, prefix: str, *more: object) -> None:
        *_, hear = more
        assert callable(hear)
        hear(Changes(1, (Write(layout.holding(), b"1"),)))
        told.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(rule_follower, "follow", watching)
    one.tasks.start(follower.serve(), "follower")
    await told.wait()
    assert one.gate.reasons == [away]


@pytest.mark.parametrize(
    ("alive_for", "values", "closed"), [(9.0, [b"1"], True), (0.0, [b"1"], False), (9.0, [b"1", None], False)]
)
async def test_who_is_told_to_hold_leaves_it_to_the_promise_once_that_counts(
    sidecars: list[Sidecar],
    monkeypatch: pytest.MonkeyPatch,
    alive_for: float,
    values: list[bytes | None],
    closed: bool,
) -> None:
    """Where others may have gone on nothing is let through again; nor is anything held for what has ended already."""
    one = sidecars[0]
    monkeypatch.setattr(Registration, "alive_for", alive_for)
    told = asyncio.Event()

    async def watching(store: Store, prefix: str, *more: object) -> None:
        *_, hear = more
        assert callable(hear)
        hear(Changes(2, tuple(Write(layout.holding(), value) for value in values)))
        told.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(rule_follower, "follow", watching)
    follower = RuleFollower(one.store, one, one.registration, one.own, _secrets, 0, time.monotonic)
    one.gate.shut(LAPSED)
    one.tasks.start(follower._watch(), "watching")
    await told.wait()
    assert (one.gate.reason != LAPSED) == closed


async def test_where_rows_move_nothing_is_left_prepared(
    store: EmbeddedStore, sidecars: list[Sidecar]
) -> None:
    for one in sidecars:
        await one.start()
    first, second = sidecars
    first.left = second.left = "transaction a-1 was left on ds_0"
    applying = asyncio.ensure_future(_apply(store, moves=True))  # noqa: TID251  the test awaits it below
    await first.until(lambda: first.looks > 2)
    assert first.running == ("shop",)
    first.left = second.left = ""
    ended = await applying
    assert ended.outcome is Outcome.ACCEPTED, ended.reason
    assert not first.gate.forced
    second.left = "transaction a-2 was left on ds_0"
    ended = await _apply(store, moves=True, hold=0.1)
    assert ended.outcome is Outcome.REFUSED
    assert ended.reason == f"127.0.0.1:3307: {second.left}"


async def test_a_promise_is_kept_until_it_is_known_what_became_of_the_revision(
    store: EmbeddedStore, sidecars: list[Sidecar], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = sidecars[0]
    monkeypatch.setattr(rule_follower, "advance", _nothing)
    monkeypatch.setattr(promise, "LONGEST", 0.01)
    await first.start()
    revision = Revision(0, "me", 5.0, "", "", moves=True)
    await propose(store, await read_known(store), revision, _MORE)
    await first.until(lambda: first.prepared == 1 and first.gate.reasons[-1:] == [""])
    assert first.gate.reason == ""
    monkeypatch.setattr(Registration, "alive_for", 0.0)
    assert first.gate.reason == LAPSED
    await first.until(lambda: first.gate.reasons[-1] == LAPSED)
    assert first.gate.forced
    # The store is there again, and still takes it for dead: others may be going on at this moment.
    await store.commit([Write("/rules/anything", b"")])
    monkeypatch.setattr(Registration, "alive_for", 9.0)
    await store.commit([Write("/rules/anything", None)])
    await first.until(lambda: first.gate.reasons[-2:] == [LAPSED, ""])


async def _nothing(store: Store, observed: object) -> None:
    """Nobody carries the roll-out on."""


async def test_started_without_the_store_it_serves_where_nothing_can_have_moved(
    store: EmbeddedStore, sidecars: list[Sidecar], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = sidecars[0]

    def follower() -> RuleFollower[Configuration]:
        return RuleFollower(store, one, one.registration, one.own, _secrets, 0, time.monotonic)

    await one.registration.begin("127.0.0.1", 3307)
    monkeypatch.setattr(Registration, "alive_for", 0.0)
    await follower().begin()
    assert one.gate.reason == "", "others wait for it"
    await one.registration.withdraw()
    await follower().begin()
    assert one.gate.reason == "the store is away, and rows may have been moved without this sidecar"
    await store.commit([Write(layout.member(one.registration.place), b"a")])
    await propose(store, await read_known(store), Revision(0, "me", 5.0, "", "", moves=True), _MORE)
    await follower().begin()
    assert one.gate.reason == "the store is away, and rows may have been moved without this sidecar"


async def test_who_is_in_the_middle_of_something_refuses(
    store: EmbeddedStore, sidecars: list[Sidecar]
) -> None:
    one = sidecars[0]
    await one.registration.begin("127.0.0.1", 3307)
    one.tasks.start(refuse_rollouts(store, one.registration, "it is busy"), "roll-outs")
    ended = await _apply(store)
    assert (ended.outcome, ended.reason) == (Outcome.REFUSED, "127.0.0.1:3307: it is busy")
