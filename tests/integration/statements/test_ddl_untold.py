"""A statement that defines tables has been carried out on data nodes, and the store cannot be told: the client is told how to go on, and the
sidecar knows what its tables are like."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

import dbmesh.app
from dbmesh.assembly import Assembly
from dbmesh.backend.pool import Pool
from dbmesh.cli.main import run as cli
from dbmesh.governance import ddl_journal
from dbmesh.governance.layout import ddl
from dbmesh.governance.store import Store, StoreUnavailable, Write
from dbmesh.rules.keygen.snowflake import Worker
from dbmesh.rules.ruleset import NO_CHANGE, Configuration
from tests.plugins.database_server import ROOT_PASSWORD, DatabaseServer
from tests.plugins.equivalence import Answer, ask
from tests.plugins.failing_store import FailingStore, serve_beside
from tests.plugins.fix_mysql import ServerFactory
from tests.plugins.moving import HASHED_RULES, MovingMesh, database_yaml, source_yaml
from tests.plugins.processes import wait_until

pytestmark = pytest.mark.integration

_SCHEMA = "untold"
_ALTER = "ALTER TABLE item ADD COLUMN v INT DEFAULT 5"


@pytest.fixture(scope="module")
def plain(database_server: ServerFactory) -> DatabaseServer:
    """One for all tests."""
    (made,) = database_server("untold")
    return made


@pytest.fixture
def server(plain: DatabaseServer) -> DatabaseServer:
    """With two actual tables."""
    made = plain
    made.execute(f"DROP DATABASE IF EXISTS {_SCHEMA}", f"CREATE DATABASE {_SCHEMA}")
    for table in range(2):
        made.execute(f"CREATE TABLE item_{table} (id BIGINT PRIMARY KEY)", database=_SCHEMA)
    return made


def _told(writes: Sequence[Write]) -> bool:
    """What has become of a statement is written, after it was written that it begins."""
    return any(
        write.key.startswith(ddl("")) and (write.value is None or b'"done": true' in write.value)
        for write in writes
    )


@pytest.mark.parametrize("half", [False, True], ids=["all nodes", "half of them"])
def test_the_store_is_away_at_the_end(
    server: DatabaseServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, half: bool
) -> None:
    monkeypatch.setenv("MOVING_PASSWORD", ROOT_PASSWORD)
    rules = database_yaml(source_yaml("ds_0", server, _SCHEMA), HASHED_RULES.format(last=1, count=2))
    moving = MovingMesh(tmp_path, rules, rules)
    if half:
        server.execute("ALTER TABLE item_1 ADD COLUMN v VARCHAR(3)", database=_SCHEMA)

    def run(statement: str) -> Answer:
        with moving.connect() as client:
            return ask(client, statement)

    async def scenario(store: FailingStore, port: int) -> None:
        moving.mesh.port = port
        store.arm(_told, StoreUnavailable("it is away"))
        answer = await asyncio.to_thread(run, _ALTER)
        assert store.failed
        told = re.search(
            r"already done on ds_0(?:, ds_0)?; finish it with: dbmesh ddl resume (\w+)", answer.text
        )
        assert told is not None, answer.text
        if half:
            server.execute("ALTER TABLE item_1 DROP COLUMN v", database=_SCHEMA)
        else:
            assert (await asyncio.to_thread(run, "INSERT INTO item (id, v) VALUES (2, 7)")).error is None
        assert await asyncio.to_thread(cli, ["ddl", "resume", told[1], "--config", str(moving.before)]) == 0
        assert (await asyncio.to_thread(run, "REPLACE INTO item (id) VALUES (2), (3)")).error is None
        assert (await asyncio.to_thread(run, "SELECT id, v FROM item ORDER BY id")).rows == ((2, 5), (3, 5))
        assert not (await store.range(ddl(""))).entries

    serve_beside(moving.before, monkeypatch, scenario)


def test_a_table_that_another_sidecar_alters_while_this_one_starts_is_read_again(
    server: DatabaseServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOVING_PASSWORD", ROOT_PASSWORD)
    rules = database_yaml(source_yaml("ds_0", server, _SCHEMA), HASHED_RULES.format(last=1, count=2))
    moving = MovingMesh(tmp_path, rules, rules)
    assemble = dbmesh.app.assemble

    async def altered_meanwhile(
        configuration: Configuration, pools: list[Pool], store: Store, worker: Worker, directory: Path
    ) -> Assembly:
        found = await assemble(configuration, pools, store, worker, directory)
        [database] = configuration.databases.values()
        record = ddl_journal.make_record("r1", database.database, _ALTER, 5.0, (), NO_CHANGE)
        record = await ddl_journal.begin(store, record)
        for table in range(2):
            server.execute(f"ALTER TABLE item_{table} ADD COLUMN v INT", database=_SCHEMA)
        await ddl_journal.finish(store, record, None)
        return found

    monkeypatch.setattr(dbmesh.app, "assemble", altered_meanwhile)

    def written() -> bool:
        with moving.connect() as client:
            return ask(client, "REPLACE INTO item VALUES (1, 5), (2, 6)").error is None

    async def scenario(store: FailingStore, port: int) -> None:
        del store
        moving.mesh.port = port
        await asyncio.to_thread(wait_until, written, 10, "the columns to be known")

    serve_beside(moving.before, monkeypatch, scenario)
