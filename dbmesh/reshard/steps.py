"""Rolls a job's steps out as revisions of the rules.

Decides how often a step is tried that transactions under way have refused, and that a step that holds already is not rolled out again. Only who
carries the job out begins one (`jobs.lead`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from dbmesh.governance.revisions import (
    Outcome,
    Revision,
    RolloutUnderWay,
    carry_out,
    propose,
    read_files,
    read_known,
)
from dbmesh.governance.store import Guard, Store
from dbmesh.reshard.jobs.lead import check_lead
from dbmesh.rules.loader import fingerprint_of

TRIES = 5
"""How often a step is tried that nobody waits for."""

PAUSE = 1.0
"""Seconds between two tries, in which clients are served."""


class Refused(Exception):
    """A step was refused, and nothing has changed; the text says by whom and why."""


async def roll_out(
    store: Store,
    step: Revision,
    files: Mapping[str, str],
    clock: Callable[[], float],
    lead: Guard,
    *,
    tries: int = TRIES,
) -> None:
    """Make these files the rules of the mesh. `step` says the rest of the revision, `clock` gives monotonic seconds, `lead` is from
    `take_lead`. Raises Refused and StoreError, LeadLost among it."""
    while True:
        known = await read_known(store)
        if known.rolling is not None:
            # Perhaps this very step, begun by somebody who is no more.
            await carry_out(store, known.rolling, clock)
            continue
        if known.active and await read_files(store, known.active) == files:
            return
        try:
            proposed = await propose(store, known, step, files, [lead])
        except RolloutUnderWay:
            await check_lead(store, lead)
            continue
        ended = await carry_out(store, proposed.number, clock)
        if ended.outcome is Outcome.ACCEPTED:
            return
        tries -= 1
        if not tries:
            raise Refused(ended.reason)
        await asyncio.sleep(PAUSE)


def step_of(number: int, by: str, at: float, comment: str, files: Mapping[str, str]) -> Revision:
    """A step that moves no rows."""
    return Revision(0, by, at, f"reshard job {number}: {comment}", fingerprint_of(files))
