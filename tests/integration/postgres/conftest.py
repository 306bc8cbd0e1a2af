"""The shop on PostgreSQL data sources, and the same rows on one MariaDB server.

MariaDB's tables compare text as PostgreSQL data sources do: by `utf8mb4_nopad_bin`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pymysql
import pytest

from tests.integration.sqlite.conftest import NAMES, fill
from tests.plugins import shop as shop_data
from tests.plugins.fix_mysql import ServerFactory
from tests.plugins.mesh import Mesh
from tests.plugins.postgres import Postgres, source_yaml

COLLATION = "utf8mb4_nopad_bin"


@dataclass(frozen=True)
class Pair:
    """One session on the mesh, one on the plain server; and what lies behind."""

    mesh: pymysql.Connection[Any]
    plain: pymysql.Connection[Any]
    server: Postgres
    process: Mesh


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A server with a database for each data source."""
    # pytest's own directories are for their owner alone, and the server runs as another user.
    with TemporaryDirectory(prefix="dbmesh-postgres-") as directory:
        Path(directory).chmod(0o711)
        server = Postgres(Path(directory) / "server")
        try:
            server.start()
            for number in (0, 1):
                server.execute(f"CREATE DATABASE shop_{number}")
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="session")
def preparing() -> Iterator[Postgres]:
    """A server that prepares transactions."""
    with TemporaryDirectory(prefix="dbmesh-postgres-") as directory:
        Path(directory).chmod(0o711)
        server = Postgres(Path(directory) / "server", ["max_prepared_transactions=16"])
        try:
            server.start()
            for number in (0, 1):
                server.execute(f"CREATE DATABASE shop_{number}")
            yield server
        finally:
            server.stop()


def configuration(server: Postgres, directory: Path) -> Path:
    """Rules of the shop over both databases: one URL as PostgreSQL writes it, one as JDBC does."""
    schemes = ("postgresql", "jdbc:postgresql")
    sources = [source_yaml(number, server, f"shop_{number}", schemes[number]) for number in (0, 1)]
    return shop_data.write_configuration(directory, sources)


@pytest.fixture(scope="session")
def sessions(
    mariadb_server: ServerFactory, postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pair]:
    """Both sessions over tables made by the same statements."""
    directory = tmp_path_factory.mktemp("postgres-mesh")
    mesh = Mesh(configuration(postgres, directory / "rules"), directory / "mesh.log").start()
    (server,) = mariadb_server("postgres-twin")
    server.execute(f"CREATE DATABASE plain CHARACTER SET utf8mb4 COLLATE {COLLATION}")
    plain = server.connect("plain", init_command=f"SET NAMES utf8mb4 COLLATE {COLLATION}")
    pair = Pair(mesh.connect(), plain, postgres, mesh)
    try:
        for connection in (pair.mesh, pair.plain):
            with connection.cursor() as cursor:
                for table in shop_data.TABLES:
                    if table.name in NAMES:
                        cursor.execute(f"DROP TABLE IF EXISTS {table.name}")
                        cursor.execute(f"CREATE TABLE {table.name} ({table.columns})")
            fill(connection)
        yield pair
        pair.mesh.close()
        mesh.stop_cleanly()
    finally:
        pair.plain.close()
        if mesh.running:
            mesh.stop()


@pytest.fixture
def pair(sessions: Pair) -> Iterator[Pair]:
    """The sessions; rows are put back afterwards."""
    yield sessions
    for connection in (sessions.mesh, sessions.plain):
        connection.rollback()
        with connection.cursor() as cursor:
            cursor.execute("SET autocommit = 1")
        fill(connection)
