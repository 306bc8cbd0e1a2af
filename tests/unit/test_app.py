"""What is built from a configuration, what keeps it from being built, and that all of it is taken down."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pymysql
import pytest

from dbmesh import __version__, app
from dbmesh.assembly import build_mesh
from dbmesh.backend.connection import Flavour
from dbmesh.backend.mysql import MySQLConnection
from dbmesh.backend.pool import Pool
from dbmesh.backend.sqlite.connection import SQLiteConnection
from dbmesh.engine.collect import collect
from dbmesh.errors import StartError
from dbmesh.rules.keygen.snowflake import Snowflake
from dbmesh.rules.keygen.uuid import Uuid
from dbmesh.rules.loader import load_configuration
from dbmesh.rules.ruleset import Configuration
from dbmesh.server.listener import SERVER_VERSION
from dbmesh.session.mesh import Mesh
from dbmesh.wire.constants import Capability
from tests.plugins.canned import MemoryTransport

_DATABASE = """\
databaseName: {name}
dataSources:
  left: {{url: "{left}"}}
  right: {{url: "{right}"}}
rules:
- !SHARDING
  tables:
    t_user:
      actualDataNodes: left.t_user_0,right.t_user_1
      tableStrategy: {{standard: {{shardingColumn: id, shardingAlgorithmName: two}}}}
      keyGenerateStrategy: {{column: id}}
  shardingAlgorithms:
    two: {{type: MOD, props: {{sharding-count: 2}}}}
  keyGenerators:
    ids: {{type: UUID}}
