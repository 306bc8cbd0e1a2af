"""A reshard job as the store keeps it, and what may become of it.

Decides the phases, which follows which, and what an operator may ask for in each. Pure: who carries a phase out, and how, `runner`
decides. Every change is one compare-and-set of the whole document, so that of two processes one is first.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum


class Phase(StrEnum):
    """How far a job is."""

    PREPARE = "prepare"
    DOUBLE_WRITE = "double write"
    COPY = "copy"
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

PAUSABLE = frozenset((Phase.COPY, Phase.VERIFY))
"""Long work that may stand still."""

_NEXT = {
    Phase.PREPARE: Phase.DOUBLE_WRITE,
    Phase.DOUBLE_WRITE: Phase.COPY,
    Phase.COPY: Phase.VERIFY,
    Phase.VERIFY: Phase.READY,
    Phase.CUTOVER: Phase.REVERSE,
    Phase.ROLLBACK: Phase.READY,
    Phase.CLEAN_UP: Phase.FINISHED,
    Phase.CANCEL: Phase.CANCELLED,
}

_BEFORE_CUTOVER = frozenset((Phase.PREPARE, Phase.DOUBLE_WRITE, Phase.COPY, Phase.VERIFY, Phase.READY))

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
    def writes_both(self) -> bool:
        """Whether a write may have gone to both sides, and the tables that are not read are worth keeping equal."""
        return self.phase not in (Phase.PREPARE, Phase.CLEAN_UP, Phase.CANCEL) and not self.ended


def begun(job: Job) -> Job:
    """A new job, its first phase in the journal."""
    return replace(job, journal=((job.phase.value, job.at),))


def done(job: Job, now: float) -> Job:
    """The phase has been carried out."""
    following = _NEXT[job.phase]
    if job.phase is Phase.VERIFY and job.automatic:
        following = Phase.CUTOVER
    return _entered(job, following, now)


def failed(job: Job, reason: str, now: float) -> Job:
    """The phase could not be carried out: a switch that was refused is asked for again, anything else goes on when told to."""
    back = _RETURNS.get(job.phase)
    if back is not None:
        return replace(_entered(job, back, now), stopped=reason, automatic=False)
    return replace(job, stopped=reason)


def wished(job: Job, wish: Wish, now: float) -> Job:
    """Somebody asks for a phase. Raises NotNow."""
    phases, following = _GRANTED[wish]
    if job.phase not in phases:
        when = " or ".join(sorted(f"'{one.value}'" for one in phases))
        raise NotNow(f"job {job.number} is in phase '{job.phase.value}'; {wish.value} follows {when}")
    return _entered(job, following, now)


def paused(job: Job) -> Job:
    """Copying and verifying stand still from here on. Raises NotNow."""
    if job.ended:
        raise NotNow(f"job {job.number} is {job.phase.value}")
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
    return Job(**{**fields, "phase": Phase(fields["phase"]), "journal": journal, "estimates": estimates})
