"""The roll-out of a revision of the rules: what is to be done next, from what is known.

Decides when a revision becomes active, when it is refused and why, and what one sidecar has to do meanwhile. Knows neither store
nor clock: whoever sees the situation may carry out the step, since a step is one compare-and-set of which only the first counts.

A revision that *moves* rows (they are looked for elsewhere under it) is not run by one sidecar while another serves by the rules before.
So when all have prepared it they are told to *hold*: to begin no statement and end what is under way; it becomes active when all do. By
preparing it a sidecar promises to hold also when it has not reached the store for as long as its registration lasts, so one whose
registration is gone holds. One that may be serving and has never answered has promised nothing, and nobody goes on without it.

A revision may take something to be done between these two (tables get other names): by whoever sees it. Once that has begun the revision is
not refused for want of an answer, since neither rules fit until it has been done, or undone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """What a sidecar said of a revision: that it is prepared, or (`reason`) why it cannot be."""

    instance: str
    reason: str = ""

    @property
    def ready(self) -> bool:
        """Whether it could run the revision at once."""
        return not self.reason


MARGIN = 1.0
"""Seconds after which a sidecar whose registration is gone has ended what was under way: it is stopped, not waited for."""


@dataclass(frozen=True, slots=True)
class Situation:
    """A roll-out at one moment. `live`: the sidecars that are alive, id → address. `waited` and `limit` are seconds of its phase: with
    `holding` all are to hold, and `held` do. `unheard`: sidecars that are not alive and have not said that they ended, id → where they
    ran; `gone`: for how many seconds they have been so. `works`: something is to be done while all hold; somebody is `working` at it, or it
    is `worked`."""

    live: Mapping[str, str]
    acknowledgements: Sequence[Acknowledgement]
    waited: float
    limit: float
    moves: bool = False
    holding: bool = False
    held: frozenset[str] = frozenset()
    unheard: Mapping[str, str] = field(default_factory=dict)
    gone: Mapping[str, float] = field(default_factory=dict)
    works: bool = False
    working: bool = False
    worked: bool = False


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing can be decided yet; these have not answered."""

    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Hold:
    """Every sidecar is prepared, and none may go on by the rules before while another does by these."""


@dataclass(frozen=True, slots=True)
class Work:
    """Every sidecar holds, and what the revision takes is to be done now."""


@dataclass(frozen=True, slots=True)
class Activate:
    """Every sidecar is prepared, and holds where that is asked for."""


@dataclass(frozen=True, slots=True)
class Refuse:
    """The revision cannot be run everywhere; the one there was stays."""

    reason: str


Step = Wait | Hold | Work | Activate | Refuse


def next_step(situation: Situation) -> Step:
    """What is to be done. A sidecar that cannot prepare the revision refuses it for all, also when it has died since; one that is no
    longer alive is waited for only where rows move. O(sidecars)."""
    named = [
        f"{situation.live.get(one.instance, one.instance)}: {one.reason}"
        for one in sorted(situation.acknowledgements, key=lambda one: one.instance)
        if not one.ready
    ]
    if named:
        return Refuse("; ".join(named))
    if situation.working:
        return Activate() if situation.worked else Work()
    answered = {one.instance for one in situation.acknowledgements}
    live = [address for id_, address in sorted(situation.live.items()) if id_ not in answered]
    unheard = [place for id_, place in sorted(situation.unheard.items()) if id_ not in answered]
    if not situation.moves:
        unheard = []
    elif not live and not unheard:
        if not situation.holding:
            return Hold()
        live = [address for id_, address in sorted(situation.live.items()) if id_ not in situation.held]
        live += [place for id_, place in sorted(situation.unheard.items()) if _may_serve(situation, id_)]
    if not live and not unheard:
        return Work() if situation.works else Activate()
    if situation.waited >= situation.limit:
        return Refuse(_without_answer(live, unheard, situation.limit))
    return Wait((*live, *unheard))


def _may_serve(situation: Situation, id_: str) -> bool:
    """Whether a sidecar that has promised to hold, and is not alive, may not have come to it yet."""
    return id_ not in situation.held and situation.gone.get(id_, 0.0) < MARGIN


def _without_answer(live: Sequence[str], unheard: Sequence[str], limit: float) -> str:
    found = [f"no answer within {limit:g} s from {', '.join(live)}"] if live else []
    if unheard:
        found.append(
            f"{', '.join(unheard)} may still serve by the rules there are: not heard of, and never said to have ended; "
            f"when it has, say so: {', '.join(f'dbmesh mesh forget {place}' for place in unheard)}"
        )
    return "; ".join(found)


class Duty(Enum):
    """What a sidecar has to do about a revision."""

    PREPARE = auto()
    """Make it ready beside the one that runs, and say so, or say why not."""
    HOLD = auto()
    """Begin no statement, end what is under way, and say so."""
    RUN = auto()
    """Switch to it; prepare it first if that has not been done."""
    DISCARD = auto()
    """Close what was made ready of it."""


def duties(
    *,
    running: int,
    active: int,
    rolling: int | None,
    prepared: frozenset[int],
    answered: frozenset[int],
    holding: bool = False,
    held: bool = False,
) -> tuple[tuple[Duty, int], ...]:
    """What a sidecar that runs the revision `running` has to do, in this order. `active`, `rolling` and `holding` are what the store
    says; 0 is the sidecar's own files, which hold as long as the store has no revision. `prepared`: what it has made ready;
    `answered`: what it has said something of; `held`: whether it has said that it holds."""
    found: list[tuple[Duty, int]] = []
    if active != running:
        found.append((Duty.RUN, active))
    if rolling is not None and rolling not in answered and rolling != active:
        found.append((Duty.PREPARE, rolling))
    if rolling is not None and holding and not held:
        found.append((Duty.HOLD, rolling))
    found += [(Duty.DISCARD, one) for one in sorted(prepared - {active}) if one != rolling]
    return tuple(found)
