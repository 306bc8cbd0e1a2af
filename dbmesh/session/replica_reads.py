"""Whether a statement of a session is read on a replica, and that the replica has what the session must see.

Decides by the plan, the transaction and what the session has written. Which replicas can be read at all is decided by
`backend.replicas`.

What a session has written is known by the primary's GTID position, asked for once before the session's next read on a replica:
it holds every commit acknowledged by then, however it came about (a routine, a branch of a distributed transaction). A
replica is then asked to wait for it (MariaDB: MASTER_GTID_WAIT; MySQL: WAIT_FOR_EXECUTED_GTID_SET).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dbmesh.backend.connection import Connection
from dbmesh.backend.mysql import MySQLConnection
from dbmesh.backend.pool import Pool
from dbmesh.backend.replicas import Replicas, Server
from dbmesh.backend.state import ISOLATION
from dbmesh.engine.collect import collect
from dbmesh.errors import DATA_SOURCE_UNREACHABLE, NO_PRIMARY, MeshError, ShardError
from dbmesh.planner.plan import ShardPlan
from dbmesh.rules.replica_groups import CausalReads, TransactionalReads
from dbmesh.session.mesh import Database

if TYPE_CHECKING:
    from dbmesh.session.session import Session

GRACE = 1.0
"""Seconds a replica may answer later than it was told to wait."""


@dataclass(slots=True)
class Written:
    """What a session has written to a group. `position` is None until the primary has been asked, which is then `told_by`;
    `seen_by` are the replicas known to have it."""

    position: str | None = None
    told_by: Server | None = None
    seen_by: set[str] = field(default_factory=set)


def remember_writes(session: Session) -> None:
    """The transaction of a session ends: its next read must see what it wrote."""
    for key, branch in session.transaction.branches.items():
        if branch.wrote:
            session.written[key] = Written()


def reads_lock(session: Session) -> bool:
    """Whether plain SELECT locks what it reads."""
    levels = (session.transaction.isolation or "", session.state.variable(ISOLATION) or "")
    return any("SERIALIZABLE" in level.upper() for level in levels)


def wants_replica(session: Session, database: Database, plan: ShardPlan, data_source: str) -> bool:
    """Whether a replica of this group may answer this statement. O(1)."""
    key = database.connection_key(data_source)
    if not (plan.reads_only and plan.from_replica) or key in session.pins:
        return False
    transaction, replicas = session.transaction, database.replicas[data_source]
    if transaction.in_steps:
        # A write reads what it is about to change.
        return False
    if not transaction.open and session.autocommit:
        return True
    return (
        replicas.group.transactional_reads is not TransactionalReads.PRIMARY
        and key not in transaction.branches
        and not reads_lock(session)
    )


def connection_at_once(
    session: Session, database: Database, plan: ShardPlan, data_source: str
) -> Connection | None:
    """An idle connection in the session's state, for a statement outside transactions; None when something must be awaited first. O(1)."""
    replicas = database.replicas.get(data_source)
    if replicas is None:
        return database.pools[data_source].try_acquire(session.flavour, session.command_since, session.state)
    key = database.connection_key(data_source)
    server = replicas.choose() if wants_replica(session, database, plan, data_source) else None
    if server is not None:
        connection = None
        if _is_known_to_see(session, replicas, server, key):
            connection = server.pool.try_acquire(session.flavour, session.command_since, session.state)
        if connection is None:
            replicas.put_back(server)
        return connection
    if not replicas.has_primary:
        return None
    if not plan.reads_only:
        session.written[key] = Written()
    return database.pools[data_source].try_acquire(session.flavour, session.command_since, session.state)


async def take_from_replica(
    session: Session, database: Database, plan: ShardPlan, data_source: str, count: int
) -> list[Connection] | None:
    """Connections to a replica that may answer this statement and has what the session must see; None for the primary.
    Raises MeshError or ShardError."""
    replicas = database.replicas.get(data_source)
    if replicas is None or not wants_replica(session, database, plan, data_source):
        return None
    now = asyncio.get_running_loop().time
    while (server := replicas.choose()) is not None:
        try:
            connections = await server.pool.acquire_many(session.flavour, server.pool.share(count))
        except MeshError as error:
            if error.kind is not DATA_SOURCE_UNREACHABLE:
                raise
            server.lost(str(error), now())
            continue
        try:
            if await _sees(session, database, data_source, replicas, server, connections[0]):
                return connections
        except BaseException:
            for connection in connections:
                server.pool.release(connection, now())
            raise
        for connection in connections:
            server.pool.release(connection, now())
        return None
    return None


