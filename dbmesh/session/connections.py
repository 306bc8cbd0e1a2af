"""Which connections a session's statement runs on: its transaction's, a pinned one, or the pool's.

Decides borrowing, joining transactions, and giving back. Knows nothing of answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dbmesh.backend.connection import Connection
from dbmesh.backend.mysql import MySQLConnection
from dbmesh.backend.pool import Pool
from dbmesh.backend.state import ISOLATION, SessionState, keeping_characteristics
from dbmesh.engine.lane import Lane
from dbmesh.errors import (
    DATA_SOURCE_LOST,
    DEADLOCK,
    ROLLED_BACK_BY_SERVER,
    MeshError,
    ShardError,
    not_supported,
)
from dbmesh.planner.plan import Answer, PinReason, RowMerge, ShardPlan, Shot
from dbmesh.rules.replica_groups import TransactionalReads
from dbmesh.rules.ruleset import DataSourceConfig
from dbmesh.session.mesh import Database, place_of
from dbmesh.session.replica_reads import (
    Written,
    reads_lock,
    take_from_primary,
    take_from_replica,
    wants_replica,
)
from dbmesh.session.temporary import admit_temporary_tables
from dbmesh.transaction.lock_waits import may_be_deadlocked
from dbmesh.transaction.xid import Place

if TYPE_CHECKING:
    from dbmesh.session.session import Session


class Loan:
    """Connections lent to one statement. `free` gives back those that are not the session's own. `state` is what they are
    brought to, the session's unless given."""

    def __init__(self, session: Session, state: SessionState | None = None) -> None:
        self._session = session
        self._state = session.state if state is None else state
        if not session.autocommit and not session.transaction.holds:
            # What runs for itself leaves no transaction open.
            self._state = self._state.with_variable("autocommit", None)
        self._borrowed: list[Connection] = []
        self.lanes: list[Lane] = []

    async def take(self, database: Database, plan: ShardPlan, shots: Sequence[Shot], answer: Answer) -> None:
        """Connections for every shot, each brought to the session's state and into its transaction.

        Data sources are taken in name order, so that two statements never wait for each other in a circle. Raises
        MeshError or ShardError; `free` must be called in any case.
        """
        session, state = self._session, self._state
        transaction = session.transaction
        transactional = (
            plan.opens_transaction and (transaction.open or not session.autocommit) and transaction.holds
        )
        together = plan.reads_only and isinstance(answer, RowMerge) and answer.needs_all
        by_source: dict[str, list[tuple[int, Shot]]] = {}
        for place, shot in enumerate(shots):
            by_source.setdefault(shot.data_source, []).append((place, shot))
        lanes: dict[str, list[Lane]] = {}
        for data_source in sorted(by_source):
            own = by_source[data_source]
            branch = session.transaction.branches.get(database.connection_key(data_source))
            wanted = _parallel(session, plan, own, answer)
            if (
                branch is not None
                and plan.reads_only
                and branch.connection.state is state
                and _stands_in(branch.connection, database, data_source)
            ):
                # Nothing to bring, to join or to pin.
                lanes[data_source] = [_lane(branch.connection, own, together=together, kept=True)]
                continue
            read = await self._from_replica(database, plan, data_source, wanted, transactional)
            connections = read or await self._connections(
                database, data_source, wanted, transactional, writes=not plan.reads_only
            )
            if (
                read
                and transactional
                and database.connection_key(data_source) not in session.transaction.readers
            ):
                # A read for itself leaves no transaction open.
                for connection in connections:
                    await connection.bring_to(state.with_variable("autocommit", None))
            else:
                await self._bring_to_state(connections)
            for connection in connections:
                await _stand_in(connection, database, data_source)
            if transactional and not read:
                await self._join(database, data_source, connections[0], writes=not plan.reads_only)
            if plan.pin is not None:
                self._pin(database, data_source, connections[0], plan.pin)
            share = -(-len(own) // len(connections))
            lanes[data_source] = [
                _lane(
                    connection,
                    own[index * share : (index + 1) * share],
                    together=together,
                    kept=self.keeps(connection),
                )
                for index, connection in enumerate(connections)
                if own[index * share : (index + 1) * share]
            ]
        # Lanes in the order of the shots: the first shot's columns and counts are the answer's.
        self.lanes = [lane for data_source in by_source for lane in lanes[data_source]]

    async def _bring_to_state(self, connections: Sequence[Connection]) -> None:
        for connection in connections:
            if connection.state is not self._state and connection.state != self._state:
                await connection.bring_to(self._reachable(connection))

    async def take_for_snapshot(self, database: Database) -> None:
        """Every data source joins the transaction at once: what is committed from here on is not seen. Raises as `take`."""
        for data_source in sorted(database.pools):
            connection = (await self._connections(database, data_source, 1, transactional=True))[0]
            await self._bring_to_state((connection,))
            await _stand_in(connection, database, data_source)
            await self._join(database, data_source, connection, writes=False)

    async def join_first(self, database: Database) -> None:
        """The first data source with XA joins the transaction, though nothing is asked of it. Raises as `take`."""
        for data_source, pool in database.pools.items():
            place = place_of(pool.config)
            if place is not None and place.compensates:
                connection = (await self._connections(database, data_source, 1, transactional=True))[0]
                if connection.state != self._state:
                    await connection.bring_to(self._reachable(connection))
                await self._join(database, data_source, connection, writes=False)
                return
        raise not_supported("XA statements without a MySQL data source", "use BEGIN and COMMIT")

    async def take_for_reading(self, database: Database, data_source: str) -> Connection:
        """One connection outside any transaction's rules, for questions about a statement. Raises as `take`."""
        connection = (await self._connections(database, data_source, 1, transactional=False))[0]
        await self._bring_to_state((connection,))
        await _stand_in(connection, database, data_source)
        return connection

    def _reachable(self, connection: Connection) -> SessionState:
        """The loan's state, as far as this connection can be brought to it without losing what the session holds
        there: a reset would silently end a transaction, drop locks and close cursors. Raises MeshError."""
        session = self._session
        wanted = keeping_characteristics(connection.state, self._state)
        if wanted == self._state or not self.keeps(connection):
            return self._state
        transaction = session.transaction
        if any(
            branch.connection is connection
            for branch in (*transaction.branches.values(), *transaction.readers.values())
        ):
            return wanted
        raise not_supported(
            "default transaction characteristics on a connection that holds locks or an open cursor",
            "name the isolation level and access mode, or release the locks and close the cursor first",
        )

    def keeps(self, connection: Connection) -> bool:
        """Whether the session keeps a connection of this loan (its transaction's, or pinned)."""
        return any(held is connection for held in self._session.held_connections())

    def free(self) -> None:
        """Give borrowed connections back; a connection in an unknown state is closed by its pool."""
        if not self._borrowed:
            return
        now = self._session.now()
        kept = set(map(id, self._session.held_connections()))
        for connection in self._borrowed:
            if id(connection) not in kept:
                connection.home.release(connection, now)
        self._borrowed = []

    async def _from_replica(
        self, database: Database, plan: ShardPlan, data_source: str, count: int, transactional: bool
    ) -> list[Connection] | None:
        """Connections to a replica, None where the data source itself must answer."""
        if data_source not in database.replicas:
            return None
        reader = self._session.transaction.readers.get(database.connection_key(data_source))
        if reader is not None and wants_replica(self._session, database, plan, data_source):
            return [reader.connection]
        fixed = (
            transactional
            and database.replicas[data_source].group.transactional_reads is TransactionalReads.FIXED
        )
        connections = await take_from_replica(
            self._session, database, plan, data_source, 1 if fixed else count
        )
        self._borrowed.extend(connections or ())
        if connections is None or not fixed:
            return connections
        # Its transaction begins in the session's state.
        await self._bring_to_state(connections)
        name = f"{database.name}.{data_source}"
        await self._session.transaction.join_reader(
            database.connection_key(data_source), connections[0], name
        )
        return connections

    async def _connections(
        self, database: Database, data_source: str, count: int, transactional: bool, *, writes: bool = False
    ) -> list[Connection]:
        session = self._session
        key = database.connection_key(data_source)
        if writes and data_source in database.replicas:
            session.written[key] = Written()
        branch = session.transaction.branches.get(key)
        if branch is not None:
            return [branch.connection]
        pinned = session.pins.get(key)
        if pinned is not None:
            if pinned[0].usable:
                return [pinned[0]]
            self._unpin(database, data_source, *pinned)
        pool = database.pools[data_source]
        wanted = 1 if transactional else pool.share(count)
        if data_source in database.replicas:
            taken = await take_from_primary(session, database, data_source, wanted)
            self._borrowed.extend(taken)
            return taken
        connections = self._idle_connections(pool, wanted)
        if connections is None and wanted == 1:
            connections = [await pool.acquire(session.flavour)]
        elif connections is None:
            connections = await pool.acquire_many(session.flavour, wanted)
        self._borrowed.extend(connections)
        return connections

    def _idle_connections(self, pool: Pool, count: int) -> list[Connection] | None:
        """So many connections if they are idle right now, all or none: nothing is held while others are waited for."""
        flavour, now = self._session.flavour, self._session.now()
        connections: list[Connection] = []
        while len(connections) < count:
            connection = pool.try_acquire(flavour, now)
            if connection is None:
                for taken in connections:
                    pool.release(taken, now)
                return None
            connections.append(connection)
        return connections

    async def _join(
        self, database: Database, data_source: str, connection: Connection, *, writes: bool
    ) -> None:
        transaction = self._session.transaction
        key = database.connection_key(data_source)
        if key not in transaction.branches:
            place = self._place(database, data_source, connection)
            temporary = self._session.temporary
            if temporary is not None and temporary.on(database, data_source):
                await admit_temporary_tables(connection)
            isolation = self._isolation(database.sources[data_source])
            await transaction.join(key, connection, f"{database.name}.{data_source}", place, isolation)
        if writes or reads_lock(self._session):
            # What is locked must stay so until the end.
            transaction.branches[key].wrote = True

    def _isolation(self, config: DataSourceConfig) -> str | None:
        """What a branch that names no isolation level takes. While a table is written on both sides, rows are copied to the new one at any
        time: by the snapshot of a PostgreSQL transaction they would not be there, and a write to them would miss them."""
        moving = self._session.mesh.configuration.moving
        if (
            config.kind != "postgresql"
            or moving is None
            or not moving.doubled
            or keeps_snapshot(self._session)
        ):
            return None
        return "ISOLATION LEVEL READ COMMITTED"

    def _place(self, database: Database, data_source: str, connection: Connection) -> Place | None:
        """Where a branch could be prepared."""
        place = place_of(database.sources[data_source])
        outer = self._session.transaction.outer is not None
        if place is None or not connection.prepares or (outer and not place.compensates):
            return None
        return place

    def _unpin(self, database: Database, data_source: str, connection: Connection, reason: PinReason) -> None:
        """A pinned connection was lost. Without its cursor a session can go on, and a statement that reads the cursor
        will be told; what else was pinned is missed by this statement: raises MeshError."""
        session, key = self._session, database.connection_key(data_source)
        del session.pins[key]
        if session.temporary is not None:
            # Also those of other logic databases on this server: without them their names would mean other tables.
            for one in (database, *session.databases.values()):
                for source in one.pools:
                    if one.connection_key(source) == key:
                        session.temporary.forget(one, source)
        connection.home.discard(connection)
        if reason is not PinReason.CURSOR:
            raise MeshError(
                DATA_SOURCE_LOST, data_source=connection.data_source, reason=f"its {reason.value} is gone"
            )

    def _pin(self, database: Database, data_source: str, connection: Connection, reason: PinReason) -> None:
        pins, key = self._session.pins, database.connection_key(data_source)
        if key not in pins or pins[key][1] is PinReason.CURSOR:
            # A cursor gives the connection back when it is closed; what is pinned here stays.
            pins[key] = (connection, reason)


def _stands_in(connection: Connection, database: Database, data_source: str) -> bool:
    """Whether a connection is in the schema of the data source it is wanted for: of those the session holds, another
    logic database on the same server may have used it."""
    schema = database.sources[data_source].database
    return not isinstance(connection, MySQLConnection) or connection.schema == schema


async def _stand_in(connection: Connection, database: Database, data_source: str) -> None:
    """Make `_stands_in` true."""
    if isinstance(connection, MySQLConnection) and not _stands_in(connection, database, data_source):
        await connection.use_schema(database.sources[data_source].database)


def _parallel(session: Session, plan: ShardPlan, shots: Sequence[tuple[int, Shot]], answer: Answer) -> int:
    """How many connections to one data source these shots want. A merge that must see all rows in order at once wants
    one each; anything else runs `max-connections-size-per-query` at a time, writes one after another. So do queries that
    lock rows: their shots read the same broadcast tables, and two connections would wait for each other."""
    if not isinstance(answer, RowMerge) or not plan.reads_only:
        return 1
    if answer.order_by or answer.grouped or answer.distinct:
        return len(shots)
    return min(len(shots), session.mesh.connections_per_query)


def _lane(connection: Connection, placed: Sequence[tuple[int, Shot]], *, together: bool, kept: bool) -> Lane:
    pipeline = None
    if together and len(placed) > 1 and isinstance(connection, MySQLConnection):
        pipeline = connection
    shots = tuple([shot for _, shot in placed])
    return Lane(connection, shots, pipeline, kept=kept, places=tuple([place for place, _ in placed]))


def keeps_snapshot(session: Session) -> bool:
    """Whether the client has asked, in words, that all statements of its transaction see the same."""
    transaction = session.transaction
    level = transaction.isolation or session.state.variable(ISOLATION) or ""
    return "SNAPSHOT" in transaction.characteristics.upper() or any(
        word in level.upper() for word in ("REPEATABLE READ", "SERIALIZABLE")
    )


LOCK_WAIT_TIMEOUT = 1205


async def free_after_error(session: Session, error: MeshError | ShardError) -> MeshError | ShardError:
    """What an error does to the open transaction, and what the client is told: a deadlock or a lost connection ends it
    everywhere, and so does a lock wait that may have been a deadlock over several data sources. Any other lock wait ends the
    statement alone, as on one server."""
    transaction = session.transaction
    branches = [*transaction.branches.values(), *transaction.readers.values()]
    lost = any(not branch.connection.usable for branch in branches)
    if not lost and may_hide_deadlock(session, error) and await may_be_deadlocked(branches):
        error = ShardError(*DEADLOCK)
    if not transaction.open or not (lost or error.number in ROLLED_BACK_BY_SERVER):
        return error
    try:
        await transaction.roll_back()
    finally:
        # Also when the client is lost meanwhile: who ends its session finds no branches any more.
        session.release_branches(branches)
    if lost:
        session.broken_transaction = str(error)
    return error


def may_hide_deadlock(session: Session, error: MeshError | ShardError) -> bool:
    """Whether an error is a lock wait of a transaction that others on another data source may wait for."""
    return error.number == LOCK_WAIT_TIMEOUT and len(session.transaction.branches) > 1
