"""A phase has been carried out, and the store cannot be told: the job goes on from what holds, misses nothing that was written meanwhile, and
leaves nothing behind."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from dbmesh.cli.main import run as cli
from dbmesh.governance import layout
from dbmesh.governance.revisions import read_files, read_known
from dbmesh.governance.store import StoreUnavailable, Write
from tests.plugins.database_server import ROOT_PASSWORD, DatabaseServer
from tests.plugins.failing_store import Chooses, FailingStore, serve_beside
from tests.plugins.moving import HASHED_RULES, MovingMesh, database_yaml, source_yaml

pytestmark = pytest.mark.integration

_SCHEMA = "marked"
_PATIENCE = 60.0
_ROWS = 40


def _after(revisions: int, *keys: str) -> Chooses:
    """The first commit of a key that begins so, after so many more revisions have become active."""
    left = revisions

    def chooses(writes: Sequence[Write]) -> bool:
        nonlocal left
        if not left and any(write.key.startswith(keys) for write in writes):
            return True
        left = max(0, left - any(write.key == layout.active_revision() for write in writes))
        return False

    return chooses


class Marks:
    """One sidecar in this process, on a store that can be made to fail, and a job from two actual tables to three."""

    def __init__(self, server: DatabaseServer, directory: Path) -> None:
        self.server = server
        source = source_yaml("ds_0", server, _SCHEMA)
        before, after = (
            database_yaml(source, HASHED_RULES.format(last=count - 1, count=count)) for count in (2, 3)
        )
        self.moving = MovingMesh(directory, before, after)

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

    def run(scenario: Scenario) -> None:
        async def beside(store: FailingStore, port: int) -> None:
            marks.moving.mesh.port = port
            await scenario(marks, store)

        serve_beside(marks.moving.before, monkeypatch, beside)

    return run


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
        store.arm(_after(1, _JOB, _BOOKMARKS), error, meanwhile)
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
        store.arm(_after(1, _JOB), error)
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
        store.arm(_after(2, _JOB), StoreUnavailable("it is away"), meanwhile)
        await marks.reshard("finish", code=None)
        assert store.failed
        status = await marks.until(lambda one: bool(one["ended"] or one["stopped"]))
        assert (status["phase"], status["stopped"]) == ("finished", "")
        files = await read_files(store.plain, (await read_known(store.plain)).active)
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
        assert (await store.range(_CHUNKS)).entries
        store.arm(_after(2, _CHUNKS), StoreUnavailable("it is away"))
        await marks.reshard(verb)
        assert store.failed
        assert (await marks.status())["ended"]
        assert not (await store.range(_CHUNKS)).entries

    carried_out(scenario)
