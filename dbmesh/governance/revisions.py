"""Revisions of the rules as they lie in the store: the files of a configuration directory, who applied them, when and why.

Decides their form and how they become active or are refused: each step is one compare-and-set, so that of several processes that
carry out the same roll-out one does, and the others learn of it. What the files mean, `rules.loader` decides.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum

from dbmesh.governance import layout
from dbmesh.governance.instances import read_sidecars
from dbmesh.governance.rollout import (
    Acknowledgement,
    Activate,
    Hold,
    Refuse,
    Situation,
    Step,
    Work,
    next_step,
)
from dbmesh.governance.store import ABSENT, MOST_CHANGES, Conflict, Guard, Store, StoreError, Write

LIMIT = 30.0
"""Seconds a roll-out waits for sidecars to answer."""

LOOK = 0.2
"""Seconds between two looks at a roll-out under way."""

ANSWER = 1.0
"""Seconds for a sidecar to say that it holds, beyond those for which statements are held."""

MOST_FILES = 1_000_000
"""Bytes of all files together; etcd takes 1.5 MB in one request."""

KEPT = 100
"""Revisions whose files are kept to go back to."""


class RolloutUnderWay(StoreError):
    """Another revision is being rolled out."""


class Outcome(StrEnum):
    """What became of a revision."""

    ROLLING = "rolling out"
    ACCEPTED = "accepted"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Revision:
    """A revision without its files. `at` is seconds since 1970, `fingerprint` that of the files, `reason` why it was refused.
    `moves`: whoever applied it says that rows are where its rules look for them. `hold`: for how many seconds statements are held back at
    most while what is under way comes to its end, after which the revision is refused; 0: it is ended by force. `works`: it takes something
    that is done while all hold (`Serving.work`)."""

    number: int
    by: str
    at: float
    comment: str
    fingerprint: str
    moves: bool = False
    outcome: Outcome = Outcome.ROLLING
    reason: str = ""
    limit: float = LIMIT
    hold: float = 0.0
    works: bool = False


@dataclass(frozen=True, slots=True)
class Known:
    """All that the store says of revisions at one moment, but for their files. `active` is the number of the one that holds, 0 while
    there is none; `rolling` that of the one being rolled out."""

    revision: int
    active: int = 0
    rolling: int | None = None
    revisions: Mapping[int, Revision] = field(default_factory=dict)
    acknowledgements: tuple[Acknowledgement, ...] = ()
    held: frozenset[str] = frozenset()
    active_key: int = ABSENT
    rolling_key: int = ABSENT
    holding_key: int = ABSENT
    working_key: int = ABSENT
    worked_key: int = ABSENT

    @property
    def holding(self) -> bool:
        """Whether sidecars are to hold for the one that is being rolled out."""
        return self.holding_key != ABSENT

    @property
    def moves(self) -> bool:
        """Whether the one that is being rolled out moves rows."""
        return self.rolling is not None and self.revisions[self.rolling].moves


async def read_known(store: Store) -> Known:
    """The state of revisions. Raises StoreError."""
    snapshot = await store.range(layout.rules_prefix())
    entries = {entry.key: entry for entry in snapshot.entries}
    single = (
        layout.active_revision(),
        layout.rollout(),
        layout.holding(),
        layout.working(),
        layout.worked(),
    )
    active, rolling, *_ = map(entries.get, single)
    prefix = layout.revisions_prefix()
    found = {
        int(key.removeprefix(prefix)): entry.value for key, entry in entries.items() if key.startswith(prefix)
    }
    number = None if rolling is None else int(rolling.value)
    prefix = "" if number is None else layout.acknowledgements_prefix(number)
    held = "" if number is None else layout.held_prefix(number)
    return Known(
        snapshot.revision,
        0 if active is None else int(active.value),
        number,
        _Revisions(found),
        tuple(
            Acknowledgement(key.removeprefix(prefix), entry.value.decode())
            for key, entry in entries.items()
            if prefix and key.startswith(prefix)
        ),
        frozenset(key.removeprefix(held) for key in entries if held and key.startswith(held)),
        *(ABSENT if one is None else one.revision for one in map(entries.get, single)),
    )


async def read_files(store: Store, number: int) -> dict[str, str]:
    """The files of a revision, name → text. Raises StoreError."""
    entry = await store.get(layout.rule_files(number))
    if entry is None:
        raise StoreError(f"the files of revision {number} are not kept any more")
    files: dict[str, str] = json.loads(entry.value)
    return files


async def propose(
    store: Store,
    known: Known,
    revision: Revision,
    files: Mapping[str, str],
    guards: Sequence[Guard] = (),
) -> Revision:
    """Begin the roll-out of files, as they were compared with what is `known`, if the `guards` hold; the revision, with its number. Raises
    RolloutUnderWay, also where they do not hold, and StoreError."""
    if known.rolling is not None:
        raise RolloutUnderWay(_under_way(known))
    value = json.dumps(dict(files)).encode()
    if len(value) > MOST_FILES:
        raise StoreError(f"the files are {len(value)} bytes, {MOST_FILES} are the most the store takes")
    proposed = replace(revision, number=max(known.revisions, default=0) + 1)
    writes = [
        Write(layout.rule_files(proposed.number), value, ABSENT),
        Write(layout.revision(proposed.number), _encode(proposed), ABSENT),
        Write(layout.rollout(), str(proposed.number).encode(), ABSENT),
    ]
    oldest = sorted(number for number in known.revisions if number != known.active)[: -KEPT or None]
    for number in oldest[: MOST_CHANGES // 4]:
        writes += [Write(layout.rule_files(number), None), Write(layout.revision(number), None)]
    try:
        await store.commit(writes, [Guard(layout.active_revision(), known.active_key), *guards])
    except Conflict as conflict:
        raise RolloutUnderWay(
            "the rules in the store have changed meanwhile; look at the difference again"
        ) from conflict
    return proposed


def _under_way(known: Known) -> str:
    assert known.rolling is not None
    one = known.revisions.get(known.rolling)
    by = f" by {one.by}" if one is not None else ""
    return f"revision {known.rolling} is being rolled out{by}; try again when it has ended"


async def acknowledge(store: Store, number: int, instance: str, reason: str) -> None:
    """Say of the revision being rolled out that it is prepared, or why it cannot be. Nothing happens when it is no longer. Raises
    StoreError."""
    await _say(store, number, layout.acknowledgement(number, instance), reason)


async def say_held(store: Store, known: Known, instance: str) -> None:
    """Say that this sidecar holds for the revision that is known to be rolled out. Nothing happens when it is no longer. Raises
    StoreError."""
    assert known.rolling is not None
    await _commit(store, layout.held(known.rolling, instance), b"", known.rolling_key)


async def say_worked(store: Store, number: int) -> None:
    """Say that what the revision being rolled out takes has been done. Nothing happens when it is no longer. Raises StoreError."""
    await _say(store, number, layout.worked(), str(number))


async def say_undone(store: Store, number: int, instance: str, reason: str) -> None:
    """Say that it could not be done, and all is as before: the revision is refused. Raises StoreError."""
    rolling, working = await store.get(layout.rollout()), await store.get(layout.working())
    if rolling is None or working is None or int(rolling.value) != number:
        return
    writes = [
        Write(layout.working(), None, working.revision),
        Write(layout.acknowledgement(number, instance), reason.encode()),
    ]
    try:
        await store.commit(
            writes, [Guard(layout.rollout(), rolling.revision), Guard(layout.worked(), ABSENT)]
        )
    except Conflict:
        return


async def _say(store: Store, number: int, key: str, value: str = "") -> None:
    rolling = await store.get(layout.rollout())
    if rolling is not None and int(rolling.value) == number:
        await _commit(store, key, value.encode(), rolling.revision)


async def _commit(store: Store, key: str, value: bytes, rolling: int) -> None:
    """One entry about a roll-out, as long as it is under way."""
    try:
        await store.commit([Write(key, value)], [Guard(layout.rollout(), rolling)])
    except Conflict:
        return


class Observed:
    """For how long one who looks has seen things as they are. `clock` gives monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._since: dict[str, float] = {}

    def seconds(self, things: Iterable[str]) -> dict[str, float]:
        """For how long each of these has been so at every look; what is not named has ended."""
        now = self._clock()
        self._since = {one: self._since.get(one, now) for one in things}
        return {one: now - since for one, since in self._since.items()}


