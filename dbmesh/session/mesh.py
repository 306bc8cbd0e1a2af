"""What all sessions of one process share: logic databases with their plans and pools, users, the session registry.

Decides nothing about statements. A `Database` is replaced as a whole when its catalog or its rules change; a
statement keeps the one it started with.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from math import inf
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

from dbmesh.backend.connection import Product
from dbmesh.backend.pool import Pool
from dbmesh.backend.replicas import Replicas
from dbmesh.engine.federation import FederationCounts, FederationLimits
from dbmesh.merge.rows import MergeLimits
from dbmesh.model import Catalog
from dbmesh.planner.cache import PlanCache
from dbmesh.planner.catalog import join_catalogs
from dbmesh.planner.plan import KeyGenerator, Names, Shot
from dbmesh.planner.planner import Planner
from dbmesh.rules.account_changes import Accounts, Changed
from dbmesh.rules.accounts import Authority
from dbmesh.rules.joint import join
from dbmesh.rules.keygen.auto_increment import KeysNeeded
from dbmesh.rules.ruleset import Configuration, DataSourceConfig, RuleChange, RuleSet, TransactionType
from dbmesh.rules.shadow.rule import all_groups, all_sources
from dbmesh.session.answering.corrections import DefinitionCache
from dbmesh.session.doubled_writes import DoubledWrites
from dbmesh.session.filtering import Seen, StatementCounter, StatementFilter, StatementObserver, not_counted
from dbmesh.session.gate import Gate
from dbmesh.transaction.compensator import Compensator
from dbmesh.transaction.coordinator import Coordinator
from dbmesh.transaction.counts import TransactionCounts
from dbmesh.transaction.xid import Place

if TYPE_CHECKING:
    from dbmesh.session.peers import Peers
    from dbmesh.session.session import Session

MOST_JOINTS = 64
"""Combinations of logic databases whose plans are kept."""

JOINT_PLANS = 256
"""Plans kept for one combination."""


@dataclass(frozen=True, slots=True)
class Database:
    """One logic database as statements see it at one moment. `unread` says why tables of a data source may be missing from
    the catalog; empty when every one was read; `unseen` says it of data sources that never were. `merge_pools` lend the connections federated statements are merged on.
    `connection_keys`: data source → the key under which a session holds its connection there, where another logic database
    has that server too. `definitions` is what merged answers' columns are put right by. `replicas`: data sources
    that are groups, whose pools are those of the primary. `other` is another generation of its rules, while rows are brought there;
    `doubles`: tables (in lower case) whose writes go there as well, each with that. `sources` are the data sources and their shadows."""

    name: str
    rule_set: RuleSet
    catalog: Catalog
    plans: PlanCache
    pools: Mapping[str, Pool]
    key_generators: Mapping[str, KeyGenerator]
    loaded_at: float
    unread: str = ""
    unseen: str = ""
    merge_pools: Mapping[str, Pool] = field(default_factory=dict)
    connection_keys: Mapping[str, str] = field(default_factory=dict)
    definitions: DefinitionCache = field(default_factory=DefinitionCache)
    replicas: Mapping[str, Replicas] = field(default_factory=dict)
    doubles: Mapping[str, Database] = field(default_factory=dict)
    other: Database | None = None
    sources: Mapping[str, DataSourceConfig] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Puts together what every statement asks for."""
        object.__setattr__(self, "sources", all_sources(self.rule_set))

    @property
    def sides(self) -> tuple[Database, ...]:
        """It, and the generation of its rules that rows are brought to."""
        return (self,) if self.other is None else (self, self.other)

    def names(self, tables: Sequence[str]) -> Names:
        """Actual names of these logic tables and the way back."""
        found: dict[str, str] = {}
        for table in tables:
            rule = self.rule_set.table(table)
            if rule is not None:
                found.update((str(node.table), rule.name) for node in rule.nodes)
        return Names(self.name, found, self.rule_set.schemas)

    def connection_key(self, data_source: str) -> str:
        """What a session keeps its connection to a data source under: the same for every logic database on a server, so
        that a transaction over several sees its own rows."""
        return self.connection_keys.get(data_source) or f"{self.name}.{data_source}"


