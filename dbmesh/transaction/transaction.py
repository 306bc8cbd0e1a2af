"""One session's transaction over the data sources it touches.

Decides when a data source joins (lazily, with the first statement that touches it), as what (the first by a plain
transaction, the others by XA branches, so that all can commit as one), and what is said when an end was not atomic.
Refuses to know how connections are borrowed: it is handed those that join and hands back those that are free again.

Without a coordinator (`transaction.defaultType: LOCAL`), and where a data source knows no XA, branches that wrote are
committed one after another: a failure in the middle leaves a part committed. That is told by a warning on every such
COMMIT and by the error text when it happens.

With a compensator (type `BASE`) data sources join for one write only (`begin_write`, `end_write`), and what is between two writes
is the `saga`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from dbmesh.backend.connection import Connection
from dbmesh.engine.collect import collect
from dbmesh.errors import (
    COMPENSATION_STOPPED,
    NOTHING_COMMITTED,
    ROLLED_BACK_BY_SERVER,
    TRANSACTION_ROLLED_BACK,
    TRANSACTION_UNKNOWN,
    MeshError,
    ShardError,
    not_supported,
)
from dbmesh.transaction.compensator import Compensator, Saga, undo_local
from dbmesh.transaction.coordinator import Branch, Coordinator, perform
from dbmesh.transaction.decisions import open_snapshot, quoted
from dbmesh.transaction.two_phase import End, Step
from dbmesh.transaction.xid import Place

NOT_ATOMIC_WARNING = 1196
"""ER_WARNING_NOT_COMPLETE_ROLLBACK: the number MySQL gives to 'not everything could be undone'."""

READERS_END = 1.0
"""Seconds a replica may take to end a transaction that has read there."""

_STATEMENT = b"`dbmesh statement`"
"""The mesh's own savepoint; a later one of the same name replaces it, so it is not released."""


