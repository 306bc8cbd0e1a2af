"""Keeps what statements change: rules that CREATE TABLE made, DDL under way, numbers of AUTO_INCREMENT.

Decides the order of store and process: what a crash may leave is in the store before a node has it, and what a client
is told has happened is in the store before it is told. Sessions see a `RuleKeeper`.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from dbmesh.backend.connection import Flavour
from dbmesh.backend.state import SessionState
from dbmesh.engine.catalog import touched_by
from dbmesh.engine.collect import collect
from dbmesh.errors import (
    DATABASE_ABSENT,
    DATABASE_EXISTS,
    STORE,
    TABLE_EXISTS,
    MeshError,
    ShardError,
    not_supported,
)
from dbmesh.governance import counters, databases, ddl_journal, layout
from dbmesh.governance.databases import MadeDatabase
from dbmesh.governance.ddl_journal import DdlRecord, NodeWork
from dbmesh.governance.store import Conflict, Store, StoreError
from dbmesh.planner.plan import Shot
from dbmesh.planner.template import quote_name
from dbmesh.rules.auto_tables import MOST_NAME, with_made
from dbmesh.rules.declared_keys import with_declared
from dbmesh.rules.keygen.auto_increment import AutoIncrement, KeysNeeded
from dbmesh.rules.loader import RESERVED
from dbmesh.rules.ruleset import RuleSet
from dbmesh.session.mesh import Database, DdlStatement, Mesh

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

_log = logging.getLogger(__name__)


class Databases(Protocol):
    """Builds logic databases into the running mesh and takes them out."""

    @property
    def mesh(self) -> Mesh: ...

    async def add(self, rule_set: RuleSet) -> None:
        """Pools, catalog and plans of one more logic database."""
        ...

    async def remove(self, database: Database) -> None:
        """Serve it no longer and close its pools."""
        ...


@dataclass(frozen=True, slots=True)
class _Leased:
    """A generator of this process whose numbers are leased, and how often its counter was set back before."""

    database: str
    generator: AutoIncrement
    anew: int


class Keeper:
    """A `RuleKeeper` over a store. `clock` gives seconds since 1970, `random_bytes(n)` n random bytes."""

    def __init__(
        self,
        store: Store,
        databases: Databases,
        clock: Callable[[], float],
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self._store = store
        self._databases = databases
        self._mesh = databases.mesh
        self._clock = clock
        self._random_bytes = random_bytes
        self._records: dict[str, DdlRecord] = {}
        # By the keys of counters: one that waits for a data source keeps none of other tables waiting.
        self._leasing: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        # One database is made or dropped at a time.
        self._making = asyncio.Lock()
        self._holder = random_bytes(8).hex()
        # By the keys of their counters; and what each would have given next when a statement began that numbers its table anew.
        self._leased: dict[str, _Leased] = {}
        self._following: dict[str, dict[str, int]] = {}
        # Databases that are made or dropped right now, in lower case; statements whose end nobody has been told of yet.
        self._changing: set[str] = set()
        self._begun: set[str] = set()

    @property
    def mesh(self) -> Mesh:
        """The mesh whose rules are kept."""
        return self._mesh

    def is_changing(self, name: str) -> bool:
        """See `follower.Changing`."""
        return name.lower() in self._changing or any(
            name.lower() in _tables(record) for record in self._records.values()
        )

    def began(self, key: str) -> bool:
        """See `follower.Changing`."""
        if key not in self._begun:
            return False
        self._begun.remove(key)
        return True

    def hear_of_counters(self, values: Mapping[str, bytes | None], *, all_of_them: bool) -> None:
        """See `follower.Changing`."""
        known = self._leased.keys()
        for key in tuple(known if all_of_them else known & values.keys()):
            if counters.is_outdated(self._leased[key].anew, values.get(key)):
                self._leased.pop(key).generator.withdraw()

    async def add(self, rule_set: RuleSet) -> None:
        """See `follower.Changing`."""
        await self._databases.add(rule_set)

    async def remove(self, database: Database) -> None:
        """See `follower.Changing`."""
        await self._databases.remove(database)

    async def begin(self, statement: DdlStatement) -> str:
        """See `RuleKeeper`."""
        record = ddl_journal.make_record(
            self._random_bytes(4).hex(),
            statement.database,
            statement.text,
            self._clock(),
            statement.shots,
            statement.change,
        )
        self._records[record.id] = record
        try:
            async with _reached():
                self._records[record.id] = await ddl_journal.begin(self._store, record)
        except Conflict as conflict:
            del self._records[record.id]
            async with _reached():
                rolling = await self._store.get(layout.rollout())
            if rolling is not None:
                reason = f"revision {rolling.value.decode()} of the rules is being rolled out; try again in a moment"
                raise MeshError(STORE, reason=reason) from conflict
            raise MeshError(TABLE_EXISTS, table=statement.change.made[0].name) from conflict
        except BaseException:
            del self._records[record.id]
            raise
        self._begun.add(layout.ddl(record.id))
        self._following[record.id] = {table: generator.next for table, generator in self._numbering(record)}
        return record.id

    def _numbering(self, record: DdlRecord) -> Iterator[tuple[str, AutoIncrement]]:
        """The tables that a statement numbers anew, with what numbers them here."""
        database = self._mesh.databases.get(record.database.lower())
        if database is None:
            return
        for table, _ in record.change.numbering:
            for generator in database.key_generators.values():
                if isinstance(generator, AutoIncrement) and generator.table == table.lower():
                    yield table, generator

    @contextmanager
    def _while_changing(self, database: str) -> Iterator[None]:
        self._changing.add(database.lower())
        try:
            yield
        finally:
            self._changing.discard(database.lower())

    async def stopped(self, record: str, done: Sequence[Shot], *, certain: bool) -> bool:
        """See `RuleKeeper`."""
        begun = self._records[record]
        try:
            if not done and certain:
                async with self._taking_away(begun):
                    await ddl_journal.undo(self._store, begun)
                return False
            self._begun.discard(layout.ddl(begun.id))
            nodes = [NodeWork(shot.data_source, shot.sql.decode("utf-8", "surrogateescape")) for shot in done]
            async with self._taking_away(begun):
                await ddl_journal.stop(self._store, begun, nodes)
            _log.warning("a DDL statement is half done: dbmesh ddl resume %s: %s", begun.id, begun.text)
            if begun.creates:
                await self._change_rules(begun)
        finally:
            self._forget(record)
        return True

    async def finish(self, record: str) -> None:
        """See `RuleKeeper`."""
        begun = self._records[record]
        change = begun.change
        try:
            # No number leased before a counter is set back is given away after it.
            async with self._no_leasing(begun), self._taking_away(begun):
                numbering = self._take_numbers_back(begun)
                done = replace(begun, change=replace(change, numbering=numbering))
                await ddl_journal.finish(self._store, done, self._holder)
            if change.made or change.gone or change.declared:
                await self._change_rules(begun)
        finally:
            self._forget(record)

    @asynccontextmanager
    async def _no_leasing(self, record: DdlRecord) -> AsyncIterator[None]:
        """No numbers are leased in the block for tables that a statement numbers anew."""
        async with AsyncExitStack() as held:
            for key in sorted(
                {layout.counter(record.database, table) for table, _ in record.change.numbering}
            ):
                await held.enter_async_context(self._leasing[key])
            yield

    def _take_numbers_back(self, record: DdlRecord) -> tuple[tuple[str, int], ...]:
        """From where on its tables are numbered; what is left of former numbers is given away no more."""
        starts, before = dict(record.change.numbering), self._following[record.id]
        for table, generator in self._numbering(record):
            if generator.next != before.get(table):
                # Rows that were numbered while it ran may be in transactions whose end is still to come: nobody sees them yet.
                starts[table] = max(starts[table], generator.next)
            generator.withdraw()
        return tuple(starts.items())

    @asynccontextmanager
    async def _taking_away(self, record: DdlRecord) -> AsyncIterator[None]:
        """The record goes in the block. One that stays is taken away by another process, of which this one has to hear then. Raises
        MeshError."""
        try:
            async with _reached():
                yield
        except BaseException as error:
            self._begun.discard(layout.ddl(record.id))
            if not isinstance(error, Conflict):
                raise
            raise MeshError(STORE, reason=f"somebody else has changed what it changes ({error})") from error

    def _forget(self, record: str) -> None:
        del self._records[record], self._following[record]

    async def lease(self, database: Database, needed: KeysNeeded) -> None:
        """See `RuleKeeper`."""
        generator = needed.generator
        key = layout.counter(database.name, generator.table)
        async with self._leasing[key], _reached():
            if generator.end >= needed.end:
                return

            async def greatest() -> int:
                return await greatest_number(database, generator.table)

            anew = await counters.lease(
                self._store, database.name, generator, needed.end, greatest, self._holder
            )
            self._leased[key] = _Leased(database.name, generator, anew)

    async def create_database(self, beside: Database, name: str, options: str) -> None:
        """See `RuleKeeper`. It is in the store before a server has it: what a crash leaves can be dropped."""
        if any(config.kind != "mysql" for config in beside.rule_set.data_sources.values()):
            raise not_supported(
                f"CREATE DATABASE beside '{beside.name}'", "use MySQL or MariaDB data sources"
            )
        if not 0 < len(name) <= MOST_NAME or name.lower() in RESERVED:
            raise not_supported(f"a database named '{name[:80]}'", "choose another name")
        async with _reached():
            before = {one.name.lower(): one for one in await databases.read_databases(self._store)}
        parent = before.get(beside.name.lower())
        made = MadeDatabase(name, beside.name if parent is None else parent.beside)
        async with self._making:
            with self._while_changing(name):
                await self._make_database(beside, made, options)

    async def _make_database(self, beside: Database, made: MadeDatabase, options: str) -> None:
        name, rule_set = made.name, made.rule_set(beside.rule_set)
        try:
            async with _reached():
                await databases.keep(self._store, made)
        except Conflict as conflict:
            raise MeshError(DATABASE_EXISTS, database=name) from conflict
        done: list[str] = []
        try:
            for source in rule_set.data_sources:
                await _run(beside, source, f"CREATE DATABASE {_quoted(name)} {options}")
                done.append(source)
        except ShardError:
            for source in done:
                await _run(beside, source, f"DROP DATABASE {_quoted(name)}")
            async with _reached():
                await databases.forget(self._store, name)
            raise
        await self._databases.add(rule_set)

    async def drop_database(self, database: Database) -> None:
        """See `RuleKeeper`."""
        if database.name.lower() in self._mesh.configuration.databases:
            raise not_supported(
                f"DROP DATABASE '{database.name}', which the configuration names",
                "remove its database-*.yaml file",
            )
        async with self._making:
            with self._while_changing(database.name):
                await self._drop_database(database.name)

    async def _drop_database(self, name: str) -> None:
        async with _reached():
            made = {one.name.lower(): one for one in await databases.read_databases(self._store)}
        found, database = made.get(name.lower()), self._mesh.database(name)
        beside = None if found is None else self._mesh.database(found.beside)
        if database is None or beside is None:
            # Another client was first.
            raise MeshError(DATABASE_ABSENT, database=name)
        for source in database.rule_set.data_sources:
            await _run(beside, source, f"DROP DATABASE IF EXISTS {_quoted(name)}")
        async with _reached():
            await databases.forget(self._store, name)
        await self._databases.remove(database)

    async def close(self) -> None:
        """Give back the numbers nobody used. A store that fails keeps them."""
        try:
            for leased in self._leased.values():
                await counters.give_back(self._store, leased.database, leased.generator, self._holder)
        except StoreError as error:
            _log.info("numbers that nobody used are not given back: %s", error)

    async def _change_rules(self, record: DdlRecord) -> None:
        change = record.change

        def changed(rule_set: RuleSet) -> RuleSet:
            return with_declared(with_made(rule_set, change.made, change.gone), change.declared)

        touched = touched_by(node.sql for node in record.nodes)
        await self._mesh.change_rules(record.database, changed, touched)


async def greatest_number(database: Database, table: str) -> int:
    """The greatest value of a table's generated column over all its data nodes, 0 when it is empty. Raises MeshError or
    ShardError."""
    rule = database.rule_set.table(table)
    column = getattr(rule, "key_column", None)
    if rule is None or column is None:
        return 0
    numbers: list[int] = [0]
    for node in rule.nodes:
        # Sessions that have all other connections may wait for this: who has one of these waits for nobody.
        pool = database.merge_pools[node.data_source]
        connection = await pool.acquire(Flavour())
        try:
            # Whatever its last borrower has set, sql_select_limit for instance.
            await connection.bring_to(SessionState())
            sql = f"SELECT MAX({quote_name(column, quoted=True)}) FROM {quote_name(node.table, quoted=True)}"
            [[value]] = (await collect(connection, sql.encode())).rows
            numbers.append(int(value or 0))
        finally:
            pool.release(connection, asyncio.get_running_loop().time())
    return max(numbers)


async def _run(database: Database, data_source: str, sql: str) -> None:
    pool = database.pools[data_source]
    connection = await pool.acquire(Flavour())
    try:
        await connection.bring_to(SessionState())
        await collect(connection, sql.encode("utf-8", "surrogateescape"))
    finally:
        pool.release(connection, asyncio.get_running_loop().time())


def _tables(record: DdlRecord) -> set[str]:
    """The tables whose rules a statement changes, as database.table in lower case."""
    change = record.change
    names = [*(one.name for one in change.made), *change.gone, *(one.table for one in change.declared)]
    return {f"{record.database}.{name}".lower() for name in names}


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


@asynccontextmanager
async def _reached() -> AsyncIterator[None]:
    """Errors of the store in a client's terms; a conflict is the caller's."""
    try:
        yield
    except Conflict:
        raise
    except StoreError as error:
        raise MeshError(STORE, reason=str(error)) from error
