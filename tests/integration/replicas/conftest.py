"""Real replication, and meshes over it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.plugins.certificates import make_certificate
from tests.plugins.fix_mysql import ServerFactory
from tests.plugins.mesh import Mesh
from tests.plugins.replication import Replication

MeshOf = Callable[..., Mesh]


@pytest.fixture(scope="session")
def replication(database_server: ServerFactory, tmp_path_factory: pytest.TempPathFactory) -> Replication:
    """One primary and two replicas; a test leaves them replicating."""
    return Replication(database_server, "group", make_certificate(tmp_path_factory.mktemp("certificate")))


@pytest.fixture
def mesh_over(tmp_path: Path) -> Iterator[MeshOf]:
    """Starts meshes over a replication, with keys of the group; they end with the test, cleanly."""
    running: list[Mesh] = []

    def start(replication: Replication, **options: object) -> Mesh:
        directory = tmp_path / f"rules{len(running)}"
        mesh = Mesh(replication.write_rules(directory, **options), tmp_path / f"mesh{len(running)}.log")
        running.append(mesh)
        return mesh.start()

    yield start
    for mesh in running:
        if mesh.running:
            mesh.stop_cleanly()