async def advance(store: Store, observed: Observed) -> Step | None:
    """Carry out the next step of the roll-out under way, None where there is none or another process was first. Who has ended it calls
    `forget_answers`. Raises StoreError."""
    # Clients may wait for this: all is asked for at once.
    joined, sidecars, known = await asyncio.gather(
        store.get(layout.membership()), read_sidecars(store), read_known(store)
    )
    if joined is not None and joined.revision > sidecars.revision:
        # Whoever joins changes this key, so nobody is overlooked.
        return None
    if known.rolling is None:
        return None
    revision = known.revisions[known.rolling]
    phase = f"revision {known.rolling} {known.holding}"
    seconds = observed.seconds([phase, *sidecars.unheard])
    step = next_step(
        Situation(
            sidecars.live,
            known.acknowledgements,
            seconds[phase],
            revision.hold + ANSWER if known.holding and revision.hold else revision.limit,
            revision.moves,
            known.holding,
            known.held,
            sidecars.unheard,
            seconds,
            revision.works,
            known.working_key != ABSENT,
            known.worked_key != ABSENT,
        )
    )
    guards = [Guard(layout.membership(), ABSENT if joined is None else joined.revision)]
    number = str(known.rolling).encode()
    writes: list[Write] = []
    if isinstance(step, Hold):
        writes.append(Write(layout.holding(), number, ABSENT))
        guards = [Guard(layout.rollout(), known.rolling_key)]
    elif isinstance(step, Work):
        if known.working_key != ABSENT:
            return step
        writes.append(Write(layout.working(), number, ABSENT))
        guards.append(Guard(layout.rollout(), known.rolling_key))
    elif isinstance(step, Activate):
        writes = _ended(known, replace(revision, outcome=Outcome.ACCEPTED))
        writes.append(Write(layout.active_revision(), number, known.active_key))
    elif isinstance(step, Refuse):
        writes, guards = _ended(known, replace(revision, outcome=Outcome.REFUSED, reason=step.reason)), []
    else:
        return step
    try:
        await store.commit(writes, guards)
    except Conflict:
        return None
    return step


