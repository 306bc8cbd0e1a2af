"""Fixtures with real MariaDB servers.

`mariadb_server` is a factory that lives as long as the session; `own_mariadb` one that lives as long as the test,
for tests that kill or freeze what they use. Knows nothing of dbmesh.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.plugins.mariadb import MariaDb, make_template, start_all

ServerFactory = Callable[..., list[MariaDb]]


@pytest.fixture(scope="session")
def mariadb_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An initialised data directory; copying it is much cheaper than making one per server."""
    return make_template(tmp_path_factory.mktemp("mariadb"))


def _factory(directory: Path, template: Path) -> Iterator[ServerFactory]:
    running: list[MariaDb] = []

    def make(*names: str, options: tuple[str, ...] = ()) -> list[MariaDb]:
        servers = [MariaDb(name, directory, template, options) for name in names]
        running.extend(servers)
        start_all(servers)
        return servers

    yield make
    for server in running:
        server.stop()


@pytest.fixture(scope="session")
def mariadb_server(
    mariadb_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerFactory]:
    """Starts servers by name, side by side; they end with the session."""
    yield from _factory(tmp_path_factory.mktemp("servers"), mariadb_template)


@pytest.fixture
def own_mariadb(mariadb_template: Path, tmp_path: Path) -> Iterator[ServerFactory]:
    """Starts servers by name for one test, which may do to them what it likes."""
    yield from _factory(tmp_path, mariadb_template)
