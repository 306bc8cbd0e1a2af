"""What a process changes itself while it reads the store is not taken for another process's change."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dbmesh.governance import follower, layout
from dbmesh.governance.embedded import EmbeddedStore
from dbmesh.governance.follower import follow
from dbmesh.governance.store import Changes, Compacted, Entry, Snapshot, StoreUnavailable, Write
from dbmesh.planner.catalog import AmbiguousTable
from dbmesh.rules.ruleset import RuleSet


class Here:
    """A process with the configured database `app` and the made ones `more` and `old`, which it is changing while it is `busy`."""

    def __init__(self) -> None:
        nothing = SimpleNamespace(made={}, declared={})
        databases = {name: SimpleNamespace(name=name, rule_set=nothing) for name in ("app", "more", "old")}
        self.mesh = SimpleNamespace(
            databases=databases,
            configuration=SimpleNamespace(databases={"app": databases["app"]}),
            reload=self.reload,
        )
        self.removed: list[str] = []
        self.read: list[str] = []
        self.ambiguous = False
        self.busy = False
        self.added: list[str] = []
        self.heard: list[tuple[dict[str, bytes | None], bool]] = []

    def is_changing(self, name: str) -> bool:
        del name
        return self.busy

    def began(self, key: str) -> bool:
        del key
        return False

    def hear_of_counters(self, values: dict[str, bytes | None], *, all_of_them: bool) -> None:
        self.heard.append((values, all_of_them))

    async def add(self, rule_set: Any) -> None:
        self.added.append(rule_set.database)
        if self.ambiguous:
            raise AmbiguousTable("t", "left", "right")

    async def remove(self, database: Any) -> None:
        self.removed.append(database.name)

    async def reload(self, database: Any) -> None:
        self.read.append(database.name)
        if self.ambiguous:
            raise AmbiguousTable("t", "left", "right")


class EmptyStore:
    """While it is read, a statement of the process itself drops `more`."""

    def __init__(self, here: Here) -> None:
        self._here = here

    async def range(self, prefix: str) -> Snapshot:
        if prefix == layout.made_tables_prefix("app"):
            del self._here.mesh.databases["more"]
        return Snapshot(1, ())

    async def watch(self, prefix: str, after: int) -> AsyncIterator[Any]:
        del prefix, after
        return
        yield


async def test_a_database_that_is_gone_meanwhile_is_not_taken_out_again() -> None:
    here = Here()
    await follow(cast("Any", EmptyStore(here)), cast("Any", here), 0)
    assert here.removed == ["old"], "which another process has dropped"


class ChangingStore:
    """An empty store in which one key after another changes; `looked` says before which of them all was read, `ended` before which the
    process ends what it is at, `switched` before which it serves by other rules."""

    def __init__(self, here: Here, keys: Sequence[str], ended: str = "", switched: str = "") -> None:
        self._here = here
        self._keys = keys
        self._ended = ended
        self._switched = switched
        self._next = keys[0]
        self.looked: list[str] = []

    async def range(self, prefix: str) -> Snapshot:
        if prefix == layout.databases_prefix():
            self.looked.append(self._next)
        return Snapshot(1, ())

    async def watch(self, prefix: str, after: int) -> AsyncIterator[Changes]:
        del prefix, after
        for number, key in enumerate(self._keys):
            self._here.busy &= key != self._ended
            if key == self._switched:
                mesh = self._here.mesh
                mesh.configuration = SimpleNamespace(databases=dict(mesh.configuration.databases))
            self._next = key
            yield Changes(number, (Write(key, b""),))


MADE = [
    layout.database("more"),
    layout.made_table("app", "t"),
    layout.declared_keys("app", "t"),
    layout.ddl("1"),
]
OTHER = [
    layout.counter("app", "t"),
    layout.lock("1"),
    layout.reshard_job(1),
    layout.revision(1),
    layout.instance("a"),
]


async def test_only_what_statements_have_made_is_looked_at_again() -> None:
    here = Here()
    store = ChangingStore(here, [OTHER[0], *OTHER, *MADE])
    await follow(cast("Any", store), cast("Any", here), 0)
    assert store.looked == [OTHER[0], *MADE]


async def test_every_change_of_a_counter_is_heard_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follower, "PAUSE", 0)
    here = Here()
    await follow(cast("Any", Interrupted(here, StoreUnavailable("away"))), cast("Any", here), 0)
    assert here.heard == [({}, True), ({}, True), *(({key: b""}, False) for key in OTHER)]


async def test_what_was_left_to_the_process_itself_is_looked_at_until_it_has_ended_it() -> None:
    here = Here()
    here.busy = True
    store = ChangingStore(here, OTHER, ended=OTHER[2])
    await follow(cast("Any", store), cast("Any", here), 0)
    assert store.looked == [OTHER[0], *OTHER[:3]], "the last look has begun when nothing was being changed"


class Beginning(ChangingStore):
    """While it is read for the first time the process begins a change, of which the store never hears."""

    async def range(self, prefix: str) -> Snapshot:
        self._here.busy |= prefix == layout.databases_prefix() and not self.looked
        return await super().range(prefix)


async def test_what_the_process_has_begun_and_not_done_is_looked_at_again() -> None:
    here = Here()
    store = Beginning(here, OTHER, ended=OTHER[1])
    await follow(cast("Any", store), cast("Any", here), 0)
    assert store.looked == [OTHER[0], OTHER[0], OTHER[1]]


async def test_what_was_made_before_other_rules_were_served_is_looked_at() -> None:
    """Another sidecar had them first: a table was made there in a database that this one did not know yet."""
    here = Here()
    store = ChangingStore(here, OTHER, switched=OTHER[3])
    await follow(cast("Any", store), cast("Any", here), 0)
    assert store.looked == [OTHER[0], OTHER[3]]


class Made(ChangingStore):
    """There is the database `new`."""

    async def range(self, prefix: str) -> Snapshot:
        if prefix != layout.databases_prefix():
            return Snapshot(1, ())
        value = b'{"name": "new", "beside": "app"}'
        return Snapshot(1, (Entry(layout.database("new"), value, 1),))


class Interrupted(ChangingStore):
    """It cannot tell of changes at first, for a reason."""

    def __init__(self, here: Here, reason: Exception) -> None:
        super().__init__(here, OTHER)
        self._reasons = [reason]

    async def watch(self, prefix: str, after: int) -> AsyncIterator[Changes]:
        if self._reasons:
            raise self._reasons.pop()
        async for changes in super().watch(prefix, after):
            yield changes


@pytest.mark.parametrize("reason", [Compacted("too old"), StoreUnavailable("away")])
async def test_where_changes_were_not_told_tables_are_read_again(
    reason: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A statement of another process may have begun and ended meanwhile."""
    monkeypatch.setattr(follower, "PAUSE", 0)
    here = Here()
    await follow(cast("Any", Interrupted(here, reason)), cast("Any", here), 0)
    assert here.read == ["app"]