@dataclass(slots=True)
class Transaction:
    """The open transaction, if any. `explicit` is true between BEGIN and its end; under autocommit=0 a transaction
    opens with the first branch. `in_steps`: how many statements of several steps, one inside another, are under way; data sources that
    join get their savepoint. `alone`: one statement is all of it, and is undone as the transaction is. `readers` are transactions on replicas, which see the data as it was when they began and change nothing.
    `outer` is the name an outer transaction manager gave: the transaction is one branch of its. `coordinator` commits several
    branches as one; None for commits one after another. `compensator`: every write commits at once and may be undone later;
    `saga` is what has been written so, `writing` one write under way, `marks` how many there were at each savepoint. `identity` is another object
    for each transaction of a session, `since` the loop time it is open from."""

    coordinator: Coordinator | None = None
    explicit: bool = False
    characteristics: str = ""
    isolation: str | None = None
    branches: dict[str, Branch] = field(default_factory=dict)
    readers: dict[str, Branch] = field(default_factory=dict)
    savepoints: list[str] = field(default_factory=list)
    in_steps: int = 0
    alone: bool = False
    outer: str | None = None
    compensator: Compensator | None = None
    saga: Saga | None = None
    writing: bool = False
    marks: dict[str, int] = field(default_factory=dict)
    identity: object = field(default_factory=object)
    since: float | None = None
    _lasting: tuple[Coordinator | None, Compensator | None] = (None, None)

    @property
    def open(self) -> bool:
        """Whether the client is inside a transaction."""
        return self.explicit or bool(self.branches) or bool(self.readers) or self.saga is not None

    @property
    def compensates(self) -> bool:
        """Whether its writes commit at once. What only reads has nothing to undo, and is as without a compensator."""
        return self.compensator is not None and self.outer is None and not self.read_only

    @property
    def holds(self) -> bool:
        """Whether data sources that are touched now join."""
        return self.writing or not self.compensates

    @property
    def read_only(self) -> bool:
        """Whether no branch can change anything."""
        return "READ ONLY" in self.characteristics.upper()

    def commit_by(
        self,
        coordinator: Coordinator | None,
        compensator: Compensator | None = None,
        *,
        once: bool = False,
    ) -> None:
        """How this transaction commits; unless `once`, also those that follow."""
        self.coordinator, self.compensator = coordinator, compensator
        if not once:
            self._lasting = coordinator, compensator

    def begin(self, characteristics: str) -> None:
        """BEGIN: nothing reaches a data source yet."""
        self.explicit = True
        self.characteristics = characteristics
        self._opens()

    async def join(
        self,
        key: str,
        connection: Connection,
        data_source: str | None = None,
        place: Place | None = None,
        isolation: str | None = None,
    ) -> None:
        """Begin the branch of a data source that is touched for the first time, found by `key` from now on; savepoints
        set so far are set there too, so that a later ROLLBACK TO finds them. `place` is where a server of XA is, `isolation` what holds where the transaction names no level. Raises ShardError
        or MeshError; the connection then has not joined and is closed, because the isolation of its next transaction may
        have been set already."""
        name, taken = data_source or key, {one.data_source for one in self.branches.values()}
        while name in taken:
            # Data sources of one name by the rules of both sides of a table that moves: a commit tells branches apart by it.
            name += "'"
        branch = Branch(name, connection, place)
        if self.outer is not None and (self.branches or place is None):
            raise not_supported(
                "an XA transaction of an outer transaction manager over several data sources, or on one without XA",
                "use BEGIN and COMMIT; the mesh commits over several data sources by itself",
            )
        try:
            if (level := self.isolation or isolation) is not None:
                await collect(connection, f"SET TRANSACTION {level}".encode())
            await self._start(branch)
            for name in () if self.writing else self.savepoints:
                await collect(connection, f"SAVEPOINT {quoted(name)}".encode())
            if self.in_steps and not self.alone:
                await collect(connection, b"SAVEPOINT " + _STATEMENT)
        except (ShardError, MeshError):
            connection.abort()
            raise
        self.branches[key] = branch
        self._opens()

    async def _start(self, branch: Branch) -> None:
        """Begin: as an XA branch when the transaction has begun elsewhere and may write."""
        if self.outer is not None:
            await collect(branch.connection, f"XA START {self.outer}".encode())
            return
        if self.branches and branch.place is not None and self.coordinator is not None and not self.read_only:
            branch.xid = self.coordinator.make_xid(list(self.branches.values()), branch.place)
        if branch.xid is None:
            await collect(branch.connection, f"START TRANSACTION {self.characteristics}".rstrip().encode())
            return
        await collect(branch.connection, f"XA START {branch.xid.sql}".encode())
        if "SNAPSHOT" in self.characteristics.upper() and self.coordinator and branch.place:
            await _open_snapshot(self.coordinator, branch.place, branch.connection)

    async def join_reader(self, key: str, connection: Connection, data_source: str) -> None:
        """Begin to read on a replica. Raises ShardError or MeshError; the connection then has not joined and is closed."""
        try:
            if self.isolation is not None:
                await collect(connection, f"SET TRANSACTION {self.isolation}".encode())
            await collect(connection, b"START TRANSACTION READ ONLY")
        except (ShardError, MeshError):
            connection.abort()
            raise
        self.readers[key] = Branch(data_source, connection)

    async def end_outer(self) -> None:
        """The outer transaction manager has ended its branch."""
        readers = list(self.readers.values())
        self._clear()
        await _end_readers(readers)

    async def commit(self) -> str | None:
        """Commit every branch. Returns the warning to add when that was not atomic, or is not complete yet.

        Raises the first error met when nothing is committed; TRANSACTION_UNKNOWN when nobody can tell; without a
        coordinator an error that says which branches are. When a branch is known to be lost beforehand, all are rolled
        back: MeshError."""
        branches, readers = list(self.branches.values()), list(self.readers.values())
        coordinator, compensator, saga = self.coordinator, self.compensator, self.saga
        for branch in branches:
            branch.wrote = branch.wrote and not self.read_only
        self._clear()
        try:
            if saga is not None and compensator is not None:
                await compensator.commit(saga)
                return None
            return await _commit(branches, coordinator)
        finally:
            await _end_readers(readers)

    async def roll_back(self) -> str | None:
        """Undo every branch. A branch whose connection is lost is undone by its server. Returns the warning to add when
        something that was committed could not be undone."""
        branches, readers = list(self.branches.values()), list(self.readers.values())
        outer, compensator, saga = self.outer, self.compensator, self.saga
        self._clear()
        if outer is None:
            await _roll_back(branches)
        else:
            # What is prepared stays so, for the manager to end; the rest is undone by its server.
            for branch in branches:
                branch.connection.abort()
        await _end_readers(readers)
        return None if saga is None or compensator is None else await compensator.roll_back(saga)

    async def end_write(self) -> MeshError | ShardError | None:
        """A write of a transaction that compensates is over: it commits where it wrote. Returns the error after which the whole
        must be rolled back. Raises MeshError or ShardError, and the write has done nothing then."""
        assert self.compensator is not None
        branches = list(self.branches.values())
        self.branches, self.writing = {}, False
        self.saga, error = await self.compensator.end_write(branches, self.saga)
        return error

    async def undo_write(self) -> None:
        """A write of a transaction that compensates has failed: nothing of it is left."""
        branches = list(self.branches.values())
        self.branches, self.writing = {}, False
        await undo_local(branches)

    async def begin_statement(self) -> None:
        """Before a statement that writes in several steps: `undo_statement` comes back here."""
        if self.alone:
            return
        for branch in self.branches.values():
            await collect(branch.connection, b"SAVEPOINT " + _STATEMENT)

    @asynccontextmanager
    async def steps(self) -> AsyncIterator[None]:
        """A statement of several steps, whose data sources are not known yet: where it fails, or is killed between two of them, none of
        them is left. Raises ShardError or MeshError."""
        await self.begin_statement()
        self.in_steps += 1
        try:
            yield
        except BaseException as error:
            # Also when it is cancelled: who has killed it may go on with the transaction.
            if not (isinstance(error, ShardError | MeshError) and error.number in ROLLED_BACK_BY_SERVER):
                await self.undo_statement()
            raise
        finally:
            self.in_steps -= 1

    async def undo_statement(self) -> None:
        """The statement failed on some shards: undo it on all, as one server undoes a failed statement. A branch that
        cannot is closed, so that the transaction is known to be lost."""
        if self.alone:
            return
        for branch in self.branches.values():
            if not branch.connection.usable:
                continue
            try:
                await collect(branch.connection, b"ROLLBACK TO SAVEPOINT " + _STATEMENT)
            except (ShardError, MeshError):
                branch.connection.abort()

    async def savepoint(self, name: str) -> None:
        """SAVEPOINT: on every branch, and remembered for those that join later."""
        for branch in self.branches.values():
            await collect(branch.connection, f"SAVEPOINT {quoted(name)}".encode())
        self.savepoints = [known for known in self.savepoints if known.lower() != name.lower()] + [name]
        self.marks[name.lower()] = 0 if self.saga is None else self.saga.sequence

    async def roll_back_to(self, name: str) -> bool:
        """ROLLBACK TO SAVEPOINT on every branch; False when no such savepoint was set. Raises MeshError COMPENSATION_STOPPED,
        after which the whole must be rolled back."""
        position = self._find(name)
        if position is None:
            return False
        if self.saga is not None and self.compensator is not None:
            reasons = await self.compensator.undo(self.saga, self.marks[name.lower()])
            if reasons:
                raise MeshError(COMPENSATION_STOPPED, reason="; ".join(reasons))
        for branch in self.branches.values():
            await collect(branch.connection, f"ROLLBACK TO SAVEPOINT {quoted(name)}".encode())
        del self.savepoints[position + 1 :]
        return True

    async def release_savepoint(self, name: str) -> bool:
        """RELEASE SAVEPOINT on every branch; False when no such savepoint was set."""
        position = self._find(name)
        if position is None:
            return False
        for branch in self.branches.values():
            await collect(branch.connection, f"RELEASE SAVEPOINT {quoted(name)}".encode())
        del self.savepoints[position:]
        return True

    def _find(self, name: str) -> int | None:
        lowered = [known.lower() for known in self.savepoints]
        return lowered.index(name.lower()) if name.lower() in lowered else None

    def _opens(self) -> None:
        if self.since is None:
            self.since = asyncio.get_running_loop().time()

    def _clear(self) -> None:
        self.explicit = False
        self.since = None
        self.identity = object()
        self.outer = None
        self.coordinator, self.compensator = self._lasting
        self.saga = None
        self.writing = False
        self.marks = {}
        self.characteristics = ""
        self.isolation = None
        self.branches = {}
        self.readers = {}
        self.savepoints = []