def place_of(config: DataSourceConfig) -> Place | None:
    """Where a data source is, if its server may know how to prepare a transaction. For a group, where its configured primary is: what
    the place is called must not change when another server becomes the primary, since prepared branches are found by it."""
    if config.kind == "sqlite":
        return None
    inner = config.properties.get("currentSchema", "") if config.kind == "postgresql" else ""
    return Place(config.host, config.port, config.database, config.kind, inner)


def join_databases(databases: Sequence[Database]) -> Database:
    """Several logic databases as one, for statements that name tables of all of them: pools and rows of each, names,
    keys and everything else of the first. O(tables)."""
    main = databases[0]
    by_name = {database.name: database for database in databases}
    joint = join([database.rule_set for database in databases])
    catalog = join_catalogs(joint, [(database.rule_set, database.catalog) for database in databases])
    origins = [(name, by_name[database], source) for name, (database, source) in joint.origins.items()]
    planner = main.plans.planner
    return replace(
        main,
        rule_set=joint.rule_set,
        catalog=catalog,
        plans=PlanCache(Planner(joint.rule_set, catalog, planner.databases, planner.settings), JOINT_PLANS),
        pools={**main.pools, **{name: owner.pools[source] for name, owner, source in origins}},
        merge_pools={
            **main.merge_pools,
            **{name: owner.merge_pools[source] for name, owner, source in origins},
        },
        replicas={
            **main.replicas,
            **{name: owner.replicas[source] for name, owner, source in origins if source in owner.replicas},
        },
        connection_keys={
            **main.connection_keys,
            **{name: owner.connection_key(source) for name, owner, source in origins},
        },
        unread="; ".join(filter(None, (database.unread for database in databases))),
        unseen="; ".join(filter(None, (database.unseen for database in databases))),
    )


@dataclass(frozen=True, slots=True)
class DdlStatement:
    """A DDL statement about to run: the client's text, its shots, and what it changes in the rules."""

    database: str
    text: str
    shots: Sequence[Shot]
    change: RuleChange


class RuleKeeper(Protocol):
    """Keeps what statements change in the rules, and the numbers of AUTO_INCREMENT, for every process of the mesh. All
    methods raise MeshError."""

    async def begin(self, statement: DdlStatement) -> str:
        """Record a statement before its first shot, with the rules it makes; the record's id. Raises MeshError
        TABLE_EXISTS."""
        ...

    async def stopped(self, record: str, done: Sequence[Shot], *, certain: bool) -> bool:
        """A statement failed when these shots had ended well. `certain`: the others did nothing. The record is kept
        (True) unless nothing was done at all."""
        ...

    async def finish(self, record: str) -> None:
        """Every shot has ended well: the rules change in this process and in the store, the record is gone."""
        ...

    async def create_database(self, beside: Database, name: str, options: str) -> None:
        """Make a logic database of this name on the servers of another. Raises MeshError or ShardError."""
        ...

    async def drop_database(self, database: Database) -> None:
        """Take a logic database away with everything in it. Raises MeshError or ShardError."""
        ...

    async def lease(self, database: Database, needed: KeysNeeded) -> None:
        """Take more numbers for a generator."""
        ...


class AccountKeeper(Protocol):
    """Keeps accounts that SQL makes, for every process of the mesh."""

    async def change(self, make: Callable[[Accounts], Changed]) -> Changed:
        """Change the accounts there are as `make` says, which may be called again. This process has them when it returns.
        Raises MeshError, and what `make` raises."""
        ...


class Doorkeeper(Protocol):
    """Lets clients in."""

    def let_in(self, session: Session) -> None:
        """A client has shown that it is this session's user. Raises MeshError to refuse it."""
        ...


_NOBODY: Mapping[str, Database] = MappingProxyType({})
"""What no session serves: each looks for what is newer."""


