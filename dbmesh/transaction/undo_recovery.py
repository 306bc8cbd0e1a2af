"""Finds writes of BASE transactions whose process is gone, and ends them as their decider says.

Decides whose writes are looked at: those of a process that holds no lock at the decider any more (`ownership`), of this one's
what no session has open, and of any what it could not undo. What is dirty is left as it is and told. How a transaction is ended is `saga.recover`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, field

from dbmesh.engine.collect import collect
from dbmesh.errors import MeshError, ShardError
from dbmesh.transaction import saga, undo
from dbmesh.transaction.compensation import keep_current
from dbmesh.transaction.compensator import Compensator, Run
from dbmesh.transaction.ownership import is_free
from dbmesh.transaction.record_locks import Holder
from dbmesh.transaction.two_phase import End
from dbmesh.transaction.xid import Place

NO_SUCH_TABLE = 1146


@dataclass(slots=True)
class LeftAlone:
    """A transaction with writes that nobody sees to: where they are, by sign, and where (of these) why they cannot be undone.
    `decider` is None for a place this process does not know."""

    gtrid: str
    decider: Place | None
    places: dict[str, Place] = field(default_factory=dict)
    dirty: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Writes:
    """What one look found. `unreachable`: places that could not be asked, with the reason."""

    left: dict[str, LeftAlone] = field(default_factory=dict)
    unreachable: dict[Place, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Owner:
    """A process with writes that are decided at the place of this sign."""

    instance: str
    sign: str
    decider: Place | None
    gone: bool


class UndoRecovery:
    """See the module's docstring."""

    def __init__(self, compensator: Compensator) -> None:
        self.compensator = compensator
        self._coordinator = compensator.coordinator

    async def look(self) -> Writes:
        """Every transaction left alone, on all data sources."""
        writes = Writes()
        signs = {sign: place for sign, place in self._coordinator.signs().items() if place.compensates}
        answers = await asyncio.gather(*(self._owners(own, place) for own, place in signs.items()))
        wanted: list[tuple[str, str, str]] = []
        for (own, place), rows in zip(signs.items(), answers, strict=True):
            if isinstance(rows, str):
                writes.unreachable[place] = rows
            else:
                wanted += [(own, instance, decider) for instance, decider in rows]
        pairs = list(dict.fromkeys((instance, decider) for _, instance, decider in wanted))
        gone = await asyncio.gather(*(self._is_gone(instance, signs.get(sign)) for instance, sign in pairs))
        known = dict(zip(pairs, gone, strict=True))
        for own, instance, decider in wanted:
            one = _Owner(instance, decider, signs.get(decider), known[instance, decider])
            await self._list(writes, own, signs[own], one)
        return writes

    async def _list(self, writes: Writes, own: str, place: Place, owner: _Owner) -> None:
        question = undo.of_owner(owner.instance, owner.sign, own)
        try:
            async with self._coordinator.connection(place) as connection:
                rows = (await collect(connection, question.encode())).rows
        except (MeshError, ShardError) as error:
            writes.unreachable[place] = str(error)
            return
        for name, dirty in rows:
            gtrid = (name or b"").decode()
            # Its process has begun to undo what is dirty: it is decided.
            if gtrid in self.compensator.open or not (owner.gone or dirty):
                continue
            one = writes.left.setdefault(gtrid, LeftAlone(gtrid, owner.decider))
            one.places[own] = place
            if dirty:
                one.dirty[own] = dirty.decode("utf-8", "replace")

    async def resolve(self, writes: Writes, *, again: bool = False) -> list[tuple[LeftAlone, End]]:
        """End what a look has found; how each transaction ended, UNKNOWN where writes are left. What is dirty is tried once more
        only with `again`."""
        ended: list[tuple[LeftAlone, End]] = []
        for one in writes.left.values():
            places = one.places if again else {s: p for s, p in one.places.items() if s not in one.dirty}
            if one.decider is None or not places:
                ended.append((one, End.UNKNOWN))
                continue
            run = Run(self.compensator, one.gtrid, one.decider, places, again=again)
            ending = await run.drive(saga.recover(one.decider.sign, list(places)))
            one.dirty = {
                sign: reason for sign, reason in one.dirty.items() if sign not in places
            } | run.stopped
            ended.append((one, End.UNKNOWN if ending.pending or one.dirty else ending.end))
        return ended

    async def keep_current(self, writes: Writes) -> int:
        """Give up undoing what is dirty: the rows stay as they are now, and the writes before it come next. Returns how many
        writes that is. Raises MeshError or ShardError."""
        count = 0
        for one in writes.left.values():
            for sign in one.dirty:
                async with self._coordinator.connection(one.places[sign]) as connection:
                    count += await keep_current(connection, one.gtrid, sign)
            one.dirty.clear()
        return count

    async def unlock(self) -> None:
        """Give back record locks of transactions that have ended, or whose process is gone, and that have no writes left. Raises
        MeshError."""
        locks = self.compensator.locks
        if locks is None:
            return
        held = await locks.held()
        held = {holder: keys for holder, keys in held.items() if holder.gtrid not in self.compensator.open}
        if not held:
            return
        signs, alive = self._coordinator.signs(), await locks.alive()
        gone = [holder for holder in held if await self._has_ended(holder, signs.get(holder.decider), alive)]
        left, asked = await self.still({holder.gtrid for holder in gone})
        if not asked.issuperset(self._coordinator.places()):
            # Its writes may be where nobody answers.
            return
        for holder in gone:
            if holder.gtrid not in left:
                await locks.release(holder.gtrid, held[holder])

    async def _has_ended(self, holder: Holder, decider: Place | None, alive: Collection[str]) -> bool:
        """Whether nobody goes on with a transaction that has locks."""
        instance = holder.gtrid[: undo.INSTANCE_LENGTH]
        if decider is None and instance in alive:
            # Decided where others are already, by newer rules than those this process has.
            return False
        return await self._is_gone(instance, decider)

    async def still(self, gtrids: set[str]) -> tuple[set[str], set[Place]]:
        """Which of these transactions have writes left on some data source, and which of these could be asked."""
        left: set[str] = set()
        asked: set[Place] = set()
        names = sorted(gtrids)
        if not names:
            return left, set(self._coordinator.places())
        for place in list(self._coordinator.places()):
            if not place.compensates:
                asked.add(place)
                continue
            try:
                async with self._coordinator.connection(place) as connection:
                    rows = (await collect(connection, undo.still(names).encode())).rows
                left |= {(row[0] or b"").decode() for row in rows}
            except (MeshError, ShardError) as error:
                if error.number != NO_SUCH_TABLE:
                    continue
            asked.add(place)
        return left, asked

    async def _owners(self, own: str, place: Place) -> list[tuple[str, str]] | str:
        """The processes and deciders of the writes on a place that go by this sign, or why it cannot be asked."""
        try:
            async with self._coordinator.connection(place) as connection:
                rows = (await collect(connection, undo.owners(own).encode())).rows
        except (MeshError, ShardError) as error:
            return [] if error.number == NO_SUCH_TABLE else str(error)
        return [((name or b"").decode(), (decider or b"").decode()) for name, decider in rows]

    async def _is_gone(self, instance: str, decider: Place | None) -> bool:
        """Whether a process sees to its transactions no longer. Of this one, only what is open is seen to."""
        if instance == self._coordinator.names.instance or decider is None:
            return True
        try:
            async with self._coordinator.connection(decider) as connection:
                return (await collect(connection, is_free(instance).encode())).rows == [[b"1"]]
        except (MeshError, ShardError):
            return False
