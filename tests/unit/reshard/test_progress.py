"""How far a job is, told while a phase is carried out: what the phase raises is what its caller hears of."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from dbmesh.governance.embedded import EmbeddedStore
from dbmesh.governance.store import StoreUnavailable
from dbmesh.model import DataNode
from dbmesh.reshard.binlogs.rechecking import BypassingWrites
from dbmesh.reshard.jobs.documents import read_progress, tell_progress
from dbmesh.reshard.jobs.job import Job, Phase
from dbmesh.reshard.progress import Progress
from dbmesh.reshard.rows.chunks import ChunkJournal, Counts, Outlook, Rest
from dbmesh.reshard.rows.verifying import Verified
from dbmesh.reshard.runner import Failed

JOB = Job(1, "shop", "anna", 0.0, estimates=(("item", 10),))


@pytest.fixture
async def progress(tmp_path: Path) -> AsyncIterator[tuple[EmbeddedStore, Progress]]:
    store = await EmbeddedStore.open(tmp_path / "store.db", lambda: 0.0)
    yield store, Progress(store, lambda: 0.0)
    await store.close()


@pytest.mark.parametrize("error", [Failed("why"), StoreUnavailable("away")])
async def test_an_error_comes_through(progress: tuple[EmbeddedStore, Progress], error: Exception) -> None:
    async def phase() -> None:
        async with progress[1].told(JOB):
            await asyncio.sleep(0)
            raise error

    with pytest.raises(type(error), match=str(error)):
        await phase()


async def test_it_is_told_at_the_end(progress: tuple[EmbeddedStore, Progress]) -> None:
    store, made = progress
    async with made.told(JOB):
        pass
    assert (await read_progress(store, JOB.number))["tables"] == {"item": {"rows": 10}}


class _Journal(ChunkJournal):
    """Of a table that is copied; when it is asked, the next one begins to be."""

    def __init__(self, store: EmbeddedStore, progress: Progress, table: str, *later: str) -> None:
        super().__init__(store, "7", table, "me", 0)
        self._following = store, progress, later

    async def look(self) -> Outlook:
        """See `ChunkJournal`."""
        store, progress, later = self._following
        for table in later:
            progress.copies(table, _Journal(store, progress, table))
        return Outlook((Rest(DataNode("ds_0", "t"), exhausted=True, done=Counts(rows=5)),), (), frozenset())


async def test_a_table_that_begins_while_another_is_counted_is_told_next(
    progress: tuple[EmbeddedStore, Progress],
) -> None:
    store, made = progress
    job = Job(7, "shop", "me", 0.0, estimates=(("t_order", 10), ("t_order_item", 20)), phase=Phase.COPY)
    made.copies("t_order", _Journal(store, made, "t_order", "t_order_item"))
    for table in ("t_order", "t_order_item"):
        async with made.told(job):
            pass
        assert (await read_progress(store, job.number))["tables"][table]["copied"] == 5


async def test_another_job_begins_with_nothing(progress: tuple[EmbeddedStore, Progress]) -> None:
    store, made = progress
    made.of(JOB.number)
    made.copies("item", _Journal(store, made, "item"))
    made.verified("item", Verified(5, 2, ((b"1",),)))
    made.looks_at(BypassingWrites({}))
    made.remembers(["TRUNCATE item"])
    made.throttled = "r1 is 12 s behind"
    made.listening = [{"data_source": "ds_0", "lag": 0.1, "keys": 7, "problem": ""}]
    async with made.told(replace(JOB, phase=Phase.COPY)):
        pass
    assert (await read_progress(store, JOB.number))["tables"]["item"]["repaired"] == 2
    made.of(JOB.number)
    assert made.statements == ["TRUNCATE item"]
    made.of(JOB.number + 1)
    assert made.statements == []
    async with made.told(replace(JOB, number=JOB.number + 1)):
        pass
    assert await read_progress(store, JOB.number + 1) == {
        "phase": "prepare",
        "tables": {"item": {"rows": 10}},
        "rows_per_second": 0,
        "seconds_left": None,
        "throttled": "",
        "sources": [],
        "statements": [],
        "caught_up": {"keys": 0, "written": 0},
        "writes": {
            "statements": 0,
            "rows": 0,
            "other_statements": 0,
            "other_rows": 0,
            "amplification": None,
        },
        "bypassed": {"keys": 0, "repaired": 0},
    }


@pytest.mark.parametrize("phase", [Phase.CLEAN_UP, Phase.CANCEL])
async def test_what_was_copied_is_told_to_the_end(
    progress: tuple[EmbeddedStore, Progress], phase: Phase
) -> None:
    store, made = progress
    await tell_progress(store, JOB.number, {"tables": {"item": {"rows": 10, "copied": 10}}})
    made.copies("item", _Journal(store, made, "item"))
    async with made.told(replace(JOB, phase=phase)):
        pass
    assert (await read_progress(store, JOB.number))["tables"]["item"]["copied"] == 10
