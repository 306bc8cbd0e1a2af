"""Everything that protects one mesh, put together from the configuration.

Decides which protections there are and in which order they are asked. What each of them does is its own file's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from dbmesh.backend.connection import Guard
from dbmesh.backend.pool import Pool
from dbmesh.governance.protection.audit import AuditLog
from dbmesh.governance.protection.breaker import State
from dbmesh.governance.protection.breakers import Breakers, Clock
from dbmesh.governance.protection.budgets import Budgets
from dbmesh.governance.protection.connections import ConnectionLimits
from dbmesh.governance.protection.faults import DataSourceFaults, StatementFaults
from dbmesh.governance.protection.firewall import MOST_FINGERPRINTS, Firewall
from dbmesh.governance.protection.guards import DataSourceGuard
from dbmesh.governance.protection.limiter import Limiter
from dbmesh.governance.protection.limits import DataSourceLimits, Limits
from dbmesh.governance.protection.line_writer import LineWriter
from dbmesh.governance.protection.timeouts import Timeouts
from dbmesh.rules.protection.firewall import FirewallMode
from dbmesh.rules.protection.values import Fault, Per, Protection
from dbmesh.session.filtering import StatementFilter, StatementObserver
from dbmesh.session.mesh import Mesh

MOST_LEARNED = 1 << 30
"""Bytes of the file for what is learned: it is never begun anew."""


class Protector:
    """See the module's docstring. One for a process; its mesh is given once it is there. Files are from `directory`. `close` blocks
    until they are written."""

    def __init__(self, protection: Protection, clock: Clock, directory: Path = Path()) -> None:
        self.breakers = Breakers(protection, clock)
        self.budgets = Budgets(clock.now, clock.wall)
        self._protection = protection
        self._limits_of_sources: dict[str, DataSourceLimits] = {}
        # In the order they are asked, around breakers: what is refused or waits before is no call that a breaker counts.
        self._observers: list[StatementObserver] = []
        self._before: list[StatementFilter] = []
        self._behind: list[StatementFilter] = []
        self._clock = clock
        self._writers: list[LineWriter] = []
        if protection.audit is not None:
            audit = protection.audit
            writer = LineWriter(directory / audit.file, audit.file_bytes, audit.older_files, audit.waiting)
            self._writers.append(writer)
            self._observers.append(AuditLog(audit, writer, clock))
        if protection.firewall.mode is not FirewallMode.OFF:
            learned = None
            if protection.firewall.learned:
                learned = LineWriter(
                    directory / protection.firewall.learned, MOST_LEARNED, 0, MOST_FINGERPRINTS
                )
                self._writers.append(learned)
            self._before.append(Firewall(protection.firewall, learned))
        if any(limit.per is not Per.DATA_SOURCE for limit in protection.limits):
            self._before.append(Limits(protection.limits, self.budgets))
        if protection.timeouts:
            self._behind.append(Timeouts(protection.timeouts))
        self._faults = protection.faults
        self._mesh: Mesh | None = None
        self._filters: tuple[StatementFilter, ...] = ()

    def protect(self, mesh: Mesh) -> None:
        """From now on look at its statements and guard its data sources."""
        self._mesh = mesh
        mesh.observe((*mesh.observers, *self._observers))
        if self._protection.connections:
            mesh.doorkeeper = ConnectionLimits(self._protection.connections, mesh)
        self._apply()

    def guard_pools(self, database: str, pools: Mapping[str, Pool]) -> None:
        """Pools of a logic database by their data sources' names ask these' guards from now on."""
        for name, pool in pools.items():
            pool.guard = self._guard(database, name)

    def decide(self, forced: Mapping[str, State]) -> None:
        """From now on these are all of somebody's decisions about breakers, by their names."""
        self.breakers.decide(forced)
        self._apply()

    def rehearse(self, faults: Sequence[Fault]) -> None:
        """From now on these are all the faults that somebody has added to those of the configuration."""
        self._faults = (*self._protection.faults, *faults)
        self._apply()

    def limiters(self) -> list[tuple[str, Limiter]]:
        """The limits in use, with whom each of them limits."""
        of_statements = [one.limiters() for one in self._before if isinstance(one, Limits)]
        of_sources = [one.limiters() for one in self._limits_of_sources.values()]
        return [found for part in (*of_statements, *of_sources) for found in part]

    def close(self) -> None:
        """Write what waits to be written. Blocks."""
        for writer in self._writers:
            writer.close()

    def _apply(self) -> None:
        """Filters other than these keep their places."""
        mesh = self._mesh
        if mesh is None:
            return
        others = tuple(one for one in mesh.filters if one not in self._filters)
        self._filters = tuple(self._wanted())
        mesh.filters = others + self._filters
        for database in mesh.databases.values():
            for pools in (database.pools, database.merge_pools):
                self.guard_pools(database.name, pools)

    def _wanted(self) -> Iterable[StatementFilter]:
        yield from self._before
        if self.breakers.watches_statements:
            yield self.breakers
        yield from self._behind
        if any(not fault.data_sources for fault in self._faults):
            yield StatementFaults(self._faults, self._clock)

    def _guard(self, database: str, data_source: str) -> Guard | None:
        breaker = self.breakers.of_data_source(database, data_source)
        limits = [
            limit
            for limit in self._protection.limits
            if limit.per is Per.DATA_SOURCE and limit.names_source(database, data_source)
        ]
        faults = [fault for fault in self._faults if fault.names_source(database, data_source)]
        if breaker is None and not limits and not faults:
            return None
        name = f"{database}.{data_source}"
        known = self._limits_of_sources.get(name)
        if known is None:
            known = self._limits_of_sources[name] = DataSourceLimits(name, limits, self.budgets)
        return DataSourceGuard(breaker, known, DataSourceFaults(name, faults, self._clock), self._clock)
