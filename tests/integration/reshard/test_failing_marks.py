"""A phase has been carried out, and the store cannot be told: the job goes on from what holds, misses nothing that was written meanwhile, and
leaves nothing behind."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

import dbmesh.app
from dbmesh.cli.configuration import resolve_secret
from dbmesh.cli.loading import load_directory
from dbmesh.cli.main import run as cli
from dbmesh.governance import layout
from dbmesh.governance.opening import open_store
from dbmesh.governance.revisions import read_files, read_known
from dbmesh.governance.store import Guard, Store, StoreUnavailable, Write
from dbmesh.rules.ruleset import Configuration
from tests.plugins.database_server import ROOT_PASSWORD, DatabaseServer
from tests.plugins.moving import HASHED_RULES, MovingMesh, database_yaml, source_yaml

pytestmark = pytest.mark.integration

_SCHEMA = "marked"
_PATIENCE = 60.0
_ROWS = 40

Meanwhile = Callable[[], Awaitable[None]]


class FailingStore:
    """A store whose first commit of one of some keys fails, once it is told to: `meanwhile` happens before that. What is told when: `arm`
    begins with the next revision that becomes active, or the one after so many others."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._keys: tuple[str, ...] = ()
        self._error: Exception | None = None
        self._revisions = 0
        self._meanwhile: Meanwhile | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def arm(self, keys: Sequence[str], error: Exception, meanwhile: Meanwhile, revisions: int = 1) -> None:
        """See the class. Keys that begin so."""
        self._keys, self._error, self._meanwhile, self._revisions = tuple(keys), error, meanwhile, revisions

    @property
    def failed(self) -> bool:
        """Whether it has."""
        return self._error is None

    async def commit(self, writes: Sequence[Write], guards: Sequence[Guard] = ()) -> int:
        """See `Store`."""
        error = self._error
        if error is not None and not self._revisions and self._touched(writes):
            self._error = None
            assert self._meanwhile is not None
            await self._meanwhile()
            raise error
        revision = await self._store.commit(writes, guards)
        if any(write.key == layout.active_revision() for write in writes):
            self._revisions = max(0, self._revisions - 1)
        return revision

    def _touched(self, writes: Sequence[Write]) -> bool:
        return any(write.key.startswith(self._keys) for write in writes)


