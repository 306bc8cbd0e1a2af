"""A revision made ready beside the one that is served: what is kept, what is opened, and what is refused."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from dbmesh import switching
from dbmesh.assembly import Assembly, Served, assemble
from dbmesh.backend.connection import Flavour
from dbmesh.backend.pool import Pool
from dbmesh.backend.sqlite.connection import SQLiteConnection
from dbmesh.backend.tasks import TaskOwner
from dbmesh.engine.collect import collect
from dbmesh.governance.rule_follower import NotPrepared
from dbmesh.planner.cache import PlanCache
from dbmesh.rules.accounts import User
from dbmesh.rules.keygen.snowflake import Worker
from dbmesh.rules.loader import load_configuration
from dbmesh.rules.moving import Moving, Side
from dbmesh.rules.ruleset import Configuration
from dbmesh.session.mesh import Database
from dbmesh.switching import Switching, _plan_ahead, _tables_stay

_SHARDED = """
- !SHARDING
  tables:
    t_user:
      actualDataNodes: left.t_user_0,right.t_user_1
      tableStrategy: {standard: {shardingColumn: id, shardingAlgorithmName: two}}
  shardingAlgorithms:
    two: {type: MOD, props: {sharding-count: 2}}
"""


def _configuration(directory: Path, rules: str = " []", right: str = "right.db") -> Configuration:
    database = (
        f"databaseName: shop\ndataSources:\n  left: {{url: 'sqlite:{directory}/left.db'}}\n"
        f"  right: {{url: 'sqlite:{directory}/{right}'}}\nrules:{rules}\n"
    )
    users = "authority: {users: [{user: root, password: root}]}\n"
    return load_configuration({"global.yaml": users, "database-shop.yaml": database}, lambda kind, name: None)


class Door:
    """What the door was told."""

    def __init__(self) -> None:
        self.users: tuple[User, ...] = ()
        self.refusals: dict[str, str] = {}

    def take_users(self, users: tuple[User, ...]) -> None:
        self.users = users

    def refuse(self, by: str, reason: str) -> None:
        self.refusals[by] = reason


class World:
    """A mesh over two files."""

    def __init__(self, assembly: Assembly, door: Door, tasks: TaskOwner) -> None:
        self.assembly = assembly
        self.door = door
        self.tasks = tasks
        self.switching = Switching(assembly, door, 1.0)

    async def switch(self, configuration: Configuration, *, moves: bool = False) -> None:
        await self.switching.run(await self.switching.prepare(configuration, moves=moves))


@asynccontextmanager
async def _world(directory: Path, configuration: Configuration) -> AsyncIterator[World]:
    for name, statement in (
        ("left.db", "CREATE TABLE t_user_0 (id INT PRIMARY KEY)"),
        ("right.db", "CREATE TABLE t_user_1 (id INT PRIMARY KEY)"),
        ("third.db", "CREATE TABLE t_user_1 (id INT PRIMARY KEY)"),
        ("left.db", "CREATE TABLE t_config (id INT PRIMARY KEY)"),
    ):
        connection = await SQLiteConnection.open(str(directory / name), data_source="any", flavour=Flavour())
        await collect(connection, statement.encode())
        await connection.close()
    failures: list[BaseException] = []
    tasks = TaskOwner(failures.append)
    pools: list[Pool] = []
    try:
        assembly = await assemble(configuration, pools, None, Worker())
        assembly.watch(tasks)
        yield World(assembly, Door(), tasks)
    finally:
        await tasks.close()
        for pool in pools:
            await pool.close()
    assert not failures


async def test_what_goes_out_of_service_while_a_revision_is_made_ready_is_so_under_it(tmp_path: Path) -> None:
    async with _world(tmp_path, _configuration(tmp_path)) as world:
        prepared = await world.switching.prepare(_configuration(tmp_path, right="third.db"), moves=True)
        world.assembly.switch_off(frozenset({"shop.right"}))
        await world.switching.run(prepared)
        database = world.assembly.mesh.databases["shop"]
        assert {name: pool.disabled for name, pool in database.pools.items()} == {
            "left": False,
            "right": True,
        }


async def test_data_sources_that_stay_keep_their_pools(tmp_path: Path) -> None:
    async with _world(tmp_path, _configuration(tmp_path)) as world:
        mesh = world.assembly.mesh
        before = mesh.databases["shop"]
        before.plans.lookup("SELECT * FROM t_config WHERE id = 1", "shop")
        await world.switch(_configuration(tmp_path, _SHARDED, "third.db"), moves=True)
        after = mesh.databases["shop"]
        assert after.pools["left"] is before.pools["left"]
        assert after.pools["right"] is not before.pools["right"]
        assert after.pools["right"].idle == 1, "warm"
        assert set(after.catalog.tables) == {"t_user", "t_config"}
        assert after.plans.misses == 1, "planned ahead"
        after.plans.lookup("SELECT * FROM t_config WHERE id = 2", "shop")
        assert after.plans.misses == 1
        assert after.connection_key("left") == before.connection_key("left")
        assert after.connection_key("right") != before.connection_key("right"), "another place"
        assert [user.name for user in world.door.users] == ["root"]
        await asyncio.gather(*(one for one in asyncio.all_tasks() if one.get_name() == "former rules"))
        assert before.pools["right"] not in world.assembly.pools
        await world.switch(_configuration(tmp_path), moves=True)
        assert "t_user_0" in mesh.databases["shop"].catalog.tables


async def test_a_data_source_that_cannot_be_opened(tmp_path: Path) -> None:
    async with _world(tmp_path, _configuration(tmp_path)) as world:
        served, pools = world.assembly.mesh.databases["shop"], list(world.assembly.pools)
        with pytest.raises(NotPrepared, match="right"):
            await world.switching.prepare(_configuration(tmp_path, right="no/such/file.db"), moves=True)
        assert world.assembly.mesh.databases["shop"] is served
        assert world.assembly.pools == pools


async def test_rows_that_would_not_be_found(tmp_path: Path) -> None:
    async with _world(tmp_path, _configuration(tmp_path, _SHARDED)) as world:
        with pytest.raises(NotPrepared, match="may not be: data source 'right' of database 'shop'"):
            await world.switching.prepare(_configuration(tmp_path, _SHARDED, "third.db"), moves=False)
        others = _SHARDED.replace("left.t_user_0,right.t_user_1", "right.t_user_0,left.t_user_1")
        with pytest.raises(NotPrepared, match="may not be: table 't_user'"):
            await world.switching.prepare(_configuration(tmp_path, others), moves=False)


async def test_a_rule_that_does_not_look_where_a_table_is(tmp_path: Path) -> None:
    rules = _SHARDED.replace("t_user", "t_config")
    async with _world(tmp_path, _configuration(tmp_path)) as world:
        with pytest.raises(
            NotPrepared, match="table 't_config' of database 'shop' is on left without a rule"
        ):
            await world.switching.prepare(_configuration(tmp_path, rules), moves=False)
        await world.switching.discard(
            await world.switching.prepare(_configuration(tmp_path, rules), moves=True)
        )


async def test_what_was_changed_since_is_not_lost(tmp_path: Path) -> None:
    async with _world(tmp_path, _configuration(tmp_path)) as world:
        prepared = await world.switching.prepare(_configuration(tmp_path, _SHARDED), moves=False)
        connection = await SQLiteConnection.open(
            str(tmp_path / "left.db"), data_source="any", flavour=Flavour()
        )
        await collect(connection, b"CREATE TABLE t_late (id INT PRIMARY KEY)")
        await connection.close()
        mesh = world.assembly.mesh
        await mesh.reload(mesh.databases["shop"])
        await world.switching.run(prepared)
        assert set(mesh.databases["shop"].catalog.tables) == {"t_user", "t_config", "t_late"}
        world.switching.refuse_clients("why")
        assert world.door.refusals == {"rules": "why"}


async def test_a_database_that_has_gone_since_leaves_no_pools(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configuration = _configuration(tmp_path)

    async def with_another(store: object, of: Configuration) -> Served:
        del store
        return Served({**of.databases, "late": replace(of.databases["shop"], database="late")})

    async with _world(tmp_path, configuration) as world:
        before = list(world.assembly.pools)
        monkeypatch.setattr(switching, "served_rules", with_another)
        prepared = await world.switching.prepare(configuration, moves=False)
        opened = [pool for pool in world.assembly.pools if pool not in before]
        assert opened
        await world.switching.run(prepared)
        assert set(world.assembly.mesh.databases) == {"shop"}
        assert world.assembly.pools == before
        assert not any(pool.size for pool in opened)


async def test_a_database_that_goes_while_another_is_read_for_the_switch_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configuration = _configuration(tmp_path)
    made = configuration.databases["shop"]
    async with _world(tmp_path, configuration) as world:
        assembly, mesh = world.assembly, world.assembly.mesh
        await assembly.add(replace(made, database="late"))

        async def with_another(store: object, of: Configuration) -> Served:
            del store
            return Served({**of.databases, "late": replace(of.databases["shop"], database="late")})

        monkeypatch.setattr(switching, "served_rules", with_another)
        prepared = await world.switching.prepare(configuration, moves=False)
        await mesh.reload(mesh.databases["shop"])
        read, dropped = assembly.read, mesh.databases["late"]

        async def reading(database: Database, served: Served, touched: frozenset[str] | None) -> Database:
            if "late" in mesh.databases:
                await assembly.remove(dropped)
            return await read(database, served, touched)

        monkeypatch.setattr(assembly, "read", reading)
        await world.switching.run(prepared)
        assert set(mesh.databases) == {"shop"}
        assert not any(pool.size for pool in dropped.pools.values())


async def test_both_sides_are_planned_ahead(tmp_path: Path) -> None:
    async with _world(tmp_path, _configuration(tmp_path)) as world:
        served = world.assembly.mesh.databases["shop"]

        def generation() -> Database:
            read, other = (replace(served, plans=PlanCache(served.plans.planner)) for _ in range(2))
            return replace(read, doubles={"t_config": other})

        before, after = generation(), generation()
        before.doubles["t_config"].plans.lookup("DELETE FROM t_config WHERE id = 5 AND id = 6", "shop")
        await _plan_ahead(before, after)
        found = after.doubles["t_config"].plans
        found.lookup("DELETE FROM t_config WHERE id = 7 AND id = 8", "shop")
        assert found.misses == 1
        assert after.plans.misses == 0


def test_when_the_tables_of_data_sources_stay_as_they_are() -> None:
    prepared = Moving(7, "shop", Side.BEFORE, False, "", ())
    doubled = replace(prepared, doubled=True)
    cut_over = replace(doubled, reads=Side.AFTER)
    named = replace(cut_over, doubled=False, named=True)
    assert _tables_stay(None, None)
    assert _tables_stay(doubled, cut_over)
    assert _tables_stay(cut_over, doubled)
    assert _tables_stay(replace(prepared, follows=True), replace(doubled, follows=True))
    for before, after in (
        (None, prepared),
        (prepared, doubled),
        (cut_over, named),
        (named, None),
        (doubled, replace(doubled, job=8)),
    ):
        assert not _tables_stay(before, after)


async def test_what_could_not_be_read_last_time_is_read_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with _world(tmp_path, _configuration(tmp_path)) as world:
        mesh, assembly = world.assembly.mesh, world.assembly
        asked: list[frozenset[str] | None] = []
        read = assembly.read

        async def noting(database: Database, served: Served, touched: frozenset[str] | None) -> Database:
            asked.append(touched)
            return await read(database, served, touched)

        monkeypatch.setattr(assembly, "read", noting)
        await world.switch(_configuration(tmp_path))

        async def away() -> tuple[Configuration, Mapping[str, Database]]:
            return mesh.configuration, {"shop": replace(mesh.databases["shop"], unread="it was away")}

        await mesh.switch(away)
        await world.switch(_configuration(tmp_path))
        assert asked == [frozenset(), None]


async def test_former_rules_leave_nothing_behind(tmp_path: Path) -> None:
    """What could not be planned in one way is remembered with its plan, and must not keep who asked."""
    async with _world(tmp_path, _configuration(tmp_path)) as world:
        mesh = world.assembly.mesh
        former = weakref.ref(mesh.databases["shop"].plans)
        mesh.databases["shop"].plans.lookup("SELECT * FROM t_config WHERE id = 1", "shop")
        await world.switch(_configuration(tmp_path))
        await asyncio.gather(*(one for one in asyncio.all_tasks() if one.get_name() == "former rules"))
        gc.collect()
        assert former() is None
