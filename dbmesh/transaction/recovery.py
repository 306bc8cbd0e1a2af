"""Finds branches that are prepared and left alone, and ends them as their decider says.

Decides when a branch is old enough to be looked at, what is known of each, and when a row of decision may go. Asks the data
sources only: whichever process of a mesh comes by can do it, and several at once. Branches of other transaction managers are
never touched. How a branch is ended is `two_phase.recover`.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dbmesh.engine.collect import collect
from dbmesh.errors import MeshError, ShardError
from dbmesh.transaction import decisions
from dbmesh.transaction.compensator import Compensator
from dbmesh.transaction.coordinator import NO_SUCH_BRANCH, drive, perform_xa
from dbmesh.transaction.two_phase import End, Reply, Round, Step, recover
from dbmesh.transaction.undo_recovery import NO_SUCH_TABLE, UndoRecovery
from dbmesh.transaction.xid import Place, Xid, read_xid

_log = logging.getLogger(__name__)

LEFT_ALONE = 5.0
"""Seconds a branch must have been seen prepared before it is taken for left alone: a commit takes milliseconds. Safe at
any value, see `two_phase.recover`."""

PASS_INTERVAL = 5.0
"""Seconds between two looks at the data sources."""

FORGET_INTERVAL = 1.0
"""Seconds between two deletions of rows nobody needs, and between two tries to tell branches of what was decided here."""

COMMITTED_ROW_AGE = 60
"""Seconds after which the row of a commit is looked at by others than its coordinator."""

ROLLED_BACK_ROW_AGE = 172_800
"""Seconds a row that says "rolled back" stays: longer than a coordinator that hangs could keep its connection to the decider
without a word (`wait_timeout`, eight hours by default), and write its own row after all."""

_DECIDER, _BRANCH = "decider", "branch"

_ROLLED_BACK_EMPTY = 1402
"""ER_XA_RBROLLBACK: MariaDB says it of a prepared branch that changed nothing and whose connection has gone."""


@dataclass(frozen=True, slots=True)
class InDoubt:
    """A prepared branch of this mesh: where, and where it is decided; None for a place this process does not know."""

    xid: Xid
    place: Place
    decider: Place | None


@dataclass(slots=True)
class Findings:
    """What one look at the data sources found. `foreign`: prepared branches of others. `unreachable`: places that could not
    be asked, with the reason."""

    in_doubt: list[InDoubt] = field(default_factory=list)
    foreign: int = 0
    unreachable: dict[Place, str] = field(default_factory=dict)


class Recovery:
    """See the module's docstring."""

    def __init__(self, compensator: Compensator) -> None:
        self._coordinator = compensator.coordinator
        self.undo = UndoRecovery(compensator)
        self._seen: dict[Xid, float] = {}
        self._complained: set[str] = set()
        self._complaints: set[str] = set()

    async def serve(self) -> None:
        """Look again and again, until cancelled. A look that fails is followed by the next."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            try:
                await self._coordinator.follow()
                await self._coordinator.forget()
                await self.undo.compensator.forget()
                if loop.time() >= due:
                    due = loop.time() + PASS_INTERVAL
                    await self._pass()
            except Exception:
                _log.exception("a look for prepared branches failed; the next follows")
            await asyncio.sleep(FORGET_INTERVAL)

    async def _pass(self) -> None:
        compensator = self.undo.compensator
        await compensator.ownership.keep()
        if len(self._coordinator.places()) > 1:
            await self.resolve(older_than=LEFT_ALONE)
        writes = await self.undo.look()
        for one, end in await self.undo.resolve(writes):
            if end is not End.UNKNOWN:
                _log.warning("writes of transaction %s were left: %s", one.gtrid, end.value)
            elif one.decider is None:
                self._complain(f"writes of {one.gtrid} are decided where nothing is configured")
        try:
            await self.undo.unlock()
        except MeshError as error:
            self._complain(f"record locks cannot be looked at: {error}")
        await self.clean_up()

    async def look(self) -> Findings:
        """Every prepared branch on every server."""
        findings = Findings()
        signs = self._coordinator.signs()
        found: set[Xid] = set()
        servers = list(self._servers().values())
        answers = await asyncio.gather(*(self._prepared(places[0]) for places in servers))
        for places, rows in zip(servers, answers, strict=True):
            if isinstance(rows, str):
                findings.unreachable.update(dict.fromkeys(places, rows))
                continue
            for format_id, gtrid_length, data in rows:
                xid = read_xid(format_id, gtrid_length, data)
                if xid is None or signs.get(xid.own) not in places:
                    findings.foreign += 1
                elif xid not in found:
                    found.add(xid)
                    findings.in_doubt.append(InDoubt(xid, signs[xid.own], signs.get(xid.decider)))
        return findings

    async def resolve(self, *, older_than: float) -> list[tuple[InDoubt, End]]:
        """End the branches seen prepared for so many seconds; how each of their transactions ended. What could not be ended
        now is looked at again."""
        now = asyncio.get_running_loop().time()
        findings = await self.look()
        self._complained, self._complaints = self._complaints, set()
        for place, reason in findings.unreachable.items():
            self._complain(f"{place} cannot be asked for prepared branches: {reason}")
        self._coordinator.in_doubt = len(findings.in_doubt)
        self._seen = {one.xid: self._seen.get(one.xid, now) for one in findings.in_doubt}
        by_decider: defaultdict[Place, list[InDoubt]] = defaultdict(list)
        for one in findings.in_doubt:
            if one.decider is None:
                self._complain(
                    f"{one.xid.gtrid} is prepared on {one.place}, and decided where nothing is configured"
                )
            elif now - self._seen[one.xid] >= older_than:
                by_decider[one.decider].append(one)
        ended = await asyncio.gather(
            *(self._end_all(decider, found) for decider, found in by_decider.items())
        )
        return [end for ends in ended for end in ends]

    async def _end_all(self, decider: Place, branches: Sequence[InDoubt]) -> list[tuple[InDoubt, End]]:
        """End the branches of one decider. One that cannot be reached is not asked for each of them."""
        silent = asyncio.Event()
        return [
            (one, End.UNKNOWN if silent.is_set() else await self._end(one, decider, silent))
            for one in branches
        ]

    def _complain(self, text: str) -> None:
        """Log what is wrong, but not at every look while it stays so."""
        self._complaints.add(text)
        if text not in self._complained:
            _log.warning("%s", text)

    async def _end(self, one: InDoubt, decider: Place, silent: asyncio.Event) -> End:
        async def perform(round_: Round) -> Mapping[str, Reply]:
            (name, step), *_ = round_.items()
            try:
                if step is Step.SETTLE:
                    return {name: await self._coordinator.settle(decider, one.xid.gtrid)}
                async with self._coordinator.connection(one.place) as connection:
                    await perform_xa(connection, one.xid, step)
            except ShardError as error:
                if error.number == _ROLLED_BACK_EMPTY:
                    return {name: Reply.DONE}
                if error.number != NO_SUCH_BRANCH:
                    self._complain(f"{one.xid.gtrid} stays prepared on {one.place}: {error}")
                return {name: Reply.REFUSED}
            except MeshError as error:
                self._complain(f"{one.xid.gtrid} stays prepared on {one.place}: {error}")
                if step is Step.SETTLE:
                    silent.set()
                return {name: Reply.LOST}
            return {name: Reply.DONE}

        ending = await drive(recover(_DECIDER, _BRANCH), perform)
        if not ending.pending:
            self._coordinator.recovered[ending.end.value] += 1
            _log.warning(
                "transaction %s was left prepared on %s: %s", one.xid.gtrid, one.place, ending.end.value
            )
            return ending.end
        return End.UNKNOWN

    async def clean_up(self) -> None:
        """Delete rows of decisions nobody needs: of commits all branches have followed, and old ones of the opposite."""
        places = list(self._coordinator.places())
        rows = dict(zip(places, await asyncio.gather(*map(self._old_rows, places)), strict=True))
        if not any(rows.values()):
            return
        # Looked at after the rows were read: a branch that is not prepared now has followed its row.
        findings = await self.look()
        waiting = {one.xid.gtrid for one in findings.in_doubt}
        written, reached = await self.undo.still({gtrid for found in rows.values() for gtrid, _ in found})
        waiting |= written
        signs = self._coordinator.signs()
        asked = {
            sign for sign, place in signs.items() if place in reached and place not in findings.unreachable
        }
        for place, found in rows.items():
            done = [gtrid for gtrid, branches in found if gtrid not in waiting and asked.issuperset(branches)]
            if done:
                await self._coordinator.delete(place, done)

    def _servers(self) -> dict[tuple[str, int], list[Place]]:
        """The places on each server, which lists the branches of all its schemas."""
        servers: dict[tuple[str, int], list[Place]] = {}
        for place in self._coordinator.places():
            servers.setdefault((place.host, place.port), []).append(place)
        return servers

    async def _prepared(self, place: Place) -> list[tuple[int, int, bytes]] | str:
        """The rows of XA RECOVER (format, length of the global part, both parts), or why there are none."""
        try:
            async with self._coordinator.connection(place) as connection:
                rows = (await collect(connection, b"XA RECOVER")).rows
        except (MeshError, ShardError) as error:
            return str(error)
        return [(int(row[0] or 0), int(row[1] or 0), row[3] or b"") for row in rows]

    async def _old_rows(self, place: Place) -> list[tuple[str, list[str]]]:
        """Rows that may go if their branches have followed: name, signs of the branches. None where they cannot be read now."""
        question = decisions.old_rows(COMMITTED_ROW_AGE, ROLLED_BACK_ROW_AGE).encode()
        try:
            async with self._coordinator.connection(place) as connection:
                rows = (await collect(connection, question)).rows
        except (MeshError, ShardError) as error:
            if error.number != NO_SUCH_TABLE:
                self._complain(f"the decisions on {place} cannot be read: {error}")
            return []
        return [
            ((name or b"").decode(), branches.decode().split(",") if branches else [])
            for name, branches in rows
        ]