class Marks:
    """One sidecar in this process, on a store that can be made to fail, and a job from two actual tables to three."""

    def __init__(self, server: DatabaseServer, directory: Path) -> None:
        self.server = server
        source = source_yaml("ds_0", server, _SCHEMA)
        before, after = (
            database_yaml(source, HASHED_RULES.format(last=count - 1, count=count)) for count in (2, 3)
        )
        self.moving = MovingMesh(directory, before, after)
        self.store: FailingStore | None = None

    async def reshard(self, verb: str, *arguments: str, code: int | None = 0) -> str:
        """`dbmesh reshard`."""
        return await asyncio.to_thread(self.moving.reshard, verb, *arguments, code=code)

    async def status(self) -> dict[str, Any]:
        """`dbmesh reshard status`."""
        return await asyncio.to_thread(self.moving.status)

    async def until(self, met: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first status that is as wanted."""
        async with asyncio.timeout(_PATIENCE):
            while True:
                status = await self.status()
                if met(status):
                    return status
                await asyncio.sleep(0.1)

    async def past(self, *statements: str) -> list[tuple[Any, ...]]:
        """Statements of somebody who does not know the mesh."""
        return list(await asyncio.to_thread(self.server.execute, *statements, database=_SCHEMA))

    async def rows(self, *tables: str) -> dict[int, int]:
        """All rows of actual tables."""
        found: dict[int, int] = {}
        for table in tables:
            found |= dict(await self.past(f"SELECT id, n FROM {table}"))
        return found

    async def keys_under(self, prefix: str) -> list[str]:
        """What the store still has."""
        assert self.store is not None
        return [entry.key for entry in (await self.store.range(prefix)).entries]


Scenario = Callable[[Marks, FailingStore], Awaitable[None]]


@pytest.fixture
def carried_out(
    servers: list[DatabaseServer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Scenario], None]:
    """Runs a scenario beside the sidecar, and ends that."""
    server = servers[0]
    server.execute(f"DROP DATABASE IF EXISTS {_SCHEMA}", f"CREATE DATABASE {_SCHEMA}")
    for table in range(2):
        values = ", ".join(f"({id_}, 0)" for id_ in range(table, _ROWS, 2))
        server.execute(
            f"CREATE TABLE item_{table} (id BIGINT PRIMARY KEY, n INT NOT NULL)",
            f"INSERT INTO item_{table} VALUES {values}",
            database=_SCHEMA,
        )
    monkeypatch.setenv("MOVING_PASSWORD", ROOT_PASSWORD)
    marks = Marks(server, tmp_path)

    async def open_failing(
        configuration: Configuration, directory: Path, *, remembering: bool = False
    ) -> Store:
        store = await open_store(configuration, directory, remembering=remembering)
        assert store is not None
        marks.store = FailingStore(store)
        return cast("Store", marks.store)

    monkeypatch.setattr(dbmesh.app, "open_store", open_failing)

    def run(scenario: Scenario) -> None:
        async def ready(host: str, port: int) -> None:
            marks.moving.mesh.port = port
            assert marks.store is not None
            await scenario(marks, marks.store)
            os.kill(os.getpid(), signal.SIGTERM)

        directory = marks.moving.before
        configuration = load_directory(directory)
        asyncio.run(dbmesh.app.serve(configuration, "127.0.0.1", 0, ready, directory, resolve_secret))

    return run


async def _nothing() -> None:
    return None


_JOB, _BOOKMARKS = layout.reshard_job(1), layout.reshard_bookmarks(1)
_CHUNKS = layout.reshard_chunks_prefix("1", "item")
_NEW = ("item_0__s1", "item_1__s1", "item_2")


@pytest.mark.parametrize(
    "error", [StoreUnavailable("it is away"), RuntimeError("nobody thought of it")], ids=repr
)
def test_a_rollback_that_cannot_be_told(carried_out: Callable[[Scenario], None], error: Exception) -> None:
    async def scenario(marks: Marks, store: FailingStore) -> None:
        async def meanwhile() -> None:
            # Clients read the former tables by now, and nobody follows what is written past the mesh.
            assert await asyncio.to_thread(marks.moving.run, "SELECT n FROM item WHERE id = 3") == [(0,)]
            await marks.past("UPDATE item_1 SET n = 7 WHERE id = 3")

        await asyncio.to_thread(marks.moving.start)
        await marks.reshard("cutover")
        store.arm((_JOB, _BOOKMARKS), error, meanwhile)
        await marks.reshard("rollback", code=None)
        assert store.failed
        status = await marks.until(lambda one: bool(one["waits"]))
        assert (status["phase"], status["stopped"]) == ("ready", "")
        await marks.until(lambda one: one["progress"]["bypassed"]["repaired"] == 1)
        former = await marks.rows("item_0", "item_1")
        assert former[3] == 7
        assert await marks.rows(*_NEW) == former
        await marks.reshard("cutover")
        assert await asyncio.to_thread(marks.moving.run, "SELECT n FROM item WHERE id = 3") == [(7,)]

    carried_out(scenario)


@pytest.mark.parametrize(
    "error", [StoreUnavailable("it is away"), RuntimeError("nobody thought of it")], ids=repr
)
def test_a_cutover_that_cannot_be_told(carried_out: Callable[[Scenario], None], error: Exception) -> None:
    async def scenario(marks: Marks, store: FailingStore) -> None:
        await asyncio.to_thread(marks.moving.start)
        store.arm((_JOB,), error, _nothing)
        await marks.reshard("cutover", code=None)
        assert store.failed
        status = await marks.until(lambda one: bool(one["waits"]))
        assert (status["phase"], status["stopped"]) == ("reverse double write", "")
        await asyncio.to_thread(marks.moving.run, "UPDATE item SET n = 8 WHERE id = 3")
        assert (await marks.rows("item_0", "item_1"))[3] == 8
        assert (await marks.rows(*_NEW))[3] == 8

    carried_out(scenario)


def test_an_end_that_cannot_be_told_leaves_later_rules_alone(
    carried_out: Callable[[Scenario], None], tmp_path: Path
) -> None:
    later = tmp_path / "later"

    async def scenario(marks: Marks, store: FailingStore) -> None:
        async def meanwhile() -> None:
            source = source_yaml("ds_0", marks.server, _SCHEMA, maxPoolSize=7)
            rules = HASHED_RULES.format(last=2, count=3)
            marks.moving.write(later, database_yaml(source, rules))
            assert await asyncio.to_thread(cli, ["rules", "apply", str(later)]) == 0

        await asyncio.to_thread(marks.moving.start)
        await marks.reshard("cutover")
        # The names first, then the rules without the job.
        store.arm((_JOB,), StoreUnavailable("it is away"), meanwhile, 2)
        await marks.reshard("finish", code=None)
        assert store.failed
        status = await marks.until(lambda one: bool(one["ended"] or one["stopped"]))
        assert (status["phase"], status["stopped"]) == ("finished", "")
        files = await read_files(cast("Store", store), (await read_known(cast("Store", store))).active)
        assert "maxPoolSize: 7" in files["database-shop.yaml"]
        assert await marks.rows("item_0", "item_1", "item_2") == dict.fromkeys(range(_ROWS), 0)

    carried_out(scenario)


@pytest.mark.parametrize("verb", ["finish", "cancel"])
def test_what_was_kept_of_chunks_goes_though_the_store_was_away(
    carried_out: Callable[[Scenario], None], verb: str
) -> None:
    async def scenario(marks: Marks, store: FailingStore) -> None:
        await asyncio.to_thread(marks.moving.start)
        if verb == "finish":
            await marks.reshard("cutover")
        assert await marks.keys_under(_CHUNKS)
        store.arm((_CHUNKS,), StoreUnavailable("it is away"), _nothing, 2)
        await marks.reshard(verb)
        assert store.failed
        assert (await marks.status())["ended"]
        assert not await marks.keys_under(_CHUNKS)

    carried_out(scenario)
