"""The roll-out of a revision of the rules: what is to be done next, from what is known.

Decides when a revision becomes active, when it is refused and why, and what one sidecar has to do meanwhile. Knows neither store
nor clock: whoever sees the situation may carry out the step, since a step is one compare-and-set of which only the first counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Situation:
    """A roll-out at one moment. `live`: the sidecars that are alive, id → address. `waited` and `limit` are seconds."""

    live: Mapping[str, str]
    acknowledgements: Sequence[Acknowledgement]
    waited: float
    limit: float


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing can be decided yet; these have not answered."""

    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Activate:
    """Every sidecar is prepared."""


@dataclass(frozen=True, slots=True)
class Refuse:
    """The revision cannot be run everywhere; the one there was stays."""

    reason: str


Step = Wait | Activate | Refuse


def next_step(situation: Situation) -> Step:
    """What is to be done. A sidecar that cannot prepare the revision refuses it for all, also when it has died since; one that is no
    longer alive is not waited for. O(sidecars)."""
    named = [
        f"{situation.live.get(one.instance, one.instance)}: {one.reason}"
        for one in sorted(situation.acknowledgements, key=lambda one: one.instance)
        if not one.ready
    ]
    if named:
        return Refuse("; ".join(named))
    answered = {one.instance for one in situation.acknowledgements}
    missing = tuple(address for id_, address in sorted(situation.live.items()) if id_ not in answered)
    if not missing:
        return Activate()
    if situation.waited >= situation.limit:
        return Refuse(f"no answer within {situation.limit:g} s from {', '.join(missing)}")
    return Wait(missing)


class Duty(Enum):
    """What a sidecar has to do about a revision."""

    PREPARE = auto()
    """Make it ready beside the one that runs, and say so, or say why not."""
    RUN = auto()
    """Switch to it; prepare it first if that has not been done."""
    DISCARD = auto()
    """Close what was made ready of it."""


def duties(
    *, running: int, active: int, rolling: int | None, prepared: frozenset[int], answered: frozenset[int]
) -> tuple[tuple[Duty, int], ...]:
    """What a sidecar that runs the revision `running` has to do, in this order. `active` and `rolling` are what the store says;
    0 is the sidecar's own files, which hold as long as the store has no revision. `prepared`: what it has made ready;
    `answered`: what it has said something of."""
    found: list[tuple[Duty, int]] = []
    if active != running:
        found.append((Duty.RUN, active))
    if rolling is not None and rolling not in answered and rolling != active:
        found.append((Duty.PREPARE, rolling))
    found += [(Duty.DISCARD, one) for one in sorted(prepared - {active}) if one != rolling]
    return tuple(found)
