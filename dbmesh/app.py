"""The composition root: a configuration becomes a running mesh, and a signal ends it.

Decides what is built in which order, and how it is taken down. Everything it wires together is tested where it lives.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import random
import signal
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import uvloop

from dbmesh import __version__
from dbmesh.backend.connection import Connection, Flavour
from dbmesh.backend.mysql import MySQLConnection
from dbmesh.backend.mysql_connect import open_mysql
from dbmesh.backend.pool import Pool
from dbmesh.backend.replicas import Replicas
from dbmesh.backend.tasks import TaskOwner
from dbmesh.engine.catalog import Cataloguing, load_tables
from dbmesh.engine.replica_monitor import ReplicaMonitor
from dbmesh.errors import MeshError, ShardError
from dbmesh.governance.databases import read_databases
from dbmesh.governance.declared_keys import read_declared
from dbmesh.governance.follower import follow
from dbmesh.governance.instances import Registration, prepared
from dbmesh.governance.keeper import Keeper
from dbmesh.governance.made_rules import read_made
from dbmesh.governance.opening import open_store
from dbmesh.governance.record_locks import StoredRecordLocks
from dbmesh.governance.store import Store, StoreError
from dbmesh.model import Catalog, TableSchema
from dbmesh.planner.cache import PlanCache
from dbmesh.planner.catalog import AmbiguousTable, build_catalog
from dbmesh.planner.plan import KeyGenerator
from dbmesh.planner.planner import Planner
from dbmesh.rules.auto_tables import with_made
from dbmesh.rules.declared_keys import with_declared
from dbmesh.rules.joint import Place, places
from dbmesh.rules.keygen import make_key_generator
from dbmesh.rules.keygen.snowflake import Worker
from dbmesh.rules.mistakes import ConfigurationError
from dbmesh.rules.ruleset import Configuration, DataSourceConfig, RuleSet
from dbmesh.server.accounts import Accounts
from dbmesh.server.listener import SERVER_VERSION, Listener
from dbmesh.session.corrections import DefinitionCache
from dbmesh.session.mesh import Database, Mesh
from dbmesh.transaction.compensator import Compensator
from dbmesh.transaction.recovery import Recovery

_log = logging.getLogger(__name__)

HOUSEKEEPING_INTERVAL = 1.0
"""Seconds between two looks at idle connections."""


class StartError(Exception):
    """The mesh cannot start; the text is one sentence for the operator."""


OnReady = Callable[[str, int], Awaitable[None] | None]


def run(
    configuration: Configuration,
    host: str,
    port: int,
    on_ready: OnReady | None = None,
    directory: Path | None = None,
) -> int:
    """Serve until SIGINT or SIGTERM. Returns the exit code. Raises StartError."""
    return uvloop.run(serve(configuration, host, port, on_ready, directory))


async def serve(
    configuration: Configuration,
    host: str,
    port: int,
    on_ready: OnReady | None = None,
    directory: Path | None = None,
) -> int:
    """Build the mesh, listen, tell `on_ready` the bound address, wait for a signal, drain. `directory` is where the
    store's file is when it is not named with its whole path. Raises StartError."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    tasks = TaskOwner(_task_failed)
    pools: list[Pool] = []
    store: Store | None = None
    keeper: Keeper | None = None
    registration: Registration | None = None
    compensator: Compensator | None = None
    try:
        store = await open_store(configuration, directory or Path(), remembering=True)
        worker = Worker() if store is None else Worker(clock=loop.time)
        assembly = await assemble(configuration, pools, store, worker)
        mesh = assembly.mesh
        compensator = mesh.compensator
        if store is not None:
            keeper = mesh.keeper = Keeper(store, assembly, time.time, os.urandom)
            registration = await prepared(store, configuration, mesh.instance, loop.time, worker)
        version = _announced_version(pools)
        accounts = Accounts(configuration.users)
        listener = Listener(mesh, accounts, tasks, _tls(configuration), version)
        bound = await _listen(listener, host, port)
        if accounts.need_full_login:
            tasks.start(_make_rsa_key(listener), "rsa key")
        tasks.start(_keep_house(listener, pools), "housekeeping")
        if store is not None and keeper is not None:
            tasks.start(follow(store, keeper), "rules of other processes")
        if registration is not None:
            await registration.begin(*bound)
            tasks.start(registration.serve(), "registration")
        assembly.watch(tasks)
        tasks.start(Recovery(mesh.compensator).serve(), "recovery of transactions")
        # What was made by now lives until the end: the collector need never look at it again.
        gc.collect()
        gc.freeze()
        ready = None if on_ready is None else on_ready(*bound)
        failures: list[Exception] = []
        if ready is not None:
            work = tasks.start(_ready(ready, stop, failures), "on ready")
            await stop.wait()
            await _settle(work)
        else:
            await stop.wait()
        _log.info("stopping: no new clients; waiting for running statements")
        if registration is not None:
            await registration.drain()
        await listener.drain(float(configuration.properties["drain-timeout-seconds"]))
        if failures:
            raise failures[0]
    except StoreError as error:
        raise StartError(str(error)) from error
    finally:
        await tasks.close()
        if registration is not None:
            await registration.withdraw()
        if compensator is not None:
            await compensator.coordinator.forget()
            await compensator.close()
        for pool in pools:
            await pool.close()
        if keeper is not None:
            await keeper.close()
        if store is not None:
            await store.close()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
    return 0


