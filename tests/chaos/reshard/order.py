"""In which order the cases are run: a job goes on from one to the next, and is begun anew only where it has come to its end.

Decides which case is next for a job in a phase. Chance mixes victims and steps, so that what one kill leaves behind meets every other.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from dbmesh.reshard.jobs.job import PATHS, Phase
from tests.chaos.reshard.kills import Case

_BEGINNING = frozenset(phase for path in PATHS.values() for phase in path)
_FROM_READY = frozenset((Phase.CUTOVER, Phase.CANCEL))
_FROM_REVERSE = frozenset((Phase.ROLLBACK, Phase.CLEAN_UP))


def following(cases: Sequence[Case], phase: Phase | None, dice: random.Random) -> Case:
    """One of the cases that are left, the shortest way from where the last job is (None: there was none)."""
    if phase is Phase.READY:
        order = (_FROM_READY, _FROM_REVERSE, _BEGINNING)
    elif phase is Phase.REVERSE:
        order = (_FROM_REVERSE, _FROM_READY, _BEGINNING)
    else:
        order = (_BEGINNING, _FROM_READY, _FROM_REVERSE)
    for phases in order:
        if near := [case for case in cases if case.moment.phase in phases]:
            return dice.choice(near)
    raise ValueError("no case is left")
