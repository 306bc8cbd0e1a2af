"""What the store said last, on disk."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dbmesh.governance import layout
from dbmesh.governance.embedded import EmbeddedStore
from dbmesh.governance.remembering import Remembering
from dbmesh.governance.store import StoreUnavailable, Write


class Switched(EmbeddedStore):
    """A store that can be away."""

    away = False
    read = 0
    refused: asyncio.Event

    async def get(self, key: str):  # type: ignore[no-untyped-def]
        self._ask()
        return await super().get(key)

    async def range(self, prefix: str):  # type: ignore[no-untyped-def]
        self.read += 1
        self._ask()
        return await super().range(prefix)

    def _ask(self) -> None:
        if self.away:
            self.refused.set()
            raise StoreUnavailable("away")


@pytest.fixture
async def inner(tmp_path: Path) -> AsyncIterator[Switched]:
    made = await Switched.open(tmp_path / "store.db", time.time)
    assert isinstance(made, Switched)
    made.refused = asyncio.Event()
    yield made
    await made.close()


async def test_what_was_read_is_there_after_a_restart_without_the_store(
    inner: Switched, tmp_path: Path
) -> None:
    file = tmp_path / "snapshot.json"
    store = Remembering(inner, file)
    await store.begin()
    lease = await store.grant(60)
    revision = await store.commit(
        [
            Write("/a/1", b"\0one"),
            Write("/b", b""),
            Write("/alive", b"me", lease=lease),
            Write(layout.reshard_progress(1), b"far"),
        ]
    )
    assert len((await store.range("/")).entries) == 4
    assert file.stat().st_mode & 0o777 == 0o600
    inner.away = True
    again = Remembering(inner, file)
    await again.begin()
    snapshot = await again.range("/a/")
    assert [(entry.key, entry.value) for entry in snapshot.entries] == [("/a/1", b"\0one")]
    assert snapshot.revision == revision
    entry = await again.get("/a/1")
    assert entry is not None
    assert entry.revision == revision
    assert await again.get("/alive") is None
    assert await again.get(layout.reshard_progress(1)) is None
    inner.away = False
    await again.range("/a/")
    inner.away = True
    assert await again.get("/a/1") == entry, "the store is not waited for again and again"
    # A process that counts as alive knows more than the disk.
    await again.grant(60)
    for question in (again.get("/a/1"), again.range("/")):
        with pytest.raises(StoreUnavailable):
            await question


async def _written() -> None:
    """What has changed is on disk."""
    await asyncio.gather(
        *(one for one in asyncio.all_tasks() if one.get_name() == "what the store says, on disk")
    )


async def test_each_change_is_remembered(inner: Switched, tmp_path: Path) -> None:
    file = tmp_path / "snapshot.json"
    store = Remembering(inner, file, rest=0)
    changes = store.watch("/", (await store.range("/")).revision)
    await store.commit([Write("/a", b"1")])
    await anext(changes)
    await _written()
    for number, (key, kept) in enumerate(
        [
            ("/c", True),
            (layout.reshard_chunks_prefix("1", "t") + "1", False),
            (layout.reshard_writes(1, "me"), False),
        ]
    ):
        before = file.stat().st_mtime_ns
        await store.commit([Write(key, b"%d" % number)])
        await anext(changes)
        await store.commit([Write("/alive", b"", lease=await store.grant(60))])
        await anext(changes)
        await _written()
        assert (file.stat().st_mtime_ns > before) == kept, key
    inner.away = True
    again = Remembering(inner, file)
    await again.begin()
    assert await again.get("/a") is not None


async def test_changes_that_follow_each_other_are_written_once(inner: Switched, tmp_path: Path) -> None:
    file = tmp_path / "snapshot.json"
    store = Remembering(inner, file, rest=0)
    changes = store.watch("/", (await store.range("/")).revision)
    inner.read = 0
    for number in range(10):
        last = await inner.commit([Write("/a", b"%d" % number)])
    while (await anext(changes)).revision < last:
        continue
    await _written()
    assert inner.read == 1
    inner.away = True
    again = Remembering(inner, file)
    await again.begin()
    entry = await again.get("/a")
    assert entry is not None
    assert entry.value == b"9"


async def test_a_change_is_remembered_once_the_store_answers_again(inner: Switched, tmp_path: Path) -> None:
    file = tmp_path / "snapshot.json"
    store = Remembering(inner, file, rest=0)
    changes = store.watch("/", (await store.range("/")).revision)
    inner.away = True
    await inner.commit([Write("/a", b"1")])
    await anext(changes)
    await inner.refused.wait()
    assert b"/a" not in file.read_bytes()
    inner.away = False
    await _written()
    assert b"/a" in file.read_bytes()
    await store.close()


@pytest.mark.parametrize("text", [None, "", "{}", '{"revision": 1, "entries": [[1]]}'])
async def test_nothing_to_go_on_with(inner: Switched, tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "snapshot.json"
    if text is not None:
        file.write_text(text)
    inner.away = True
    with pytest.raises(StoreUnavailable, match="away"):
        await Remembering(inner, file).begin()