async def _listen(listener: Listener, host: str, port: int) -> tuple[str, int]:
    """The bound address. Raises StartError."""
    try:
        return await listener.start(host, port)
    except OSError as error:
        # asyncio wraps the system's words in a sentence of its own, which says the address again.
        code = error.errno or 0
        reason = os.strerror(code) if code > 0 else error.strerror or str(error)
        raise StartError(f"cannot listen on {host}:{port}: {reason}") from error


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
        databases = {name.lower(): self._database(rule_set) for name, rule_set in rule_sets.items()}
        self.mesh = Mesh(configuration, databases, self._reload, self._loop.time(), os.urandom(8))

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
        own = {name: _make_pool(config) for name, config in rule_set.data_sources.items()}
        merging = {name: _make_pool(config) for name, config in rule_set.data_sources.items()}
        self._pools.extend((*own.values(), *merging.values()))
        replicas = {
            name: Replicas(group, (own[name], merging[name]), _make_pool, random.random)
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


async def load_catalog(
    rule_set: RuleSet,
    pools: Mapping[str, Pool],
    known: dict[str, Mapping[str, TableSchema]],
    touched: frozenset[str] | None = None,
) -> tuple[Catalog, str, str]:
    """Schemas of every table on every data source that can be reached, why others cannot ('' when all were read), and why
    those cannot that never could.

    `known` holds what each data source had when it was last read, and is brought up to date: one that is away keeps its
    tables. One that was never read is looked at again when a statement names a table nobody knows. Of those that were, no
    more is read than `touched` asks for, where it is given. Raises AmbiguousTable."""
    names = list(pools)
    before = known if touched is not None else {}
    findings = await asyncio.gather(
        *(_load_one(pools[name], before.get(name), touched or frozenset()) for name in names)
    )
    known.update({name: one for name, one in zip(names, findings, strict=True) if not isinstance(one, str)})
    reasons = {name: one for name, one in zip(names, findings, strict=True) if isinstance(one, str)}
    never = [reason for name, reason in reasons.items() if name not in known]
    return build_catalog(rule_set, known), "; ".join(reasons.values()), "; ".join(never)


async def _load_one(
    pool: Pool, known: Mapping[str, TableSchema] | None, touched: frozenset[str]
) -> dict[str, TableSchema] | str:
    """The tables of a data source, or why they cannot be read."""
    try:
        connection = await pool.acquire(Flavour())
    except MeshError as error:
        _log.warning("%s", error)
        return str(error)
    try:
        return await read_tables(connection, known, touched)
    except (MeshError, ShardError) as error:
        reason = f"the tables of data source '{pool.config.name}' cannot be read: {error}"
        _log.warning("%s", reason)
        return reason
    finally:
        pool.release(connection, asyncio.get_running_loop().time())


async def read_tables(
    connection: Connection,
    known: Mapping[str, TableSchema] | None = None,
    touched: frozenset[str] = frozenset(),
) -> dict[str, TableSchema]:
    """Actual table name → schema, on a data source of any kind; for `known` and `touched` see `load_tables`. Raises ShardError or MeshError."""
    if not connection.relays:
        assert isinstance(connection, Cataloguing)
        return await connection.load_catalog()
    return await load_tables(connection, known, touched)


def _announced_version(pools: list[Pool]) -> str:
    """The version clients are greeted with: that of the first data source that answered, since drivers choose their SQL
    by it; MySQL's where no server is behind the mesh."""
    for pool in pools:
        for connection in pool.idle_connections():
            if isinstance(connection, MySQLConnection) and connection.server_version:
                # MariaDB 10 puts 5.5.5- before its version for old replicas' sake, and drivers have come to rely on it.
                prefix = "5.5.5-" if connection.server_version.startswith("10.") else ""
                return f"{prefix}{connection.server_version}-dbmesh-{__version__}"
    return SERVER_VERSION


def _make_pool(config: DataSourceConfig) -> Pool:
    async def open_connection(flavour: Flavour) -> Connection:
        # A pool may be moved to another server.
        return await open_data_source(pool.config, flavour)

    pool = Pool(config, open_connection)
    return pool


async def open_data_source(config: DataSourceConfig, flavour: Flavour) -> Connection:
    """A connection to a data source of any kind. Raises MeshError."""
    if config.kind == "mysql":
        return await open_mysql(config, flavour)
    if config.kind == "sqlite":
        # Imported where it is used: a mesh without embedded data sources starts faster.
        from dbmesh.backend.sqlite.connection import SQLiteConnection

        return await SQLiteConnection.open(config.database, data_source=config.name, flavour=flavour)
    from dbmesh.backend.postgres.connection import PostgresConnection

    return await PostgresConnection.open(config, flavour)


def _tls(configuration: Configuration) -> ssl.SSLContext | None:
    properties = configuration.properties
    if not properties["proxy-frontend-ssl-enabled"]:
        return None
    from dbmesh.server.tls_context import server_tls_context

    try:
        return server_tls_context(
            str(properties["proxy-frontend-ssl-cert"]), str(properties["proxy-frontend-ssl-key"])
        )
    except OSError as error:
        raise StartError(f"TLS cannot be set up with proxy-frontend-ssl-cert: {error}") from error


async def _make_rsa_key(listener: Listener) -> None:
    """The key pair for caching_sha2 logins without TLS takes a while to make: not before the first client."""
    from dbmesh.wire.rsa import make_rsa_key

    listener.rsa_key = await asyncio.to_thread(make_rsa_key)


async def _keep_house(listener: Listener, pools: list[Pool]) -> None:
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(HOUSEKEEPING_INTERVAL)
        now = loop.time()
        for pool in tuple(pools):
            await pool.close_idle(now)
        listener.close_quiet(now)


async def _ready(work: Awaitable[None], stop: asyncio.Event, failures: list[Exception]) -> None:
    """What the caller does once the mesh serves; when it fails, the mesh stops and `failures` tells the caller why."""
    try:
        await work
    except Exception as error:
        failures.append(error)
        stop.set()


async def _settle(work: asyncio.Task[None]) -> None:
    """End the caller's work when the mesh is asked to stop before it is done."""
    if not work.done():
        work.cancel()
    try:
        await work
    except asyncio.CancelledError:
        return


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _task_failed(error: BaseException) -> None:
    _log.error("a background task failed: %s", error, exc_info=error)
