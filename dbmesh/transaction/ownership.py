"""How others know that the process of a BASE transaction lives: it holds a user lock on the server that decides.

Decides the lock's name and when it is taken again. A server gives the lock free when the connection that holds it ends, whatever
ended it. Knows nothing of transactions.
"""

from __future__ import annotations

import asyncio
import logging

from dbmesh.backend.connection import Connection
from dbmesh.engine.collect import collect
from dbmesh.errors import NO_DECISIONS, MeshError, ShardError
from dbmesh.model import UNDO_TABLE
from dbmesh.transaction.coordinator import Coordinator
from dbmesh.transaction.xid import Place

_log = logging.getLogger(__name__)

_WAIT = 5
"""Seconds to wait for a lock that the server has not taken from a lost connection yet."""

Server = tuple[str, int]


class Ownership:
    """The locks of one process, one for each server, held as long as it lives."""

    def __init__(self, coordinator: Coordinator) -> None:
        self._coordinator = coordinator
        self._held: dict[Server, Connection] = {}
        self._taking: dict[Server, asyncio.Lock] = {}

    async def hold(self, place: Place) -> None:
        """Hold the lock on a place's server from here on. Raises MeshError NO_DECISIONS."""
        server = (place.host, place.port)
        held = self._held.get(server)
        if held is not None and held.usable:
            return
        async with self._taking.setdefault(server, asyncio.Lock()):
            held = self._held.get(server)
            if held is not None and held.usable:
                return
            if held is not None:
                held.abort()
            # A lost one stays until another is there: `keep` goes on trying.
            self._held[server] = await self._take(place)

    async def _take(self, place: Place) -> Connection:
        reason: object = "it was taken away"
        pool = self._coordinator.places().get(place)
        if pool is not None:
            try:
                connection = await pool.open_apart()
                if await self._lock_by(connection):
                    return connection
                reason = "its server does not give the lock of this process free"
            except (MeshError, ShardError) as error:
                reason = error
        raise MeshError(NO_DECISIONS, data_source=place, table=UNDO_TABLE, reason=reason)

    async def _lock_by(self, connection: Connection) -> bool:
        """Take the lock. A connection nobody knows must not hold it."""
        statement = f"SELECT GET_LOCK('{_lock(self._coordinator.names.instance)}', {_WAIT})"
        taken = False
        try:
            taken = (await collect(connection, statement.encode())).rows == [[b"1"]]
        finally:
            if not taken:
                connection.abort()
        return taken

    async def keep(self) -> None:
        """See that the locks are still held: one that was lost is taken again."""
        for place in list(self._coordinator.places()):
            server = (place.host, place.port)
            held = self._held.get(server)
            if held is None:
                continue
            try:
                # While it is asked it is not usable, and nobody may take it for lost.
                async with self._taking[server]:
                    if not (held.usable and await held.ping()):
                        held.abort()
                await self.hold(place)
            except (MeshError, ShardError) as error:
                _log.warning("the lock of this process at %s is lost: %s", place, error)

    async def close(self) -> None:
        """Give all locks free."""
        while self._held:
            _, connection = self._held.popitem()
            await connection.close()


def is_free(gtrid: str) -> str:
    """The question whether the process that gave a transaction its name holds no lock on this server any more."""
    return f"SELECT IS_FREE_LOCK('{_lock(gtrid.partition('-')[0])}')"


def _lock(instance: str) -> str:
    return f"dbmesh-{instance}"