async def take_from_primary(
    session: Session, database: Database, data_source: str, count: int
) -> list[Connection]:
    """Connections to a group's primary. Where there is none, a statement waits for one, unless its transaction has begun.
    Raises MeshError."""
    pool, replicas = database.pools[data_source], database.replicas[data_source]
    now = asyncio.get_running_loop().time
    deadline = now() + replicas.group.failover_wait
    while True:
        if not replicas.has_primary:
            if session.transaction.branches:
                reason = "the transaction cannot wait for one"
                raise MeshError(NO_PRIMARY, group=replicas.group.name, reason=reason)
            await replicas.wait_for_primary(deadline)
        try:
            return await pool.acquire_many(session.flavour, count)
        except MeshError as error:
            if error.kind is not DATA_SOURCE_UNREACHABLE or now() >= deadline:
                raise
            replicas.primary.lost(str(error), now())


def _is_known_to_see(session: Session, replicas: Replicas, server: Server, key: str) -> bool:
    kind = replicas.group.causal_reads
    if kind is CausalReads.NONE:
        return True
    written = session.written.get(key)
    return kind is CausalReads.SESSION and (written is None or server.name in written.seen_by)


async def _sees(
    session: Session,
    database: Database,
    data_source: str,
    replicas: Replicas,
    server: Server,
    connection: Connection,
) -> bool:
    """Whether the replica has what the session must see, once it was given time to get it."""
    key = database.connection_key(data_source)
    if _is_known_to_see(session, replicas, server, key):
        return True
    if not isinstance(connection, MySQLConnection):
        return False
    mariadb = "mariadb" in connection.server_version.lower()
    written = session.written.get(key)
    if written is None or replicas.group.causal_reads is CausalReads.GLOBAL:
        # In the mode GLOBAL others may have written since.
        written = Written()
    if written.position is None or written.told_by is not replicas.primary:
        # What the former primary told may be lost, and no replica would ever have it.
        asked = replicas.primary
        written.position = await _position(session, replicas, database.pools[data_source], mariadb=mariadb)
        written.told_by = asked
    if not written.position:
        # The primary keeps no binary log, or no GTIDs: it alone is known to have everything.
        return False
    if not await _waited(connection, written.position, replicas.group.causal_timeout, mariadb=mariadb):
        return False
    if replicas.group.causal_reads is CausalReads.SESSION:
        written.seen_by.add(server.name)
    return True


async def _position(session: Session, replicas: Replicas, primary: Pool, *, mariadb: bool) -> str | None:
    """The GTID position of the primary: every commit acknowledged by now is in it. '' when it has none, None when it does
    not answer."""
    variable = b"@@global.gtid_binlog_pos" if mariadb else b"@@global.gtid_executed"
    if not replicas.has_primary:
        return None
    try:
        async with asyncio.timeout(replicas.group.causal_timeout + GRACE):
            connection = await primary.acquire(session.flavour)
            try:
                answer = await collect(connection, b"SELECT " + variable)
            finally:
                # In the middle of an answer it is closed.
                primary.release(connection, session.now())
    except (MeshError, TimeoutError):
        return None
    return (answer.rows[0][0] or b"").decode("ascii").replace("\n", "")


async def _waited(connection: Connection, position: str, seconds: float, *, mariadb: bool) -> bool:
    """Wait on a replica for a position."""
    function = "MASTER_GTID_WAIT" if mariadb else "WAIT_FOR_EXECUTED_GTID_SET"
    try:
        async with asyncio.timeout(seconds + GRACE):
            answer = await collect(connection, f"SELECT {function}('{position}', {seconds:g})".encode())
    except TimeoutError:
        connection.abort()
        return False
    except ShardError:
        return False
    return answer.rows[0][0] == b"0"
