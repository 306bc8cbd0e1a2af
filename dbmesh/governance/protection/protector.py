"""Everything that protects one mesh, put together from the configuration.

Decides which protections there are and in which order they are asked. What each of them does is its own file's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dbmesh.backend.connection import Guard
from dbmesh.backend.pool import Pool
from dbmesh.governance.protection.breaker import State
from dbmesh.governance.protection.breakers import Breakers, Clock
from dbmesh.rules.protection.values import Protection
from dbmesh.session.filtering import StatementFilter
from dbmesh.session.mesh import Mesh


class Protector:
    """See the module's docstring. One for a process; `mesh` is given once it is there."""

    def __init__(self, protection: Protection, clock: Clock) -> None:
        self.breakers = Breakers(protection, clock)
        self._mesh: Mesh | None = None
        self._filters: tuple[StatementFilter, ...] = ()

    def protect(self, mesh: Mesh) -> None:
        """From now on look at its statements and guard its data sources."""
        self._mesh = mesh
        self._apply()

    def guard_pools(self, database: str, pools: Mapping[str, Pool]) -> None:
        """Pools of a logic database by their data sources' names ask these' guards from now on."""
        for name, pool in pools.items():
            pool.guard = self._guard(database, name)

    def decide(self, forced: Mapping[str, State]) -> None:
        """From now on these are all of somebody's decisions about breakers, by their names."""
        self.breakers.decide(forced)
        self._apply()

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
        if self.breakers.watches_statements:
            yield self.breakers

    def _guard(self, database: str, data_source: str) -> Guard | None:
        return self.breakers.of_data_source(database, data_source)
