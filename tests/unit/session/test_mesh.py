"""Logic databases by name, and catalogs that are read one at a time."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dbmesh.backend.connection import Connection, Flavour
from dbmesh.backend.pool import Pool
from dbmesh.model import DataNode
from dbmesh.rules.ruleset import DataSourceConfig, RuleSet, ShardedTable, Strategy
from dbmesh.session.mesh import Database, Mesh
from dbmesh.transaction.xid import Place

PROPERTIES = {
    "merge-max-rows": "1",
    "federation-max-rows": "1",
    "federation-max-bytes": "2",
    "merge-max-bytes": "2",
    "max-allowed-packet": "3",
    "max-connections-size-per-query": "0",
    "sql-show": False,
}


def _database(name: str = "Shop") -> Database:
    nodes = (DataNode("ds_0", "t_0"), DataNode("ds_0", "t_1"))
    table = ShardedTable("T", nodes, Strategy("none"), Strategy("none"))
    rules = RuleSet(name, 1, {}, {"t": table})
    return Database(name, rules, cast("Any", None), cast("Any", None), {}, {}, 0.0)


def _mesh(reload: Any, *databases: Database, **properties: object) -> Mesh:
    configuration = cast(
        "Any", SimpleNamespace(properties=PROPERTIES | properties, record_locks=False, users=())
    )
    return Mesh(configuration, {one.name.lower(): one for one in databases}, reload, 0.0, bytes(8))


def test_names_lead_from_actual_tables_to_logic_ones() -> None:
    names = _database().names(["T", "single"])
    assert (names.database, dict(names.tables)) == ("Shop", {"t_0": "T", "t_1": "T"})


def test_databases_are_found_without_case() -> None:
    mesh = _mesh(None, _database("Shop"), _database("hr"))
    assert mesh.database("SHOP") is mesh.databases["shop"]
    assert mesh.database("other") is None
    assert mesh.connections_per_query == 1, "0 connections would never answer"


def test_properties_are_every_sessions() -> None:
    mesh = _mesh(None, _database(), **{"max-connections-size-per-query": 4, "sql-show": True})
    assert (mesh.limits.max_rows, mesh.limits.max_bytes, mesh.max_allowed_packet) == (1, 2, 3)
    assert (mesh.connections_per_query, mesh.shows_statements) == (4, True)
    assert _mesh(None, _database()).shows_statements is False


async def test_catalogs_are_read_one_at_a_time_and_the_last_reading_stays() -> None:
    running = 0
    finished: list[float] = []

    async def reload(database: Database, touched: frozenset[str] | None) -> Database:
        del touched
        nonlocal running
        running += 1
        assert running == 1, "two readings at once"
        await asyncio.sleep(0)
        running -= 1
        finished.append(database.loaded_at)
        return replace(database, loaded_at=len(finished))

    before = _database()
    mesh = _mesh(reload, before)
    await asyncio.gather(*(mesh.reload(before) for _ in range(3)))
    assert mesh.databases["shop"].loaded_at == 3
    assert before.loaded_at == 0.0, "a statement keeps the one it started with"


class Slow:
    """Reads catalogs when it may go on."""

    def __init__(self) -> None:
        self.reading, self.goes_on = asyncio.Event(), asyncio.Event()

    async def reload(self, database: Database, touched: frozenset[str] | None) -> Database:
        del touched
        self.reading.set()
        await self.goes_on.wait()
        return replace(database, loaded_at=1.0)


def _same(rule_set: RuleSet) -> RuleSet:
    return rule_set


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("changes", [False, True])
async def test_what_is_read_of_a_database_that_is_dropped_meanwhile_is_not_served(
    changes: bool, again: bool
) -> None:
    before, after, slow = _database(), _database(), Slow()
    mesh = _mesh(slow.reload, before)
    async with asyncio.TaskGroup() as group:
        group.create_task(mesh.change_rules("shop", _same) if changes else mesh.reload(before))
        await slow.reading.wait()
        mesh.remove_database("shop")
        if again:
            mesh.add_database(after)
        slow.goes_on.set()
    assert mesh.databases.get("shop") is (after if again else None)


async def test_rules_of_a_database_that_is_dropped_before_they_change_are_gone() -> None:
    before, slow = _database(), Slow()
    mesh = _mesh(slow.reload, before)
    async with asyncio.TaskGroup() as group:
        group.create_task(mesh.reload(before))
        await slow.reading.wait()
        group.create_task(mesh.change_rules("shop", _same))
        await asyncio.sleep(0)
        mesh.remove_database("shop")
        slow.goes_on.set()
    assert not mesh.databases


async def test_decisions_of_a_group_stay_where_they_are_called_when_the_primary_changes() -> None:
    async def open_connection(flavour: Flavour) -> Connection:
        raise AssertionError("nobody connects")

    async def reload(database: Database, touched: frozenset[str] | None) -> Database:
        del touched
        return database

    config = DataSourceConfig("ds", "mysql", "p", 3306, "shop", "mesh")
    pool = Pool(config, open_connection)
    database = replace(_database(), rule_set=RuleSet("Shop", 1, {"ds": config}, {}), merge_pools={"ds": pool})
    coordinator = _mesh(reload, database).coordinator
    before = dict(coordinator.places())
    pool.move(replace(config, host="r1"), abandon=False)
    assert coordinator.places() == before == {Place("p", 3306, "shop"): pool}
