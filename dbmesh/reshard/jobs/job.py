"""A reshard job as the store keeps it, and what may become of it.

Decides the phases, which follows which, and what an operator may ask for in each. Pure: who carries a phase out, and how, `runner`
decides. Every change is one compare-and-set of the whole document, so that of two processes one is first.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType


class Mode(StrEnum):
    """How rows that are written while others are copied reach the new tables: clients' statements write both sides from the beginning, or
    binlogs are followed, and statements write both sides from when these have been caught up with."""

    DOUBLE_WRITE = "double-write"
    CDC = "cdc"


class Phase(StrEnum):
    """How far a job is."""

    PREPARE = "prepare"
    DOUBLE_WRITE = "double write"
    COPY = "copy"
    CATCH_UP = "catch up"
    VERIFY = "verify"
    READY = "ready"
    CUTOVER = "cutover"
    REVERSE = "reverse double write"
    ROLLBACK = "rollback"
    CLEAN_UP = "clean up"
    CANCEL = "cancel"
    FINISHED = "finished"
    CANCELLED = "cancelled"


ENDED = frozenset((Phase.FINISHED, Phase.CANCELLED))
"""Nothing follows."""

WAITING = frozenset((Phase.READY, Phase.REVERSE))
"""The operator decides what follows."""

PAUSABLE = frozenset((Phase.COPY, Phase.CATCH_UP, Phase.VERIFY))
"""Long work that may stand still."""

_HAS_WORK_AHEAD = frozenset((Phase.PREPARE, Phase.DOUBLE_WRITE)) | PAUSABLE
"""It may be asked to stand still, once it gets there."""

PATHS = MappingProxyType(
    {
        Mode.DOUBLE_WRITE: (Phase.PREPARE, Phase.DOUBLE_WRITE, Phase.COPY, Phase.VERIFY, Phase.READY),
        Mode.CDC: (
            Phase.PREPARE,
            Phase.COPY,
            Phase.CATCH_UP,
            Phase.DOUBLE_WRITE,
            Phase.VERIFY,
            Phase.READY,
        ),
    }
)
"""The way to where the operator decides first."""

_NEXT = {
    Phase.CUTOVER: Phase.REVERSE,
    Phase.ROLLBACK: Phase.READY,
    Phase.CLEAN_UP: Phase.FINISHED,
    Phase.CANCEL: Phase.CANCELLED,
}

_BEFORE_CUTOVER = frozenset(phase for path in PATHS.values() for phase in path)

_RETURNS = {Phase.CUTOVER: Phase.READY, Phase.ROLLBACK: Phase.REVERSE}
"""Where a switch that was refused leaves the job: as it was, with every row on both sides."""


class Wish(StrEnum):
    """What an operator asks for, beside pause and resume."""

    CUTOVER = "cutover"
    ROLLBACK = "rollback"
    FINISH = "finish"
    CANCEL = "cancel"
    VERIFY = "verify"


_GRANTED: Mapping[Wish, tuple[frozenset[Phase], Phase]] = {
    Wish.CUTOVER: (frozenset((Phase.READY,)), Phase.CUTOVER),
    Wish.ROLLBACK: (frozenset((Phase.REVERSE,)), Phase.ROLLBACK),
    Wish.FINISH: (frozenset((Phase.REVERSE,)), Phase.CLEAN_UP),
    Wish.CANCEL: (_BEFORE_CUTOVER, Phase.CANCEL),
    Wish.VERIFY: (frozenset((Phase.READY,)), Phase.VERIFY),
}


class NotNow(Exception):
    """What was asked for cannot be done in the job's phase; the text says why and when."""