"""


def _configuration(directory: Path, props: str = "{}", **urls: str) -> Configuration:
    """One logic database over two SQLite files, unless `left` or `right` say otherwise."""
    own = {"left": f"sqlite:{directory}/left.db", "right": f"sqlite:{directory}/right.db"} | urls
    files = {
        "global.yaml": f"authority: {{users: [{{user: root, password: root}}]}}\nprops: {props}\n",
        "database-shop.yaml": _DATABASE.format(name="shop", **own),
    }
    return load_configuration(files, lambda kind, name: None)


async def _create(file: Path, *statements: str) -> None:
    connection = await SQLiteConnection.open(str(file), data_source="any", flavour=Flavour())
    try:
        for statement in statements:
            await collect(connection, statement.encode())
    finally:
        await connection.close()


@asynccontextmanager
async def _built(configuration: Configuration) -> AsyncIterator[Mesh]:
    pools: list[Pool] = []
    try:
        yield await build_mesh(configuration, pools)
    finally:
        for pool in pools:
            await pool.close()


def _closed_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])


async def test_a_mesh_knows_the_tables_of_its_data_sources(tmp_path: Path) -> None:
    await _create(tmp_path / "left.db", "CREATE TABLE t_user_0 (id INT)", "CREATE TABLE t_left (id INT)")
    async with _built(_configuration(tmp_path)) as mesh:
        shop = mesh.databases["shop"]
        assert set(shop.catalog.tables) == {"t_user", "t_left"}
        assert str(shop.catalog.single_nodes["t_left"]) == "left.t_left"
        assert set(shop.pools) == {"left", "right"}
        assert isinstance(shop.key_generators["snowflake"], Snowflake)
        assert isinstance(shop.key_generators["ids"], Uuid)
        assert shop.unread == ""


async def test_a_catalog_is_read_again_on_demand(tmp_path: Path) -> None:
    async with _built(_configuration(tmp_path)) as mesh:
        before = mesh.databases["shop"]
        await _create(tmp_path / "right.db", "CREATE TABLE t_late (id INT)")
        await mesh.reload(before)
        assert "t_late" not in before.catalog.tables
        assert "t_late" in mesh.databases["shop"].catalog.tables
        assert mesh.databases["shop"].pools is before.pools


async def test_as_many_plans_are_kept_as_the_configuration_says(tmp_path: Path) -> None:
    statements = [f"SELECT 1 AS {name}" for name in "abcd"]
    for size, missed in ((2, 8), (100, 4)):
        async with _built(_configuration(tmp_path, f"{{plan-cache-size: {size}}}")) as mesh:
            plans = mesh.databases["shop"].plans
            for statement in statements * 2:
                plans.lookup(statement, "shop")
            assert plans.misses == missed


async def test_a_data_source_that_is_away_stops_nothing_and_is_named(tmp_path: Path) -> None:
    await _create(tmp_path / "left.db", "CREATE TABLE t_left (id INT)")
    away = f"mysql://u:p@127.0.0.1:{_closed_port()}/d"
    async with _built(_configuration(tmp_path, right=away)) as mesh:
        assert "t_left" in mesh.databases["shop"].catalog.tables
        assert "'right' cannot be reached" in mesh.databases["shop"].unread


async def test_a_table_of_two_data_sources_keeps_the_mesh_from_starting(tmp_path: Path) -> None:
    for name in ("left", "right"):
        await _create(tmp_path / f"{name}.db", "CREATE TABLE t_twice (id INT)")
    with pytest.raises(StartError, match=r"'t_twice' has no rule and exists on both 'left' and 'right'"):
        async with _built(_configuration(tmp_path)):
            pass


async def test_a_mesh_without_databases_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="no logic database"):
        await build_mesh(replace(_configuration(tmp_path), databases={}), [])


async def test_it_serves_until_what_it_was_started_for_fails(tmp_path: Path) -> None:
    bound: list[tuple[str, int]] = []

    async def ready(host: str, port: int) -> None:
        bound.append((host, port))
        reader, writer = await asyncio.open_connection(host, port)
        assert await reader.readexactly(4)
        writer.close()
        await writer.wait_closed()
        raise LookupError("no rows")

    with pytest.raises(LookupError, match="no rows"):
        await app.serve(_configuration(tmp_path), "127.0.0.1", 0, ready)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(*bound[0])


async def test_a_taken_port_and_a_missing_certificate_are_one_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StartError, match=f"cannot listen on 127.0.0.1:{port}: Address already in use"):
            await app.serve(_configuration(tmp_path), "127.0.0.1", port)
    props = f"{{proxy-frontend-ssl-enabled: true, proxy-frontend-ssl-cert: {tmp_path}/none.pem}}"
    with pytest.raises(StartError, match="proxy-frontend-ssl-cert and -ca: "):
        await app.serve(_configuration(tmp_path, props), "127.0.0.1", 0)


async def test_who_is_busy_is_waited_for_as_long_as_the_configuration_says(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clients: list[pymysql.Connection[Any]] = []

    def begin(host: str, port: int) -> None:
        clients.append(pymysql.connect(host=host, port=port, user="root", password="root", database="shop"))
        clients[0].begin()

    async def ready(host: str, port: int) -> None:
        await asyncio.to_thread(begin, host, port)
        raise LookupError

    with pytest.raises(LookupError):
        await app.serve(_configuration(tmp_path, "{drain-timeout-seconds: 0}"), "127.0.0.1", 0, ready)
    clients[0]._force_close()  # type: ignore[attr-defined]
    assert "1 clients were still busy after 0 s and are cut off" in caplog.text


async def _greeting(tmp_path: Path, props: str) -> bytes:
    """The first packet a client gets."""
    greetings: list[bytes] = []

    async def ready(host: str, port: int) -> None:
        reader, writer = await asyncio.open_connection(host, port)
        length = int.from_bytes((await reader.readexactly(4))[:3], "little")
        greetings.append(await reader.readexactly(length))
        writer.close()
        await writer.wait_closed()
        raise LookupError

    with pytest.raises(LookupError):
        await app.serve(_configuration(tmp_path, props), "127.0.0.1", 0, ready)
    return greetings[0]


@pytest.mark.parametrize("offered", [True, False])
async def test_tls_is_offered_when_the_configuration_says_so(tmp_path: Path, offered: bool) -> None:
    greeting = await _greeting(tmp_path, f"{{proxy-frontend-ssl-enabled: {str(offered).lower()}}}")
    version_end = greeting.index(b"\0")
    low = int.from_bytes(greeting[version_end + 14 : version_end + 16], "little")
    assert bool(low & Capability.SSL) == offered
    assert greeting[1:version_end].decode() == SERVER_VERSION


def _pool_with(version: str) -> Pool:
    connection = MySQLConnection(
        "ds", "d", Flavour(), MemoryTransport(), None, 0, 1, 2, 0.0, cast("Any", None), version
    )
    return cast("Any", SimpleNamespace(idle_connections=lambda: [connection]))


@pytest.mark.parametrize(
    ("version", "announced"),
    [
        ("10.11.6-MariaDB", f"5.5.5-10.11.6-MariaDB-dbmesh-{__version__}"),
        ("11.4.2-MariaDB", f"11.4.2-MariaDB-dbmesh-{__version__}"),
        ("8.4.2", f"8.4.2-dbmesh-{__version__}"),
        ("", SERVER_VERSION),
    ],
)
def test_clients_are_greeted_with_the_version_behind_the_mesh(version: str, announced: str) -> None:
    assert app._announced_version([_pool_with(version)]) == announced
