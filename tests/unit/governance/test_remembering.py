"""What the store said last, on disk."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO, cast

import pytest

from dbmesh.backend.tasks import TaskOwner
from dbmesh.governance import layout
from dbmesh.governance.embedded import EmbeddedStore
from dbmesh.governance.following import follow
from dbmesh.governance.remembering import Remembering
from dbmesh.governance.store import StoreUnavailable, Write


class Switched(EmbeddedStore):
    """A store that can be away."""

    away = False
    read = 0
    late: asyncio.Event | None = None
    refused: asyncio.Event
    waiting: asyncio.Event

    async def get(self, key: str):  # type: ignore[no-untyped-def]
        self._ask()
        return await super().get(key)

    async def range(self, prefix: str):  # type: ignore[no-untyped-def]
        self.read += 1
        self._ask()
        late, self.late = self.late, None
        found = await super().range(prefix)
        if late is not None:
            self.waiting.set()
            await late.wait()
        return found

    def _ask(self) -> None:
        if self.away:
            self.refused.set()
            raise StoreUnavailable("away")


@pytest.fixture
async def inner(tmp_path: Path) -> AsyncIterator[Switched]:
    made = await Switched.open(tmp_path / "store.db", time.time)
    assert isinstance(made, Switched)
    made.refused, made.waiting = asyncio.Event(), asyncio.Event()
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


async def test_one_reading_at_a_time_catches_up_however_often_the_store_changes(
    inner: Switched, tmp_path: Path
) -> None:
    file = tmp_path / "snapshot.json"
    store = Remembering(inner, file, rest=0)
    changes = store.watch("/", (await store.range("/")).revision)
    for number in range(4):
        inner.late = late = asyncio.Event()
        inner.waiting.clear()
        await inner.commit([Write("/a", b"1%d" % number)])
        await anext(changes)
        # While it is read, it changes again.
        await inner.waiting.wait()
        await inner.commit([Write("/a", b"2%d" % number)])
        await anext(changes)
        catching_up = [one for one in asyncio.all_tasks() if one.get_name() == "what the store says, on disk"]
        assert len(catching_up) == 1
        late.set()
        await _written()
        inner.away = True
        again = Remembering(inner, file)
        await again.begin()
        entry = await again.get("/a")
        assert entry is not None
        assert entry.value == b"2%d" % number
        inner.away = False


async def test_what_was_read_before_does_not_come_after(inner: Switched, tmp_path: Path) -> None:
    """A sidecar that leaves counts on not being named on disk; what it has said of itself may be read at the same time."""
    file = tmp_path / "snapshot.json"
    store = Remembering(inner, file)
    await store.range("/")
    await store.commit([Write("/me", b"1")])
    inner.late = late = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(store.range("/"))
        await inner.waiting.wait()
        await store.commit([Write("/other", b"1"), Write("/me", None)])
        await store.commit([Write("/other", None)])
        await store.range("/")
        late.set()
    assert b"/me" not in file.read_bytes()


async def test_what_a_cancelled_reading_still_writes_does_not_come_after(
    inner: Switched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "snapshot.json"
    store = Remembering(inner, file)
    begun, goes_on = threading.Event(), threading.Event()
    open_file = os.fdopen

    def slow(handle: int, mode: str) -> IO[bytes]:
        if not begun.is_set():
            begun.set()
            assert goes_on.wait(20)
        return cast("IO[bytes]", open_file(handle, mode))

    monkeypatch.setattr("dbmesh.governance.remembering.os.fdopen", slow)
    await store.commit([Write("/me", b"1")])
    async with asyncio.TaskGroup() as group:
        reading = group.create_task(store.range("/"))
        await asyncio.to_thread(begun.wait, 20)
        reading.cancel()
        await asyncio.wait([reading])
        await store.commit([Write("/me", None)])
        again = group.create_task(store.range("/"))
        # Where the second does not wait for the first it ends here.
        await asyncio.wait([again], timeout=0.2)
        goes_on.set()
    await asyncio.get_running_loop().shutdown_default_executor()
    assert b"/me" not in file.read_bytes()


async def test_what_cannot_be_written_leaves_nothing_older(
    inner: Switched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sidecar says that it is prepared when its disk knows of it: it must not start by what was so before."""
    file = tmp_path / "snapshot.json"
    store = Remembering(inner, file)
    await store.range("/")

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr("dbmesh.governance.remembering.os.fsync", full)
        await store.commit([Write("/rolling", b"1")])
        await store.range("/")
    inner.away = True
    with pytest.raises(StoreUnavailable, match="away"):
        await Remembering(inner, file).begin()
    inner.away = False
    await store.commit([Write("/rolling", None)])
    await store.range("/")
    assert file.exists(), "what is as it was when the disk was written last"


async def test_who_watches_what_the_disk_says_reads_again_once_the_store_is_heard_of(
    inner: Switched, tmp_path: Path
) -> None:
    file = tmp_path / "snapshot.json"
    first = Remembering(inner, file)
    await first.range("/")
    inner.away = True
    store = Remembering(inner, file)
    await store.begin()
    seen: list[list[str]] = []
    looked = asyncio.Event()

    async def look() -> None:
        seen.append([entry.key for entry in (await store.range("/a/")).entries])
        looked.set()

    tasks = TaskOwner(lambda error: None)
    tasks.start(follow(store, "/a/", look, "things"), "follower")
    await looked.wait()
    looked.clear()
    inner.away = False
    await first.commit([Write("/a/1", b"")])
    # The store is there, and has not been heard of: what it says of changes is not what can be read.
    await anext(inner.watch("/a/", 0))
    await store.grant(60)
    await asyncio.wait_for(looked.wait(), 20)
    assert seen == [[], ["/a/1"]]
    await tasks.close()


async def test_a_watch_of_what_the_disk_says_ends_with_the_store(inner: Switched, tmp_path: Path) -> None:
    file = tmp_path / "snapshot.json"
    await Remembering(inner, file).range("/")
    inner.away = True
    store = Remembering(inner, file)
    await store.begin()
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        watching = group.create_task(anext(store.watch("/", 0), None))
        await asyncio.sleep(0)
        await store.close()
    assert watching.result() is None


@pytest.mark.parametrize("text", [None, "", "{}", '{"revision": 1, "entries": [[1]]}'])
async def test_nothing_to_go_on_with(inner: Switched, tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "snapshot.json"
    if text is not None:
        file.write_text(text)
    inner.away = True
    with pytest.raises(StoreUnavailable, match="away"):
        await Remembering(inner, file).begin()
