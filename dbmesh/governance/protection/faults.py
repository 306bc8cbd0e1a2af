"""Faults that are made on purpose, to see what the application and the mesh do about them.

Decides by chance, within a fault's time, which statements and data sources are hit. Chance and clock are arguments.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Sequence
from functools import partial

from dbmesh.errors import DATA_SOURCE_UNREACHABLE, MeshError, ShardError
from dbmesh.governance.protection.breakers import Clock
from dbmesh.governance.protection.statements import Remembered, reaches_data
from dbmesh.rules.protection.values import Fault
from dbmesh.session.filtering import Later, RunningStatement, Seen
from dbmesh.session.log_fields import fields_of
from dbmesh.session.session import Session

_log = logging.getLogger(__name__)


class _Chance:
    """Faults of which the first that hits counts."""

    def __init__(self, faults: Sequence[Fault], clock: Clock) -> None:
        self._faults = faults
        self._wall = clock.wall
        self._draw = clock.draw

    @property
    def under_way(self) -> list[Fault]:
        """Those whose time is not over."""
        now = self._wall()
        return [fault for fault in self._faults if now < fault.until]

    def hits(self, fault: Fault) -> bool:
        """Whether it hits this time."""
        return self._draw() * 100 < fault.percent


class StatementFaults:
    """A `StatementFilter`: of statements that a fault names it hits so many."""

    def __init__(self, faults: Sequence[Fault], clock: Clock) -> None:
        self._faults = [fault for fault in faults if not fault.data_sources]
        self._chance = _Chance(self._faults, clock)
        self._naming = Remembered(self._that_name)

    def find(self, session: Session, seen: Seen) -> Sequence[Fault] | None:
        """See `StatementFilter`."""
        return self._naming.of(session, seen)

    def _that_name(self, statement: RunningStatement) -> Sequence[Fault] | None:
        if not reaches_data(statement):
            return None
        return [fault for fault in self._faults if fault.selection.names(statement)] or None

    def begin(self, statement: RunningStatement, found: Sequence[Fault]) -> Awaitable[None] | None:
        """See `StatementFilter`. Raises ShardError: the error is one a data source might give."""
        for fault in self._chance.under_way:
            if fault in found and self._chance.hits(fault):
                session = statement.session
                _log.info(
                    "session %d: fault '%s'",
                    session.connection_id,
                    fault.name,
                    extra=fields_of(session, fault=fault.name),
                )
                if fault.delay:
                    return Later(partial(_late, fault, statement))
                _strike(fault, statement)
        return None

    def end(self, statement: RunningStatement) -> None:
        """See `StatementFilter`."""


class DataSourceFaults:
    """Faults of one data source, which hit when a connection to it is lent."""

    def __init__(self, name: str, faults: Sequence[Fault], clock: Clock) -> None:
        self._name = name
        self._chance = _Chance(faults, clock)

    @property
    def under_way(self) -> bool:
        """Whether the time of one of them is not over."""
        return bool(self._chance.under_way)

    async def admit(self) -> bool:
        """Let one that hits happen; whether one did. Raises MeshError or ShardError."""
        for fault in self._chance.under_way:
            if self._chance.hits(fault):
                told = {"data_source": self._name, "fault": fault.name}
                _log.info("data source %s: fault '%s'", self._name, fault.name, extra=told)
                await asyncio.sleep(fault.delay)
                if fault.disconnects:
                    reason = f"injected fault '{fault.name}'"
                    raise MeshError(DATA_SOURCE_UNREACHABLE, data_source=self._name, reason=reason)
                if fault.number:
                    raise ShardError(fault.number, fault.sqlstate, fault.message)
                return True
        return False


async def _late(fault: Fault, statement: RunningStatement) -> None:
    await asyncio.sleep(fault.delay)
    _strike(fault, statement)


def _strike(fault: Fault, statement: RunningStatement) -> None:
    if fault.disconnects:
        statement.session.kill_connection()
    if fault.number or fault.disconnects:
        raise ShardError(fault.number or 2013, fault.sqlstate, fault.message)