async def _open_snapshot(coordinator: Coordinator, place: Place, connection: Connection) -> None:
    """XA START knows no snapshot: the first reading opens it."""
    await coordinator.make_table(place)
    try:
        await collect(connection, open_snapshot(place.schema).encode("utf-8", "surrogateescape"))
    except ShardError:
        coordinator.doubt_table(place)
        raise


async def _commit(branches: Sequence[Branch], coordinator: Coordinator | None) -> str | None:
    lost = [branch.data_source for branch in branches if not branch.connection.usable]
    if lost:
        await _roll_back(branches)
        raise MeshError(TRANSACTION_ROLLED_BACK, data_source=lost[0])
    writers = [branch for branch in branches if branch.wrote]
    prepared = all(branch.xid is not None for branch in writers if branch is not branches[0])
    if coordinator is not None and branches and (prepared or len(writers) < 2):
        return await _commit_as_one(coordinator, branches)
    return await _commit_one_after_another(branches)


async def _commit_as_one(coordinator: Coordinator, branches: Sequence[Branch]) -> str | None:
    try:
        ending, error = await coordinator.commit(branches)
    except MeshError:
        await _roll_back(branches)
        raise
    if ending.end is End.COMMITTED:
        if not ending.pending:
            return None
        return f"dbmesh: committed; {', '.join(ending.pending)} could not be told yet ({error}) and will follow when it can"
    assert error is not None
    if sum(branch.wrote for branch in branches) < 2:
        raise error
    if ending.end is End.UNKNOWN:
        raise MeshError(TRANSACTION_UNKNOWN, data_source=branches[0].data_source, reason=error) from error
    if isinstance(error, ShardError):
        # The server's own number: clients know which errors are worth another try.
        text = f"{error} (dbmesh: nothing was committed)"
        raise ShardError(error.number, error.sqlstate, text) from error
    raise MeshError(NOTHING_COMMITTED, reason=error) from error


