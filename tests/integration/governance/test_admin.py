"""The operators' ports of a running sidecar: tables, actions, health and metrics, and who may ask."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pymysql
import pytest

from tests.plugins.mesh import Mesh
from tests.plugins.processes import wait_until

pytestmark = pytest.mark.integration

TOKEN = "0123456789abcdef-token"
GLOBAL = """
authority:
  users: [{user: root@%, password: root, admin: true}]
admin: {port: 0, sqlPort: 0, token: "0123456789abcdef-token"}
mode: {type: Standalone, repository: {type: SQLite}}
props: {slow-statement-milliseconds: 1}
"""
SHOP = """
databaseName: shop
dataSources:
  ds_0: {url: 'sqlite:FOLDER/a.db'}
  ds_1: {url: 'sqlite:FOLDER/b.db'}
rules:
- !SHARDING
  tables:
    t:
      actualDataNodes: ds_${0..1}.t
      databaseStrategy: {standard: {shardingColumn: id, shardingAlgorithmName: by_id}}
  shardingAlgorithms:
    by_id: {type: INLINE, props: {algorithm-expression: 'ds_${id % 2}'}}
"""
POINT = "SELECT v FROM t WHERE id = ?"


class Operated:
    """A mesh and what its admin ports say."""

    def __init__(self, mesh: Mesh) -> None:
        self.mesh = mesh
        found = re.search(r"admin API on 127.0.0.1:(\d+), MySQL clients on port (\d+)", mesh.output())
        assert found is not None
        self.port, self.sql_port = int(found[1]), int(found[2])

    def ask(self, path: str, method: str = "GET", token: str | None = TOKEN) -> tuple[int, str]:
        """Status and body."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        url = f"http://127.0.0.1:{self.port}{path}"
        try:
            with urllib.request.urlopen(
                urllib.request.Request(url, headers=headers, method=method), timeout=10
            ) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def rows(self, table: str) -> list[dict[str, Any]]:
        """A table's rows."""
        status, body = self.ask(f"/v1/{table}")
        assert status == 200
        return list(json.loads(body))

    def sql(self, statement: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Column names and rows of a statement on the port for MySQL clients."""
        with pymysql.connect(host="127.0.0.1", port=self.sql_port, user="me", password=TOKEN) as client:
            cursor = client.cursor()
            cursor.execute(statement)
            return [one[0] for one in cursor.description or ()], list(cursor.fetchall())


@pytest.fixture(scope="module")
def operated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operated]:
    folder = tmp_path_factory.mktemp("admin")
    (folder / "global.yaml").write_text(GLOBAL)
    (folder / "database-shop.yaml").write_text(SHOP.replace("FOLDER", str(folder)))
    mesh = Mesh(folder, folder / "log").start()
    with mesh.connect() as client:
        cursor = client.cursor()
        cursor.execute("CREATE TABLE t (id INT PRIMARY KEY, v INT)")
        cursor.execute("INSERT INTO t VALUES (1, 1), (2, 2)")
        for number in range(5):
            cursor.execute(f"SELECT v FROM t WHERE id = {number}")
        cursor.execute("SELECT COUNT(*) FROM t")
        with pytest.raises(pymysql.err.OperationalError):
            cursor.execute("SELECT nope FROM t")
    yield Operated(mesh)
    mesh.stop_cleanly()


def test_statements_are_counted_by_digest(operated: Operated) -> None:
    found = {row["digest_text"]: row for row in operated.rows("statements")}
    point = found[POINT]
    assert (point["schemaname"], point["username"]) == ("shop", "root@%")
    assert (point["count_star"], point["count_errors"], point["sum_rows_sent"]) == (5, 0, 2)
    assert 0 < point["min_time"] <= point["max_time"] <= point["sum_time"]
    assert found["INSERT INTO t VALUES (?, ?)"]["sum_rows_affected"] == 2
    assert found["SELECT nope FROM t"]["count_errors"] == 1
    assert operated.rows("errors") == [{"schemaname": "shop", "errno": 1054, "count_star": 1}]


def test_mysql_clients_read_the_same(operated: Operated) -> None:
    names, rows = operated.sql(
        "SELECT digest_text, count_star FROM stats_mysql_query_digest WHERE count_star > 1 ORDER BY 2 DESC LIMIT 1"
    )
    assert (names, rows) == (["digest_text", "count_star"], [(POINT, 5)])
    assert operated.sql("SELECT COUNT(*) FROM stats.stats_mysql_connection_pool") == (["COUNT(*)"], [(2,)])
    assert ("stats_mysql_processlist",) in operated.sql("SHOW TABLES")[1]
    for statement, number in (
        ("INSERT INTO t VALUES (1)", 1235),
        ("SELECT x FROM nope", 1064),
        ("KILL 77", 1105),
    ):
        with pytest.raises(pymysql.err.Error) as refused:
            operated.sql(statement)
        assert refused.value.args[0] == number
    with pytest.raises(pymysql.err.OperationalError) as refused:
        pymysql.connect(host="127.0.0.1", port=operated.sql_port, user="root", password="root")
    assert refused.value.args[0] == 1045


def test_distsql_says_the_same_on_both_ports(operated: Operated) -> None:
    with operated.mesh.connect() as client:
        cursor = client.cursor()
        for statement in (
            "SHOW STORAGE UNITS",
            "SHOW SHARDING TABLE RULES FROM shop",
            "SHOW SHARDING TABLE NODES t",
            "SHOW SHARDING ALGORITHMS LIKE 'by%'",
            "SHOW FULL LOGICAL TABLES",
            "COUNT SHARDING RULE",
            "SHOW COMPUTE NODES",
            "SHOW DIST VARIABLE WHERE NAME = sql_show",
            "PARSE SELECT 1",
            "EXPORT DATABASE CONFIGURATION FROM shop",
            "PREVIEW SELECT v FROM t WHERE id = 1",
            "PREVIEW SELECT v FROM t ORDER BY v",
            "PREVIEW SET @a = 1",
        ):
            cursor.execute(statement)
            names = [one[0] for one in cursor.description or ()]
            assert operated.sql(statement) == (names, list(cursor.fetchall())), statement
    assert operated.sql("SHOW SHARDING TABLE NODES")[1] == [("t", "ds_0.t, ds_1.t")]
    options: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": operated.sql_port,
        "user": "me",
        "password": TOKEN,
    }
    with pymysql.connect(**options) as client, client.cursor() as cursor:
        cursor.execute("USE shop")
        cursor.execute("COUNT SHARDING RULE")
        assert cursor.fetchall()[0] == ("sharding_table", "shop", "1")
    [node] = operated.sql("SHOW COMPUTE NODES;")[1]
    assert node[1:6] == ("PROXY", "127.0.0.1", str(operated.mesh.port), "OK", "Standalone")
    for word, status in (("DISABLE", "CIRCUIT_BREAK"), ("ENABLE", "OK")):
        operated.sql(f"{word} COMPUTE NODE {node[0]}")
        assert operated.sql("SHOW COMPUTE NODE INFO")[1][0][3] == status
    for statement in ("SHOW STORAGE UNITS FROM nope", "DISABLE COMPUTE NODE nobody", "SHOW MASK RULE"):
        with pytest.raises(pymysql.err.Error):
            operated.sql(statement)


def test_metrics(operated: Operated) -> None:
    status, page = operated.ask("/metrics")
    assert status == 200
    labels = 'answer="Relay",database="shop",shots="1",verb="select"'
    values = dict(line.rsplit(" ", 1) for line in page.splitlines() if not line.startswith("#"))
    count = float(values[f"dbmesh_statement_duration_seconds_count{{{labels}}}"])
    buckets = [
        float(values[f"dbmesh_statement_duration_seconds_bucket{{{labels.replace('database', 'database')}}}"])
        for labels in (
            f'answer="Relay",database="shop",le="{bound}",shots="1",verb="select"'
            for bound in ("0.0001", "1.0", "+Inf")
        )
    ]
    assert buckets == sorted(buckets)
    assert buckets[-1] == count
    assert values['dbmesh_statement_errors_total{database="shop",errno="1054"}'] == "1.0"
    assert values['dbmesh_pool_connections_max{data_source="ds_0",database="shop"}'] == "50.0"
    assert float(values["process_resident_memory_bytes"]) > 1e6


def test_who_may_ask(operated: Operated) -> None:
    assert operated.ask("/healthz", token=None) == (200, '{"status":"ok"}')
    assert operated.ask("/readyz", token=None) == (200, '{"status":"ready"}')
    for path in ("/metrics", "/v1/statements", "/v1/sessions"):
        for token in (None, "wrong", TOKEN[:-1]):
            assert operated.ask(path, token=token)[0] == 401
    assert operated.ask("/v1/sessions/1", "DELETE", token=None)[0] == 401
    assert operated.ask("/v1/nothing")[0] == 404
    assert "/v1/statements" in json.loads(operated.ask("/openapi.json")[1])["paths"]


def test_a_session_is_seen_and_ended(operated: Operated) -> None:
    client = operated.mesh.connect()
    [row] = [row for row in operated.rows("sessions") if row["SessionID"] == client.thread_id()]
    assert (row["user"], row["db"], row["command"]) == ("root", "shop", "Sleep")
    assert operated.ask(f"/v1/sessions/{client.thread_id()}", "DELETE")[0] == 200
    with pytest.raises(pymysql.err.Error):
        client.cursor().execute("SELECT 1")
    other = operated.mesh.connect()
    operated.sql(f"KILL {other.thread_id()}")
    with pytest.raises(pymysql.err.Error):
        other.cursor().execute("SELECT 1")
    wait_until(lambda: not operated.rows("sessions"), 10, "the sessions to be gone")
    assert operated.ask("/v1/sessions/77", "DELETE") == (
        404,
        '{"detail":"there is no session 77 on this sidecar"}',
    )


def test_the_command_line(operated: Operated) -> None:
    program = [sys.executable, "-c", "from dbmesh.cli.main import main; main()", "admin"]
    where = ["--config", str(operated.mesh.configuration), "--url", f"http://127.0.0.1:{operated.port}"]

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*program, *words, *where], capture_output=True, text=True, timeout=60, check=False
        )

    shown = json.loads(run("show", "statements", "--json").stdout)
    assert POINT in {row["digest_text"] for row in shown}
    refused = run("kill", "77")
    assert (refused.returncode, refused.stderr) == (1, "error: there is no session 77 on this sidecar\n")
    assert run("forget-statements").stdout == "statements are counted anew\n"
    assert run("show", "statements").stdout == "no statements\n"


def test_slow_statements_are_in_the_log_without_values(operated: Operated) -> None:
    slow = [line for line in operated.mesh.output().splitlines() if "slow statement" in line]
    assert any(line.endswith("CREATE TABLE t (id INT PRIMARY KEY, v INT)") for line in slow)
    assert not any("VALUES (1" in line for line in slow)
