"""Carries out two-phase commits: what `two_phase` decides becomes statements on connections, their answers replies.

Decides what each step is in SQL, which errors mean what, and when the row of a decision is forgotten. Knows no client and no
planning; where data sources are is asked of `places`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter, defaultdict, deque
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field

from dbmesh.backend.connection import Connection, Flavour, Pipeline, Product
from dbmesh.backend.pool import Pool
from dbmesh.backend.state import SessionState
from dbmesh.engine.collect import collect, collect_all
from dbmesh.errors import DATA_SOURCE_UNREACHABLE, NO_DECISIONS, MeshError, ShardError
from dbmesh.model import DECISION_TABLE
from dbmesh.transaction import decisions
from dbmesh.transaction.two_phase import End, Ending, Machine, Member, Reply, Round, Step, commit
from dbmesh.transaction.undo import TableChanges
from dbmesh.transaction.xid import Place, TransactionNames, Xid

_log = logging.getLogger(__name__)

FORGOTTEN_AT_ONCE = 500
"""Rows deleted by one statement."""

MOST_TOLD = 20_000
"""Decisions remembered for deletion, and branches to be told of one; what is not remembered is found by recovery."""

SETTLE_ATTEMPTS = (0.0, 0.1, 0.4, 1.5)
"""Seconds to wait before each attempt to reach the decider after its connection was lost in COMMIT."""

SETTLE_SECONDS = 10.0
"""How long all attempts together may take. Far less than the age at which others delete the row of a commit
(`recovery.COMMITTED_ROW_AGE`): a row that is gone would look like one that never was."""

_OWN_STATE = SessionState().with_variable("innodb_lock_wait_timeout", "2")
"""Whatever the last borrower of a connection had set; whoever asks for a decision must not wait long for a coordinator that
lives."""


NO_SUCH_BRANCH = 1397
"""ER_XAER_NOTA: the branch has ended, or belongs to another connection."""


@dataclass(slots=True)
class Branch:
    """The part of a transaction on one data source, by the name warnings and errors call it; `place` is where a decision
    could be kept, `xid` its name when it can be prepared. `changes` are the images of what it wrote, where these are kept."""

    data_source: str
    connection: Connection
    place: Place | None = None
    xid: Xid | None = None
    wrote: bool = False
    changes: list[TableChanges] = field(default_factory=list)


class Coordinator:
    """See the module's docstring. `places` are those that decisions can be kept in, with pools no session waits in;
    `aliases` are the other names they may have had: of a group, each of its servers. `instance` are eight random bytes."""

    def __init__(
        self,
        places: Callable[[], Mapping[Place, Pool]],
        instance: bytes,
        aliases: Callable[[], Mapping[Place, Place]] = dict,
    ) -> None:
        self.places = places
        self._aliases = aliases
        self.names = TransactionNames(instance)
        self._made: set[Place] = set()
        self._told: deque[tuple[Place, str]] = deque(maxlen=MOST_TOLD)
        # Prepared branches of transactions that are committed.
        self._untold: deque[tuple[Place, Xid]] = deque(maxlen=MOST_TOLD)
        # For operators: branches that the last look of recovery has found prepared, and how those ended that it has ended.
        self.in_doubt = 0
        self.recovered: Counter[str] = Counter()

    def signs(self) -> Mapping[str, Place]:
        """The places by the signs that stand for them in names of branches. O(places)."""
        known = {alias.sign: place for alias, place in self._aliases().items()}
        return known | {place.sign: place for place in self.places()}

    def make_xid(self, branches: Sequence[Branch], own: Place) -> Xid | None:
        """The name of a branch that joins these, decided where they began; None when it cannot be prepared with them."""
        decider = branches[0].place
        if decider is None or any(branch.xid is None for branch in branches[1:]):
            return None
        gtrid = next((branch.xid.gtrid for branch in branches if branch.xid is not None), None)
        return Xid(gtrid or self.names.next(), decider.sign, own.sign)

    async def commit(self, branches: Sequence[Branch]) -> tuple[Ending, Exception | None]:
        """Commit a transaction whose branches, but for the first, can be prepared. Returns how it ended, and the first
        error met. Raises MeshError NO_DECISIONS, and nothing has been committed then."""
        members = [Member(branch.data_source, branch.wrote) for branch in branches]
        decider = branches[0].place
        if decider is not None and sum(member.wrote for member in members) > 1:
            await self.make_table(decider)
        run = _Commit(self, branches)
        try:
            ending = await drive(commit(members), run.round)
        except BaseException:
            # Abandoned between two rounds: a prepared branch must not go back to a pool.
            for branch in branches:
                branch.connection.abort()
            raise
        for name in ending.pending:
            # Still prepared on its server, which lets go of it only when the connection ends.
            run.abort(name)
        if ending.end is End.COMMITTED:
            self._untold.extend(run.prepared(ending.pending))
        if ending.told and not ending.pending and run.saw_all and decider is not None:
            self._told.append((decider, run.gtrid))
        return ending, run.error

    async def settle(self, decider: Place, gtrid: str) -> Reply:
        """Ask the decider on a connection of its own. Raises MeshError or ShardError when it cannot be asked now."""
        await self.make_table(decider)
        try:
            async with self.connection(decider) as connection:
                await collect(connection, decisions.oppose(gtrid).encode())
                rows = (await collect(connection, decisions.look_up(gtrid).encode())).rows
        except ShardError:
            self.doubt_table(decider)
            raise
        return Reply.COMMITTED if rows == [[b"1"]] else Reply.ROLLED_BACK

    async def settle_soon(self, decider: Place, gtrid: str) -> Reply:
        """Ask the decider a few times. Raises the last MeshError or ShardError when it cannot be asked."""
        reason: MeshError | ShardError = MeshError(
            DATA_SOURCE_UNREACHABLE, data_source=decider, reason=f"no answer within {SETTLE_SECONDS:g} s"
        )
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_SECONDS):
                for pause in SETTLE_ATTEMPTS:
                    await asyncio.sleep(pause)
                    try:
                        return await self.settle(decider, gtrid)
                    except (MeshError, ShardError) as error:
                        reason = error
        raise reason

    async def make_table(self, place: Place) -> None:
        """Make the table of decisions unless it is known to be there. Raises MeshError NO_DECISIONS."""
        if place in self._made:
            return
        try:
            async with self.connection(place) as connection:
                await _make_table(connection)
        except (MeshError, ShardError) as error:
            raise MeshError(NO_DECISIONS, data_source=place, table=DECISION_TABLE, reason=error) from error
        self._made.add(place)

    def doubt_table(self, place: Place) -> None:
        """The table of decisions may not be there any more."""
        self._made.discard(place)

    @contextlib.asynccontextmanager
    async def connection(self, place: Place) -> AsyncIterator[Connection]:
        """A connection of the coordinator's own. Raises MeshError."""
        pool = self.places().get(place)
        if pool is None:
            raise MeshError(NO_DECISIONS, data_source=place, table=DECISION_TABLE, reason="it was taken away")
        connection = await pool.acquire(Flavour(), guarded=False)
        try:
            await connection.bring_to(_OWN_STATE)
            yield connection
        finally:
            pool.release(connection, asyncio.get_running_loop().time())

    async def follow(self) -> None:
        """Commit the branches that were decided here and could not be told, where they can be by now. What a data source refuses is left to
        recovery. O(branches that could not be told)."""
        by_place: defaultdict[Place, list[Xid]] = defaultdict(list)
        while self._untold:
            place, xid = self._untold.popleft()
            by_place[place].append(xid)
        await asyncio.gather(*(self._follow_at(place, xids) for place, xids in by_place.items()))

    async def _follow_at(self, place: Place, xids: Sequence[Xid]) -> None:
        if place not in self.places():
            return
        left = deque(xids)
        try:
            async with self.connection(place) as connection:
                while left:
                    await _commit_prepared(connection, left[0])
                    left.popleft()
        except (MeshError, ShardError) as error:
            _log.info("branches on %s cannot be told yet that they are committed: %s", place, error)
            self._untold.extend((place, xid) for xid in left)

    async def forget(self) -> None:
        """Delete the rows of decisions that all branches have followed. What cannot be deleted now is left to
        recovery. O(decisions since the last call)."""
        by_place: defaultdict[Place, list[str]] = defaultdict(list)
        while self._told:
            place, gtrid = self._told.popleft()
            by_place[place].append(gtrid)
        await asyncio.gather(*(self.delete(place, gtrids) for place, gtrids in by_place.items()))

    async def delete(self, place: Place, gtrids: Sequence[str]) -> None:
        """Delete rows of decisions. What cannot be deleted now is left to recovery."""
        try:
            async with self.connection(place) as connection:
                for start in range(0, len(gtrids), FORGOTTEN_AT_ONCE):
                    some = gtrids[start : start + FORGOTTEN_AT_ONCE]
                    await collect(connection, decisions.forget(some).encode())
        except (MeshError, ShardError) as error:
            _log.info("decisions on %s stay for now: %s", place, error)


