"""How far a table is encrypted, in the store."""

from __future__ import annotations

import time
from pathlib import Path

from dbmesh.engine.encrypting import Progress
from dbmesh.governance.embedded import EmbeddedStore
from dbmesh.governance.encryption_progress import read_progress, remember_progress


async def test_it_goes_on_where_it_was_left(tmp_path: Path) -> None:
    store = await EmbeddedStore.open(tmp_path / "store.db", time.monotonic)
    place = ("Shop", "rotate", "ds_0.t_1")
    try:
        assert await read_progress(store, *place) == Progress()
        left = Progress(("5", "'a'"), 10, 3)
        await remember_progress(store, *place, left)
        assert await read_progress(store, *place) == left
        assert await read_progress(store, "shop", "backfill", "ds_0.t_1") == Progress()
        await remember_progress(store, *place, Progress(("9", "'b'"), 12, 4, done=True))
        assert await read_progress(store, *place) == Progress()
        await remember_progress(store, *place, Progress(done=True))
    finally:
        await store.close()