class Mesh:
    """The shared state of one process. Sessions register themselves here, so that KILL and SHOW PROCESSLIST reach
    them. `reload` reads a database's catalog again and returns its successor. `instance` are eight random bytes that no
    other process has. `newest` is `databases`, unless commands are to ask `gate`. `has_groups`: some data source is a group of replicas;
    `keeps_commands`: sessions keep theirs, to give them again. `apart` are sessions that are no client's (`session.unwatched`). `relays_directly`: nobody looks
    at statements that one shard answers. `told_of_accounts` are told when
    `authority` is replaced. `filters` look at every statement, the first one first; `observers` learn how it ended: `count` is told of one that ended as planned, the others
    of it too if that took `least` seconds. `transactions`, `federated` and `doubled_writes` (by the number of the reshard job) count. `doorkeeper` is asked about
    every session when its client has logged in."""

    def __init__(
        self,
        configuration: Configuration,
        databases: Mapping[str, Database],
        reload: Callable[[Database, frozenset[str] | None], Awaitable[Database]],
        started_at: float,
        instance: bytes,
    ) -> None:
        self.started_at = started_at
        self.configuration = configuration
        self.databases = dict(databases)
        self.newest: Mapping[str, Database] = self.databases
        self.gate = Gate(self)
        self._keeps = False
        self._look_for_groups()
        self.sessions: dict[int, Session] = {}
        self.apart: dict[int, Session] = {}
        self.limits = MergeLimits(
            max_rows=int(configuration.properties["merge-max-rows"]),
            max_bytes=int(configuration.properties["merge-max-bytes"]),
        )
        self.federation_limits = FederationLimits(
            max_rows=int(configuration.properties["federation-max-rows"]),
            max_bytes=int(configuration.properties["federation-max-bytes"]),
        )
        self.max_allowed_packet = int(configuration.properties["max-allowed-packet"])
        self.shows_statements = bool(configuration.properties["sql-show"])
        self.filters: tuple[StatementFilter, ...] = ()
        self.observers: tuple[StatementObserver, ...] = ()
        self.count: Callable[[Session, Seen], float] = not_counted
        self.least = inf
        self.doorkeeper: Doorkeeper | None = None
        self.relays_directly = not (self.shows_statements or configuration.record_locks)
        self.connections_per_query = max(1, int(configuration.properties["max-connections-size-per-query"]))
        self.keeper: RuleKeeper | None = None
        self.accounts: AccountKeeper | None = None
        self.peers: Peers | None = None
        self._former: list[Mapping[str, Database]] = []
        self._switched = asyncio.Event()
        self.authority = Authority(configuration.users)
        self.told_of_accounts: list[Callable[[Authority], asyncio.Task[None] | None]] = []
        self._joints: dict[tuple[str, ...], tuple[tuple[Database, ...], Database]] = {}
        self.instance = instance
        self.coordinator = Coordinator(self._decision_places, instance, self._servers_of_groups)
        self.compensator = Compensator(self.coordinator)
        self.transactions = TransactionCounts()
        self.doubled_writes: dict[int, DoubledWrites] = {}
        self.federated = FederationCounts()
        self._reload = reload
        self._reloading = {name: asyncio.Lock() for name in databases}

    def _look_for_groups(self) -> None:
        self.has_groups = any(database.replicas for database in self.databases.values())
        self.keeps_commands = self._keeps or self.has_groups

    def keep_commands(self) -> None:
        """From now on sessions keep the command under way: somebody gives it again."""
        self._keeps = self.keeps_commands = True

    def everyone(self) -> list[Session]:
        """All sessions, also those that are no client's."""
        return [*self.sessions.values(), *self.apart.values()]

    def observe(self, observers: Sequence[StatementObserver]) -> None:
        """From now on these learn of every statement. At most one of them counts."""
        self.observers = tuple(observers)
        counts = [one.ended_as_planned for one in observers if isinstance(one, StatementCounter)]
        [self.count] = counts or [not_counted]
        self.least = min((one.least for one in observers), default=inf)

    def database(self, name: str) -> Database | None:
        """A logic database, its name compared without case."""
        return self.databases.get(name.lower())

    @property
    def product(self) -> Product:
        """What the data sources are; where they differ, the first that has answered."""
        pools = (pool for database in self.databases.values() for pool in database.pools.values())
        return next((pool.product for pool in pools if pool.product is not Product.OTHER), Product.OTHER)

    def ends_by(self, kind: TransactionType) -> tuple[Coordinator | None, Compensator | None]:
        """Who ends transactions of a type over several data sources: nobody those of LOCAL."""
        if kind is TransactionType.XA:
            return self.coordinator, None
        return None, self.compensator if kind is TransactionType.BASE else None

    @property
    def autocommit(self) -> bool:
        """Whether sessions begin with autocommit, as those of the data sources do; of these, the first that has answered."""
        pools = (pool for database in self.databases.values() for pool in database.pools.values())
        return next((pool.autocommit for pool in pools if pool.product is not Product.OTHER), True)

    def add_database(self, database: Database) -> None:
        """Serve one more logic database."""
        key = database.name.lower()
        self._reloading[key] = asyncio.Lock()
        self.databases[key] = database
        self._look_for_groups()

    def remove_database(self, name: str) -> None:
        """Serve a logic database no longer."""
        gone = self.databases.pop(name.lower())
        for config in gone.sources.values():
            place = place_of(config)
            if place is not None:
                # A database of that name that is made again has no table of decisions yet.
                self.coordinator.doubt_table(place)
                self.compensator.doubt_table(place)

    def joint(self, databases: tuple[Database, ...]) -> Database:
        """Several logic databases as one, the first of them first. O(1) while none of them changes."""
        names = tuple(database.name for database in databases)
        known = self._joints.get(names)
        if known is None or any(now is not then for now, then in zip(databases, known[0], strict=True)):
            if len(self._joints) >= MOST_JOINTS:
                self._joints.clear()
            known = self._joints[names] = (databases, join_databases(databases))
        return known[1]

    async def switch(
        self, following: Callable[[], Awaitable[tuple[Configuration, Mapping[str, Database]]]]
    ) -> Mapping[str, Database]:
        """Serve other logic databases from here on. `following` gives them, with their configuration, while no catalog is read and no
        rule changes. Returns those served so far, which sessions keep until `rule_view.follow_rules` lets them go on;
        `forget` them when nobody has them any more."""
        async with AsyncExitStack() as held:
            for _, lock in sorted(self._reloading.items()):
                await held.enter_async_context(lock)
            configuration, databases = await following()
            before = dict(self.databases)
            for session in self.everyone():
                if session.databases is self.databases:
                    session.databases = before
            self._former.append(before)
            self.configuration = configuration
            self.databases.clear()
            self.databases.update(databases)
            self._look_for_groups()
            for name in databases:
                self._reloading.setdefault(name, asyncio.Lock())
        switched, self._switched = self._switched, asyncio.Event()
        switched.set()
        return before

    async def until_serving(self, wanted: Callable[[Configuration], bool]) -> None:
        """Wait until the configuration that is served is one that is wanted."""
        while not wanted(self.configuration):
            await self._switched.wait()

    def lead_to_gate(self, lead: bool) -> None:
        """Whether every command is to ask the gate before it begins."""
        self.newest = _NOBODY if lead else self.databases

    def forget(self, former: Mapping[str, Database]) -> None:
        """Nobody has these logic databases any more."""
        self._former = [one for one in self._former if one is not former]

    def _decision_places(self) -> dict[Place, Pool]:
        """Where a distributed transaction can have branches."""
        served = [*(one for former in self._former for one in former.values()), *self.databases.values()]
        return {
            place: pool
            for database in served
            for side in database.sides
            for name, pool in side.merge_pools.items()
            if (place := place_of(side.sources[name])) is not None
        }

    def _servers_of_groups(self) -> dict[Place, Place]:
        """Where a group's primary is configured to be, by each place where it was or will be."""
        return {
            alias: place
            for database in self.databases.values()
            for group in all_groups(database.rule_set).values()
            if (place := place_of(group.primary)) is not None
            for config in group.replicas
            if (alias := place_of(config)) is not None
        }

    async def reload(self, database: Database, touched: frozenset[str] | None = None) -> None:
        """Read the catalog of a database again: after DDL what that has `touched`, all of it when a table was not found.
        One reading at a time: of two that overlap, the one that began first must not have the last word."""
        name = database.name.lower()
        async with self._reloading.setdefault(name, asyncio.Lock()):
            current = self.databases.get(name)
            if current is not None:
                self._follow_on(await self._reload(current, touched))

    async def change_rules(
        self, name: str, change: Callable[[RuleSet], RuleSet], touched: frozenset[str] | None = None
    ) -> None:
        """Give a database another rule set, its catalog read as by `reload`; statements that have begun keep the one they began with."""
        key = name.lower()
        async with self._reloading.setdefault(key, asyncio.Lock()):
            database = self.databases.get(key)
            if database is None:
                return
            following = replace(database, rule_set=change(database.rule_set))
            self._follow_on(await self._reload(following, touched))

    def _follow_on(self, following: Database) -> None:
        """Serve a database as it was read. One that was dropped in the meantime stays dropped, also where another one has its name by now,
        which has pools of its own."""
        current = self.databases.get(following.name.lower())
        if current is not None and current.pools is following.pools:
            self.databases[following.name.lower()] = following
