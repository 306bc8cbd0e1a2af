"""What the bench runs on: two MariaDB servers, HAProxy in TCP mode, dbmesh, and the tables in all of them.

Decides what stands beside what. Knows nothing of how speed is measured or shown.
"""

from __future__ import annotations

import secrets
import shutil
import subprocess
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pymysql

from tests.plugins.collector import Collector
from tests.plugins.database_server import start_all
from tests.plugins.mariadb import MariaDb, find_program, make_template
from tests.plugins.mesh import Mesh
from tests.plugins.processes import accepts, end, free_port, wait_until

SHARDS = 4
_BIG = "id BIGINT NOT NULL PRIMARY KEY, k INT NOT NULL, pad CHAR(180) CHARACTER SET latin1 NOT NULL"
_INSERTED = "id BIGINT NOT NULL PRIMARY KEY, word VARCHAR(60), n INT, amount DECIMAL(10,2)"


@dataclass(frozen=True)
class Place:
    """One way to the data: where a client connects, as whom, to which schema, and whose CPU counts."""

    name: str
    port: int
    user: str
    password: str
    database: str
    pid: int | None

    def connect(self) -> pymysql.Connection[Any]:
        """A client of this place, autocommit on."""
        return pymysql.connect(
            host="127.0.0.1",
            port=self.port,
            user=self.user,
            password=self.password,
            database=self.database,
            autocommit=True,
        )


COUNTED = "dbmesh single, counted"
WATCHED = "dbmesh single, everything watched"
"""Places whose meshes count every statement; the latter traces some for a collector besides, and has a slow log."""