def _ended(known: Known, revision: Revision) -> list[Write]:
    return [
        Write(layout.rollout(), None, known.rolling_key),
        Write(layout.holding(), None, known.holding_key),
        Write(layout.working(), None, known.working_key),
        Write(layout.worked(), None, known.worked_key),
        Write(layout.revision(revision.number), _encode(revision)),
    ]


async def forget_answers(store: Store) -> None:
    """Delete what sidecars have said of revisions whose roll-out has ended, also of those that somebody has ended who was stopped before
    this. Raises StoreError."""
    # Read at one moment: of what is not rolled out then nothing can be said any more.
    entries = (await store.range(layout.rules_prefix())).entries
    rolling = [int(entry.value) for entry in entries if entry.key == layout.rollout()]
    keys = [entry.key for entry in entries if layout.answered(entry.key) not in (None, *rolling)]
    for start in range(0, len(keys), MOST_CHANGES):
        await store.commit([Write(key, None) for key in keys[start : start + MOST_CHANGES]])


def _encode(revision: Revision) -> bytes:
    return json.dumps(asdict(revision)).encode()


class _Revisions(Mapping[int, Revision]):
    """Revisions by number, each read when it is asked for: there are many, and clients may wait for one."""

    def __init__(self, entries: Mapping[int, bytes]) -> None:
        self._entries = entries

    def __getitem__(self, number: int) -> Revision:
        return _decode(self._entries[number])

    def __iter__(self) -> Iterator[int]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


def _decode(value: bytes) -> Revision:
    fields = json.loads(value)
    return Revision(**{**fields, "outcome": Outcome(fields["outcome"])})


async def carry_out(store: Store, number: int, clock: Callable[[], float]) -> Revision:
    """Carry a roll-out out until it has ended, whoever ends it. `clock` gives monotonic seconds. Raises StoreError."""
    observed = Observed(clock)
    while True:
        step = await advance(store, observed)
        revision = (await read_known(store)).revisions.get(number)
        if revision is None:
            raise StoreError(f"revision {number} is not known any more")
        if revision.outcome is not Outcome.ROLLING:
            if isinstance(step, Activate | Refuse):
                await forget_answers(store)
            return revision
        await asyncio.sleep(LOOK)
