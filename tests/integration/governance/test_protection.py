"""Protections on real servers: each case is told apart by its user, so that one mesh serves them all."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pymysql
import pytest

from tests.plugins.auto_mesh import AutoMesh
from tests.plugins.database_server import DatabaseServer
from tests.plugins.mesh import Mesh
from tests.plugins.processes import wait_until

pytestmark = pytest.mark.integration

SECTIONS = """
mode: {type: Standalone, repository: {type: SQLite}}
protection:
  breakers:
    sources: {per: dataSource}
    slow: {per: fingerprint, users: slow, minimumCalls: 2, slowCallMilliseconds: 50, openMilliseconds: 300, probes: 1}
  limits:
    calm: {per: user, users: calm, rate: 0.01, burst: 2}
    whole: {users: shared, rate: 20, burst: 10, waiting: 100, shared: true}
    one: {per: user, users: 'queued, idle', concurrency: 1, waiting: 1, waitMilliseconds: 5000}
  timeouts:
    short: {users: short, statementMilliseconds: 100, mostRows: 3}
    idle: {users: idle, idleInTransactionMilliseconds: 200}
  connections:
    two: {users: calm, perUser: 2}
  firewall:
    rules:
      careful: {users: walled, withoutWhere: true, message: add a WHERE}
      no-ddl: {users: walled, verbs: DDL}
  faults:
    late: {users: unlucky, verbs: SELECT, delayMilliseconds: 100, error: 1213, sqlstate: '40001', until: '2999-01-01T00:00:00Z'}
    lost: {users: unlucky, verbs: UPDATE, disconnect: true, until: '2999-01-01T00:00:00Z'}
  audit:
    file: audit.log
    rules:
      walled: {users: walled}
