"""Takes over what other processes on the same store change: rules that CREATE TABLE made, databases, finished DDL.

Decides what a change in the store means for this process. What this process is changing itself it leaves to the keeper.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from dbmesh.governance import layout
from dbmesh.governance.databases import read_databases
from dbmesh.governance.declared_keys import read_declared
from dbmesh.governance.made_rules import read_made
from dbmesh.governance.store import Compacted, Store, StoreError, Write
from dbmesh.planner.catalog import AmbiguousTable
from dbmesh.rules.auto_tables import with_made
from dbmesh.rules.declared_keys import with_declared
from dbmesh.rules.mistakes import ConfigurationError
from dbmesh.rules.ruleset import DeclaredKeys, MadeTable, RuleSet
from dbmesh.session.mesh import Database, Mesh

_log = logging.getLogger(__name__)

_CANNOT_RUN = "what other processes have changed in database '%s' cannot be run: %s"

PAUSE = 5.0
"""Seconds until a store that could not be read is asked again."""


class Changing(Protocol):
    """What this process is changing."""

    @property
    def mesh(self) -> Mesh: ...

    def is_changing(self, name: str) -> bool:
        """Whether this process makes, changes or drops a table (database.table) or a database of this name right now."""
        ...

    def began(self, key: str) -> bool:
        """Whether this process began the statement of this record; asked once, when the record is gone."""
        ...

    def hear_of_counters(self, values: Mapping[str, bytes | None], *, all_of_them: bool) -> None:
        """What keys of the store are by now, counters among them; with `all_of_them` what is not named is not there. Numbers that belong
        to rows of another table by now are given away no more."""
        ...

    async def add(self, rule_set: RuleSet) -> None:
        """Serve one more logic database."""
        ...

    async def remove(self, database: Database) -> None:
        """Serve a logic database no longer."""
        ...


async def follow(store: Store, here: Changing, since: int) -> None:
    """Take over every change after the revision `since`, before which this process has read what its tables are like, until the store is
    closed. Never raises for a store that cannot be read: it is asked again."""
    complained = missed = False
    while True:
        try:
            snapshot = await store.range(layout.ROOT)
            after = snapshot.revision if missed else since
            here.hear_of_counters({one.key: one.value for one in snapshot.entries}, all_of_them=True)
            served = here.mesh.configuration
            left = await _take_over(store, here, (), missed=missed)
            complained = missed = False
            async for changes in store.watch(layout.ROOT, after):
                here.hear_of_counters({write.key: write.value for write in changes.writes}, all_of_them=False)
                # What was left to this process may have been changed by another since; and of a database that has come with other
                # rules it has not heard what was made there meanwhile.
                other = here.mesh.configuration is not served
                if left or other or any(layout.is_made(write.key) for write in changes.writes):
                    served = here.mesh.configuration
                    left = await _take_over(store, here, changes.writes)
            return
        except Compacted:
            missed = True
        except (StoreError, ConfigurationError) as error:
            missed = True
            if not complained:
                _log.warning("what other processes have changed cannot be read: %s", error)
            complained = True
            await asyncio.sleep(PAUSE)


class _Leaving:
    """What this process is changing, and whether any of it was `met`."""

    def __init__(self, here: Changing) -> None:
        self._here = here
        self.met = False

    def is_changing(self, name: str) -> bool:
        """See `Changing`."""
        found = self._here.is_changing(name)
        self.met |= found
        return found


async def _take_over(store: Store, here: Changing, writes: Iterable[Write], *, missed: bool = False) -> bool:
    """Make this process's databases and rules those of the store; whether anything that differs was left to it, since it is changing that
    itself. `missed`: not all changes have been told."""
    mesh, leaving = here.mesh, _Leaving(here)
    # Looked at before the store is: what this process makes and drops meanwhile is not taken for another's change.
    present = tuple(mesh.databases.items())
    made = {one.name.lower(): one for one in await read_databases(store)}
    for name, one in made.items():
        beside = mesh.configuration.databases.get(one.beside.lower())
        if name not in mesh.databases and beside is not None and not leaving.is_changing(name):
            rule_set = with_made(one.rule_set(beside), await read_made(store, one.name))
            rule_set = with_declared(rule_set, await read_declared(store, one.name))
            try:
                await here.add(rule_set)
            except AmbiguousTable as error:
                _log.warning(_CANNOT_RUN, name, error)
    finished = [
        write.key
        for write in writes
        if write.value is None and write.key.startswith(layout.ddl_prefix()) and not here.began(write.key)
    ]
    for name, database in present:
        if name not in made and name not in mesh.configuration.databases:
            if name in mesh.databases and not leaving.is_changing(name):
                await here.remove(database)
            continue
        stored = {table.name.lower(): table for table in await read_made(store, database.name)}
        declared = {one.table.lower(): one for one in await read_declared(store, database.name)}
        made_here, gone_here = _difference(leaving, database, stored)
        keys = _other_keys(leaving, database, declared)
        if name not in mesh.databases:
            continue
        try:
            if made_here or gone_here or keys:
                await mesh.change_rules(name, _change(made_here, gone_here, keys))
            elif finished or missed:
                # A statement of another process has changed tables, or may have.
                await mesh.reload(database)
        except AmbiguousTable as error:
            _log.warning(_CANNOT_RUN, name, error)
    return leaving.met


def _change(
    made: Sequence[MadeTable], gone: Sequence[str], keys: Sequence[DeclaredKeys]
) -> Callable[[RuleSet], RuleSet]:
    return lambda rule_set: with_declared(with_made(rule_set, made, gone), keys)


def _difference(
    leaving: _Leaving, database: Database, stored: Mapping[str, MadeTable]
) -> tuple[list[MadeTable], list[str]]:
    """Tables whose rules are new or others in the store, and those that have none there any more."""
    known = database.rule_set.made
    names = {
        name
        for name in {*stored, *known}
        if stored.get(name) != known.get(name) and not leaving.is_changing(f"{database.name}.{name}")
    }
    gone = [name for name in names if name in known]
    return [table for name, table in stored.items() if name in names], gone


def _other_keys(
    leaving: _Leaving, database: Database, stored: Mapping[str, DeclaredKeys]
) -> list[DeclaredKeys]:
    """Tables whose declared foreign keys are others in the store."""
    known = database.rule_set.declared
    return [
        stored.get(name, DeclaredKeys(name))
        for name in sorted({*stored, *known})
        if stored.get(name) != known.get(name) and not leaving.is_changing(f"{database.name}.{name}")
    ]
