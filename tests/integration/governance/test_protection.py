"""Protections on real servers: each case is told apart by its user, so that one mesh serves them all."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pymysql
import pytest

from tests.plugins.auto_mesh import AutoMesh
from tests.plugins.database_server import DatabaseServer
from tests.plugins.processes import wait_until

pytestmark = pytest.mark.integration

SECTIONS = """
mode: {type: Standalone, repository: {type: SQLite}}
protection:
  breakers:
    sources: {per: dataSource}
    slow: {per: fingerprint, users: slow, minimumCalls: 2, slowCallMilliseconds: 50, openMilliseconds: 300, probes: 1}
"""
USERS = ("slow",)


@pytest.fixture(scope="module")
def auto(auto_servers: list[DatabaseServer], tmp_path_factory: pytest.TempPathFactory) -> Iterator[AutoMesh]:
    """The mesh, with a table of four rows, one on each shard."""
    directory = tmp_path_factory.mktemp("protected")
    made = AutoMesh(auto_servers, directory, SECTIONS)
    try:
        add_users(made.mesh.configuration / "global.yaml")
        made.mesh.stop_cleanly()
        made.mesh.start()
        with made.connect() as root, root.cursor() as cursor:
            cursor.execute("CREATE TABLE t (id INT PRIMARY KEY, v INT)")
            cursor.execute("INSERT INTO t VALUES (0, 0), (1, 1), (2, 2), (3, 3)")
        yield made
        made.mesh.stop_cleanly()
    finally:
        if made.mesh.running:
            made.mesh.stop()


def add_users(file: Path) -> None:
    line = "  - {user: root@%, password: root}\n"
    more = "".join(f"  - {{user: {name}@%, password: root}}\n" for name in USERS)
    file.write_text(file.read_text().replace(line, line + more))


class Client:
    """A connection of one user."""

    def __init__(self, auto: AutoMesh, user: str) -> None:
        self.connection = auto.mesh.connect("app", user=user)

    def ask(self, sql: str) -> list[tuple[Any, ...]] | tuple[int, str]:
        """The rows of an answer, or the error's number and text."""
        try:
            with self.connection.cursor() as cursor:
                cursor.execute(sql)
                return list(cursor.fetchall())
        except pymysql.err.MySQLError as error:
            return error.args[0], error.args[1]


@contextlib.contextmanager
def client(auto: AutoMesh, user: str) -> Iterator[Client]:
    made = Client(auto, user)
    try:
        yield made
    finally:
        if made.connection.open:
            made.connection.close()


def test_a_breaker_opens_for_slow_statements_and_closes_again(auto: AutoMesh) -> None:
    with client(auto, "slow") as slow, client(auto, "root") as other:
        for _ in range(2):
            assert slow.ask("SELECT v, SLEEP(0.06) FROM t WHERE id = 1") == [(1, 0)]
        refused = slow.ask("SELECT v, SLEEP(0) FROM t WHERE id = 2")
        assert refused[0] == 3168
        assert "it may close in 0." in str(refused[1])
        assert slow.ask("SELECT v FROM t WHERE id = 2") == [(2,)]
        began = time.monotonic()
        wait_until(lambda: slow.ask("SELECT v, SLEEP(0) FROM t WHERE id = 3") == [(3, 0)], 10, "the probe")
        assert time.monotonic() - began < 2
        assert slow.ask("SELECT v, SLEEP(0) FROM t WHERE id = 3") == [(3, 0)]
        assert other.ask("SELECT COUNT(*) FROM t") == [(4,)]


def test_a_data_source_is_closed_by_decision_and_transactions_under_way_commit(auto: AutoMesh) -> None:
    with client(auto, "root") as writer, client(auto, "root") as reader:
        assert writer.ask("BEGIN") == []
        assert writer.ask("UPDATE t SET v = v + 10") == []
        shown = auto.command("breaker", "force-open", "app.ds_0", "--json")
        assert shown.stdout.split() == ['{', '"app.ds_0":', '"forced-open"', '}'], shown.stderr  # fmt: skip
        wait_until(lambda: reader.ask("SELECT v FROM t WHERE id = 0")[0] == 3168, 10, "the decision")
        assert "data source 'app.ds_0' is forced-open" in str(reader.ask("SELECT v FROM t WHERE id = 0")[1])
        assert reader.ask("SELECT v FROM t WHERE id = 1") == [(1,)]
        assert writer.ask("COMMIT") == []
        assert reader.ask("SELECT v FROM t WHERE id = 1") == [(11,)]
        assert auto.command("breaker", "reset", "app.ds_0").returncode == 0
        wait_until(lambda: reader.ask("SELECT v FROM t WHERE id = 0") == [(10,)], 10, "the reset")
        assert writer.ask("UPDATE t SET v = v - 10") == []
    wrong = auto.command("breaker", "disable", "app.ds_7")
    assert wrong.returncode == 1
    assert "did you mean 'app.ds_" in wrong.stderr or "use one of app.ds_0, app.ds_1" in wrong.stderr
