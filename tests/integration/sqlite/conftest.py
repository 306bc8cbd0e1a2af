"""The shop on embedded SQLite data sources, and the same rows on one MariaDB server."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pymysql
import pytest

from tests.plugins import shop as shop_data
from tests.plugins.fix_mysql import ServerFactory
from tests.plugins.mesh import Mesh

NAMES = ("t_user", "t_order", "t_order_item", "t_country", "t_config")


@dataclass(frozen=True)
class Pair:
    """One session on the mesh, one on the plain server."""

    mesh: pymysql.Connection[Any]
    plain: pymysql.Connection[Any]


def fill(connection: pymysql.Connection[Any]) -> None:
    """Brings every table to its rows."""
    with connection.cursor() as cursor:
        for name in NAMES:
            cursor.execute(f"DELETE FROM {name}")
            rows: Sequence[tuple[Any, ...]] = shop_data.ROWS[name]
            marks = ",".join(["%s"] * len(rows[0]))
            cursor.executemany(f"INSERT INTO {name} VALUES ({marks})", rows)


@pytest.fixture(scope="module")
def sessions(mariadb_server: ServerFactory, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Both sessions over tables made by the same statements."""
    directory = tmp_path_factory.mktemp("embedded")
    sources = [f"  ds_{number}:\n    url: sqlite:{directory}/ds_{number}.db\n" for number in (0, 1)]
    mesh = Mesh(shop_data.write_configuration(directory / "rules", sources), directory / "mesh.log").start()
    (server,) = mariadb_server("twin")
    server.execute("CREATE DATABASE embedded CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci")
    pair = Pair(mesh.connect(), server.connect("embedded"))
    try:
        for connection in (pair.mesh, pair.plain):
            with connection.cursor() as cursor:
                for table in shop_data.TABLES:
                    if table.name in NAMES:
                        cursor.execute(f"CREATE TABLE {table.name} ({table.columns})")
            fill(connection)
        yield pair
        mesh.stop_cleanly()
    finally:
        pair.mesh.close()
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
