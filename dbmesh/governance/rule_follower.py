"""One sidecar's part in rolling out revisions of the rules: it prepares what is proposed, says so, and switches when told.

Decides in which order, and what is done about a revision that holds for the mesh and is not run here: no statement begins by other
rules than the mesh's, as far as this sidecar knows them. What is prepared and how it is switched to, `Serving` decides; how commands are
held back, its gate; what a sidecar keeps to while the store does not hear of it, `promise`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Generic, Protocol, TypeVar

from dbmesh.governance import layout
from dbmesh.governance.following import follow
from dbmesh.governance.instances import Registration
from dbmesh.governance.promise import Holding, Promise
from dbmesh.governance.revisions import (
    LOOK,
    Known,
    Observed,
    Revision,
    acknowledge,
    advance,
    forget_answers,
    read_files,
    read_known,
    say_held,
    say_undone,
    say_worked,
)
from dbmesh.governance.rollout import Activate, Duty, Hold, Refuse, Work, duties
from dbmesh.governance.store import ABSENT, Changes, Store, StoreError
from dbmesh.rules.data_sources import Secrets
from dbmesh.rules.loader import load_configuration
from dbmesh.rules.mistakes import ConfigurationError
from dbmesh.rules.ruleset import Configuration

_log = logging.getLogger(__name__)

PAUSE = 5.0
"""Seconds until a store that could not be read is asked again, and until a revision that could not be run is tried again."""

PREPARED_LOOK = 0.005
"""Seconds between two looks at what processes that are gone have left prepared."""

DRAIN_LOOK = 0.002
"""Seconds between two looks at what is still under way while statements are held."""

P = TypeVar("P")


class NotPrepared(Exception):
    """A revision cannot be run; the text says why."""


class NotDone(Exception):
    """What a revision takes is half done; the text says why."""


class Serving(Protocol[P]):
    """What this process serves."""

    async def prepare(self, configuration: Configuration, *, moves: bool) -> P:
        """Everything the configuration's rules take, beside what is served: pools with a connection each, catalogs, plans. `moves`:
        rows are where it looks for them. Raises NotPrepared."""
        ...

    async def run(self, prepared: P) -> None:
        """Serve this from here on. Raises NotPrepared when it has become impossible."""
        ...

    async def discard(self, prepared: P) -> None:
        """Close what was prepared."""
        ...

    async def work(
        self, prepared: P, still: Callable[[], Awaitable[bool]], tell: Callable[[str], Awaitable[None]]
    ) -> None:
        """Do what this takes while all sidecars hold, if that is `still` to be done, and `tell` that it has been done ('') or why it could
        not be and all is as before. Of several that try one does so at a time, telling included. Raises NotDone when it has to be looked
        at again."""
        ...

    async def left_prepared(self) -> str:
        """What a process that is gone may still change where rows are looked for now: branches of transactions that stay prepared, and
        data sources that cannot be asked for them; '' for nothing."""
        ...

    def refuse_clients(self, reason: str) -> None:
        """Serve no client from here on, and tell them why; '' serves them again."""
        ...

    @property
    def gate(self) -> Holding:
        """Where statements are held back."""
        ...


async def stored_configuration(
    store: Store, own: Configuration, secrets: Secrets
) -> tuple[Configuration, int]:
    """Rules and users of the store's active revision with what is a sidecar's own (its store, properties, transactions, protection
    and ports), and the revision's number: 0 and all its own while there is none. Raises StoreError and ConfigurationError."""
    number = (await read_known(store)).active
    return await configured(store, own, number, secrets), number


async def configured(store: Store, own: Configuration, number: int, secrets: Secrets) -> Configuration:
    """As `stored_configuration`, for the revision of this number."""
    if not number:
        return own
    # A key command takes its time, and clients are served meanwhile.
    stored = await asyncio.to_thread(load_configuration, await read_files(store, number), secrets)
    return replace(
        stored,
        properties=own.properties,
        repository=own.repository,
        transaction_type=own.transaction_type,
        record_locks=own.record_locks,
        protection=own.protection,
        admin=own.admin,
        mirrors=own.mirrors,
    )


async def refuse_rollouts(store: Store, registration: Registration, reason: str) -> None:
    """The part of a process that is in the middle of something: whatever is rolled out meanwhile is refused. Until cancelled."""

    async def look() -> None:
        known = await read_known(store)
        if known.rolling is not None:
            await acknowledge(store, known.rolling, registration.id, reason)

    await follow(store, layout.rules_prefix(), look, "revisions of the rules")