class Stage:
    """Everything the bench starts. A context manager: whatever was started ends."""

    def __init__(self, rows: int, big_rows: int) -> None:
        self.rows = rows
        self.big_rows = big_rows
        self._stack = ExitStack()
        self.places: dict[str, Place] = {}

    def __enter__(self) -> Self:
        try:
            self._build()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _build(self) -> None:
        self.directory = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="dbmesh-bench-")))
        template = make_template(self.directory)
        options = (
            "--innodb-buffer-pool-size=1G",
            "--innodb-log-file-size=256M",
            "--max-prepared-stmt-count=100000",
        )
        self.servers = [MariaDb(name, self.directory, template, options) for name in ("m0", "m1")]
        for server in self.servers:
            self._stack.callback(server.stop)
        start_all(self.servers)
        self._fill()
        first = self.servers[0]
        self.places["direct"] = Place("direct", first.port, first.user, first.password, "sbtest", None)
        self._start_haproxy(first)
        self.mesh = Mesh(self._write_rules(), self.directory / "mesh.log")
        self.start_mesh()
        self._stack.callback(lambda: self.mesh.stop())
        self._start_watched()

    def start_mesh(self) -> float:
        """Starts dbmesh (again) and returns the seconds until it answered a query."""
        began = time.monotonic()
        self.mesh.start()
        connection = self.mesh.connect("single")
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM sbtest1 WHERE id = 1")
        seconds = time.monotonic() - began
        connection.close()
        for name in ("single", "sharded"):
            self.places[f"dbmesh {name}"] = Place(
                f"dbmesh {name}", self.mesh.port, "root", "root", name, self.mesh.pid
            )
        return seconds

    def _start_watched(self) -> None:
        """The same mesh with admin ports; and with a section `tracing` as it is by default, a slow log and JSON in the log."""
        collector = Collector(keeps=False)
        self._stack.callback(collector.close)
        counting = f"admin: {{port: 0, token: {secrets.token_hex(16)}}}\n"
        tracing = f"tracing: {{endpoint: 'http://127.0.0.1:{collector.port}/v1/traces'}}\n"
        logs = "props: {slow-statement-milliseconds: 1000, log-format: json}\n"
        for name, settings in ((COUNTED, counting), (WATCHED, counting + tracing + logs)):
            directory = self.directory / name
            shutil.copytree(self.directory / "rules", directory)
            with (directory / "global.yaml").open("a") as file:
                file.write(settings)
            mesh = Mesh(directory, self.directory / f"{name}.log")
            mesh.start()
            self._stack.callback(mesh.stop)
            self.places[name] = Place(name, mesh.port, "root", "root", "single", mesh.pid)

    def _start_haproxy(self, server: MariaDb) -> None:
        port = free_port()
        configuration = self.directory / "haproxy.cfg"
        configuration.write_text(
            "global\n  maxconn 4096\n  nbthread 1\n"
            "defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 1h\n  timeout server 1h\n"
            f"listen mysql\n  bind 127.0.0.1:{port}\n  server one {server.host}:{server.port}\n"
        )
        with (self.directory / "haproxy.log").open("ab") as log:
            process = subprocess.Popen(
                [find_program("haproxy"), "-db", "-f", str(configuration)], stdout=log, stderr=log
            )
        self._stack.callback(end, process)
        wait_until(lambda: accepts(port), 10, "haproxy")
        self.places["haproxy"] = Place("haproxy", port, server.user, server.password, "sbtest", process.pid)

    def _fill(self) -> None:
        for number, server in enumerate(self.servers):
            server.execute("CREATE DATABASE sbtest", f"CREATE DATABASE sb_{number}")
            prepare(server, self.rows)
            mine = [shard for shard in range(SHARDS) if shard % 2 == number]
            statements = []
            for shard in mine:
                statements += [
                    f"CREATE TABLE sb_{number}.sbtest1_{shard} LIKE sbtest.sbtest1",
                    f"INSERT INTO sb_{number}.sbtest1_{shard} SELECT * FROM sbtest.sbtest1 WHERE id % {SHARDS} = {shard}",
                    f"CREATE TABLE sb_{number}.inserted_{shard} ({_INSERTED})",
                    f"CREATE TABLE sb_{number}.big_{shard} ({_BIG})",
                    _fill_big(f"sb_{number}.big_{shard}", self.big_rows, f"WHERE seq % {SHARDS} = {shard}"),
                ]
            if number == 0:
                statements += [
                    f"CREATE TABLE sbtest.big ({_BIG})",
                    _fill_big("sbtest.big", self.big_rows, ""),
                    f"CREATE TABLE sbtest.inserted ({_INSERTED})",
                ]
            server.execute(*statements)

    def _write_rules(self) -> Path:
        directory = self.directory / "rules"
        directory.mkdir()
        (directory / "global.yaml").write_text(
            "authority:\n  users:\n  - {user: root@%, password: root, admin: true}\n"
        )
        first = self.servers[0]
        (directory / "database-single.yaml").write_text(
            f"databaseName: single\ndataSources:\n{source('ds_0', first, 'sbtest')}"
            'rules:\n- !SINGLE\n  tables: ["*.*"]\n'
        )
        sources = "".join(source(f"ds_{n}", server, f"sb_{n}") for n, server in enumerate(self.servers))
        tables = "".join(
            f"    {table}:\n      actualDataSources: ds_0,ds_1\n"
            "      shardingStrategy: {standard: {shardingColumn: id, shardingAlgorithmName: by_id}}\n"
            for table in ("sbtest1", "inserted", "big")
        )
        (directory / "database-sharded.yaml").write_text(
            f"databaseName: sharded\ndataSources:\n{sources}rules:\n- !SHARDING\n  autoTables:\n{tables}"
            f"  shardingAlgorithms:\n    by_id: {{type: MOD, props: {{sharding-count: {SHARDS}}}}}\n"
        )
        return directory


def source(name: str, server: MariaDb, schema: str) -> str:
    """A data source, as the rules name it."""
    return (
        f"  {name}:\n    url: jdbc:mysql://{server.host}:{server.port}/{schema}\n"
        f"    username: {server.user}\n    password: {server.password}\n    maxPoolSize: 100\n"
    )


def _fill_big(table: str, rows: int, condition: str) -> str:
    return (
        f"INSERT INTO {table} SELECT seq, seq % 1000, RPAD(CONCAT('row ', seq), 180, 'x') "
        f"FROM sbtest.seq_1_to_{rows} {condition}"
    )


def prepare(server: MariaDb, rows: int) -> None:
    """sysbench's own table with `rows` rows in the schema sbtest."""
    done = subprocess.run(
        [
            find_program("sysbench"),
            "oltp_read_write",
            f"--mysql-host={server.host}",
            f"--mysql-port={server.port}",
            f"--mysql-user={server.user}",
            f"--mysql-password={server.password}",
            "--mysql-db=sbtest",
            "--tables=1",
            f"--table-size={rows}",
            "--auto-inc=off",
            "prepare",
        ],
        capture_output=True,
        text=True,
        timeout=600,
    )
    if done.returncode != 0:
        raise RuntimeError(f"sysbench prepare failed:\n{done.stdout}\n{done.stderr}")
