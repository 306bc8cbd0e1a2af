"""Four servers behind links that can fail, two sidecars over them, and the bank's tables, sharded by id.

Decides how they are started, hurt, healed and looked into.
"""

from __future__ import annotations

import os
import random
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pymysql

from tests.chaos.bank import ACCOUNTS, BALANCE, SOURCES, TABLES
from tests.plugins.database_server import DatabaseServer, start_all
from tests.plugins.mariadb import MariaDb, make_template
from tests.plugins.mesh import Mesh
from tests.plugins.network import FaultyLink
from tests.plugins.processes import wait_until

SERVER_OPTIONS = ("--innodb-lock-wait-timeout=2", "--innodb-flush-log-at-trx-commit=1")
CONNECT_SECONDS = 5
READ_SECONDS = 40

_GLOBAL = """\
authority:
  users:
  - {{user: root@%, password: root, admin: true}}
transaction: {{defaultType: {kind}, props: {{isolation: {isolation}}}}}
"""
_SOURCE = """\
  ds_{number}:
    url: jdbc:mysql://127.0.0.1:{port}/bank?useSSL=false
    username: {user}
    password: {password}
    maxPoolSize: 20
    connectionTimeoutMilliseconds: 2000
"""
_TABLE = """\
    {name}:
      actualDataNodes: ds_${{0..3}}.{name}
      databaseStrategy: {{standard: {{shardingColumn: id, shardingAlgorithmName: by_id}}}}
"""


class Stage:
    """See the module's docstring."""

    def __init__(self, servers: list[DatabaseServer], links: list[FaultyLink], meshes: list[Mesh]) -> None:
        self.servers = servers
        self.links = links
        self.meshes = meshes
        self._starting = threading.Lock()

    def connect(self) -> pymysql.Connection[Any]:
        """A client's connection to one of the sidecars."""
        mesh = random.choice(self.meshes)
        return mesh.connect("bank", connect_timeout=CONNECT_SECONDS, read_timeout=READ_SECONDS)

    def kill_mesh(self, number: int) -> None:
        """SIGKILL a sidecar, and start it again."""
        mesh = self.meshes[number]
        os.kill(mesh.pid, signal.SIGKILL)
        wait_until(lambda: not mesh.running, 10, "the end of a sidecar")
        mesh.start()

    def kill_server(self, number: int) -> None:
        """SIGKILL a server, and start it again."""
        server = self.servers[number]
        server.kill()
        server.start()
        server.wait_ready()

    def prepared(self) -> int:
        """Branches in doubt on all servers."""
        return sum(len(server.execute("XA RECOVER")) for server in self.servers)

    def undo_rows(self) -> int:
        """Writes of BASE transactions that may still be undone, on all servers."""
        return sum(
            server.execute("SELECT COUNT(*) FROM bank.dbmesh_undo")[0][0]
            for server in self.servers
            if server.execute("SHOW TABLES FROM bank LIKE 'dbmesh_undo'")
        )

    def rows(self, table: str) -> list[tuple[Any, ...]]:
        """The rows of all data sources, read behind the mesh's back."""
        return [row for server in self.servers for row in server.execute(f"SELECT * FROM bank.{table}")]

    def recovered(self) -> int:
        """Branches left prepared and writes left that sidecars found and ended, as their logs tell."""
        return sum(
            mesh.output().count(text) for mesh in self.meshes for text in ("was left prepared", "were left:")
        )


@contextmanager
def open_stage(directory: Path, kind: str = "XA") -> Iterator[Stage]:
    """Starts everything; ends everything. `kind` is the type of the transactions."""
    with ExitStack() as ending:
        template = make_template(directory)
        servers: list[DatabaseServer] = [
            MariaDb(f"bank{number}", directory, template, SERVER_OPTIONS) for number in range(SOURCES)
        ]
        for server in servers:
            ending.callback(server.stop)
        start_all(servers)
        links = []
        for server in servers:
            links.append(FaultyLink(server.host, server.port).start())
            ending.callback(links[-1].stop)
        for number, server in enumerate(servers):
            tables = [f"CREATE TABLE bank.{name} ({columns})" for name, columns in TABLES.items()]
            rows = ", ".join(f"({one}, {BALANCE})" for one in range(number, ACCOUNTS, SOURCES))
            server.execute("CREATE DATABASE bank", *tables, f"INSERT INTO bank.account VALUES {rows}")
        rules = _write_rules(directory / "rules", servers, links, kind)
        meshes = [Mesh(rules, directory / f"mesh{number}.log") for number in range(2)]
        for mesh in meshes:
            mesh.start()
            ending.callback(mesh.stop)
        yield Stage(servers, links, meshes)


def _write_rules(directory: Path, servers: list[DatabaseServer], links: list[FaultyLink], kind: str) -> Path:
    directory.mkdir()
    isolation = "RECORD_LOCKS" if kind == "BASE" else "NONE"
    (directory / "global.yaml").write_text(_GLOBAL.format(kind=kind, isolation=isolation))
    sources = "".join(
        _SOURCE.format(number=number, port=link.port, user=server.user, password=server.password)
        for number, (server, link) in enumerate(zip(servers, links, strict=True))
    )
    tables = "".join(_TABLE.format(name=name) for name in TABLES)
    (directory / "database-bank.yaml").write_text(
        f"databaseName: bank\ndataSources:\n{sources}rules:\n- !SHARDING\n  tables:\n{tables}"
        f"  shardingAlgorithms:\n    by_id: {{type: MOD, props: {{sharding-count: {SOURCES}}}}}\n"
    )
    return directory
