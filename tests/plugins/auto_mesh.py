"""A mesh that shards whatever is created: two servers with an empty schema each, and no rule but `autoShard`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pymysql

from dbmesh.model import DECISION_TABLE
from tests.plugins.database_server import DatabaseServer
from tests.plugins.mesh import Mesh
from tests.plugins.processes import wait_until

_GLOBAL = "authority:\n  users:\n  - {user: root@%, password: root, admin: true}\n"
SHARDS = 4
"""Actual tables of every table."""


class AutoMesh:
    """Two servers with an empty schema `app` each, and a mesh that shards whatever is created. `mode` is that section of
    global.yaml."""

    def __init__(self, servers: list[DatabaseServer], directory: Path, mode: str = "") -> None:
        self.servers = servers
        for server in servers:
            server.execute("DROP DATABASE IF EXISTS app", "CREATE DATABASE app CHARACTER SET utf8mb4")
        rules = directory / "rules"
        rules.mkdir()
        (rules / "global.yaml").write_text(_GLOBAL + mode)
        sources = "".join(
            f"  ds_{number}: {{url: 'mysql://{server.host}:{server.port}/app', username: {server.user}, "
            f"password: {server.password}}}\n"
            for number, server in enumerate(servers)
        )
        (rules / "database-app.yaml").write_text(
            f"databaseName: app\ndataSources:\n{sources}rules:\n"
            f"- !MESH\n  autoShard: {{by: primaryKey, shards: {SHARDS}}}\n"
        )
        self.mesh = Mesh(rules, directory / "mesh.log").start()

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Runs `dbmesh` with these words and the mesh's configuration."""
        program = str(Path(sys.executable).with_name("dbmesh"))
        return subprocess.run(
            [program, *words, "--config", str(self.mesh.configuration)],
            capture_output=True,
            text=True,
            env={**os.environ, "COLUMNS": "200"},
            timeout=60,
        )

    def connect(self) -> pymysql.Connection[Any]:
        """A client of the mesh."""
        return self.mesh.connect("app")

    def kill(self) -> None:
        """Ends the mesh as a power cut would."""
        os.kill(self.mesh.pid, signal.SIGKILL)
        wait_until(lambda: not self.mesh.running, 10, "the end of the mesh")

    def tables(self) -> set[str]:
        """The actual tables there are."""
        return {
            f"ds_{number}.{name}"
            for number, server in enumerate(self.servers)
            for (name,) in server.execute("SHOW TABLES", database="app")
            if name != DECISION_TABLE
        }

    def counts(self, table: str) -> list[int]:
        """Rows of each actual table, read behind the mesh's back."""
        return [
            self.servers[number % 2].execute(f"SELECT COUNT(*) FROM {table}_{number}", database="app")[0][0]
            for number in range(SHARDS)
        ]