async def _commit_one_after_another(branches: Sequence[Branch]) -> str | None:
    """In the order they joined; after an error the rest is rolled back."""
    writers = [branch.data_source for branch in branches if branch.wrote]
    done: list[str] = []
    for position, branch in enumerate(branches):
        try:
            await perform(branch, Step.COMMIT)
        except (ShardError, MeshError) as error:
            await _roll_back(branches[position + 1 :])
            committed = [name for name in done if name in writers]
            if committed:
                text = f"{error} (dbmesh: already committed on {', '.join(committed)})"
                raise ShardError(error.number, error.sqlstate, text) from error
            raise
        done.append(branch.data_source)
    if len(writers) > 1:
        return f"dbmesh: committed one after another on {', '.join(writers)}: not atomic"
    return None


async def _end_readers(readers: Sequence[Branch]) -> None:
    """End the transactions on replicas; a connection that cannot is closed. Nobody waits long for what changes nothing."""
    for reader in readers:
        try:
            async with asyncio.timeout(READERS_END):
                await collect(reader.connection, b"COMMIT")
        except (ShardError, MeshError, TimeoutError):
            reader.connection.abort()


async def _roll_back(branches: Sequence[Branch]) -> None:
    """Undo what is not prepared. A branch whose connection is lost is undone by its server."""
    for branch in branches:
        if not branch.connection.usable:
            branch.connection.abort()
            continue
        try:
            await perform(branch, Step.ROLL_BACK)
        except (ShardError, MeshError):
            branch.connection.abort()
