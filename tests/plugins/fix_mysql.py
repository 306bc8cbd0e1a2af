"""Fixtures with real servers of MySQL's kind: MariaDB, or MySQL with `DBMESH_TEST_DB=mysql` (`make test DB=mysql`).

`database_server` is a factory that lives as long as the session; `own_server` one that lives as long as the test,
for tests that kill or freeze what they use; `mariadb_server` makes MariaDB's whatever was chosen. Knows nothing of
dbmesh.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.plugins import mariadb, mysql
from tests.plugins.database_server import DatabaseServer, chosen_product, start_all
from tests.plugins.mariadb import MariaDb
from tests.plugins.mysql import MySql

ServerFactory = Callable[..., list[Any]]
Make = Callable[[str, Path, tuple[str, ...]], DatabaseServer]


@pytest.fixture(scope="session")
def mariadb_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An initialised data directory; copying it is much cheaper than making one per server."""
    return mariadb.make_template(tmp_path_factory.mktemp("mariadb"))


@pytest.fixture(scope="session")
def mysql_template() -> Iterator[tuple[Path, Path]]:
    """The chroot of MySQL, and an initialised data directory in it."""
    tree = mysql.find_tree()
    with mysql.directory_inside(tree) as directory:
        yield tree, mysql.make_template(tree, directory)


@contextmanager
def _factory(make: Make, directory: Path) -> Iterator[ServerFactory]:
    running: list[DatabaseServer] = []

    def start(*names: str, options: tuple[str, ...] = ()) -> list[DatabaseServer]:
        servers = [make(name, directory, options) for name in names]
        running.extend(servers)
        start_all(servers)
        return servers

    try:
        yield start
    finally:
        for server in running:
            server.stop()


@contextmanager
def _mariadb(request: pytest.FixtureRequest, directory: Path) -> Iterator[ServerFactory]:
    template: Path = request.getfixturevalue("mariadb_template")
    with _factory(lambda name, place, options: MariaDb(name, place, template, options), directory) as start:
        yield start


@contextmanager
def _mysql(request: pytest.FixtureRequest) -> Iterator[ServerFactory]:
    tree, template = request.getfixturevalue("mysql_template")
    with (
        mysql.directory_inside(tree) as directory,
        _factory(
            lambda name, place, options: MySql(name, place, tree, template, options), directory
        ) as start,
    ):
        yield start


@pytest.fixture(scope="session")
def mariadb_server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerFactory]:
    """Starts MariaDB servers by name, side by side; they end with the session."""
    with _mariadb(request, tmp_path_factory.mktemp("servers")) as start:
        yield start


@pytest.fixture(scope="session")
def database_server(request: pytest.FixtureRequest) -> Iterator[ServerFactory]:
    """Starts servers of the chosen kind by name, side by side; they end with the session."""
    if chosen_product() == MariaDb.product:
        yield request.getfixturevalue("mariadb_server")
        return
    with _mysql(request) as start:
        yield start


@pytest.fixture
def own_server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ServerFactory]:
    """Starts servers of the chosen kind by name for one test, which may do to them what it likes."""
    with _mysql(request) if chosen_product() == MySql.product else _mariadb(request, tmp_path) as start:
        yield start
