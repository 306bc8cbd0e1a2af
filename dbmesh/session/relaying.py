"""Which statements of a session are relayed, and how one is started at once: the fast path.

Decides whether an answer can pass as it is, and whether a connection is free for it right now. Waiting for one is
`execution.run_relayed`'s. No task, no future: these are plain calls inside the client's protocol callback.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from dbmesh.backend.mysql import MySQLConnection
from dbmesh.planner.plan import BoundStatement, Names, Relay, ShardPlan, Verb
from dbmesh.session.mesh import Database
from dbmesh.session.replica_reads import connection_at_once
from dbmesh.session.statements.doubled import doubles
from dbmesh.wire.constants import MAX_PAYLOAD, Command
from dbmesh.wire.framing import frame

if TYPE_CHECKING:
    from dbmesh.session.session import Session

_QUERY = Command.QUERY.value
_query_head = struct.Struct("<IB").pack


def relayable(session: Session, database: Database, plan: ShardPlan, bound: BoundStatement) -> bool:
    """Whether the answer can pass as it is: one shot on a MySQL data source, nothing to change in what comes back and
    nothing to do afterwards. O(1)."""
    return (
        type(bound.answer) is Relay
        and plan.verb is not Verb.DDL
        and plan.pin is None
        and bound.generated_id is None
        and bound.effects is None
        and not plan.calculates_found_rows
        and not plan.implicit_commit
        and (plan.opens_transaction or not session.transaction.open)
        and (plan.reads_only or not doubles(database, plan))
        and (plan.reads_only or session.transaction.compensator is None or not needs_images(session))
        and database.sources[bound.shots[0].data_source].kind == "mysql"
    )


def needs_images(session: Session) -> bool:
    """Whether a write of a session with a compensator does not just commit by itself: others must be able to undo it, or wait
    for its rows."""
    transaction = session.transaction
    locks = transaction.compensator is not None and transaction.compensator.locks is not None
    return locks or transaction.open or not session.autocommit


def try_relay(
    session: Session,
    database: Database,
    plan: ShardPlan,
    shot: tuple[str, bytes],
    names: Names,
    gives_id: bool = False,
    skips: int = 0,
) -> bool:
    """Start relaying a relayable statement on a connection that is free right now. False when there is none: see
    `run_relayed`. O(1)."""
    data_source, sql = shot
    connection, pinned = free_connection(session, database, plan, data_source)
    if connection is None:
        return False
    session.relay.start(connection, query_packet(sql), names, pinned, plan, gives_id, skips)
    return True


def query_packet(sql: bytes) -> bytes:
    """COM_QUERY, framed."""
    length = len(sql) + 1
    if length < MAX_PAYLOAD:
        return _query_head(length, _QUERY) + sql
    return frame(bytes((_QUERY,)) + sql, 0)


def free_connection(
    session: Session, database: Database, plan: ShardPlan, data_source: str
) -> tuple[MySQLConnection | None, bool]:
    """A connection that can take a statement of this plan at once, and whether the session keeps it afterwards."""
    transaction = session.transaction
    if (
        transaction.explicit
        or transaction.branches
        or not session.autocommit
        or session.pins
        or session.broken_transaction
    ):
        branch = transaction.branches.get(database.connection_key(data_source))
        if session.broken_transaction or branch is None or not branch.connection.usable:
            return None, False
        held = branch.connection
        if not isinstance(held, MySQLConnection) or held.state != session.state:
            return None, False
        if held.schema != database.sources[data_source].database:
            return None, False
        if not plan.reads_only:
            branch.wrote = True
        return held, True
    if database.replicas:
        connection = connection_at_once(session, database, plan, data_source)
    else:
        pool = database.pools[data_source]
        connection = pool.try_acquire(session.flavour, session.command_since, session.state)
    if type(connection) is MySQLConnection:
        return connection, False
    if connection is not None:
        connection.home.release(connection, session.command_since)
    return None, False
