"""A statement that changes a table's definition while a job of that table begins: the new tables are made when it has ended, never like the former
definition."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.plugins.database_server import DatabaseServer
from tests.plugins.moving import HASHED_RULES, MovingMesh, database_yaml, moving_mesh, source_yaml
from tests.plugins.processes import wait_until

pytestmark = pytest.mark.integration


@pytest.fixture
def moving(servers: list[DatabaseServer], tmp_path: Path) -> Iterator[MovingMesh]:
    """From two actual tables to four."""
    servers[0].execute("DROP DATABASE IF EXISTS defined", "CREATE DATABASE defined")
    for table in range(2):
        servers[0].execute(
            f"CREATE TABLE item_{table} (id BIGINT PRIMARY KEY, n INT NOT NULL)",
            f"INSERT INTO item_{table} VALUES ({table + 2}, 0)",
            database="defined",
        )
    source = source_yaml("ds_0", servers[0], "defined")
    before, after = (
        database_yaml(source, HASHED_RULES.format(last=count - 1, count=count)) for count in (2, 4)
    )
    with moving_mesh(tmp_path, before, after) as made:
        yield made


def _waits(server: DatabaseServer) -> bool:
    return any("metadata lock" in str(row[6]) for row in server.execute("SHOW FULL PROCESSLIST"))


def test_it_is_waited_for(moving: MovingMesh, servers: list[DatabaseServer]) -> None:
    user = servers[0].connect("defined", autocommit=False)
    with ThreadPoolExecutor() as beside:
        try:
            with user.cursor() as cursor:
                cursor.execute("SELECT * FROM item_0, item_1")
            altering = beside.submit(moving.run, "ALTER TABLE item ADD COLUMN extra INT NOT NULL DEFAULT 7")
            wait_until(lambda: _waits(servers[0]), 20, "the definition is being changed")
            moving.reshard("start", str(moving.after))
            stopped = moving.at_rest("prepare")["stopped"]
            assert "not ended within 1 s: " in stopped
        finally:
            user.rollback()
            user.close()
        altering.result(30)
    moving.reshard("resume")
    moving.at_rest("ready")
    moving.run("UPDATE item SET n = 1, extra = 8 WHERE id = 3")
    moving.reshard("cutover")
    moving.reshard("finish")
    assert moving.run("SELECT id, n, extra FROM item ORDER BY id") == [(2, 0, 7), (3, 1, 8)]
