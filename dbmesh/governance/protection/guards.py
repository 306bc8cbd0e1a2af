"""What is asked before a connection to a data source is lent: its breaker, then its limits.

Decides their order only.
"""

from __future__ import annotations

from dbmesh.governance.protection.breakers import DataSourceBreaker
from dbmesh.governance.protection.limits import DataSourceLimits


class DataSourceGuard:
    """A `backend.connection.Guard`."""

    def __init__(self, breaker: DataSourceBreaker | None, limits: DataSourceLimits) -> None:
        self._breaker = breaker
        self._limits = limits

    def permits(self, now: float) -> bool:
        """See `Guard`."""
        del now
        return (self._breaker is None or self._breaker.permits_all) and self._limits.permits()

    async def admit(self) -> None:
        """See `Guard`."""
        await self._limits.admit()
        if self._breaker is not None:
            self._breaker.admit()

    def ended(self, began: float, now: float, error: Exception | None) -> None:
        """See `Guard`."""
        if self._breaker is not None:
            self._breaker.ended(began, now, error)
