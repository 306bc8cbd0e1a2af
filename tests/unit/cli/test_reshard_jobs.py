"""Verbs that watch a job."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dbmesh.cli import reshard_jobs
from dbmesh.cli.reshard_jobs import _later, _summary
from dbmesh.governance.embedded import EmbeddedStore
from dbmesh.governance.store import Entry, StoreError, StoreUnavailable
from dbmesh.reshard.jobs.job import Job, Phase


class Absent(EmbeddedStore):
    """A store that does not answer so many questions."""

    unanswered = 0

    async def get(self, key: str) -> Entry | None:
        if self.unanswered:
            self.unanswered -= 1
            raise StoreUnavailable("away")
        return await super().get(key)


@pytest.fixture
async def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Absent]:
    monkeypatch.setattr(reshard_jobs, "LOOK", 0.0)
    made = await Absent.open(tmp_path / "store.db", time.time)
    assert isinstance(made, Absent)
    yield made
    await made.close()


async def test_a_store_that_does_not_answer_for_a_moment_is_asked_again(store: Absent) -> None:
    store.unanswered = 3
    with pytest.raises(StoreError, match="job 7") as caught:
        await _later(store, 7)
    assert not isinstance(caught.value, StoreUnavailable), "it has been asked in the end"
    assert not store.unanswered


async def test_it_is_not_asked_for_ever(store: Absent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reshard_jobs, "PATIENCE", 0.0)
    store.unanswered = 1_000
    with pytest.raises(StoreUnavailable):
        await _later(store, 7)
    assert 990 < store.unanswered < 1_000


@pytest.mark.parametrize(
    ("phase", "following"),
    [
        (Phase.COPY, "dbmesh reshard resume, or cancel"),
        (Phase.READY, "dbmesh reshard cutover, or cancel"),
        (Phase.REVERSE, "dbmesh reshard finish, or rollback"),
        (Phase.CLEAN_UP, "dbmesh reshard resume"),
    ],
)
def test_a_job_that_does_not_go_on_says_what_follows(phase: Phase, following: str) -> None:
    job = Job(7, "shop", "me", 0.0, phase=phase, stopped="a server is away")
    assert _summary(job).plain == (
        f"job 7 (shop): {phase.value}; it does not go on: a server is away; mend that, then: {following}"
    )
