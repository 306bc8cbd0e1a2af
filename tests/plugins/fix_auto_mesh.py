"""Fixtures with a mesh under `autoShard`: `auto` is one of the test's own over servers of the test file's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.plugins.auto_mesh import AutoMesh
from tests.plugins.database_server import DatabaseServer
from tests.plugins.etcd import EtcdMember
from tests.plugins.fix_mysql import ServerFactory


def etcd_mode(member: EtcdMember, seconds: float = 3.0) -> str:
    """The section `mode` of global.yaml for a store there."""
    props = f"{{namespace: app, server-lists: 'http://{member.address}', connectionTimeout: {seconds}}}"
    return f"mode: {{type: Cluster, repository: {{type: etcd, props: {props}}}}}\n"


@pytest.fixture(scope="session")
def auto_servers(database_server: ServerFactory) -> list[DatabaseServer]:
    """Two servers for meshes under `autoShard`."""
    return database_server("auto0", "auto1")


@pytest.fixture
def auto(
    request: pytest.FixtureRequest, auto_servers: list[DatabaseServer], tmp_path: Path
) -> Iterator[AutoMesh]:
    """The mesh, with no table yet; with the parameter "etcd" its store is there."""
    with ExitStack() as ends:
        mode = ""
        if getattr(request, "param", "") == "etcd":
            member = EtcdMember("etcd", tmp_path)
            member.start([member])
            ends.callback(member.stop)
            member.wait_ready()
            mode = etcd_mode(member)
        made = AutoMesh(auto_servers, tmp_path, mode)
        try:
            yield made
            if made.mesh.running:
                made.mesh.stop_cleanly()
        finally:
            if made.mesh.running:
                made.mesh.stop()


Run = Callable[..., list[Any]]


@pytest.fixture
def run(auto: AutoMesh) -> Iterator[Run]:
    """Runs a statement on a connection of the test's own and returns its rows."""
    connection = auto.connect()

    def execute(sql: str, *values: Any) -> list[Any]:
        with connection.cursor() as cursor:
            cursor.execute(sql, values or None)
            return list(cursor.fetchall())

    execute.connection = connection  # type: ignore[attr-defined]
    yield execute
    if connection.open:
        connection.close()
