"""Fixtures with a running mesh in front of the shop.

`shop` is one mesh for the whole session, with seeded tables that a test must leave as it found them; `fresh_shop`
is the same with the rows put back afterwards. `own_shop` makes a mesh for one test, with links that can fail.
`DBMESH_TEST_TARGET=plain` points the client tests at an ordinary server, which proves the tests themselves.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymysql
import pytest

from tests.plugins import plain_client
from tests.plugins import shop as shop_data
from tests.plugins.database_server import DatabaseServer
from tests.plugins.fix_mysql import ServerFactory
from tests.plugins.mesh import Mesh
from tests.plugins.network import FaultyLink


@dataclass(frozen=True)
class Target:
    """Where a client connects and as whom."""

    host: str
    port: int
    user: str
    password: str
    database: str = shop_data.DATABASE

    def connect(self, **options: Any) -> pymysql.Connection[Any]:
        """A PyMySQL connection, autocommit on unless told otherwise."""
        settings: dict[str, Any] = {
            "database": self.database,
            "autocommit": True,
            "charset": "utf8mb4",
            "connect_timeout": 10,
            "read_timeout": 30,
            **options,
        }
        return plain_client.connect(
            host=self.host, port=self.port, user=self.user, password=self.password, **settings
        )


class Shop:
    """The data sources, the plain server with the same rows, and the mesh."""

    def __init__(
        self, sources: list[DatabaseServer], configuration: Path, log: Path, links: list[FaultyLink]
    ) -> None:
        self.sources = sources
        self.plain_server = sources[0]
        self.links = links
        self.mesh = Mesh(configuration, log)

    @property
    def target(self) -> Target:
        """The mesh, or the plain server when the tests themselves are on trial."""
        if not self.meshed:
            server = self.sources[1]
            return Target(server.host, server.port, server.user, server.password)
        return Target(self.mesh.host, self.mesh.port, shop_data.USER, shop_data.PASSWORD)

    @property
    def meshed(self) -> bool:
        """Whether the target is the mesh; False only when the tests themselves are on trial."""
        return os.environ.get("DBMESH_TEST_TARGET") != "plain"

    @property
    def plain(self) -> Target:
        """One ordinary server that holds all the rows."""
        server = self.plain_server
        return Target(server.host, server.port, server.user, server.password)

    def start(self) -> None:
        """Starts the mesh unless it is replaced by the plain server."""
        if self.meshed:
            self.mesh.start()

    def refill(self) -> None:
        """Puts all rows back."""
        shop_data.fill(self.sources)

    def on_shards(self, table: str, where: str = "1=1") -> list[tuple[str, tuple[Any, ...]]]:
        """Rows of a logic table as they lie on the shards: ('ds_1.t_order_0', row), read behind the mesh's back."""
        if not self.meshed:
            return [
                ("plain", row) for row in self.sources[1].execute(f"SELECT * FROM shop.{table} WHERE {where}")
            ]
        chosen = next(entry for entry in shop_data.TABLES if entry.name == table)
        return [
            (f"ds_{source}.{actual}", row)
            for source, actual in chosen.nodes
            for row in self.sources[source].execute(
                f"SELECT * FROM {shop_data.shard_schema(source)}.{actual} WHERE {where}"
            )
        ]


def _end(shop: Shop) -> None:
    if shop.mesh.running:
        shop.mesh.stop_cleanly()
    assert not shop.mesh.troubles(), f"dbmesh's log shows trouble:\n{shop.mesh.troubles()}"


@pytest.fixture(scope="session")
def shop(database_server: ServerFactory, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """The session's shop; leave its rows as they are."""
    directory = tmp_path_factory.mktemp("shop")
    first, second = database_server("shard0", "shard1")
    sources = [first, second]
    shop_data.create(sources)
    shop_data.fill(sources)
    configuration = shop_data.write_configuration(
        directory / "rules", [shop_data.source_yaml(number, server) for number, server in enumerate(sources)]
    )
    made = Shop(sources, configuration, directory / "mesh.log", [])
    made.start()
    yield made
    _end(made)


@pytest.fixture
def fresh_shop(shop: Shop) -> Iterator[Shop]:
    """The session's shop for a test that writes: rows are put back afterwards."""
    yield shop
    shop.refill()


@pytest.fixture
def target(shop: Shop) -> Target:
    """Where the client of a test connects."""
    return shop.target


MeshFactory = Callable[..., Mesh]


@pytest.fixture(scope="module")
def mesh_with(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MeshFactory]:
    """Starts further meshes over the session's servers, with properties, users and a pool size of their own."""
    made: list[Mesh] = []

    def make(
        props: dict[str, Any] | None = None, users: str = "", pool: int = 50, start: bool = True
    ) -> Mesh:
        directory = tmp_path_factory.mktemp("mesh")
        texts = [
            shop_data.source_yaml(number, server, pool=pool) for number, server in enumerate(shop.sources)
        ]
        configuration = shop_data.write_configuration(directory / "rules", texts, props, users)
        mesh = Mesh(configuration, directory / "mesh.log")
        made.append(mesh)
        if start:
            mesh.start()
        return mesh

    yield make
    running = [mesh for mesh in made if mesh.running]
    try:
        for mesh in running:
            mesh.stop_cleanly()
    finally:
        for mesh in running:
            mesh.stop()


ShopFactory = Callable[..., Shop]


@pytest.fixture
def own_shop(own_server: ServerFactory, tmp_path: Path) -> Iterator[ShopFactory]:
    """Makes a shop for one test: own servers (with `options`) behind links that can be cut, own mesh with the given
    properties."""
    made: list[Shop] = []
    links: list[FaultyLink] = []

    def make(
        props: dict[str, Any] | None = None,
        users: str = "",
        pool: int = 10,
        timeout: int = 2000,
        start: bool = True,
        options: tuple[str, ...] = (),
    ) -> Shop:
        sources = own_server("shard0", "shard1", options=options)
        own = [FaultyLink(server.host, server.port).start() for server in sources]
        links.extend(own)
        shop_data.create(sources)
        shop_data.fill(sources)
        texts = [
            shop_data.source_yaml(number, server, own[number].port, pool, timeout)
            for number, server in enumerate(sources)
        ]
        configuration = shop_data.write_configuration(tmp_path / "rules", texts, props, users)
        shop = Shop(sources, configuration, tmp_path / "mesh.log", own)
        made.append(shop)
        if start:
            shop.start()
        return shop

    yield make
    try:
        for shop in made:
            _end(shop)
    finally:
        for shop in made:
            if shop.mesh.running:
                shop.mesh.stop()
        for link in links:
            link.stop()
