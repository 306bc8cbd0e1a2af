"""What is asked before a connection to a data source is lent: its limits, its breaker, then faults that are made on purpose: the
breaker counts these.

Decides their order only.
"""

from __future__ import annotations

from dbmesh.errors import MeshError, ShardError
from dbmesh.governance.protection.breakers import Clock, DataSourceBreaker
from dbmesh.governance.protection.faults import DataSourceFaults
from dbmesh.governance.protection.limits import DataSourceLimits


class DataSourceGuard:
    """A `backend.connection.Guard`."""

    def __init__(
        self,
        breaker: DataSourceBreaker | None,
        limits: DataSourceLimits,
        faults: DataSourceFaults,
        clock: Clock,
    ) -> None:
        self._breaker = breaker
        self._limits = limits
        self._faults = faults
        self._now = clock.now

    def permits(self, now: float) -> bool:
        """See `Guard`."""
        del now
        if self._faults.under_way or (self._breaker is not None and not self._breaker.permits_all):
            return False
        return self._limits.permits()

    async def admit(self) -> None:
        """See `Guard`."""
        await self._limits.admit()
        if self._breaker is not None:
            self._breaker.admit()
        if not self._faults.under_way:
            return
        began = self._now()
        try:
            if await self._faults.admit():
                self.ended(began, self._now(), None)
        except (MeshError, ShardError) as error:
            self.ended(began, self._now(), error)
            raise

    def ended(self, began: float, now: float, error: Exception | None) -> None:
        """See `Guard`."""
        if self._breaker is not None:
            self._breaker.ended(began, now, error)