"""
USERS = ("slow", "calm", "queued", "short", "idle", "walled", "unlucky", "shared")


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
            cursor.execute(
                "CREATE PROCEDURE many(n INT) BEGIN DECLARE i INT DEFAULT 0; "
                "WHILE i < n DO SELECT 1; SET i = i + 1; END WHILE; END"
            )
        yield made
        made.mesh.stop_cleanly()
    finally:
        if made.mesh.running:
            made.mesh.stop()


def add_users(file: Path) -> None:
    more = "".join(f"  - {{user: {name}@%, password: root}}\n" for name in USERS)
    file.write_text(file.read_text().replace("  users:\n", f"  users:\n{more}"))


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


def test_a_fault_is_made_while_the_mesh_runs(auto: AutoMesh) -> None:
    delete = "DELETE FROM t WHERE id = 77"
    with client(auto, "root") as root:
        added = auto.command("fault", "add", "made", "--error", "1213", "--verb", "DELETE", "--for", "600")
        assert (added.returncode, added.stdout) == (0, "fault 'made' is made for 600 s\n")
        wait_until(lambda: root.ask(delete) == (1213, "injected fault"), 20, "the fault")
        [told] = json.loads(auto.command("fault", "list", "--json").stdout)
        assert (told["does"], told["hits"]) == ("error 1213", "verbs DELETE")
        assert auto.command("fault", "remove", "made").returncode == 0
        wait_until(lambda: root.ask(delete) == [], 20, "its end")
    for words in (("remove", "made"), ("add", "nothing")):
        assert auto.command("fault", *words).returncode == 1


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


def test_limits_of_rate_and_connections(auto: AutoMesh) -> None:
    with client(auto, "calm") as first, client(auto, "calm") as second:
        assert first.ask("SELECT v FROM t WHERE id = 1") == [(1,)]
        assert second.ask("SELECT COUNT(*) FROM t") == [(4,)]
        refused = first.ask("SELECT v FROM t WHERE id = 1")
        assert refused[0] == 1226
        assert "the limit 'calm' of user 'calm' is reached" in str(refused[1])
        with pytest.raises(pymysql.err.MySQLError) as too_many:
            Client(auto, "calm")
        assert too_many.value.args[0] == 1203
    wait_until(lambda: not isinstance(_connects(auto, "calm"), Exception), 10, "room for another")


def _connects(auto: AutoMesh, user: str) -> Exception | None:
    try:
        Client(auto, user).connection.close()
    except pymysql.err.MySQLError as error:
        return error
    return None


def test_one_statement_waits_for_another(auto: AutoMesh) -> None:
    with client(auto, "queued") as first, client(auto, "queued") as second, ThreadPoolExecutor(2) as pool:
        began = time.monotonic()
        answers = [
            pool.submit(one.ask, "SELECT v + SLEEP(0.2) FROM t WHERE id = 1") for one in (first, second)
        ]
        assert [answer.result(10) for answer in answers] == [[(1,)], [(1,)]]
        assert time.monotonic() - began > 0.39


def test_timeouts_of_statements_and_transactions_and_large_answers(auto: AutoMesh) -> None:
    with client(auto, "short") as short, client(auto, "idle") as idle, client(auto, "root") as root:
        root.ask("BEGIN")
        root.ask("UPDATE t SET v = v WHERE id = 1")
        for sql in ("SELECT v FROM t WHERE id = 1 FOR UPDATE", "UPDATE t SET v = v + 1"):
            began = time.monotonic()
            stopped = short.ask(sql)
            assert (stopped[0], time.monotonic() - began < 2) == (3024, True), stopped
        root.ask("COMMIT")
        assert short.ask("SELECT COUNT(*) FROM t") == [(4,)]
        assert short.ask("SELECT v FROM t ORDER BY v LIMIT 3") == [(0,), (1,), (2,)]
        assert short.ask("SELECT v FROM t")[0] == 1104
        assert short.ask("CALL many(3)") == [(1,)]
        assert short.ask("CALL many(4)")[0] == 1104
        assert root.ask("SELECT SUM(v) FROM t") == [(6,)], "what was stopped was rolled back"
        idle.ask("BEGIN")
        idle.ask("UPDATE t SET v = 100 WHERE id = 1")
        wait_until(lambda: root.ask("SELECT v FROM t WHERE id = 1 FOR UPDATE") == [(1,)], 10, "its end")
        wait_until(lambda: idle.ask("SELECT 1")[0] in (0, 2006, 2013), 10, "the loss of the client")


def test_a_client_that_only_waits_or_sends_other_commands_is_not_idle(auto: AutoMesh) -> None:
    with client(auto, "idle") as idle, client(auto, "idle") as other, ThreadPoolExecutor(1) as pool:
        idle.ask("BEGIN")
        idle.ask("UPDATE t SET v = v WHERE id = 1")
        began = time.monotonic()
        while time.monotonic() - began < 0.5:
            idle.connection.ping(reconnect=False)
        sleeping = pool.submit(other.ask, "SELECT v + SLEEP(0.6) FROM t WHERE id = 2")
        wait_until(lambda: _waits_for_sleep(auto), 10, "the other's statement")
        assert idle.ask("SELECT v FROM t WHERE id = 1") == [(1,)]
        assert sleeping.result(10) == [(2,)]
        assert idle.ask("ROLLBACK") == []


def _waits_for_sleep(auto: AutoMesh) -> bool:
    with client(auto, "root") as root:
        return any("SLEEP" in str(row) for row in root.ask("SHOW PROCESSLIST"))


def test_the_firewall_and_the_audit_log(auto: AutoMesh) -> None:
    with client(auto, "walled") as walled:
        refused = walled.ask("UPDATE t SET v = 100")
        assert refused[0] == 1148
        assert "rule 'careful'): add a WHERE" in str(refused[1])
        assert walled.ask("DROP TABLE t")[0] == 1148
        assert walled.ask("UPDATE t SET v = 3 WHERE id = 3") == []
        assert walled.ask("SELECT v FROM t WHERE id = 3") == [(3,)]
    log = auto.mesh.configuration / "audit.log"
    wait_until(lambda: log.exists() and "SELECT v" in log.read_text(), 10, "the audit log")
    written = [json.loads(line) for line in log.read_text().splitlines()]
    seen = [(one["verb"], one["statement"], one["outcome"]) for one in written if one["tables"] == ["t"]]
    assert seen == [
        ("UPDATE", "UPDATE t SET v = ?", "error"),
        ("DDL", "DROP TABLE t", "error"),
        ("UPDATE", "UPDATE t SET v = ? WHERE id = ?", "ok"),
        ("SELECT", "SELECT v FROM t WHERE id = ?", "ok"),
    ]
    assert {one["host"] for one in written} == {"127.0.0.1"}


def test_faults_made_on_purpose(auto: AutoMesh) -> None:
    with client(auto, "unlucky") as unlucky:
        began = time.monotonic()
        assert unlucky.ask("SELECT v FROM t WHERE id = 1") == (1213, "injected fault")
        assert time.monotonic() - began >= 0.1
        assert unlucky.ask("UPDATE t SET v = 100 WHERE id = 1")[0] in (0, 2006, 2013)
    with client(auto, "root") as root:
        assert root.ask("SELECT v FROM t WHERE id = 1") == [(1,)]


def test_a_rate_of_the_whole_mesh(auto: AutoMesh, tmp_path: Path) -> None:
    second = Mesh(auto.mesh.configuration, tmp_path / "second.log").start()
    try:
        with (
            client(auto, "shared") as here,
            contextlib.closing(second.connect("app", user="shared")) as there,
        ):
            began = time.monotonic()
            for _ in range(20):
                assert here.ask("SELECT v FROM t WHERE id = 1") == [(1,)]
                with there.cursor() as cursor:
                    cursor.execute("SELECT v FROM t WHERE id = 2")
            assert time.monotonic() - began > (40 - 10) / 20 - 0.2
        second.stop_cleanly()
    finally:
        if second.running:
            second.stop()