async def test_what_has_become_of_tables_since_they_were_read_is_heard_of(tmp_path: Path) -> None:
    """Another process has changed one while this one was starting."""
    store = await EmbeddedStore.open(tmp_path / "store.db", time.time)
    since = await store.commit([Write(layout.ddl("before"), b""), Write(layout.ddl("under way"), b"")])
    await store.commit([Write(layout.ddl("before"), None)])
    here, done = Here(), asyncio.Event()
    here.mesh.reload = _then(here.reload, done)
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        group.create_task(follow(store, cast("Any", here), since))
        await done.wait()
        await store.close()
    assert here.read == ["app"]


def _then(reload: Callable[[Any], Awaitable[None]], done: asyncio.Event) -> Callable[[Any], Awaitable[None]]:
    async def reloaded(database: Any) -> None:
        await reload(database)
        done.set()

    return reloaded


async def test_a_database_that_cannot_be_run_is_no_reason_to_follow_no_longer() -> None:
    here = Here()
    here.ambiguous = True
    here.mesh.configuration.databases["app"] = RuleSet("app", 1, {}, {})
    store = Made(here, [layout.database("new"), *MADE[1:]])
    await follow(cast("Any", store), cast("Any", here), 0)
    assert here.added == ["new"] * 5, "once at the beginning, then with each change"


async def test_a_table_that_is_in_two_places_is_no_reason_to_follow_no_longer() -> None:
    here = Here()
    here.ambiguous = True
    store = Interrupted(here, Compacted("too old"))
    await follow(cast("Any", store), cast("Any", here), 0)
    assert here.read == ["app"]
    assert here.removed == ["more", "old"] * 2, "what comes after it"
