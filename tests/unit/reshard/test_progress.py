"""How far a job is, told while a phase is carried out: what the phase raises is what its caller hears of."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dbmesh.governance.embedded import EmbeddedStore
from dbmesh.governance.store import StoreUnavailable
from dbmesh.reshard.documents import read_progress
from dbmesh.reshard.job import Job
from dbmesh.reshard.progress import Progress
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
