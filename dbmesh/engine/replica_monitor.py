"""Looks at the servers of a replica group again and again, and tells the group what it has seen.

Decides what a server is asked and how its answer is read (manual: SHOW REPLICA STATUS, read_only). What follows from it is
decided by `backend.replicas`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from dbmesh.backend.connection import Connection, Flavour, Product
from dbmesh.backend.mysql_connect import open_mysql
from dbmesh.backend.replica_health import Observation
from dbmesh.backend.replicas import Replicas
from dbmesh.engine.collect import Result, collect
from dbmesh.errors import MeshError, ShardError
from dbmesh.rules.ruleset import DataSourceConfig

_log = logging.getLogger(__name__)

LONGEST_LOOK = 2.0
"""Seconds a server may take to answer before it counts as away; the check interval where that is longer."""

_STATUS = {
    # Of all its sources: without ALL it tells of the one that has no name.
    Product.MARIADB: (b"SHOW ALL SLAVES STATUS",),
    Product.MYSQL: (b"SHOW REPLICA STATUS", b"SHOW SLAVE STATUS"),
    Product.OTHER: (b"SHOW REPLICA STATUS", b"SHOW SLAVE STATUS"),
}
"""In the words of newer and of older servers."""

_PARSE_ERROR = 1064
_DENIED = frozenset({1044, 1142, 1227})


class ReplicaMonitor:
    """See the module's docstring."""

    def __init__(self, replicas: Replicas) -> None:
        self._replicas = replicas
        group = replicas.group
        longest = max(LONGEST_LOOK, group.check_interval)
        self._probes = {
            name: _Probe(server.config, longest, asks=group.most_lag > 0)
            for name, server in replicas.servers.items()
        }
        self._hurry = asyncio.Event()
        replicas.look_now = self.look_now

    async def serve(self) -> None:
        """Look until cancelled: at each server by itself, so that one that does not answer delays no look at another."""
        try:
            async with asyncio.TaskGroup() as group:
                for name in self._probes:
                    group.create_task(self._follow(name))
        finally:
            self.close()

    def close(self) -> None:
        """Hang up everywhere; the next look connects anew."""
        for probe in self._probes.values():
            probe.close()

    async def look(self) -> None:
        """Look at every server once, and tell all that was seen together: nothing is known of any before."""
        seen = await asyncio.gather(*(probe.look() for probe in self._probes.values()))
        self._tell(dict(zip(self._probes, seen, strict=True)))

    async def look_now(self) -> None:
        """Begin the next look everywhere, and see it through at the server believed to be the primary."""
        self._hurry.set()
        self._hurry.clear()
        await self._look_at_primary()

    async def _look_at_primary(self) -> None:
        name = self._replicas.primary.name
        self._tell({name: await self._probes[name].look()})

    async def _follow(self, name: str) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._replicas.group.check_interval):
                    await self._hurry.wait()
            seen = await self._probes[name].look()
            if seen.searches and name != self._replicas.primary.name:
                # Whether the replica is to blame, or its source.
                await self._look_at_primary()
            self._tell({name: seen})

    def _tell(self, seen: dict[str, Observation]) -> None:
        self._replicas.observe(seen, asyncio.get_running_loop().time())


class _Probe:
    """A connection of its own to one server, so that a crowded pool is not taken for a dead server."""

    def __init__(self, config: DataSourceConfig, longest: float, *, asks: bool) -> None:
        self.config = config
        self._longest = longest
        self._asks = asks
        self._looking = asyncio.Lock()
        self._connection: Connection | None = None
        self._status = 0

    async def look(self) -> Observation:
        """What the server says within `longest` seconds. Never raises."""
        async with self._looking:
            return await self._within_time()

    async def _within_time(self) -> Observation:
        try:
            async with asyncio.timeout(self._longest):
                return await self._look()
        except TimeoutError:
            problem = f"it did not answer within {self._longest:g} s"
        except (MeshError, ShardError) as error:
            problem = str(error)
        self.close()
        return Observation(problem)

    def close(self) -> None:
        """Hang up."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.abort()

    async def _look(self) -> Observation:
        if self._connection is None or not self._connection.usable:
            self.close()
            self._connection = await open_mysql(self.config, Flavour())
        answer = await collect(self._connection, b"SELECT @@global.read_only, @@global.server_id")
        # MariaDB 12 has several degrees of it, told by names.
        read_only = answer.rows[0][0] not in (b"0", b"OFF", None)
        if not self._asks:
            return Observation(follows=True, read_only=read_only)
        server_id = int(answer.rows[0][1] or b"0")
        try:
            status, self._status = await replication_status(self._connection, self._status)
        except ShardError as error:
            if error.number not in _DENIED:
                raise
            stalled = "its account may not ask how replication goes (it needs REPLICATION CLIENT, or maxReplicaLagSeconds: 0)"
            return Observation(stalled=stalled, follows=True, read_only=read_only)
        return replace(read_status(status, read_only=read_only), server_id=server_id)


async def replication_status(connection: Connection, known: int = 0) -> tuple[Result, int]:
    """How a server follows others, for `read_status`, and which of the ways to ask it understands: the next time it is asked that way
    first. Raises ShardError and MeshError."""
    statements = _STATUS[connection.product]
    for way in range(known, len(statements) - 1):
        try:
            return await collect(connection, statements[way]), way
        except ShardError as error:
            if error.number != _PARSE_ERROR:
                raise
    return await collect(connection, statements[-1]), len(statements) - 1


def read_status(status: Result, *, read_only: bool) -> Observation:
    """An observation from SHOW REPLICA STATUS: one row for each source the server has, none for a server that has none."""
    names = [column.name.decode().lower() for column in status.columns]
    rows = [dict(zip(names, row, strict=True)) for row in status.rows]
    if not rows:
        return Observation(stalled="it is nobody's replica", read_only=read_only)
    receiving = [_field(row, "io_running") for row in rows]
    applying = [_field(row, "sql_running") for row in rows]
    lags = [_seconds(row) for row in rows]
    stalled = ""
    if b"No" in applying:
        errors = [row.get("last_sql_error") or b"" for row in rows]
        stalled = "it does not apply changes" + _because(errors)
    elif b"No" in receiving:
        errors = [row.get("last_io_error") or b"" for row in rows]
        stalled = "it does not receive changes" + _because(errors)
    known = [lag for lag in lags if lag is not None]
    failed = any(row.get("last_sql_error") for row in rows)
    return Observation(
        stalled=stalled,
        searches=any(one != b"Yes" and one != b"No" for one in receiving),
        # Whoever is made a primary is stopped on purpose, not by an error, and altogether.
        follows=failed or any(one != b"No" for one in (*applying, *receiving)),
        lag=max(known, default=None),
        read_only=read_only,
        sources=frozenset(map(_source_id, rows)),
    )


def _source_id(row: dict[str, bytes | None]) -> int:
    return int(row.get("source_server_id") or row.get("master_server_id") or b"0")


def _field(row: dict[str, bytes | None], name: str) -> bytes:
    """`Replica_…` or `Slave_…`."""
    return row.get(f"replica_{name}") or row.get(f"slave_{name}") or b"No"


def _seconds(row: dict[str, bytes | None]) -> float | None:
    written = row.get("seconds_behind_source") or row.get("seconds_behind_master")
    return None if written is None else float(written)


def _because(errors: Sequence[bytes]) -> str:
    said = next(filter(None, errors), b"")
    return f": {said.decode('utf-8', 'replace')}" if said else ""