@dataclass(frozen=True, slots=True)
class Job:
    """See the module's docstring. `automatic`: the cutover follows verification by itself. `paused` is the operator's word; `stopped` says
    why the phase did not go on by itself, '' while it does. `hold` and `rate`: for how many seconds statements may be held at a switch, and
    how many rows a second are copied at most, 0 for any number. `estimates`: rows of each table when it was begun. `journal`: each phase with the seconds since 1970 at which it began."""

    number: int
    database: str
    by: str
    at: float
    comment: str = ""
    automatic: bool = False
    hold: float = 1.0
    rate: int = 0
    estimates: tuple[tuple[str, int], ...] = ()
    mode: Mode = Mode.DOUBLE_WRITE
    phase: Phase = Phase.PREPARE
    paused: bool = False
    stopped: str = ""
    journal: tuple[tuple[str, float], ...] = field(default=())

    @property
    def ended(self) -> bool:
        """Whether nothing follows."""
        return self.phase in ENDED

    @property
    def works(self) -> bool:
        """Whether there is something to be done without the operator."""
        if self.ended or self.stopped or (self.paused and self.phase in PAUSABLE):
            return False
        return self.phase not in WAITING

    @property
    def switches(self) -> bool:
        """Whether its phase changes which side is read: what it leaves the job in is up to the rules that hold then."""
        return self.phase in _RETURNS

    @property
    def writes_both(self) -> bool:
        """Whether a write may have gone to both sides, and the tables that are not read are worth keeping equal."""
        path = PATHS[self.mode]
        if self.phase in path:
            return path.index(self.phase) >= path.index(Phase.DOUBLE_WRITE)
        return self.phase in (Phase.CUTOVER, Phase.REVERSE, Phase.ROLLBACK)

    @property
    def catches_up(self) -> bool:
        """Whether rows that clients write reach the new tables by the binlogs alone, or did so until just now."""
        path = PATHS[self.mode]
        return (
            self.mode is Mode.CDC
            and self.phase in path
            and path.index(self.phase) <= path.index(Phase.DOUBLE_WRITE)
        )


def begun(job: Job) -> Job:
    """A new job, its first phase in the journal."""
    return replace(job, journal=((job.phase.value, job.at),))


def done(job: Job, now: float) -> Job:
    """The phase has been carried out."""
    path = PATHS[job.mode]
    following = path[path.index(job.phase) + 1] if job.phase in path else _NEXT[job.phase]
    if job.phase is Phase.VERIFY and job.automatic:
        following = Phase.CUTOVER
    return _entered(job, following, now)


def failed(job: Job, reason: str, now: float) -> Job:
    """The phase could not be carried out: a switch that was refused is asked for again, anything else goes on when told to."""
    back = _RETURNS.get(job.phase)
    if back is not None:
        return replace(_entered(job, back, now), stopped=reason, automatic=False)
    return replace(job, stopped=reason)


def may_be_wished(job: Job, wish: Wish) -> bool:
    """Whether the job is in a phase in which this may be asked for."""
    return job.phase in _GRANTED[wish][0]


def wished(job: Job, wish: Wish, now: float) -> Job:
    """Somebody asks for a phase; who asks once more for one that did not go on lets it go on. Raises NotNow."""
    phases, following = _GRANTED[wish]
    if job.phase is following and job.stopped:
        return resumed(job)
    if job.phase not in phases:
        when = " or ".join(f"'{one.value}'" for one in Phase if one in phases)
        raise NotNow(f"job {job.number} is in phase '{job.phase.value}'; {wish.value} follows {when}")
    return replace(_entered(job, following, now), paused=False)


def paused(job: Job) -> Job:
    """Copying and verifying stand still from here on. Raises NotNow."""
    if job.ended:
        raise NotNow(f"job {job.number} is {job.phase.value}")
    if job.phase not in _HAS_WORK_AHEAD:
        raise NotNow(f"job {job.number} is in phase '{job.phase.value}'; nothing of it can be paused")
    return replace(job, paused=True)


def resumed(job: Job) -> Job:
    """Whatever kept it from going on, it goes on. Raises NotNow."""
    if job.ended:
        raise NotNow(f"job {job.number} is {job.phase.value}")
    return replace(job, paused=False, stopped="")


def _entered(job: Job, phase: Phase, now: float) -> Job:
    return replace(job, phase=phase, stopped="", journal=(*job.journal[-_KEPT:], (phase.value, now)))


_KEPT = 200
"""Phases that the journal keeps: a job may be switched to and fro."""


def encode_job(job: Job) -> bytes:
    """As the store keeps it."""
    return json.dumps(asdict(job)).encode()


def decode_job(value: bytes) -> Job:
    """The reverse."""
    fields = json.loads(value)
    journal = tuple((str(phase), float(at)) for phase, at in fields["journal"])
    estimates = tuple((str(table), int(rows)) for table, rows in fields["estimates"])
    return Job(
        **{
            **fields,
            "mode": Mode(fields.get("mode", Mode.DOUBLE_WRITE)),
            "phase": Phase(fields["phase"]),
            "journal": journal,
            "estimates": estimates,
        }
    )
