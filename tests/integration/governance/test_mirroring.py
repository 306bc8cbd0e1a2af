"""Mirroring over real servers: a second logic database follows, its answers are compared, and clients notice nothing of it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pymysql
import pytest

from tests.plugins.fix_mesh import Shop
from tests.plugins.mesh import Mesh
from tests.plugins.processes import wait_until
from tests.plugins.raw_client import RawClient

pytestmark = pytest.mark.integration

TOKEN = "0123456789abcdef-token"
GLOBAL = """
authority:
  users: [{user: root@%, password: root, admin: true}, {user: app@%, password: app, grants: [{on: shop.*, privileges: ALL}]}]
admin: {port: 0, token: TOKEN}
mirroring:
  shop: {target: following, statements: all, queue: 30, timeoutMilliseconds: 1000}
"""
DATABASE = """
databaseName: NAME
dataSources:
  ds: {url: 'jdbc:mysql://HOST:PORT/mir_NAME', username: USER, password: PASSWORD}
rules:
- !SHARDING
  tables:
    t:
      actualDataNodes: ds.t_${0..LAST}
      tableStrategy: {standard: {shardingColumn: id, shardingAlgorithmName: by_id}}
      databaseStrategy: {none: }
  shardingAlgorithms:
    by_id: {type: MOD, props: {sharding-count: COUNT}}
"""
SCHEMAS = {"shop": 2, "following": 3}


class Mirrored:
    """A mesh whose logic database `shop` is mirrored to `following`, which is sharded otherwise."""

    def __init__(self, shop: Shop, directory: Path) -> None:
        self.server = shop.sources[0]
        directory.mkdir()
        for name, count in SCHEMAS.items():
            self.server.execute(f"DROP DATABASE IF EXISTS mir_{name}", f"CREATE DATABASE mir_{name}")
            for number in range(count):
                self.server.execute(
                    f"CREATE TABLE mir_{name}.t_{number} (id INT PRIMARY KEY, v VARCHAR(20)) ENGINE=InnoDB"
                )
            text = DATABASE
            values = {"HOST": self.server.host, "PORT": self.server.port, "USER": self.server.user}
            values |= {"PASSWORD": self.server.password, "COUNT": count, "LAST": count - 1, "NAME": name}
            for key, value in values.items():
                text = text.replace(key, str(value))
            (directory / f"database-{name}.yaml").write_text(text)
        (directory / "global.yaml").write_text(GLOBAL.replace("TOKEN", TOKEN))
        self.directory = directory
        self.mesh = Mesh(directory, directory / "log").start()
        found = re.search(r"admin API on 127.0.0.1:(\d+)", self.mesh.output())
        assert found is not None
        self.admin = f"http://127.0.0.1:{found[1]}"

    def report(self) -> dict[str, list[dict[str, Any]]]:
        """What the command line tells."""
        program = [sys.executable, "-c", "from dbmesh.cli.main import main; main()", "mirror", "report"]
        where = ["--config", str(self.directory), "--url", self.admin, "--json"]
        done = subprocess.run([*program, *where], capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        found: dict[str, list[dict[str, Any]]] = json.loads(done.stdout)
        return found

    @property
    def mirror(self) -> dict[str, Any]:
        """What the admin API tells of the mirror."""
        request = urllib.request.Request(
            f"{self.admin}/v1/mirrors", headers={"Authorization": f"Bearer {TOKEN}"}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            found: dict[str, Any] = json.load(answer)[0]
        return found

    def settled(self) -> dict[str, Any]:
        """The mirror's row once nothing waits."""
        return wait_until(lambda: (found := self.mirror)["waiting"] == 0 and found, 20, "nothing waits")

    def rows(self, name: str) -> list[tuple[Any, ...]]:
        """What lies in a logic database."""
        nodes = [f"SELECT * FROM mir_{name}.t_{number}" for number in range(SCHEMAS[name])]
        return sorted(self.server.execute(" UNION ALL ".join(nodes)))


@pytest.fixture
def mirrored(shop: Shop, tmp_path: Path) -> Iterator[Mirrored]:
    made = Mirrored(shop, tmp_path / "mirrored")
    yield made
    made.mesh.stop_cleanly()
    for name in SCHEMAS:
        made.server.execute(f"DROP DATABASE mir_{name}")


def test_a_second_database_follows_and_its_answers_are_compared(mirrored: Mirrored) -> None:
    with mirrored.mesh.connect("shop", user="app", password="app") as client, client.cursor() as cursor:
        cursor.execute("INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c'), (4, 'd')")
        cursor.execute("SELECT * FROM t WHERE id = 3")
        cursor.execute("SELECT v FROM t ORDER BY id")
        cursor.execute("BEGIN")
        cursor.execute("UPDATE t SET v = 'x' WHERE id = 1")
        cursor.execute("SELECT v FROM t WHERE id = 1")
        cursor.execute("COMMIT")
        cursor.execute("BEGIN")
        cursor.execute("DELETE FROM t")
        cursor.execute("ROLLBACK")
        with pytest.raises(pymysql.err.IntegrityError):
            cursor.execute("INSERT INTO t VALUES (1, 'again')")
        # What names a database is not run there: it would lead back.
        cursor.execute("SELECT v FROM shop.t WHERE id = 2")
        # Another session's statements wait for nobody's but its own.
        mirrored.settled()
        with RawClient(mirrored.mesh.host, mirrored.mesh.port) as raw:
            raw.log_in("root", "root", "shop")
            statement = raw.prepare("SELECT id, v FROM t WHERE id = ?")
            assert isinstance(statement, tuple)
            for number in (1, 2, 1):
                raw.execute(statement[0], [number])
        settled = mirrored.settled()
        assert (settled["compared"], settled["same"], settled["skipped"]) == (14, 14, 1), mirrored.report()
        assert (settled["dropped"], settled["failed"]) == (0, 0)
        assert mirrored.rows("following") == mirrored.rows("shop") == [(1, "x"), (2, "b"), (3, "c"), (4, "d")]

        mirrored.server.execute("UPDATE mir_following.t_2 SET v = 'other' WHERE id = 2")
        cursor.execute("SELECT v FROM t WHERE id = 2")
        mirrored.settled()
        found = mirrored.report()
        assert [(one["differs"], one["answer"]) for one in found["examples"]] == [("rows", "1 rows")]
        assert found["examples"][0]["digest_text"] == "SELECT v FROM t WHERE id = ?"
        assert "other" not in json.dumps(found)
        assert found["statements"][0]["differing"] == "rows: 1"

        # A mirror that hangs takes nothing from clients.
        with mirrored.server.connect() as holder, holder.cursor() as holding:
            holding.execute(
                "LOCK TABLES mir_following.t_0 WRITE, mir_following.t_1 WRITE, mir_following.t_2 WRITE"
            )
            began = time.monotonic()
            for _ in range(60):
                cursor.execute("SELECT v FROM t WHERE id = 2")
            assert time.monotonic() - began < 1
            wait_until(lambda: mirrored.mirror["failed"] > 0, 20, "a statement took too long")
        settled = mirrored.settled()
        assert settled["dropped"] > 20
        cursor.execute("SELECT v FROM t WHERE id = 1")
        assert mirrored.settled()["compared"] == settled["compared"] + 1
