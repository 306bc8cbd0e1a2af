"""A store whose last state is kept on disk too, so that a sidecar starts while the store is away.

Decides when the disk is asked: where the store was away when the process began, until it has taken the process for alive (granted a
lease). From then on what it cannot say is an error, since a running process knows more than the file, and others count on its knowing
what they write; whoever watches is told then to read again what the disk has said. What lives by a lease is not kept: nobody could say
whether it is still alive; nor how far jobs are: who starts without the store carries none out.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import os
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from pathlib import Path

from dbmesh.backend.tasks import TaskOwner
from dbmesh.governance import layout
from dbmesh.governance.store import (
    Changes,
    Compacted,
    Entry,
    Guard,
    Snapshot,
    Store,
    StoreError,
    StoreUnavailable,
    Write,
)

_log = logging.getLogger(__name__)

REST = 1.0
"""Seconds after a change in which others may follow, before all is read and written once. Who has to count on the disk reads all of it."""


class Remembering:
    """A `Store` over another, which is closed with it. Everything is remembered when all of it is read, and `rest` seconds after a change
    that a watch of all of it tells."""

    def __init__(self, store: Store, file: Path, rest: float = REST) -> None:
        self._store = store
        self._file = file
        self._rest = rest
        self._tasks = TaskOwner(_failed)
        self._late = False
        # One task sees to that, however often it changes meanwhile.
        self._catches_up = False
        # Whether the disk is not asked any more; set when it is closed too.
        self._heard = asyncio.Event()
        self._closed = False
        self._remembered: Snapshot | None = None
        self._written = b""
        self._newest = 0
        # A thread goes on where whoever waits for it is cancelled.
        self._writing = threading.Lock()

    async def begin(self) -> None:
        """Ask the store once. Raises StoreUnavailable when it does not answer and nothing is remembered."""
        try:
            await self._store.get(layout.ROOT)
        except StoreUnavailable as error:
            self._remembered = await asyncio.to_thread(_read, self._file)
            if self._remembered is None:
                raise
            _log.warning("%s; going on with what %s remembers", error, self._file)
        else:
            self._heard.set()

    async def get(self, key: str) -> Entry | None:
        """See `Store`."""
        if (known := self._known(key)) is None:
            found = await self._store.get(key)
            self._heard.set()
            return found
        return next((entry for entry in known.entries if entry.key == key), None)

    async def range(self, prefix: str) -> Snapshot:
        """See `Store`."""
        if (known := self._known(prefix)) is not None:
            return known
        found = await self._store.range(prefix)
        self._heard.set()
        if prefix == layout.ROOT:
            await self._remember(found)
        return found

    async def commit(self, writes: Sequence[Write], guards: Sequence[Guard] = ()) -> int:
        """See `Store`."""
        done = await self._store.commit(writes, guards)
        self._heard.set()
        return done

    async def watch(self, prefix: str, after: int) -> AsyncIterator[Changes]:
        """See `Store`. Raises Compacted once the store is heard of, where it was the disk that said what was known until now."""
        if self._known(prefix) is not None:
            await self._heard.wait()
            if self._closed:
                return
            raise Compacted("what was known is what the disk remembers")
        async for changes in self._store.watch(prefix, after):
            if prefix == layout.ROOT and not self._late and any(map(_is_kept, changes.writes)):
                self._late = True
                if not self._catches_up:
                    self._catches_up = True
                    self._tasks.start(self._catch_up(), "what the store says, on disk")
            yield changes

    async def grant(self, seconds: float) -> int:
        """See `Store`."""
        lease = await self._store.grant(seconds)
        self._heard.set()
        return lease

    async def keep_alive(self, lease: int) -> None:
        """See `Store`."""
        await self._store.keep_alive(lease)

    async def revoke(self, lease: int) -> None:
        """See `Store`."""
        await self._store.revoke(lease)

    async def close(self) -> None:
        """See `Store`."""
        self._closed = True
        self._heard.set()
        await self._tasks.close()
        await self._store.close()

    def _known(self, prefix: str) -> Snapshot | None:
        """What the disk says; None when it must not be asked."""
        if self._heard.is_set() or self._remembered is None:
            return None
        entries = tuple(entry for entry in self._remembered.entries if entry.key.startswith(prefix))
        return Snapshot(self._remembered.revision, entries)

    async def _catch_up(self) -> None:
        try:
            while self._late:
                await asyncio.sleep(self._rest)
                # What changes from here on is not in what is read.
                self._late = False
                try:
                    await self.range(layout.ROOT)
                except StoreError as error:
                    _log.info("what has changed in the store is not on disk yet: %s", error)
                    self._late = True
        finally:
            self._catches_up = False

    async def _remember(self, found: Snapshot) -> None:
        entries = [entry for entry in found.entries if _is_kept(entry)]
        text = json.dumps([[one.key, base64.b64encode(one.value).decode(), one.revision] for one in entries])
        await asyncio.to_thread(self._put, found.revision, text.encode())

    def _put(self, revision: int, encoded: bytes) -> None:
        """Write what the store said at a revision, unless something newer is there; in a thread."""
        with self._writing:
            # Of two readings the one that began later may end first.
            if revision < self._newest:
                return
            if encoded != self._written:
                try:
                    _write(self._file, revision, encoded)
                except OSError as error:
                    _log.warning("what the store says cannot be remembered: %s", error)
                    self._written = b""
                    # Who starts by what was so before would not know what others count on its knowing.
                    with suppress(OSError):
                        self._file.unlink(missing_ok=True)
                    return
            self._written, self._newest = encoded, revision


def _failed(error: BaseException) -> None:
    _log.error("what the store says is not written to disk any more", exc_info=error)


def _is_kept(one: Entry | Write) -> bool:
    return not one.lease and not layout.is_progress(one.key)


def _write(file: Path, revision: int, entries: bytes) -> None:
    """In one step, so that a crash leaves the old file or the new one."""
    new = file.with_name(f"{file.name}.{os.getpid()}")
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as out:
        out.write(b'{"revision": %d, "entries": %b}\n' % (revision, entries))
        out.flush()
        os.fsync(out.fileno())
    new.replace(file)


def _read(file: Path) -> Snapshot | None:
    """None when there is no such file, or it cannot be understood."""
    try:
        found = json.loads(file.read_bytes())
        entries = [Entry(key, base64.b64decode(value), revision) for key, value, revision in found["entries"]]
        return Snapshot(found["revision"], tuple(entries))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        _log.warning("%s cannot be read: %s", file, error)
        return None
