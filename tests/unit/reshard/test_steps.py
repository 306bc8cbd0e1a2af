"""Steps of a job are begun by who carries it out."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from dbmesh.governance.embedded import EmbeddedStore
from dbmesh.governance.revisions import Outcome, read_known
from dbmesh.reshard.jobs.lead import LeadLost, take_lead
from dbmesh.reshard.steps import roll_out, step_of

FILES = {"global.yaml": "{}"}


async def test_who_carries_a_job_out_no_more_begins_no_step(tmp_path: Path) -> None:
    store = await EmbeddedStore.open(tmp_path / "store.db", time.time)
    leases = [await store.grant(1000) for _ in range(2)]
    first = await take_lead(store, "a", leases[0])
    assert first is not None
    assert await take_lead(store, "b", leases[1]) is None
    await store.revoke(leases[0])
    second = await take_lead(store, "b", leases[1])
    assert second is not None
    assert await take_lead(store, "b", leases[1]) == second
    step = step_of(1, "me", 5.0, "copy", FILES)
    with pytest.raises(LeadLost, match="by another sidecar"):
        await roll_out(store, step, FILES, time.monotonic, first)
    assert not (await read_known(store)).revisions
    await roll_out(store, step, FILES, time.monotonic, second)
    known = await read_known(store)
    assert (known.active, known.revisions[1].outcome) == (1, Outcome.ACCEPTED)
    await store.close()
