"""Statements that wait twice at the end of a job, for what is under way and for tables that get their names, wait no longer than a statement may."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pymysql
import pytest

from dbmesh.session.gate import PATIENCE
from tests.plugins.database_server import DatabaseServer
from tests.plugins.moving import HASHED_RULES, MovingMesh, database_yaml, moving_mesh, source_yaml
from tests.plugins.processes import wait_until

pytestmark = pytest.mark.integration

HOLD = 4.0
"""The longest that can be asked for."""


class Client(threading.Thread):
    """Reads without a rest; `waits` are the seconds each answer took."""

    def __init__(self, moving: MovingMesh) -> None:
        super().__init__()
        self._moving = moving
        self.stopping = threading.Event()
        self.waits: list[float] = []
        self.errors: list[str] = []

    def run(self) -> None:
        """Until it is stopped, or something is wrong."""
        connection = self._moving.connect()
        with connection.cursor() as cursor:
            while not self.stopping.wait(0.01):
                began = time.monotonic()
                try:
                    cursor.execute("SELECT n FROM item WHERE id = 3")
                except pymysql.err.MySQLError as error:
                    self.errors.append(str(error))
                    return
                self.waits.append(time.monotonic() - began)
        connection.close()


def test_names_that_are_waited_for(servers: list[DatabaseServer], tmp_path: Path) -> None:
    servers[0].execute("DROP DATABASE IF EXISTS held", "CREATE DATABASE held")
    for table in range(2):
        servers[0].execute(
            f"CREATE TABLE item_{table} (id BIGINT PRIMARY KEY, n INT NOT NULL)",
            f"INSERT INTO item_{table} VALUES ({table + 2}, 0)",
            database="held",
        )
    source = source_yaml("ds_0", servers[0], "held")
    before, after = (
        database_yaml(source, HASHED_RULES.format(last=count - 1, count=count)) for count in (2, 4)
    )
    with moving_mesh(tmp_path, before, after) as moving, ThreadPoolExecutor() as beside:
        moving.start("--hold", str(HOLD))
        moving.reshard("cutover")
        client = Client(moving)
        client.start()
        past, transaction = servers[0].connect("held", autocommit=False), moving.connect(autocommit=False)
        try:
            # Somebody reads a former table past the mesh, which cannot be renamed; a transaction ends shortly before it is too late.
            with past.cursor() as cursor:
                cursor.execute("SELECT * FROM item_1")
            with transaction.cursor() as cursor:
                cursor.execute("UPDATE item SET n = n + 1 WHERE id = 2")
            finishing = beside.submit(moving.reshard, "finish", code=None)
            wait_until(lambda: moving.status()["phase"] == "clean up", 20, "it is begun")
            time.sleep(HOLD - 0.5)
            transaction.commit()
            finishing.result(60)
        finally:
            past.close()
            transaction.close()
        if moving.status()["stopped"]:
            moving.reshard("resume")
        moving.at_rest("finished")
        client.stopping.set()
        client.join(30)
        assert client.errors == []
        assert max(client.waits) < PATIENCE
        assert moving.run("SELECT id, n FROM item ORDER BY id") == [(2, 1), (3, 0)]
