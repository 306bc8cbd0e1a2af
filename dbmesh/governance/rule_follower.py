"""One sidecar's part in rolling out revisions of the rules: it prepares what is proposed, says so, and switches when told.

Decides in which order, and what is done about a revision that holds for the mesh and cannot be run here: no client is served with
other rules than the mesh's. What is prepared and how it is switched to, `Serving` decides.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Generic, Protocol, TypeVar

from dbmesh.governance import layout
from dbmesh.governance.following import follow
from dbmesh.governance.instances import Registration
from dbmesh.governance.revisions import LOOK, Known, acknowledge, advance, read_files, read_known
from dbmesh.governance.rollout import Duty, duties
from dbmesh.governance.store import Store, StoreError
from dbmesh.rules.data_sources import Secrets
from dbmesh.rules.loader import load_configuration
from dbmesh.rules.mistakes import ConfigurationError
from dbmesh.rules.ruleset import Configuration

_log = logging.getLogger(__name__)

PAUSE = 5.0
"""Seconds until a store that could not be read is asked again, and until a revision that could not be run is tried again."""

P = TypeVar("P")


class NotPrepared(Exception):
    """A revision cannot be run; the text says why."""


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

    def refuse_clients(self, reason: str) -> None:
        """Serve no client from here on, and tell them why; '' serves them again."""
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
    stored = load_configuration(await read_files(store, number), secrets)
    return replace(
        stored,
        properties=own.properties,
        repository=own.repository,
        transaction_type=own.transaction_type,
        record_locks=own.record_locks,
        protection=own.protection,
        admin=own.admin,
    )


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
        self._prepared: dict[int, tuple[P, Configuration]] = {}
        self._answered: set[int] = set()
        self._seen: tuple[int, float] = (0, 0.0)
        self._changed = asyncio.Event()
        self._failing = False

    async def serve(self) -> None:
        """Follow until cancelled. A store that cannot be read is asked again."""
        complained = False
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(self._watch())
            while True:
                pause: float | None = None
                self._changed.clear()
                try:
                    known = await read_known(self._store)
                    if await self._look(known):
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

        await follow(self._store, layout.rules_prefix(), look, "revisions of the rules")
        self._changed.set()

    async def _look(self, known: Known) -> bool:
        """Do what there is to do; whether a roll-out is under way."""
        todo = duties(
            running=self._running,
            active=known.active,
            rolling=known.rolling,
            prepared=frozenset(self._prepared),
            answered=frozenset(self._answered),
        )
        for duty, number in todo:
            if duty is Duty.PREPARE:
                await self._prepare(known, number)
            elif duty is Duty.RUN:
                await self._run(known, number)
            else:
                prepared, _ = self._prepared.pop(number)
                await self._serving.discard(prepared)
        if known.rolling is None:
            if self._answered and not self._failing:
                await self._tell("active")
            self._answered.clear()
            return False
        if self._seen[0] != known.rolling:
            self._seen = known.rolling, self._clock()
        await advance(self._store, self._clock() - self._seen[1])
        return True

    async def _prepare(self, known: Known, number: int) -> None:
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

    async def _run(self, known: Known, number: int) -> None:
        try:
            if number not in self._prepared:
                self._prepared[number] = await self._made_ready(known, number)
            prepared, configuration = self._prepared.pop(number)
            await self._serving.run(prepared)
        except NotPrepared as error:
            _log.error("revision %d of the rules holds for the mesh and cannot be run: %s", number, error)
            self._serving.refuse_clients(f"revision {number} of the rules cannot be run here: {error}")
            await self._tell(f"cannot run {number}: {error}")
            self._failing = True
            return
        if self._failing:
            self._serving.refuse_clients("")
        self._failing = False
        self._running = number
        _log.info("revision %d of the rules is active", number)
        await self._registration.tell(
            lambda one: replace(one, rules="active", revision=number, configuration=configuration.fingerprint)
        )

    async def _tell(self, rules: str) -> None:
        await self._registration.tell(lambda one: replace(one, rules=rules))
