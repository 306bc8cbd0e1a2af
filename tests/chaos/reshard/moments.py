"""The journalled steps of a reshard job: what the store says at the beginning, in the middle and at the end of each phase that works.

Decides which steps a job of each mode has, and how a moment is told from the store's documents. Every change is seen, one after another, so no moment is missed.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dbmesh.governance import layout
from dbmesh.governance.store import Store, Write
from dbmesh.reshard.jobs.job import PATHS, WAITING, Job, Mode, Phase, decode_job

Entries = Mapping[str, bytes]
"""All the store holds."""


@dataclass(frozen=True, slots=True)
class Look:
    """The store at one moment: the job, how often each key was written in its phase, and everything else."""

    job: Job
    written: Mapping[str, int]
    entries: Entries

    def has(self, key: str) -> bool:
        """Whether there is such an entry."""
        return key in self.entries

    def under(self, prefix: str) -> list[bytes]:
        """The entries whose keys begin so."""
        return [value for key, value in self.entries.items() if key.startswith(prefix)]

    @property
    def accepted(self) -> int:
        """Revisions that have become active in this phase."""
        return self.written.get(layout.active_revision(), 0)

    @property
    def told(self) -> Mapping[str, Any]:
        """How far it is, as was told in this phase; nothing before it was."""
        key = layout.reshard_progress(self.job.number)
        found: Mapping[str, Any] = json.loads(self.entries[key]) if key in self.written else {}
        return found

    @property
    def verified(self) -> int:
        """Rows that were compared."""
        return sum(one.get("verified", 0) for one in self.told.get("tables", {}).values())

    @property
    def marked(self) -> bool:
        """Whether it was kept in this phase up to where binlogs were followed."""
        return layout.reshard_bookmarks(self.job.number) in self.written

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
_Steps = tuple[tuple[str, Callable[[Look], bool]], ...]

_COPIED: _Steps = (
    ("a first chunk is taken", lambda look: any(json.loads(one)["cut"] for one in look.rests)),
    ("the last chunk is taken", lambda look: all(json.loads(one)["exhausted"] for one in look.rests or [b'{"exhausted": false}'])),
)  # fmt: skip
_PREPARED: _Steps = (*_SWITCH[:3], ("tables are made", _after(1)))
_ALIKE: Mapping[Phase, _Steps] = {
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
}
"""Of both modes."""

_STEPS: Mapping[Mode, Mapping[Phase, _Steps]] = {
    Mode.DOUBLE_WRITE: {
        Phase.PREPARE: _PREPARED,
        Phase.DOUBLE_WRITE: _SWITCH,
        Phase.COPY: _COPIED,
        **_ALIKE,
    },
    Mode.CDC: {
        Phase.PREPARE: (
            *_PREPARED,
            ("rules by which binlogs are followed are made ready", _after(1, _rolling)),
            ("rules by which binlogs are followed hold", _after(2)),
            ("it is kept from where on binlogs are followed", lambda look: look.marked),
        ),
        Phase.COPY: (
            *_COPIED,
            ("it is kept up to where binlogs were followed", lambda look: look.marked),
        ),
        Phase.CATCH_UP: (
            ("it is told how far it is", lambda look: bool(look.told)),
            ("it is kept up to where binlogs were followed", lambda look: look.marked),
        ),
        Phase.DOUBLE_WRITE: (
            *_SWITCH,
            ("rules without binlogs that are followed are made ready", _after(1, _rolling)),
            ("rules without binlogs that are followed hold", _after(2)),
        ),
        **_ALIKE,
    },
}

MOMENTS: Mapping[Mode, tuple[Moment, ...]] = {
    mode: tuple(
        Moment(phase, name, come)
        for phase in (*(one for one in PATHS[mode] if one not in WAITING), *(one for one in _ALIKE if one not in PATHS[mode]))
        for name, come in (("it begins", lambda look: True), *steps[phase])
    )
    for mode, steps in _STEPS.items()
}  # fmt: skip
"""All of them, in the order of a job's life."""


def moment(phase: Phase, name: str, mode: Mode = Mode.DOUBLE_WRITE) -> Moment:
    """The one of this name. Raises ValueError."""
    (found,) = (one for one in MOMENTS[mode] if (one.phase, one.name) == (phase, name))
    return found


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
        self._written = Counter[str]()
        self._begun = False

    def look(self, write: Write) -> Look | None:
        """The store after one more change, if the moment has come."""
        if self._begun:
            self._written[write.key] += 1
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
        found = Look(job, self._written, self._entries)
        return found if self._moment.come(found) else None