class RuleFollower(Generic[P]):
    """See the module's docstring. `own` is the configuration of this process's files, `running` the number of the revision
    that is served, `clock` gives monotonic seconds."""

    def __init__(
        self,
        store: Store,
        serving: Serving[P],
        registration: Registration,
        own: Configuration,
        secrets: Secrets,
        running: int,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._serving = serving
        self._registration = registration
        self._own = own
        self._secrets = secrets
        self._running = running
        self._clock = clock
        self._observed = Observed(clock)
        self._prepared: dict[int, tuple[P, Configuration]] = {}
        self._answered: set[int] = set()
        self._promise = Promise(serving.gate, lambda: registration.alive_for)
        # Until when what is under way may go on, once it is to hold; whether it has said that it holds.
        self._patience: float | None = None
        self._held = False
        # Whether this sidecar has ended a roll-out of which answers are still in the store.
        self._ended = False
        # Why no client is served, whatever the store has said last; why the revision that holds cannot be run.
        self._uncertain = ""
        self._failing = ""
        self._changed = asyncio.Event()

    async def begin(self) -> None:
        """Before the first client: run what holds for the mesh. Where the store is away, clients are served by what the disk remembers
        if nobody can have gone on to rules that move rows without this sidecar."""
        place = self._registration.place
        try:
            # Asked for first: what is read after the store has taken this sidecar for alive is not older than that.
            heard = self._registration.alive_for > 0
            known = await read_known(self._store)
            if not heard and (known.moves or await self._store.get(layout.member(place)) is None):
                self._uncertain = "the store is away, and rows may have been moved without this sidecar"
            self._arrange(known, heard=heard)
            if heard and known.active != self._running:
                ran = await self._run(known, known.active)
                self._arrange(known, heard=heard)
                if ran is not None:
                    await self._tell_active(ran)
        except StoreError as error:
            self._uncertain = f"the rules of the mesh cannot be read: {error}"
            self._serving.gate.shut(self._uncertain)

    async def serve(self) -> None:
        """Follow until cancelled. A store that cannot be read is asked again."""
        complained = False
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(self._watch())
            group.create_task(self._promise.keep())
            while True:
                pause: float | None = None
                self._changed.clear()
                try:
                    heard = self._registration.alive_for > 0
                    known = await read_known(self._store)
                    if await self._look(known, heard=heard) or self._uncertain:
                        pause = LOOK
                    elif self._failing:
                        pause = PAUSE
                    complained = False
                except StoreError as error:
                    if not complained:
                        _log.warning("revisions of the rules cannot be followed: %s", error)
                    complained = True
                    pause = PAUSE
                if watching.done():
                    return
                try:
                    async with asyncio.timeout(pause):
                        await self._changed.wait()
                except TimeoutError:
                    continue

    async def _watch(self) -> None:
        """Tell of every change, until the store is closed."""

        async def look() -> None:
            self._changed.set()

        def told(changes: Changes) -> bool:
            # Whoever holds already has clients that wait for this one: what else is known can be looked at afterwards.
            number = {write.key: write.value for write in changes.writes}.get(layout.holding())
            if number is not None and self._registration.alive_for > 0 and not self._uncertain:
                self._serving.gate.close(_rolled_out(int(number)))
            return True

        await follow(self._store, layout.rules_prefix(), look, "revisions of the rules", told)
        self._changed.set()

    def _arrange(self, known: Known, *, heard: bool) -> None:
        """Hold statements back or let them begin, as the store says. `heard`: it was asked after it had taken this sidecar for alive."""
        gate, late = self._serving.gate, known.active != self._running
        if known.rolling != self._promise.revision:
            self._promise.take_back()
        if not known.holding:
            self._held, self._patience = False, None
        if heard:
            self._uncertain = ""
        if self._uncertain:
            gate.shut(self._uncertain)
        elif self._promise.given and not heard:
            # Holding is up to the promise: others may have gone on meanwhile.
            return
        elif self._failing:
            gate.close(self._failing)
        elif late and known.active not in self._prepared:
            gate.close(f"revision {known.active} of the rules holds and is being made ready here")
        elif known.holding:
            assert known.rolling is not None
            gate.close(_rolled_out(known.rolling))
        elif self._promise.given:
            self._promise.watch()
        elif not late:
            gate.open()

    async def _look(self, known: Known, *, heard: bool) -> bool:
        """Do what there is to do; whether a roll-out is under way."""
        self._arrange(known, heard=heard)
        if self._uncertain:
            return known.rolling is not None
        todo = duties(
            running=self._running,
            active=known.active,
            rolling=known.rolling,
            prepared=frozenset(self._prepared),
            answered=frozenset(self._answered),
            holding=known.holding,
            held=self._held,
        )
        for duty, number in todo:
            if duty is Duty.PREPARE:
                await self._prepare(known, number, heard=heard)
            elif duty is Duty.HOLD:
                await self._hold(known)
            elif duty is Duty.RUN:
                ran = await self._run(known, number)
                # Clients wait for this, and for nothing that is told afterwards.
                self._arrange(known, heard=heard)
                if ran is not None:
                    await self._tell_active(ran)
            else:
                prepared, _ = self._prepared.pop(number)
                await self._serving.discard(prepared)
        if known.rolling is None:
            if self._answered and not self._failing:
                await self._tell("active")
            self._answered.clear()
            if self._ended:
                await forget_answers(self._store)
                self._ended = False
            return False
        step = await advance(self._store, self._observed)
        if isinstance(step, Activate | Refuse):
            # Clients wait for what it has ended with: answers are forgotten afterwards.
            self._ended = True
        done = isinstance(step, Hold | Activate | Refuse)
        if isinstance(step, Work) and known.rolling in self._prepared:
            done = await self._work(known.rolling)
        if done:
            # What was done here need not be heard of first.
            self._changed.set()
        return True

    async def _work(self, number: int) -> bool:
        """Whether what the revision takes has been done, or cannot be; else it has to be looked at again."""
        prepared, _ = self._prepared[number]

        async def still() -> bool:
            known = await read_known(self._store)
            return known.rolling == number and known.working_key != ABSENT and known.worked_key == ABSENT

        async def tell(reason: str) -> None:
            if reason:
                _log.warning("revision %d of the rules cannot be run: %s", number, reason)
                await say_undone(self._store, number, self._registration.id, reason)
            else:
                await say_worked(self._store, number)

        try:
            await self._serving.work(prepared, still, tell)
        except NotDone as error:
            _log.warning("what revision %d of the rules takes is looked at again: %s", number, error)
            return False
        return True

    async def _hold(self, known: Known) -> None:
        assert known.rolling is not None
        revision = known.revisions[known.rolling]
        if self._patience is None:
            drain = float(self._own.properties["rules-drain-timeout-seconds"])
            self._patience = self._clock() + (revision.hold or min(drain, revision.limit / 2))
        gate = self._serving.gate
        # Clients wait: what is under way is looked at often, until the store says something else.
        left = ""
        while not await gate.drained(by_force=False) or (left := await self._serving.left_prepared()):
            if self._clock() >= self._patience:
                await self._lose_patience(known, revision, left)
                return
            if self._changed.is_set():
                return
            await asyncio.sleep(PREPARED_LOOK if left else DRAIN_LOOK)
        await self._say_held(known)

    async def _lose_patience(self, known: Known, revision: Revision, left: str) -> None:
        gate = self._serving.gate
        if revision.hold and not left:
            left = f"not ended within {revision.hold:g} s: {gate.under_way()}"
        if not left:
            if not await gate.drained(by_force=True):
                return
            left = await self._serving.left_prepared()
        if left:
            await acknowledge(self._store, revision.number, self._registration.id, left)
        else:
            await self._say_held(known)

    async def _say_held(self, known: Known) -> None:
        await say_held(self._store, known, self._registration.id)
        self._held = True

    async def _prepare(self, known: Known, number: int, *, heard: bool) -> None:
        await self._tell(f"preparing {number}")
        try:
            # It has been made ready before where the store could not be told.
            if number not in self._prepared:
                self._prepared[number] = await self._made_ready(known, number)
            reason = ""
        except NotPrepared as error:
            reason = str(error) or "unknown"
            _log.warning("revision %d of the rules cannot be run: %s", number, reason)
        await self._tell(f"cannot run {number}: {reason}" if reason else f"prepared {number}")
        if known.moves and not reason:
            # The copy on disk has to know of it before the store does: this sidecar may start by it next time.
            await self._store.range(layout.ROOT)
            self._promise.give(number)
            self._arrange(known, heard=heard)
        await acknowledge(self._store, number, self._registration.id, reason)
        self._answered.add(number)

    async def _made_ready(self, known: Known, number: int) -> tuple[P, Configuration]:
        try:
            configuration = await configured(self._store, self._own, number, self._secrets)
        except ConfigurationError as error:
            raise NotPrepared("; ".join(map(str, error.mistakes))) from error
        revision = known.revisions.get(number)
        moves = revision is None or revision.moves or number == known.active
        return await self._serving.prepare(configuration, moves=moves), configuration

    async def _run(self, known: Known, number: int) -> Configuration | None:
        """Switch to a revision; its configuration, None where it cannot be run."""
        try:
            if number not in self._prepared:
                self._prepared[number] = await self._made_ready(known, number)
            prepared, configuration = self._prepared.pop(number)
            await self._serving.run(prepared)
        except NotPrepared as error:
            _log.error("revision %d of the rules holds for the mesh and cannot be run: %s", number, error)
            self._failing = f"revision {number} of the rules cannot be run here: {error}"
            self._serving.refuse_clients(self._failing)
            await self._tell(f"cannot run {number}: {error}")
            return None
        if self._failing:
            self._serving.refuse_clients("")
        self._failing = ""
        self._running = number
        _log.info("revision %d of the rules is active", number)
        return configuration

    async def _tell_active(self, configuration: Configuration) -> None:
        revision, fingerprint = self._running, configuration.fingerprint
        await self._registration.tell(
            lambda one: replace(one, rules="active", revision=revision, configuration=fingerprint)
        )
        # Rules are what a sidecar that starts while the store is away must not be late with.
        await self._store.range(layout.ROOT)

    async def _tell(self, rules: str) -> None:
        await self._registration.tell(lambda one: replace(one, rules=rules))


def _rolled_out(number: int) -> str:
    return f"revision {number} of the rules is being rolled out"
