"""What the suites run on: a plain MariaDB, or a mesh before one or several of them, new for every run.

Decides which servers and which configuration a run gets. Knows nothing of the suites.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.plugins.database_server import start_all
from tests.plugins.mariadb import MariaDb, make_template
from tests.plugins.mesh import Mesh

RUNS = ("plain", "unsharded", "sharded")
SHARDS = 4
"""Actual tables of every table in the sharded run."""


@dataclass(frozen=True)
class Place:
    """Where a suite connects, and the servers that have its rows."""

    port: int
    password: str
    servers: tuple[MariaDb, ...]
    mesh: Mesh | None


@dataclass(frozen=True)
class Certificate:
    """The files of a server's TLS: of the authority, the server and its key."""

    authority: Path
    server: Path
    key: Path


@contextmanager
def place(run: str, directory: Path, databases: Sequence[str], certificate: Certificate) -> Iterator[Place]:
    """Starts what one run of one suite needs; all of it ends with the block."""
    with ExitStack() as stack:
        options = (
            "--local-infile=1",
            # Counts the rows written of every table.
            "--userstat=1",
            "--lock-wait-timeout=20",
            "--innodb-lock-wait-timeout=10",
            f"--ssl-ca={certificate.authority}",
            f"--ssl-cert={certificate.server}",
            f"--ssl-key={certificate.key}",
        )
        template = make_template(directory)
        names = ("m0", "m1") if run == "sharded" else ("m0",)
        servers = tuple(MariaDb(name, directory, template, options) for name in names)
        for server in servers:
            stack.callback(server.stop)
        start_all(servers)
        for server in servers:
            server.execute(
                "SET GLOBAL time_zone = '+00:00'", *(f"CREATE DATABASE `{name}`" for name in databases)
            )
        if run == "plain":
            yield Place(servers[0].port, servers[0].password, servers, None)
            return
        configuration = _configuration(directory / "rules", servers, databases, certificate, run)
        mesh = Mesh(configuration, directory / "mesh.log")
        mesh.start()
        stack.callback(lambda: mesh.stop() if mesh.running else 0)
        yield Place(mesh.port, "root", servers, mesh)


def _configuration(
    directory: Path,
    servers: Sequence[MariaDb],
    databases: Sequence[str],
    certificate: Certificate,
    run: str,
) -> Path:
    directory.mkdir()
    rule = '- !SINGLE\n  tables: ["*.*"]\n'
    if run == "sharded":
        rule += f"- !MESH\n  autoShard: {{by: primaryKey, shards: {SHARDS}}}\n"
    (directory / "global.yaml").write_text(
        f"mode:\n  type: Standalone\n  repository: {{type: SQLite, props: {{path: {directory.parent / 'store.db'}}}}}\n"
        "authority:\n  users:\n  - {user: root@%, password: root, admin: true}\n"
        f"props:\n  proxy-frontend-ssl-enabled: true\n"
        f"  proxy-frontend-ssl-cert: {certificate.server}\n  proxy-frontend-ssl-key: {certificate.key}\n"
    )
    for name in databases:
        sources = "".join(
            f"  ds_{number}:\n    url: jdbc:mysql://{server.host}:{server.port}/{name}\n"
            f"    username: {server.user}\n    password: {server.password}\n"
            for number, server in enumerate(servers)
        )
        (directory / f"database-{name}.yaml").write_text(
            f"databaseName: {name}\ndataSources:\n{sources}rules:\n{rule}"
        )
    return directory
