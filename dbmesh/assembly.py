"""Builds what a process serves: logic databases with their pools, catalogs, plans and replica groups.

Decides what is built in which order, and how a logic database comes and goes while the mesh runs. Everything it wires together is
tested where it lives.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from dbmesh.backend.opening import make_pool
from dbmesh.backend.pool import Pool
from dbmesh.backend.replicas import Replicas
from dbmesh.backend.tasks import TaskOwner
from dbmesh.engine.catalog_loading import load_catalog
from dbmesh.engine.replica_monitor import ReplicaMonitor
from dbmesh.errors import StartError
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
from dbmesh.reshard.jobs.generation import planned_by
from dbmesh.rules.auto_tables import with_made
from dbmesh.rules.declared_keys import with_declared
from dbmesh.rules.joint import Place, places
from dbmesh.rules.keygen import make_key_generator
from dbmesh.rules.keygen.snowflake import Worker
from dbmesh.rules.mistakes import ConfigurationError
from dbmesh.rules.ruleset import Configuration, RuleSet
from dbmesh.rules.shadow.rule import all_groups, all_sources
from dbmesh.session.answering.corrections import DefinitionCache
from dbmesh.session.mesh import Database, Mesh


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
    configuration: Configuration,
    pools: list[Pool],
    store: Store | None,
    worker: Worker,
    directory: Path = Path(),
) -> Assembly:
    """As `build_mesh`, with what it takes to change the mesh while it runs. Files it writes are from `directory`."""
    if not configuration.databases:
        raise StartError("the configuration has no logic database")
    served = await served_rules(store, configuration)
    assembly = Assembly(configuration, pools, served, worker, store, directory)
    mesh = assembly.mesh
    if store is not None and configuration.record_locks:
        mesh.compensator.locks = StoredRecordLocks(store)
    await assembly.look()
    try:
        await asyncio.gather(*(mesh.reload(database) for database in mesh.databases.values()))
    except AmbiguousTable as error:
        raise StartError(str(error)) from error
    return assembly


async def all_rules(store: Store | None, configuration: Configuration) -> dict[str, RuleSet]:
    """The rule sets of a configuration, and those of databases and tables made while the mesh ran. Raises StartError."""
    rule_sets = dict(configuration.databases)
    if store is None:
        return rule_sets
    for made in await read_databases(store):
        beside = configuration.databases.get(made.beside.lower())
        if beside is not None:
            rule_sets.setdefault(made.name.lower(), made.rule_set(beside))
    return {name: await stored_rules(store, rule_set) for name, rule_set in rule_sets.items()}


async def served_rules(store: Store | None, configuration: Configuration) -> Served:
    """The rule sets that statements are planned by, where rows are being moved too. Raises StartError."""
    served = Served(await all_rules(store, configuration))
    moving, other = configuration.moving, configuration.other
    if moving is None or other is None:
        return served
    key = moving.database.lower()
    if store is not None:
        other = await stored_rules(store, other)
    served.rule_sets[key], unread = planned_by(moving, served.rule_sets[key], other)
    if unread is not None:
        served.others[key] = unread
    return served


@dataclass(slots=True)
class Served:
    """What is known of logic databases beside what their statements see, each by its name in lower case. `others` are the rules that
    writes go by as well. `tables` is what each data source had when it was last read, `monitors` are those of replica groups: of `others`
    by `_unread` of the name."""

    rule_sets: dict[str, RuleSet]
    others: dict[str, RuleSet] = field(default_factory=dict)
    tables: dict[str, dict[str, Mapping[str, TableSchema]]] = field(default_factory=dict)
    monitors: dict[str, dict[str, ReplicaMonitor]] = field(default_factory=dict)


class Assembly:
    """Builds logic databases: those of the configuration, and those made and dropped while the mesh runs."""

    def __init__(
        self,
        configuration: Configuration,
        pools: list[Pool],
        served: Served,
        worker: Worker,
        store: Store | None = None,
        directory: Path = Path(),
    ) -> None:
        self.store = store
        self.pools = pools
        self.served = served
        self._plan_cache_size = int(configuration.properties["plan-cache-size"])
        self._worker = worker
        self._loop = asyncio.get_running_loop()
        self._keys: dict[Place, str] = {}
        self._watching: dict[ReplicaMonitor, asyncio.Task[None]] = {}
        self.tasks: TaskOwner | None = None
        self._off: frozenset[str] = frozenset()
        self.protector = Protector(
            configuration.protection, Clock(self._loop.time, random.random, time.time), directory
        )
        databases = {
            name.lower(): self.build(rule_set, served) for name, rule_set in served.rule_sets.items()
        }
        self.mesh = Mesh(configuration, databases, self._reload, self._loop.time(), os.urandom(8))
        self.protector.protect(self.mesh)

    def switch_off(self, names: frozenset[str]) -> None:
        """These data sources and replicas, as database.name in lower case, answer no statements from here on; all others do."""
        self._off = names
        self.obey()

    def obey(self) -> None:
        """What is out of service is so for all that is served, also for what was made ready before it was."""
        for database in self.mesh.databases.values():
            for side in database.sides:
                self._obey(side)

    def _obey(self, database: Database) -> None:
        """What is out of service."""
        for name in database.pools:
            group = database.replicas.get(name)
            pools = [database.pools[name], database.merge_pools[name], *(group.pools if group else ())]
            off = f"{database.name}.{name}".lower() in self._off
            for pool in pools:
                if off:
                    pool.disable()
                else:
                    pool.enable()
            if group is not None:
                servers = (one for one in group.servers if f"{database.name}.{one}".lower() in self._off)
                group.switch_off(frozenset(servers))

    async def add(self, rule_set: RuleSet) -> None:
        """One more logic database, its catalog read."""
        self.served.rule_sets[rule_set.database.lower()] = rule_set
        database = self.build(rule_set, self.served)
        self.mesh.add_database(database)
        await self.look()
        await self.mesh.reload(database)
        self._plan_anew()
        if self.tasks is not None:
            self.watch(self.tasks)

    async def look(self, served: Served | None = None) -> None:
        """Look once at replica groups nobody looks at yet: which server is the primary is known before it is asked
        anything."""
        monitors = [one for one in _monitors(served or self.served) if one not in self._watching]
        try:
            await asyncio.gather(*(monitor.look() for monitor in monitors))
        finally:
            for monitor in monitors:
                monitor.close()

    def watch(self, tasks: TaskOwner) -> None:
        """From now on look at replica groups again and again."""
        self.tasks = tasks
        for monitor in _monitors(self.served):
            if monitor not in self._watching:
                self._watching[monitor] = tasks.start(monitor.serve(), "replicas")

    def unwatch(self, monitors: Iterable[ReplicaMonitor]) -> None:
        """Look at these replica groups no longer."""
        for monitor in monitors:
            task = self._watching.pop(monitor, None)
            if task is not None:
                task.cancel()

    async def remove(self, database: Database) -> None:
        """Take a logic database out; its connections are closed."""
        key = database.name.lower()
        del self.served.rule_sets[key]
        self.mesh.remove_database(database.name)
        self._plan_anew()
        self.unwatch(self.served.monitors.pop(key).values())
        self.unwatch(self.served.monitors.pop(_unread(key), {}).values())
        for pool in pools_of(database):
            self.pools.remove(pool)
            await pool.close()

    def _plan_anew(self) -> None:
        """What has been planned knows the logic databases there were."""
        for key, database in self.mesh.databases.items():
            self.mesh.databases[key] = self.planned(database, self.served)

    def planned(self, database: Database, served: Served) -> Database:
        """The same database with nothing planned yet, for statements that may name any of those served."""
        planner = Planner(database.rule_set, database.catalog, served.rule_sets)
        return replace(database, plans=PlanCache(planner, self._plan_cache_size))

    def build(self, rule_set: RuleSet, served: Served, before: Database | None = None) -> Database:
        """A logic database whose catalog has not been read. Data sources and groups that are as they were `before`, on either side, keep
        their pools."""
        key = rule_set.database.lower()
        known = [] if before is None else [_Known(before, self.served, key)]
        if before is not None:
            known += [_Known(side, self.served, _unread(key)) for side in before.sides[1:]]
        generators = {} if before is None else _same_generators(rule_set, before)
        database = self._build(rule_set, served, key, known, generators)
        other = served.others.get(key)
        if other is None:
            return database
        double = self._build(other, served, _unread(key), [_Known(database, served, key), *known], {})
        return _beside(database, double)

    def _build(
        self,
        rule_set: RuleSet,
        served: Served,
        key: str,
        known: Sequence[_Known],
        generators: Mapping[str, KeyGenerator],
    ) -> Database:
        groups = all_groups(rule_set)
        own: dict[str, Pool] = {}
        merging: dict[str, Pool] = {}
        replicas: dict[str, Replicas] = {}
        monitors = served.monitors[key] = {}
        tables = served.tables[key] = {}
        for name, config in all_sources(rule_set).items():
            there = next((one for one in known if _is_same(rule_set, one.database.rule_set, name)), None)
            if there is not None:
                before = there.database
                own[name], merging[name] = before.pools[name], before.merge_pools[name]
                if name in before.replicas:
                    replicas[name] = before.replicas[name]
                    monitors[name] = there.served.monitors[there.key][name]
                if name in there.served.tables[there.key]:
                    tables[name] = there.served.tables[there.key][name]
                continue
            own[name], merging[name] = make_pool(config), make_pool(config)
            self.pools.extend((own[name], merging[name]))
            self.protector.guard_pools(rule_set.database, {name: own[name]})
            self.protector.guard_pools(rule_set.database, {name: merging[name]})
            if name in groups:
                group = groups[name]
                replicas[name] = Replicas(group, (own[name], merging[name]), make_pool, random.random)
                self.pools.extend(replicas[name].pools)
                monitors[name] = ReplicaMonitor(replicas[name])
        nothing = Catalog({}, {})
        database = Database(
            rule_set.database,
            rule_set,
            nothing,
            PlanCache(Planner(rule_set, nothing, served.rule_sets), self._plan_cache_size),
            MappingProxyType(own),
            generators,
            self._loop.time(),
            merge_pools=MappingProxyType(merging),
            replicas=MappingProxyType(replicas),
            connection_keys=MappingProxyType(
                {
                    name: self._connection_key(place, f"{rule_set.database}.{name}")
                    for name, place in places(all_sources(rule_set)).items()
                }
            ),
        )
        self._obey(database)
        return database

    def _connection_key(self, place: Place, name: str) -> str:
        """One for each place: a data source that has moved is another."""
        if place not in self._keys:
            taken = set(self._keys.values())
            while name in taken:
                name += "'"
            self._keys[place] = name
        return self._keys[place]

    async def _reload(self, database: Database, touched: frozenset[str] | None) -> Database:
        # What could not be read last time is looked at as a whole.
        return await self.read(database, self.served, None if database.unread else touched)

    async def read(self, database: Database, served: Served, touched: frozenset[str] | None) -> Database:
        """The same database with its catalog read, as `load_catalog` does, and nothing planned yet. Raises AmbiguousTable."""
        key = database.name.lower()
        served.rule_sets[key] = database.rule_set
        read = await self._read(database, served, key, touched)
        if database.other is None:
            return read
        return _beside(read, await self._read(database.other, served, _unread(key), touched))

    async def _read(
        self, database: Database, served: Served, key: str, touched: frozenset[str] | None
    ) -> Database:
        rule_set = database.rule_set
        catalog, unread, unseen = await load_catalog(rule_set, database.pools, served.tables[key], touched)
        read = replace(
            database,
            catalog=catalog,
            key_generators=MappingProxyType(_generators(rule_set, database.key_generators, self._worker)),
            loaded_at=self._loop.time(),
            unread=unread,
            unseen=unseen,
            definitions=DefinitionCache(),
        )
        return self.planned(read, served)


@dataclass(frozen=True, slots=True)
class _Known:
    """A logic database whose pools another may go on with: it is `served` under this key."""

    database: Database
    served: Served
    key: str


def _unread(key: str) -> str:
    """What the side of a logic database that is not read is known by: no database has such a name."""
    return f"{key}/"


def _beside(database: Database, other: Database) -> Database:
    """The same database with the side that is not read."""
    doubles = dict.fromkeys(database.rule_set.doubled, other)
    return replace(database, other=other, doubles=MappingProxyType(doubles))


def pools_of(database: Database) -> list[Pool]:
    """Every pool of a logic database, on both sides."""
    found: dict[Pool, None] = {}
    for side in database.sides:
        reading = [pool for replicas in side.replicas.values() for pool in replicas.pools]
        found |= dict.fromkeys([*side.pools.values(), *side.merge_pools.values(), *reading])
    return list(found)


def _monitors(served: Served) -> list[ReplicaMonitor]:
    """Each once: both sides may have the same."""
    return list({id(one): one for own in served.monitors.values() for one in own.values()}.values())


def _is_same(rule_set: RuleSet, before: RuleSet, name: str) -> bool:
    """Whether a data source is where it was, and reached as it was."""
    return all_sources(before).get(name) == all_sources(rule_set)[name] and all_groups(before).get(
        name
    ) == all_groups(rule_set).get(name)


def _same_generators(rule_set: RuleSet, before: Database) -> dict[str, KeyGenerator]:
    """Generators that go on: those whose rule is as it was."""
    return {
        name: generator
        for name, generator in before.key_generators.items()
        if before.rule_set.key_generators.get(name) == rule_set.key_generators.get(name)
    }


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