async def _commit_prepared(connection: Connection, xid: Xid) -> None:
    """Raises MeshError where that is not known to be answered."""
    try:
        await perform_xa(connection, xid, Step.COMMIT_PREPARED)
    except ShardError as error:
        # As of one that recovery has ended, or that its server takes for another connection's still.
        _log.info("branch %s of a committed transaction: %s", xid.gtrid, error)


async def _make_table(connection: Connection) -> None:
    if connection.product is not Product.OTHER:
        await collect(connection, decisions.MAKE_TABLE.encode())
        return
    try:
        await collect(connection, decisions.MAKE_TABLE_ELSEWHERE.encode())
    except ShardError:
        # PostgreSQL fails where another makes it at this moment, IF NOT EXISTS or not; it is there then.
        await collect(connection, decisions.MAKE_TABLE_ELSEWHERE.encode())


async def drive(
    machine: Machine, perform: Callable[[Round], Coroutine[None, None, Mapping[str, Reply]]]
) -> Ending:
    """Run a machine to its end: each round is performed and its replies sent back."""
    replies: Mapping[str, Reply] | None = None
    while True:
        try:
            round_ = next(machine) if replies is None else machine.send(replies)
        except StopIteration as stop:
            ending: Ending = stop.value
            return ending
        replies = await perform(round_)


