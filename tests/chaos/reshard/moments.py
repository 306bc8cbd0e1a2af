"""The journalled steps of a reshard job: what the store says at the beginning, in the middle and at the end of each phase that works.

Decides how a moment is told from the store's documents. Every change is seen, one after another, so no moment is missed.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from dbmesh.governance import layout
from dbmesh.governance.store import Store, Write
from dbmesh.reshard.jobs.job import Job, Phase, decode_job

Entries = Mapping[str, bytes]
"""All the store holds."""


@dataclass(frozen=True, slots=True)
class Look:
    """The store at one moment: the job, how many revisions have become active in its phase, and everything else."""

    job: Job
    accepted: int
    entries: Entries

    def has(self, key: str) -> bool:
        """Whether there is such an entry."""
        return key in self.entries

    def under(self, prefix: str) -> list[bytes]:
        """The entries whose keys begin so."""
        return [value for key, value in self.entries.items() if key.startswith(prefix)]

    @property
    def verified(self) -> int:
        """Rows that were compared."""
        found = self.entries.get(layout.reshard_progress(self.job.number))
        tables = {} if found is None else json.loads(found)["tables"]
        return sum(one.get("verified", 0) for one in tables.values())

    @property
    def rests(self) -> list[bytes]:
        """What is left to be copied, of each old data node."""
        return self.under(f"{layout.reshard_chunks_prefix(str(self.job.number), 'item')}rests/")

    @property
    def runner(self) -> str:
        """The address of the sidecar that carries the job out, '' for none."""
        id_ = self.entries.get(layout.reshard_runner())
        found = None if id_ is None else self.entries.get(layout.instance(id_.decode()))
        return "" if found is None else str(json.loads(found)["address"])


@dataclass(frozen=True, slots=True)
class Moment:
    """One journalled step of a phase."""

    phase: Phase
    name: str
    come: Callable[[Look], bool]

    def __str__(self) -> str:
        return f"{self.phase.value}: {self.name}"


def _rolling(look: Look) -> bool:
    return look.has(layout.rollout())


def _holding(look: Look) -> bool:
    return look.has(layout.holding())


def _held(look: Look) -> bool:
    """One sidecar says that it holds, or more."""
    return bool(look.under(f"{layout.rules_prefix()}held/"))


def _after(accepted: int, come: Callable[[Look], bool] = lambda look: True) -> Callable[[Look], bool]:
    return lambda look: look.accepted >= accepted and come(look)


_SWITCH = (
    ("the next rules are made ready", _rolling),
    ("sidecars are told to hold", _holding),
    ("a sidecar holds", _held),
    ("the next rules hold", _after(1)),
)
_STEPS: Mapping[Phase, tuple[tuple[str, Callable[[Look], bool]], ...]] = {
    Phase.PREPARE: (*_SWITCH[:3], ("tables are made", _after(1))),
    Phase.DOUBLE_WRITE: _SWITCH,
    Phase.COPY: (
        ("a first chunk is taken", lambda look: any(json.loads(one)["cut"] for one in look.rests)),
        ("the last chunk is taken", lambda look: all(json.loads(one)["exhausted"] for one in look.rests or [b'{"exhausted": false}'])),
    ),
    Phase.VERIFY: (("some rows are compared", lambda look: look.verified > 0),),
    Phase.CUTOVER: _SWITCH,
    Phase.ROLLBACK: _SWITCH,
    Phase.CLEAN_UP: (
        *_SWITCH[:3],
        ("tables are renamed", lambda look: look.has(layout.working())),
        ("tables are renamed, and it is said", lambda look: look.has(layout.worked())),
        ("former tables are dropped", _after(1)),
        ("rules without the job are made ready", _after(1, _rolling)),
        ("rules without the job hold", _after(2)),
    ),
    Phase.CANCEL: (
        *_SWITCH[:3],
        ("new tables are dropped", _after(1)),
        ("rules without the job are made ready", _after(1, _rolling)),
        ("rules without the job hold", _after(2)),
    ),
}  # fmt: skip

MOMENTS = tuple(
    Moment(phase, name, come)
    for phase, steps in _STEPS.items()
    for name, come in (("it begins", lambda look: True), *steps)
)
"""All of them, in the order of a job's life."""


async def until(store: Store, number: int, moment: Moment, provoke: Callable[[], Awaitable[None]]) -> Look:
    """The store when a moment of a job has come, which `provoke` leads to. Raises TimeoutError when the phase is over without it;
    StoreError."""
    snapshot = await store.range(layout.ROOT)
    seen = _Seen(number, moment, {entry.key: entry.value for entry in snapshot.entries})
    async with asyncio.TaskGroup() as group:
        provoking = group.create_task(provoke())
        async for changes in store.watch(layout.ROOT, snapshot.revision):
            for write in changes.writes:
                if (come := seen.look(write)) is not None:
                    provoking.cancel()
                    return come
    raise TimeoutError(f"the store was closed before '{moment}'")


class _Seen:
    """What has been seen of a job so far."""

    def __init__(self, number: int, moment: Moment, entries: dict[str, bytes]) -> None:
        self._number = number
        self._moment = moment
        self._entries = entries
        self._accepted = 0
        self._begun = False

    def look(self, write: Write) -> Look | None:
        """The store after one more change, if the moment has come."""
        if write.key == layout.active_revision() and self._begun:
            self._accepted += 1
        if write.value is None:
            self._entries.pop(write.key, None)
        else:
            self._entries[write.key] = write.value
        value = self._entries.get(layout.reshard_job(self._number))
        job = None if value is None else decode_job(value)
        if job is None or job.phase is not self._moment.phase:
            if self._begun:
                raise TimeoutError(f"'{self._moment}' has not come: {job}")
            return None
        self._begun = True
        found = Look(job, self._accepted, self._entries)
        return found if self._moment.come(found) else None
