"""DistSQL on the port of clients: what a session is shown of rules and mesh, and what it may switch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pytest

from dbmesh.planner.session_plan import ShowMesh
from dbmesh.rules.privileges import OF_DATABASE, Privileges, Target, grant
from dbmesh.rules.repositories import EtcdRepository
from dbmesh.session.peers import Sidecar
from dbmesh.session.statements.distsql import mesh_of
from dbmesh.wire.packets import parse_err
from tests.plugins.merging import values
from tests.plugins.session_world import SessionWorld


def text_rows(packets: list[tuple[int, bytes]]) -> list[tuple[str | None, ...]]:
    """The rows of an answer."""
    columns = packets[0][1][0]
    return values([payload for _, payload in packets[1 + columns : -1]])


class FakePeers:
    """Two sidecars; notes what is switched."""

    def __init__(self) -> None:
        self.switched: list[tuple[str, bool]] = []

    async def sidecars(self) -> Sequence[Sidecar]:
        return [
            Sidecar("one", "127.0.0.1:3307", "OK", "0.1.0", own=True),
            Sidecar("two", "127.0.0.2:3307", "CIRCUIT_BREAK", "0.1.0", own=False),
        ]

    async def switch_sidecar(self, id_: str, *, on: bool) -> None:
        self.switched.append((id_, on))

    async def switch_data_source(self, name: str, *, on: bool) -> None:
        self.switched.append((name, on))


def _world() -> tuple[SessionWorld, FakePeers]:
    world, peers = SessionWorld(), FakePeers()
    world.mesh.peers = cast("Any", peers)
    configuration = world.mesh.configuration
    configuration.repository = EtcdRepository("shop", ("a:2379", "b:2379"), password="geheim")  # type: ignore[misc]
    return world, peers


async def _error(world: SessionWorld, sql: str) -> int:
    [(_, packet)] = await world.command(b"\x03" + sql.encode())
    return parse_err(packet).number


async def test_rules_of_the_current_database_or_another() -> None:
    world, _ = _world()
    for sql in ("SHOW SHARDING TABLE NODES t_order", "SHOW SHARDING TABLE NODES t_order FROM Shop"):
        [row] = text_rows(await world.command(b"\x03" + sql.encode()))
        assert row[0] == "t_order"
        assert (row[1] or "").startswith("ds_0.t_order_0, ")
    assert await _error(world, "SHOW STORAGE UNITS FROM nope") == 1049
    assert await _error(world, "SHOW STORAGE UNITS FROM") == 1064
    world.session.database = None
    assert await _error(world, "SHOW STORAGE UNITS") == 1046
    await world.end()


async def test_who_may_see() -> None:
    world, _ = _world()
    session = world.session
    session.privileges = session.checked = Privileges(frozenset(grant(Target("shop"), OF_DATABASE)))
    assert text_rows(await world.command(b"\x03SHOW BROADCAST TABLE RULES"))
    for sql in (
        "SHOW COMPUTE NODES",
        "SHOW AUTHORITY RULE",
        "SHOW DIST VARIABLES",
        "DISABLE COMPUTE NODE one",
    ):
        assert await _error(world, sql) == 1227, sql
    session.privileges = session.checked = Privileges(
        frozenset(grant(Target("shop", "t_order"), OF_DATABASE))
    )
    assert await _error(world, "SHOW STORAGE UNITS") == 1044
    await world.end()


async def test_the_mesh() -> None:
    world, peers = _world()
    columns, rows = await mesh_of(world.mesh, ShowMesh("COMPUTE NODES"))
    assert columns[:5] == ("instance_id", "instance_type", "host", "port", "status")
    assert [row[:6] for row in rows] == [
        ("one", "PROXY", "127.0.0.1", "3307", "OK", "Cluster"),
        ("two", "PROXY", "127.0.0.2", "3307", "CIRCUIT_BREAK", "Cluster"),
    ]
    columns, [own] = await mesh_of(world.mesh, ShowMesh("COMPUTE NODE INFO"))
    assert dict(zip(columns, own, strict=True))["instance_id"] == "one"
    assert (await mesh_of(world.mesh, ShowMesh("COMPUTE NODE MODE")))[1] == [
        ("Cluster", "etcd", "namespace=shop,server-lists=a:2379;b:2379")
    ]
    assert (await mesh_of(world.mesh, ShowMesh("DIST VARIABLE", "sql-show")))[1] == [("sql_show", "false")]
    found = (await mesh_of(world.mesh, ShowMesh("DIST VARIABLES", None, "sql%")))[1]
    assert found == [("sql_show", "false")]
    assert (await mesh_of(world.mesh, ShowMesh("TRANSACTION RULE")))[1] == [("LOCAL", "", "")]
    assert (await mesh_of(world.mesh, ShowMesh("AUTHORITY RULE")))[1][0][0] == "root@%"
    await world.command(b"\x03DISABLE COMPUTE NODE 'two'")
    await world.command(b"\x03ENABLE COMPUTE NODE two-three")
    assert peers.switched == [("two", False), ("two-three", True)]
    assert await _error(world, "ALTER READWRITE_SPLITTING RULE g DISABLE r") == 1235
    world.mesh.peers = None
    assert await _error(world, "ENABLE COMPUTE NODE one") == 1235
    assert text_rows(await world.command(b"\x03SHOW COMPUTE NODES")) == []
    await world.end()


async def test_the_file_of_a_database_is_shown_without_its_secrets() -> None:
    world, _ = _world()
    text = "databaseName: Shop\ndataSources: {ds_0: {url: 'mysql://a/b', password: geheim}}\n"
    world.mesh.configuration.files = {"global.yaml": "props: {}\n", "database-shop.yaml": text}  # type: ignore[misc]
    for sql in ("EXPORT DATABASE CONFIGURATION", "EXPORT DATABASE CONFIGURATION FROM shop"):
        [(shown,)] = text_rows(await world.command(b"\x03" + sql.encode()))
        assert (shown or "").startswith("databaseName: Shop\n")
        assert "geheim" not in (shown or "")
    assert await _error(world, "EXPORT DATABASE CONFIGURATION FROM nope") == 1049
    world.mesh.configuration.files = {}  # type: ignore[misc]
    assert await _error(world, "EXPORT DATABASE CONFIGURATION") == 1235
    session = world.session
    session.privileges = session.checked = Privileges(frozenset(grant(Target("shop"), OF_DATABASE)))
    assert await _error(world, "EXPORT DATABASE CONFIGURATION") == 1227
    await world.end()


@pytest.mark.parametrize("form", ["PARSE", "FORMAT"])
async def test_what_the_parser_makes_of_a_statement(form: str) -> None:
    world, _ = _world()
    [row] = text_rows(await world.command(f"\x03{form} SELECT 1".encode()))
    assert "elect" in (row[0] or "").lower()
    assert world.sent == []
    await world.end()