class _Commit:
    """One commit under way, on the transaction's own connections."""

    def __init__(self, coordinator: Coordinator, branches: Sequence[Branch]) -> None:
        self._coordinator = coordinator
        self._branches = {branch.data_source: branch for branch in branches}
        self._prepared = [branch.xid.own for branch in branches if branch.xid is not None and branch.wrote]
        self.gtrid = next((branch.xid.gtrid for branch in branches if branch.xid is not None), "")
        self.error: Exception | None = None
        # Whether every branch that has ended was ended here.
        self.saw_all = True

    def prepared(self, names: Sequence[str]) -> list[tuple[Place, Xid]]:
        """Where these branches are, and what they are called there."""
        found = (self._branches[name] for name in names)
        return [(one.place, one.xid) for one in found if one.place is not None and one.xid is not None]

    def abort(self, name: str) -> None:
        """Close the connection of a branch."""
        self._branches[name].connection.abort()

    async def round(self, round_: Round) -> Mapping[str, Reply]:
        """Every branch does its step, all at once."""
        if len(round_) == 1:
            ((name, step),) = round_.items()
            return {name: await self._reply(name, step)}
        replies = await asyncio.gather(*(self._reply(name, step) for name, step in round_.items()))
        return dict(zip(round_, replies, strict=True))

    async def _reply(self, name: str, step: Step) -> Reply:
        branch = self._branches[name]
        try:
            if step is Step.SETTLE:
                return await self._settle(branch)
            await self._perform(branch, step)
        except ShardError as error:
            if step is Step.COMMIT_PREPARED and error.number == NO_SUCH_BRANCH:
                # Recovery was there first, and does what the decider said. Should that fail, it asks for the row once more.
                self.saw_all = False
                return Reply.DONE
            self._met(error, branch, step)
            return Reply.REFUSED
        except MeshError as error:
            self._met(error, branch, step)
            return Reply.LOST
        return Reply.DONE

    def _met(self, error: Exception, branch: Branch, step: Step) -> None:
        """The first error is the one to tell. What can still be undone on its connection keeps it."""
        self.error = self.error or error
        if step is Step.RECORD and branch.place is not None:
            # Somebody may have dropped the table: the next transaction makes it again.
            self._coordinator.doubt_table(branch.place)
        if step not in (Step.PREPARE, Step.RECORD, Step.SETTLE):
            branch.connection.abort()

    async def _perform(self, branch: Branch, step: Step) -> None:
        if step is Step.RECORD and branch.place is not None:
            decision = decisions.record(branch.place.schema, self.gtrid, self._prepared)
            await collect(branch.connection, decision.encode("utf-8", "surrogateescape"))
        else:
            await perform(branch, step)

    async def _settle(self, decider: Branch) -> Reply:
        """The decider's connection was lost in COMMIT, or COMMIT failed: ask for the row."""
        assert decider.place is not None
        decider.connection.abort()
        try:
            return await self._coordinator.settle_soon(decider.place, self.gtrid)
        except (MeshError, ShardError) as error:
            raise MeshError(DATA_SOURCE_UNREACHABLE, data_source=decider.data_source, reason=error) from error


_STATEMENTS: Mapping[Step, tuple[str, ...]] = {
    Step.PREPARE: ("XA END {}", "XA PREPARE {}"),
    Step.COMMIT: ("XA END {}", "XA COMMIT {} ONE PHASE"),
    # A branch the server has given up, or that has ended already, answers XA END with an error and can be rolled back.
    Step.ROLL_BACK: ("XA END {}", "XA ROLLBACK {}"),
    Step.COMMIT_PREPARED: ("XA COMMIT {}",),
    Step.ROLL_BACK_PREPARED: ("XA ROLLBACK {}",),
}


async def perform(branch: Branch, step: Step) -> None:
    """A step other than RECORD and SETTLE, as an XA branch or as a plain transaction. Raises ShardError or MeshError."""
    if branch.xid is not None:
        await perform_xa(branch.connection, branch.xid, step)
    else:
        await collect(branch.connection, b"COMMIT" if step is Step.COMMIT else b"ROLLBACK")


async def perform_xa(connection: Connection, xid: Xid, step: Step) -> None:
    """A step of an XA branch. Its statements are sent together where that is possible: behind XA END that failed, the next one fails too
    or is right. Raises the last one's ShardError, or MeshError."""
    statements = [statement.format(xid.sql).encode() for statement in _STATEMENTS[step]]
    if not isinstance(connection, Pipeline):
        for statement in statements:
            await collect(connection, statement)
        return
    last = (await collect_all(connection, statements))[-1]
    if isinstance(last, Exception):
        raise last
