"""Binlogs that cannot be followed any more: that is told before anybody goes on without what is missed."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dbmesh.backend.tasks import TaskOwner
from dbmesh.errors import ShardError
from dbmesh.governance import layout
from dbmesh.governance.embedded import EmbeddedStore
from dbmesh.governance.store import Write
from dbmesh.reshard import watching
from dbmesh.reshard.binlogs.changes import Position
from dbmesh.reshard.binlogs.listening import Bookmark
from dbmesh.reshard.watching import Watcher

JOB = cast("Any", SimpleNamespace(number=1, catches_up=True))
GONE = "Could not find first log file name in binary log index file"


class Purged:
    """A listener whose binlog is gone."""

    def __init__(self, *_: object) -> None:
        self.problem = ""

    async def run(self) -> None:
        self.problem = GONE
        raise ShardError(1236, "HY000", self.problem)

    def progress(self) -> tuple[Any, ...]:
        bookmark = Bookmark("a", Position("binlog.000001", 4))
        return (
            SimpleNamespace(data_source="ds_0", problem=self.problem, lag=0.0, keys=0, bookmark=bookmark),
        )


async def test_a_binlog_that_is_gone_is_told_before_anybody_goes_on_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sidecar that begins begins to follow before it carries the phase out: it may know by then, and nobody else does."""
    store = await EmbeddedStore.open(tmp_path / "store.db", time.time)
    await store.commit(
        [
            Write(
                layout.reshard_bookmarks(1),
                b'{"marks": {"ds_0": ["a", "binlog.000001", 4]}, "statements": []}',
            )
        ]
    )
    monkeypatch.setattr(watching, "Listener", Purged)
    source = SimpleNamespace(config=SimpleNamespace(name="ds_0"))
    monkeypatch.setattr(Watcher, "_sources", lambda self, tables: (source,))
    progress = SimpleNamespace(remembers=lambda told: None, catches_up_by=lambda writes: None, statements=[])
    failures: list[BaseException] = []
    tasks = TaskOwner(failures.append)
    watcher = Watcher(store, cast("Any", None), cast("Any", progress), tasks)
    await watcher.begin(JOB, ())
    await asyncio.gather(
        *(one for one in asyncio.all_tasks() if one.get_name() == "binlogs of reshard job 1")
    )
    assert (watcher.lost, watcher.told_lost) == (True, False)
    assert await watcher.until_ended() == f"data source 'ds_0': {GONE}"
    assert (watcher.lost, watcher.told_lost) == (True, True)
    await watcher.end()
    assert (watcher.lost, watcher.told_lost) == (False, False)
    await tasks.close()
    await store.close()
    assert not failures
