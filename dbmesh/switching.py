"""Makes a revision of the rules ready beside the one that is served, and switches to it.

Decides what a revision takes before it may be served, what is kept of what there is (pools of data sources that stay, catalogs),
and that what only the former rules used is closed when nobody uses it any more. When that happens, `governance.rule_follower` decides.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Protocol

from dbmesh.assembly import Assembly, Served, pools_of, served_rules
from dbmesh.backend.connection import Flavour
from dbmesh.backend.pool import Pool
from dbmesh.errors import MeshError, ShardError, StartError
from dbmesh.governance.rule_follower import NotDone, NotPrepared
from dbmesh.planner.catalog import AmbiguousTable
from dbmesh.reshard.jobs.generation import scope_of_moving
from dbmesh.reshard.tables.tables import Occupied, give_names
from dbmesh.rules.accounts import User
from dbmesh.rules.auto_tables import with_made
from dbmesh.rules.declared_keys import with_declared
from dbmesh.rules.diff import differences
from dbmesh.rules.mistakes import ConfigurationError
from dbmesh.rules.moving import Moving
from dbmesh.rules.ruleset import Configuration, DeclaredKeys, RuleSet
from dbmesh.session.gate import Gate
from dbmesh.session.mesh import Database
from dbmesh.session.rule_view import retire
from dbmesh.transaction.recovery import Findings, Recovery

_log = logging.getLogger(__name__)

MOST_PLANS = 500
"""Statements of a logic database that are planned before they are asked for."""


REST = 3.0
"""How much longer than planning ahead clients are served before the next statement is planned."""


class Door(Protocol):
    """Where clients come in."""

    def take_users(self, users: tuple[User, ...]) -> None:
        """Accounts that may log in from here on."""
        ...

    def refuse(self, by: str, reason: str) -> None:
        """Serve nobody from here on, '' everybody again as far as this is the only reason."""
        ...


@dataclass(frozen=True, slots=True)
class Prepared:
    """A revision that could be served at once. `opened` are pools that only it has; `began` is loop time: what has changed since
    must be looked at again."""

    configuration: Configuration
    served: Served
    databases: dict[str, Database]
    opened: list[Pool]
    began: float


class Switching:
    """See `governance.rule_follower.Serving`. `patience`: seconds that transactions begun under former rules may go on."""

    def __init__(self, assembly: Assembly, door: Door, patience: float) -> None:
        self._assembly = assembly
        self._door = door
        self._patience = patience
        self._now = asyncio.get_running_loop().time

    async def prepare(self, configuration: Configuration, *, moves: bool) -> Prepared:
        """See `Serving`."""
        began = self._now()
        try:
            served = await served_rules(self._assembly.store, configuration)
        except StartError as error:
            raise NotPrepared(str(error)) from error
        made = Prepared(configuration, served, {}, [], began)
        try:
            await self._fill(made, moves=moves)
        except (MeshError, ShardError, AmbiguousTable, NotPrepared) as error:
            await self.discard(made)
            raise NotPrepared(str(error)) from error
        except Exception as error:
            # Whatever it is, the roll-out must be told.
            _log.exception("a revision of the rules cannot be prepared")
            await self.discard(made)
            raise NotPrepared(f"internal error ({type(error).__name__})") from error
        except BaseException:
            await self.discard(made)
            raise
        return made

    async def _fill(self, made: Prepared, *, moves: bool) -> None:
        assembly, served = self._assembly, made.served
        _refuse_forgetting(assembly.mesh.configuration.moving, made.configuration.moving)
        if not moves:
            _refuse_moves(assembly.mesh.configuration, made.configuration)
        present = len(assembly.pools)
        for key, rule_set in served.rule_sets.items():
            before = assembly.mesh.databases.get(key)
            made.databases[key] = assembly.build(rule_set, served, before)
            made.opened.extend(assembly.pools[present:])
            present = len(assembly.pools)
            if before is not None and not moves:
                _refuse_hidden_rows(before, rule_set)
        await assembly.look(served)
        own = [
            pool
            for one in made.databases.values()
            for side in one.sides
            for pool in side.pools.values()
            if pool in made.opened and not pool.disabled
        ]
        await asyncio.gather(*(self._warm(pool) for pool in own))
        # What is known of data sources that stay need not be read again, unless tables come and go that no statement makes.
        stays = _tables_stay(assembly.mesh.configuration.moving, made.configuration.moving)
        touched = frozenset[str]() if stays else None
        for key, database in made.databases.items():
            before = assembly.mesh.databases.get(key)
            # What could not be read last time is looked at as a whole.
            unread = before is not None and any(side.unread for side in before.sides)
            made.databases[key] = await assembly.read(database, served, None if unread else touched)
            if before is not None:
                await _plan_ahead(before, made.databases[key])

    async def _warm(self, pool: Pool) -> None:
        """One connection waits; an account or an address that is wrong shows here. Raises MeshError."""
        pool.release(await pool.acquire(Flavour()), self._now())

    async def run(self, prepared: Prepared) -> None:
        """See `Serving`."""
        assembly, former = self._assembly, self._assembly.served

        async def following() -> tuple[Configuration, Mapping[str, Database]]:
            await self._catch_up(prepared)
            assembly.served = prepared.served
            return prepared.configuration, prepared.databases

        try:
            before = await assembly.mesh.switch(following)
        except (ConfigurationError, AmbiguousTable) as error:
            await self.discard(prepared)
            raise NotPrepared(str(error)) from error
        assembly.obey()
        self._door.take_users(prepared.configuration.users)
        used = {id(pool) for one in prepared.databases.values() for pool in pools_of(one)}
        unused = [pool for one in before.values() for pool in pools_of(one) if id(pool) not in used]
        watched = {id(one) for own in prepared.served.monitors.values() for one in own.values()}
        gone = [one for own in former.monitors.values() for one in own.values() if id(one) not in watched]
        assert assembly.tasks is not None
        assembly.watch(assembly.tasks)

        async def end_former() -> None:
            try:
                await retire(assembly.mesh, before, unused, self._patience, self._now)
            finally:
                assembly.unwatch(gone)
                for pool in unused:
                    assembly.pools.remove(pool)

        assembly.tasks.start(end_former(), "former rules")

    async def _catch_up(self, prepared: Prepared) -> None:
        """Tables and databases have come and gone since it was prepared. Raises ConfigurationError and AmbiguousTable."""
        assembly, databases, served = self._assembly, prepared.databases, prepared.served
        present = assembly.mesh.databases
        for key, database in list(databases.items()):
            current = present.get(key)
            if current is None:
                continue
            rule_set = _with_changes_of(current.rule_set, database.rule_set)
            if rule_set is not database.rule_set or current.loaded_at > prepared.began:
                changed = replace(database, rule_set=rule_set)
                databases[key] = await assembly.read(changed, served, None)
        # Databases may go while what stays is read. Nothing happens between the last look and the switch.
        while gone := [
            key for key in databases if key not in present and key not in prepared.configuration.databases
        ]:
            for key in gone:
                own = [pool for pool in pools_of(databases[key]) if pool in prepared.opened]
                del databases[key], served.rule_sets[key], served.monitors[key]
                for pool in own:
                    prepared.opened.remove(pool)
                    assembly.pools.remove(pool)
                    await pool.close()
        for key, database in present.items():
            if key not in databases and key not in assembly.mesh.configuration.databases:
                served.rule_sets[key] = database.rule_set
                served.tables[key], served.monitors[key] = (
                    assembly.served.tables[key],
                    assembly.served.monitors[key],
                )
                databases[key] = assembly.planned(database, served)

    async def discard(self, prepared: Prepared) -> None:
        """See `Serving`."""
        for pool in prepared.opened:
            self._assembly.pools.remove(pool)
            await pool.close()

    async def work(
        self,
        prepared: Prepared,
        still: Callable[[], Awaitable[bool]],
        tell: Callable[[str], Awaitable[None]],
    ) -> None:
        """See `Serving`: the tables of a move get their final names."""
        moving, other = prepared.configuration.moving, prepared.configuration.other
        assert moving is not None
        assert other is not None
        scope = scope_of_moving(moving, prepared.configuration.databases[moving.database.lower()], other)
        try:
            await give_names(scope, moving.job, still, tell)
        except (Occupied, MeshError, ShardError) as error:
            raise NotDone(str(error)) from error

    async def left_prepared(self) -> str:
        """See `Serving`. Whoever recovers transactions ends them meanwhile."""
        mesh = self._assembly.mesh
        recovery = Recovery(mesh.compensator)
        writes, findings = await asyncio.gather(recovery.undo.look(), self._branches(recovery))
        unreachable = dict(writes.unreachable)
        left = [(one.gtrid, one.places) for one in writes.left.values()]
        if findings is not None:
            unreachable |= findings.unreachable
            left += [(one.xid.gtrid, {one.xid.own: one.place}) for one in findings.in_doubt]
        told = [
            f"transaction {gtrid} was left on {', '.join(map(str, places.values()))}"
            for gtrid, places in left
        ]
        told += [
            f"{place} cannot be asked for what was left there: {why}" for place, why in unreachable.items()
        ]
        return "; ".join(told)

    async def _branches(self, recovery: Recovery) -> Findings | None:
        """Branches that somebody has prepared; there are none where one data source is all there is."""
        several = len(self._assembly.mesh.coordinator.places()) > 1
        return await recovery.look() if several else None

    def refuse_clients(self, reason: str) -> None:
        """See `Serving`."""
        self._door.refuse("rules", reason)

    @property
    def gate(self) -> Gate:
        """See `Serving`."""
        return self._assembly.mesh.gate


def _with_changes_of(current: RuleSet, rule_set: RuleSet) -> RuleSet:
    """A rule set with the tables and foreign keys that statements have made in another. Raises ConfigurationError."""
    if current.made != rule_set.made:
        gone = [name for name, table in rule_set.made.items() if current.made.get(name) != table]
        made = [table for name, table in current.made.items() if rule_set.made.get(name) != table]
        rule_set = with_made(rule_set, made, gone)
    if current.declared != rule_set.declared:
        names = {*current.declared, *rule_set.declared}
        rule_set = with_declared(
            rule_set, [current.declared.get(name, DeclaredKeys(name)) for name in sorted(names)]
        )
    return rule_set


def _refuse_moves(before: Configuration, after: Configuration) -> None:
    """Rows would be looked for where they may not be: whoever applied the rules may have compared them with others than those that
    run here. Raises NotPrepared."""
    moving = [one for one in differences(before, after) if one.moves]
    if moving:
        named = ", ".join(f"{one.kind} '{one.name}' of database '{one.database}'" for one in moving)
        raise NotPrepared(
            f"rows would be looked for where they may not be: {named}; move them first, then apply with --rows-are-moved"
        )


def _tables_stay(before: Moving | None, after: Moving | None) -> bool:
    """Whether the data sources have the same tables before and after a step of a job: once the new ones are there and until they get other
    names only what is read and written changes."""
    if before is None or after is None:
        return before is after
    return before.job == after.job and before.fills and after.fills and before.named == after.named


def _refuse_forgetting(before: Moving | None, after: Moving | None) -> None:
    """Rows that are being moved would stay behind. Raises NotPrepared."""
    if before is not None and before.doubled and (after is None or after.job != before.job):
        raise NotPrepared(f"reshard job {before.job} writes to both sides; end it first")


def _refuse_hidden_rows(before: Database, rule_set: RuleSet) -> None:
    """A table that is in one place now would be looked for elsewhere. Raises NotPrepared."""
    for name, rule in rule_set.tables.items():
        node = before.catalog.single_nodes.get(name)
        if node is not None and before.rule_set.table(name) is None and node not in rule.nodes:
            raise NotPrepared(
                f"table '{rule.name}' of database '{before.name}' is on {node.data_source} without a rule, "
                f"and the new rule does not look there; move its rows first, then apply with --rows-are-moved"
            )


async def _plan_ahead(before: Database, after: Database) -> None:
    """Plan what has been asked lately, by clients and for them on the side that is not read: none of it has to be planned when
    everybody goes on at once."""
    for former, following in zip(before.sides, after.sides, strict=False):
        for asked in former.plans.asked()[:MOST_PLANS]:
            began = perf_counter()
            with suppress(MeshError):
                # Whoever asks it again is told.
                following.plans.lookup(asked.text, asked.database, privileges=asked.privileges)
            # One takes milliseconds, and most of the time is the clients'.
            await asyncio.sleep(REST * (perf_counter() - began))
