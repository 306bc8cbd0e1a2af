"""The sidecars of a mesh: each keeps its own entry alive by a lease, so that others see who runs what.

Decides what an entry says and how it comes back after the store was away. Nobody is asked whether a sidecar lives: an entry
whose lease has run out is gone. A second one, without a lease, says where a sidecar may be serving: it is taken away by a sidecar that
ends in order, replaced by the next one in the same place, and else forgotten by somebody who knows. The number of a worker of SNOWFLAKE
is leased beside them.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import random
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum

from dbmesh import __version__
from dbmesh.governance import layout
from dbmesh.governance.store import ABSENT, Conflict, LeaseLost, Store, StoreError, StoreUnavailable, Write
from dbmesh.rules.keygen.snowflake import WORKERS, Worker
from dbmesh.rules.repositories import EtcdRepository
from dbmesh.rules.ruleset import Configuration

_log = logging.getLogger(__name__)

WORKER_SECONDS = 86_400.0
"""How long the store keeps a worker's number for a sidecar it does not hear of. Half of it the sidecar makes keys with it: keys
go on while the store is away."""

EMBEDDED_LEASE = 30.0
"""Seconds a sidecar counts as alive without a word where the store is a file."""

_ANY_ADDRESS = ("0.0.0.0", "::")

RETRY = 1.0
"""Seconds until a store that failed is asked again."""


class State(StrEnum):
    """What a sidecar does."""

    SERVING = "serving"
    DRAINING = "draining"
    DISABLED = "disabled"
    UNHEARD = "unheard"
    """Not alive as far as the store knows, and it has never said that it ended: it may be serving."""


@dataclass(frozen=True, slots=True)
class Instance:
    """One sidecar. `address` is host:port for clients, `configuration` the fingerprint of the files its rules are from, `since`
    seconds since 1970. `revision` is the number of its rules in the store, 0 where they are its own files'; `rules` says how far
    the next ones are: active, preparing N, prepared N, or why N cannot be run."""

    id: str
    version: str
    configuration: str
    since: float
    address: str = ""
    state: State = State.SERVING
    revision: int = 0
    rules: str = "active"


async def read_instances(store: Store) -> list[Instance]:
    """Every sidecar that is alive, oldest first. Raises StoreError."""
    found = [_decode(entry.value) for entry in (await store.range(layout.instances_prefix())).entries]
    return sorted(found, key=lambda one: (one.since, one.id))


@dataclass(frozen=True, slots=True)
class Sidecars:
    """Who serves: `live` are alive, id → address; `unheard` may be serving and are not known to be alive, id → where they run. As the store
    was at `revision`, or later."""

    live: Mapping[str, str]
    unheard: Mapping[str, str]
    revision: int


async def read_sidecars(store: Store) -> Sidecars:
    """All sidecars of a mesh. Raises StoreError."""
    prefix, alive = layout.members_prefix(), layout.instances_prefix()
    members, instances = await asyncio.gather(store.range(prefix), store.range(alive))
    if instances.revision < members.revision:
        # Who registers does both at once: one that is among the members is not missed among those alive.
        instances = await store.range(alive)
    live = {
        entry.key.removeprefix(alive): str(json.loads(entry.value)["address"]) for entry in instances.entries
    }
    places = {entry.value.decode(): entry.key.removeprefix(prefix) for entry in members.entries}
    unheard = {id_: place for id_, place in places.items() if id_ not in live}
    return Sidecars(live, unheard, members.revision)


async def forget(store: Store, place: str) -> bool:
    """A sidecar that was not heard of does not serve any more; whether one is known there. Raises StoreError."""
    if place not in (await read_sidecars(store)).unheard.values():
        return False
    await store.commit([Write(layout.member(place), None)])
    return True


class Registration:
    """Keeps one sidecar's entries. `seconds` is how long it counts as alive without a word, `clock` gives seconds of the clock of leases.
    `worker` is told its number and how long it is its own. `serves`: whether it goes on serving when it cannot reach the store."""

    def __init__(
        self,
        store: Store,
        instance: Instance,
        seconds: float,
        clock: Callable[[], float],
        worker: Worker,
        *,
        serves: bool = True,
    ) -> None:
        self._store = store
        self._instance = instance
        self._seconds = seconds
        self._clock = clock
        self._worker = worker
        self._serves = serves
        self._lease = 0
        # Under which an entry may be there; `_lease` once it is.
        self._granted = 0
        # What is told while a lost entry is put there anew must neither go to the old one nor be missing in the new one.
        self._writing = asyncio.Lock()
        self._alive_until = -math.inf
        self._worker_lease = 0
        self._worker_due = 0.0

    async def prepare(self) -> None:
        """Take a worker's number, before any client is served; later when the store is away. Raises StoreError."""
        try:
            await self._take_worker()
        except StoreUnavailable as error:
            _log.warning("no keys of SNOWFLAKE are made until the store is back: %s", error)

    async def begin(self, host: str, port: int) -> None:
        """Put the entry there: clients are served at this address; later when the store is away. Raises StoreError."""
        reachable = socket.gethostname() if host in _ANY_ADDRESS else host
        self._instance = replace(self._instance, address=f"{reachable}:{port}")
        try:
            await self._register()
        except StoreUnavailable as error:
            _log.warning("this sidecar cannot be seen by others: %s", error)

    async def serve(self) -> None:
        """Keep both alive until cancelled. A store that fails is asked again; an entry that was lost is put there anew."""
        complained = False
        while True:
            await asyncio.sleep(RETRY if complained or not self._lease else self._seconds / 3)
            try:
                await self._keep()
                complained = False
            except StoreError as error:
                if not complained:
                    _log.warning("this sidecar cannot be seen by others: %s", error)
                complained = True

    async def drain(self) -> None:
        """Say that no new clients are served. A store that fails is told nothing."""
        await self.tell(lambda one: replace(one, state=State.DRAINING))

    @property
    def id(self) -> str:
        """What this sidecar is known by."""
        return self._instance.id

    @property
    def lease(self) -> int:
        """What its entry lives by, 0 while it has none."""
        return self._lease

    @property
    def place(self) -> str:
        """Where it runs: no other sidecar that is alive has the same host and address."""
        return f"{socket.gethostname()}:{self._instance.address}"

    @property
    def alive_for(self) -> float:
        """For how many seconds the store goes on taking this sidecar for alive, counted from when it was last asked to; 0 or less when
        it may not do so any more."""
        return self._alive_until - self._clock()

    async def tell(self, change: Callable[[Instance], Instance]) -> None:
        """Say something else of this sidecar. A store that fails is told with the next entry."""
        before, self._instance = self._instance, change(self._instance)
        if self._instance == before:
            return
        try:
            async with self._writing:
                # Asked for here: an entry that is being put there may say what was so before.
                if self._lease:
                    await self._write(self._lease)
        except StoreError as error:
            _log.info("the store does not know how this sidecar does: %s", error)

    async def withdraw(self) -> None:
        """Take the entries away. A store that fails finds out by itself that this sidecar is not alive, and is told by the next one in
        the same place that it does not serve."""
        try:
            await self._leave()
        except StoreError as error:
            _log.info("the store does not know that this sidecar has ended: %s", error)
        for lease in filter(None, (self._granted, self._worker_lease)):
            try:
                await self._store.revoke(lease)
            except StoreError as error:
                _log.info("a lease runs out by itself: %s", error)

    async def _leave(self) -> None:
        found = await self._store.get(layout.member(self.place)) if self._granted else None
        if found is None or found.value.decode() != self.id:
            return
        try:
            await self._store.commit([Write(found.key, None, found.revision)])
        except Conflict:
            return
        # A copy on disk that names this sidecar would let it start while the store is away.
        await self._store.range(layout.ROOT)

    async def _keep(self) -> None:
        asked = self._clock()
        try:
            if self._lease:
                await self._store.keep_alive(self._lease)
                self._alive_until = asked + self._seconds
            else:
                await self._register()
        except LeaseLost:
            self._alive_until = -math.inf
            _log.warning("this sidecar was not seen by others for a while")
            await self._register()
        if self._clock() >= self._worker_due:
            await self._keep_worker()

    async def _register(self) -> None:
        async with self._writing:
            asked, id_ = self._clock(), self._instance.id.encode()
            lease = self._granted = await self._store.grant(self._seconds)
            writes = [Write(layout.membership(), id_, lease=lease)]
            if self._serves:
                writes.append(Write(layout.member(self.place), id_))
            await self._write(lease, *writes)
            self._lease = lease
            self._alive_until = asked + self._seconds

    async def _write(self, lease: int, *others: Write) -> None:
        value = json.dumps(asdict(self._instance)).encode()
        await self._store.commit([Write(layout.instance(self._instance.id), value, lease=lease), *others])

    async def _take_worker(self) -> None:
        """A number nobody has; any of those, so that one that has just been given back rests."""
        asked = self._clock()
        lease = await self._store.grant(WORKER_SECONDS)
        while True:
            taken = {entry.key for entry in (await self._store.range(layout.workers_prefix())).entries}
            free = [number for number in range(WORKERS) if layout.worker(number) not in taken]
            if not free:
                raise StoreError(f"all {WORKERS} worker numbers of SNOWFLAKE are taken")
            number = random.choice(free)
            write = Write(layout.worker(number), self._instance.id.encode(), ABSENT, lease)
            try:
                await self._store.commit([write])
            except Conflict:
                continue
            self._worker_lease = lease
            self._worker.hold(number, asked + WORKER_SECONDS / 2)
            self._worker_due = self._clock() + WORKER_SECONDS / 24
            return

    async def _keep_worker(self) -> None:
        asked = self._clock()
        if not self._worker_lease:
            await self._take_worker()
            return
        try:
            await self._store.keep_alive(self._worker_lease)
        except LeaseLost:
            await self._take_worker()
            return
        self._worker.hold(self._worker.number, asked + WORKER_SECONDS / 2)
        self._worker_due = self._clock() + WORKER_SECONDS / 24


async def prepared(
    store: Store,
    configuration: Configuration,
    id_: bytes,
    clock: Callable[[], float],
    worker: Worker,
    revision: int = 0,
    *,
    serves: bool = True,
) -> Registration:
    """This process's place among the sidecars, its worker's number taken; `revision` is the number of its rules. See `Registration`.
    Raises StoreError."""
    instance = Instance(id_.hex(), __version__, configuration.fingerprint, time.time(), revision=revision)
    repository = configuration.repository
    seconds = repository.lease_seconds if isinstance(repository, EtcdRepository) else EMBEDDED_LEASE
    registration = Registration(store, instance, seconds, clock, worker, serves=serves)
    await registration.prepare()
    return registration


def _decode(value: bytes) -> Instance:
    fields = json.loads(value)
    return Instance(**{**fields, "state": State(fields["state"])})
