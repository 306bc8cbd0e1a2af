"""Carries out BASE transactions: records what undoes each write, commits, rolls back, and forgets what is not needed any more.

Decides when tables and locks are there, in what order a write's local transactions end, and what clients are told. What follows
which answer is `saga`'s, how rows are put back `compensation`'s. Knows no client and no planning.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dbmesh.backend.connection import Connection
from dbmesh.engine.collect import all_of, collect
from dbmesh.errors import (
    NO_DECISIONS,
    NOTHING_COMMITTED,
    TABLE_CHANGED,
    TRANSACTION_UNKNOWN,
    MeshError,
    ShardError,
    not_supported,
)
from dbmesh.model import UNDO_TABLE
from dbmesh.transaction import decisions, saga, undo
from dbmesh.transaction.compensation import compensate
from dbmesh.transaction.coordinator import FORGOTTEN_AT_ONCE, MOST_TOLD, Branch, Coordinator, drive
from dbmesh.transaction.ownership import Ownership
from dbmesh.transaction.record_locks import Holder, RecordLocks, lock_keys
from dbmesh.transaction.two_phase import End, Ending, Machine, Reply, Round, Step
from dbmesh.transaction.xid import Place

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Saga:
    """An open BASE transaction that has written: its name, where it is decided, how many writes it has made, and where; `places`
    are by their signs, `locks` those of the rows it has written."""

    gtrid: str
    decider: Place
    sequence: int = 0
    places: dict[str, Place] = field(default_factory=dict)
    locks: set[str] = field(default_factory=set)

    @property
    def holder(self) -> Holder:
        """Who it is to others that want its locks."""
        return Holder(self.gtrid, self.decider.sign)


_SURELY_TAKEN = 64 * 1024
"""Bytes of a statement that need not be compared with max_allowed_packet."""


async def _check_size(connection: Connection, size: int) -> None:
    """A server closes the connection of a statement that is larger than it takes, and nobody would know why. Raises
    MeshError(NOT_SUPPORTED)."""
    [[limit]] = (await collect(connection, b"SELECT @@max_allowed_packet")).rows
    if size >= int(limit or 0):
        raise not_supported(
            f"a write of a BASE transaction whose rows before and after take {size} bytes in {UNDO_TABLE}, where the data "
            f"source's max_allowed_packet is {(limit or b'').decode()}",
            "write fewer rows at a time, raise max_allowed_packet, or use type XA",
        )


class RecordLocked(Exception):
    """Another transaction has written a row of this write and has not ended yet; the text is its name."""


class Compensator:
    """See the module's docstring. `open` are the names of this process's transactions that it sees to: a session has
    them, or they are committed and about to be forgotten. With `locks` no
    two transactions write one row before the first of them has ended."""

    def __init__(self, coordinator: Coordinator) -> None:
        self.coordinator = coordinator
        self.locks: RecordLocks | None = None
        self.ownership = Ownership(coordinator)
        self.open: set[str] = set()
        self._made: set[Place] = set()
        self._told: deque[Saga] = deque()

    # ------------------------------------------------------------------ writes

    async def end_write(
        self, branches: Sequence[Branch], known: Saga | None
    ) -> tuple[Saga | None, MeshError | ShardError | None]:
        """Commit the local transactions of one write, each with what undoes it. Returns the transaction they are part of, None
        when nothing has changed so far; and the error after which nobody knows what of the write is committed: the whole
        transaction must be rolled back then. Raises MeshError, ShardError or RecordLocked, and nothing of the write is left."""
        changed = [branch for branch in branches if branch.changes]
        one = known
        try:
            if changed:
                one = one or await self._begin(changed[0])
                await self._lock(one, changed)
                one.sequence += 1
                await self._record(one, changed)
        except BaseException:
            await undo_local(branches)
            if one is not None and known is None:
                await self._end(one)
            raise
        if one is not None:
            one.places |= {branch.place.sign: branch.place for branch in changed if branch.place is not None}
        results = await asyncio.gather(*map(_commit, branches))
        return one, next((error for error in results if error is not None), None)

    async def _begin(self, first: Branch) -> Saga:
        assert first.place is not None
        await self.coordinator.make_table(first.place)
        await self.ownership.hold(first.place)
        one = Saga(self.coordinator.names.next(), first.place)
        self.open.add(one.gtrid)
        return one

    async def _lock(self, one: Saga, changed: Sequence[Branch]) -> None:
        """Take the locks of the rows written. Raises RecordLocked, MeshError."""
        if self.locks is None:
            return
        keys: set[str] = set()
        for branch in changed:
            if branch.place is not None:
                keys |= lock_keys(branch.place.sign, branch.changes)
        # Those it has are asked for again: who took this process for dead has given them to others.
        holder = await self.locks.take(one.holder, keys)
        if holder:
            raise RecordLocked(holder)
        one.locks |= keys

    async def _end(self, one: Saga, *, unlock: bool = True) -> None:
        """No session has it any more; recovery of this process sees to what is left of it."""
        self.open.discard(one.gtrid)
        if unlock:
            await self._unlock(one)

    async def _unlock(self, one: Saga) -> None:
        if self.locks is None or not one.locks:
            return
        try:
            await self.locks.release(one.gtrid, one.locks)
        except MeshError as error:
            _log.warning("record locks of transaction %s stay for now: %s", one.gtrid, error)

    async def _record(self, one: Saga, changed: Sequence[Branch]) -> None:
        for branch in changed:
            assert branch.place is not None
            await self.make_table(branch.place)
        await all_of(self._record_one(one, branch) for branch in changed)

    async def _record_one(self, one: Saga, branch: Branch) -> None:
        place = branch.place
        assert place is not None
        statement = undo.record(
            place.schema, one.gtrid, one.sequence, place.sign, one.decider.sign, branch.changes
        )
        text = statement.encode("utf-8", "surrogateescape")
        if len(text) > _SURELY_TAKEN:
            await _check_size(branch.connection, len(text))
        try:
            result = await collect(branch.connection, text)
        except ShardError:
            self.doubt_table(place)
            raise
        if result.ok is None or not result.ok.affected_rows:
            raise MeshError(TABLE_CHANGED, table=", ".join(sorted({c.table.name for c in branch.changes})))

    async def make_table(self, place: Place) -> None:
        """Make the undo table unless it is known to be there. Raises MeshError NO_DECISIONS."""
        if place in self._made:
            return
        try:
            async with self.coordinator.connection(place) as connection:
                await collect(connection, undo.MAKE_TABLE.encode())
        except (MeshError, ShardError) as error:
            raise MeshError(NO_DECISIONS, data_source=place, table=UNDO_TABLE, reason=error) from error
        self._made.add(place)

    def doubt_table(self, place: Place) -> None:
        """The undo table may not be there any more."""
        self._made.discard(place)

    # ------------------------------------------------------------------ the end

    async def commit(self, one: Saga) -> None:
        """Decide that it is committed. Raises MeshError: NOTHING_COMMITTED when somebody has rolled it back,
        TRANSACTION_UNKNOWN when nobody can tell."""
        run = Run(self, one.gtrid, one.decider, one.places)
        try:
            ending = await run.drive(saga.commit(one.decider.sign, list(one.places)))
        except BaseException:
            await self._end(one, unlock=False)
            raise
        if ending.end is End.COMMITTED:
            if len(self._told) >= MOST_TOLD:
                self.open.discard(self._told.popleft().gtrid)
            self._told.append(one)
            await self._unlock(one)
            return
        await self._end(one, unlock=ending.end is End.ROLLED_BACK and not ending.pending)
        if ending.end is End.UNKNOWN:
            raise MeshError(TRANSACTION_UNKNOWN, data_source=one.decider, reason=run.error)
        reason = "another process took this one for dead and undid the writes"
        raise MeshError(NOTHING_COMMITTED, reason="; ".join([reason, *run.stopped.values()]))

    async def roll_back(self, one: Saga) -> str | None:
        """Undo everything. Returns the warning to add when something could not be undone yet."""
        reasons = [""]
        try:
            reasons = await self.undo(one)
        finally:
            await self._end(one, unlock=not reasons)
        if not reasons:
            return None
        return f"dbmesh: rolled back, but for what could not be undone ({'; '.join(reasons)}): see dbmesh transactions list"

    async def undo(self, one: Saga, above: int = 0) -> list[str]:
        """Undo the writes after the one numbered `above`; what stopped it, nothing when all is undone."""
        run = Run(self, one.gtrid, one.decider, one.places, above)
        await run.drive(saga.roll_back(list(one.places)))
        return [f"{one.places[sign]}: {reason}" for sign, reason in run.stopped.items()]

    async def forget(self) -> None:
        """Delete what would undo transactions that are committed, then their decisions. What cannot be deleted now is left to
        recovery. O(transactions since the last call)."""
        told = [self._told.popleft() for _ in range(len(self._told))]
        by_place: defaultdict[Place, list[str]] = defaultdict(list)
        for one in told:
            for place in one.places.values():
                by_place[place].append(one.gtrid)
        places = list(by_place)
        done = await asyncio.gather(*(self._forget_at(place, by_place[place]) for place in places))
        kept = {place for place, ok in zip(places, done, strict=True) if not ok}
        decided: defaultdict[Place, list[str]] = defaultdict(list)
        for one in told:
            if not kept.intersection(one.places.values()):
                decided[one.decider].append(one.gtrid)
            self.open.discard(one.gtrid)
        await asyncio.gather(*(self.coordinator.delete(place, gtrids) for place, gtrids in decided.items()))

    async def close(self) -> None:
        """The process ends: forget what can be forgotten, and let others see to the rest."""
        await self.forget()
        await self.ownership.close()

    async def _forget_at(self, place: Place, gtrids: Sequence[str]) -> bool:
        try:
            async with self.coordinator.connection(place) as connection:
                for start in range(0, len(gtrids), FORGOTTEN_AT_ONCE):
                    some = gtrids[start : start + FORGOTTEN_AT_ONCE]
                    await collect(connection, undo.forget(some, place.sign).encode())
        except (MeshError, ShardError) as error:
            _log.info("undo rows on %s stay for now: %s", place, error)
            return False
        return True


class Run:
    """One machine of `saga` under way. `stopped` says by place why its writes are not undone; `again`: writes known to be dirty are
    tried once more."""

    def __init__(
        self,
        compensator: Compensator,
        gtrid: str,
        decider: Place,
        places: Mapping[str, Place],
        above: int = 0,
        *,
        again: bool = False,
    ) -> None:
        self._compensator = compensator
        self._gtrid = gtrid
        self._decider = decider
        self._places = places
        self._above = above
        self._again = again
        self.error: Exception | None = None
        self.stopped: dict[str, str] = {}

    async def drive(self, machine: Machine) -> Ending:
        """Run the machine to its end."""
        return await drive(machine, self._round)

    async def _round(self, round_: Round) -> Mapping[str, Reply]:
        replies = await asyncio.gather(*(self._reply(sign, step) for sign, step in round_.items()))
        return dict(zip(round_, replies, strict=True))

    async def _reply(self, sign: str, step: Step) -> Reply:
        try:
            return await self._perform(sign, step)
        except (ShardError, MeshError) as error:
            self.error = self.error or error
            if step is Step.COMPENSATE:
                self.stopped[sign] = str(error)
            return Reply.REFUSED if isinstance(error, ShardError) else Reply.LOST

    async def _perform(self, sign: str, step: Step) -> Reply:
        coordinator = self._compensator.coordinator
        if step is Step.SETTLE:
            return await coordinator.settle_soon(self._decider, self._gtrid)
        if step is Step.DECIDE:
            async with coordinator.connection(self._decider) as connection:
                await collect(connection, decisions.decide(self._gtrid, list(self._places)).encode())
            return Reply.DONE
        place = self._places[sign]
        async with coordinator.connection(place) as connection:
            if step is Step.FORGET:
                await collect(connection, undo.forget([self._gtrid], sign).encode())
                return Reply.DONE
            reason = await compensate(connection, self._gtrid, sign, self._above, again=self._again)
        if reason:
            _log.warning("transaction %s cannot be undone on %s: %s", self._gtrid, place, reason)
            self.stopped[sign] = reason
            return Reply.REFUSED
        return Reply.DONE


async def undo_local(branches: Sequence[Branch]) -> None:
    """Roll local transactions back; one whose connection is lost is undone by its server."""
    for branch in branches:
        try:
            await collect(branch.connection, b"ROLLBACK")
        except (ShardError, MeshError):
            branch.connection.abort()


async def _commit(branch: Branch) -> MeshError | ShardError | None:
    """Commit a local transaction. After an error nobody knows whether it is."""
    try:
        await collect(branch.connection, b"COMMIT")
    except (ShardError, MeshError) as error:
        branch.connection.abort()
        return error
    return None
