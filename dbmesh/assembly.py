"""Builds what a process serves: logic databases with their pools, catalogs, plans and replica groups.

Decides what is built in which order, and how a logic database comes and goes while the mesh runs. Everything it wires together is
tested where it lives.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from dbmesh.backend.opening import make_pool
from dbmesh.backend.pool import Pool
from dbmesh.backend.replicas import Replicas
from dbmesh.backend.tasks import TaskOwner
from dbmesh.engine.catalog_loading import load_catalog
from dbmesh.engine.replica_monitor import ReplicaMonitor
from dbmesh.governance.databases import read_databases
from dbmesh.governance.declared_keys import read_declared
from dbmesh.governance.made_rules import read_made
from dbmesh.governance.protection.breakers import Clock
from dbmesh.governance.protection.protector import Protector
from dbmesh.governance.record_locks import StoredRecordLocks
from dbmesh.governance.store import Store, StoreError
from dbmesh.model import Catalog, TableSchema
from dbmesh.planner.cache import PlanCache
from dbmesh.planner.catalog import AmbiguousTable
from dbmesh.planner.plan import KeyGenerator
from dbmesh.planner.planner import Planner
from dbmesh.rules.auto_tables import with_made
from dbmesh.rules.declared_keys import with_declared
from dbmesh.rules.joint import Place, places
from dbmesh.rules.keygen import make_key_generator
from dbmesh.rules.keygen.snowflake import Worker
from dbmesh.rules.mistakes import ConfigurationError
from dbmesh.rules.ruleset import Configuration, RuleSet
from dbmesh.session.corrections import DefinitionCache
from dbmesh.session.mesh import Database, Mesh


class StartError(Exception):
    """The mesh cannot start; the text is one sentence for the operator."""


async def stored_rules(store: Store, rule_set: RuleSet) -> RuleSet:
    """A rule set with the rules that CREATE TABLE made. Raises StartError."""
    try:
        made = await read_made(store, rule_set.database)
        declared = await read_declared(store, rule_set.database)
        found = with_made(rule_set, made) if made else rule_set
        return with_declared(found, declared) if declared else found
    except StoreError as error:
        raise StartError(str(error)) from error
    except ConfigurationError as error:
        first = error.mistakes[0]
        raise StartError(
            f"a rule that CREATE TABLE made in database '{rule_set.database}' no longer holds: {first.message}"
        ) from error


async def build_mesh(configuration: Configuration, pools: list[Pool], store: Store | None = None) -> Mesh:
    """Pools, catalogs and plans of every logic database, with the rules of the store. Pools made are added to `pools` for
    the caller to close. Raises StartError."""
    return (await assemble(configuration, pools, store, Worker())).mesh


async def assemble(
    configuration: Configuration, pools: list[Pool], store: Store | None, worker: Worker
) -> Assembly:
    """As `build_mesh`, with what it takes to change the mesh while it runs."""
    if not configuration.databases:
        raise StartError("the configuration has no logic database")
    rule_sets = dict(configuration.databases)
    if store is not None:
        for made in await read_databases(store):
            beside = configuration.databases.get(made.beside.lower())
            if beside is not None:
                rule_sets.setdefault(made.name.lower(), made.rule_set(beside))
        rule_sets = {name: await stored_rules(store, rule_set) for name, rule_set in rule_sets.items()}
    assembly = Assembly(configuration, pools, rule_sets, worker)
    mesh = assembly.mesh
    if store is not None and configuration.record_locks:
        mesh.compensator.locks = StoredRecordLocks(store)
    await assembly.look()
    try:
        await asyncio.gather(*(mesh.reload(database) for database in mesh.databases.values()))
    except AmbiguousTable as error:
        raise StartError(str(error)) from error
    return assembly


class Assembly:
    """Builds logic databases: those of the configuration, and those made and dropped while the mesh runs."""

    def __init__(
        self, configuration: Configuration, pools: list[Pool], rule_sets: dict[str, RuleSet], worker: Worker
    ) -> None:
        self._pools = pools
        self._rule_sets = rule_sets
        self._plan_cache_size = int(configuration.properties["plan-cache-size"])
        self._worker = worker
        self._loop = asyncio.get_running_loop()
        self._tables_known: dict[str, dict[str, Mapping[str, TableSchema]]] = {}
        self._keys: dict[Place, str] = {}
        self._monitors: dict[str, list[ReplicaMonitor]] = {}
        self._watching: dict[str, list[asyncio.Task[None]]] = {}
        self._tasks: TaskOwner | None = None
        self.protector = Protector(configuration.protection, Clock(self._loop.time, random.random))
        databases = {name.lower(): self._database(rule_set) for name, rule_set in rule_sets.items()}
        self.mesh = Mesh(configuration, databases, self._reload, self._loop.time(), os.urandom(8))
        self.protector.protect(self.mesh)

    async def add(self, rule_set: RuleSet) -> None:
        """One more logic database, its catalog read."""
        self._rule_sets[rule_set.database.lower()] = rule_set
        database = self._database(rule_set)
        self.mesh.add_database(database)
        await self.look()
        await self.mesh.reload(database)
        self._plan_anew()
        if self._tasks is not None:
            self.watch(self._tasks)

    async def look(self) -> None:
        """Look once at replica groups nobody looks at yet: which server is the primary is known before it is asked
        anything."""
        monitors = [
            monitor
            for key, monitors in self._monitors.items()
            if key not in self._watching
            for monitor in monitors
        ]
        try:
            await asyncio.gather(*(monitor.look() for monitor in monitors))
        finally:
            for monitor in monitors:
                monitor.close()

    def watch(self, tasks: TaskOwner) -> None:
        """From now on look at replica groups again and again."""
        self._tasks = tasks
        for key, monitors in self._monitors.items():
            if key not in self._watching:
                self._watching[key] = [tasks.start(monitor.serve(), "replicas") for monitor in monitors]

    async def remove(self, database: Database) -> None:
        """Take a logic database out; its connections are closed."""
        del self._rule_sets[database.name.lower()]
        self.mesh.remove_database(database.name)
        self._plan_anew()
        del self._monitors[database.name.lower()]
        for task in self._watching.pop(database.name.lower(), ()):
            task.cancel()
        reading = [pool for replicas in database.replicas.values() for pool in replicas.pools]
        for pool in (*database.pools.values(), *database.merge_pools.values(), *reading):
            self._pools.remove(pool)
            await pool.close()

    def _plan_anew(self) -> None:
        """What has been planned knows the logic databases there were."""
        for key, database in self.mesh.databases.items():
            self.mesh.databases[key] = replace(
                database, plans=self._plans(database.rule_set, database.catalog)
            )

    def _plans(self, rule_set: RuleSet, catalog: Catalog) -> PlanCache:
        return PlanCache(Planner(rule_set, catalog, self._rule_sets), self._plan_cache_size)

    def _database(self, rule_set: RuleSet) -> Database:
        """A logic database whose catalog has not been read."""
        own = {name: make_pool(config) for name, config in rule_set.data_sources.items()}
        merging = {name: make_pool(config) for name, config in rule_set.data_sources.items()}
        self._pools.extend((*own.values(), *merging.values()))
        self.protector.guard_pools(rule_set.database, own)
        self.protector.guard_pools(rule_set.database, merging)
        replicas = {
            name: Replicas(group, (own[name], merging[name]), make_pool, random.random)
            for name, group in rule_set.groups.items()
        }
        self._pools.extend(pool for group in replicas.values() for pool in group.pools)
        self._monitors[rule_set.database.lower()] = [ReplicaMonitor(group) for group in replicas.values()]
        self._tables_known[rule_set.database.lower()] = {}
        nothing = Catalog({}, {})
        return Database(
            rule_set.database,
            rule_set,
            nothing,
            self._plans(rule_set, nothing),
            MappingProxyType(own),
            {},
            self._loop.time(),
            merge_pools=MappingProxyType(merging),
            replicas=MappingProxyType(replicas),
            connection_keys=MappingProxyType(
                {
                    name: self._keys.setdefault(place, f"{rule_set.database}.{name}")
                    for name, place in places(rule_set.data_sources).items()
                }
            ),
        )

    async def _reload(self, database: Database, touched: frozenset[str] | None) -> Database:
        key, rule_set = database.name.lower(), database.rule_set
        # What could not be read last time is looked at as a whole.
        touched = None if database.unread else touched
        catalog, unread, unseen = await load_catalog(
            rule_set, database.pools, self._tables_known[key], touched
        )
        self._rule_sets[key] = rule_set
        return replace(
            database,
            catalog=catalog,
            plans=self._plans(rule_set, catalog),
            key_generators=MappingProxyType(_generators(rule_set, database.key_generators, self._worker)),
            loaded_at=self._loop.time(),
            unread=unread,
            unseen=unseen,
            definitions=DefinitionCache(),
        )


def _generators(
    rule_set: RuleSet, known: Mapping[str, KeyGenerator], worker: Worker
) -> dict[str, KeyGenerator]:
    """A rule set's generators; those there are go on."""
    made = dict(known)
    for name, config in rule_set.key_generators.items():
        if name not in made:
            made[name] = make_key_generator(config, _now_ms, os.urandom, worker)
    return made


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
