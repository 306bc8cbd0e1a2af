"""The embedded store: a SQLite file for a mesh of one node.

Decides how the store port's promises are kept with tables and transactions. Several processes may open one file (a
command beside the sidecar); changes of another process are seen by looking at SQLite's change counter. SQLite works in a
thread of its own, so that a slow disk never stops the event loop.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from dbmesh.governance.store import (
    ABSENT,
    Changes,
    Compacted,
    Conflict,
    Entry,
    Guard,
    LeaseLost,
    Snapshot,
    StoreUnavailable,
    Write,
    after_prefix,
    check_size,
)

HISTORY_KEPT = 10_000
"""Changes kept for watches; older ones are compacted away."""

POLL_INTERVAL = 0.25
"""Seconds between two looks at what other processes changed and which leases have run out."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS entry (
    key TEXT PRIMARY KEY, value BLOB NOT NULL, revision INTEGER NOT NULL, lease INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS entry_lease ON entry (lease) WHERE lease <> 0;
CREATE TABLE IF NOT EXISTS history (
    revision INTEGER NOT NULL, key TEXT NOT NULL, value BLOB, lease INTEGER NOT NULL, PRIMARY KEY (revision, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS lease (id INTEGER PRIMARY KEY AUTOINCREMENT, seconds REAL NOT NULL, ends REAL NOT NULL);
CREATE TABLE IF NOT EXISTS state (one INTEGER PRIMARY KEY CHECK (one = 1), revision INTEGER, compacted INTEGER);
INSERT OR IGNORE INTO state VALUES (1, 0, 0);
"""

T = TypeVar("T")


class EmbeddedStore:
    """A `Store` in one SQLite file. `clock` gives seconds that all processes of the machine count alike and nobody sets
    (`lease_clock`), since leases outlive a process. Those of the machine's last life have ended with it."""

    def __init__(
        self, database: sqlite3.Connection, thread: ThreadPoolExecutor, clock: Callable[[], float]
    ) -> None:
        self._database = database
        self._thread = thread
        self._clock = clock
        self._changed = asyncio.Condition()
        self._closed = False

    @classmethod
    async def open(cls, path: Path, clock: Callable[[], float]) -> EmbeddedStore:
        """Open or make the file. Raises StoreUnavailable."""
        thread = ThreadPoolExecutor(1, "embedded-store")

        def connect() -> sqlite3.Connection:
            # Hashes of passwords are nobody else's. SQLite gives its other files the same mode.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            database = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = FULL")
            database.executescript(_SCHEMA)
            return database

        try:
            database = await asyncio.get_running_loop().run_in_executor(thread, connect)
        except (sqlite3.Error, OSError) as error:
            thread.shutdown()
            raise StoreUnavailable(f"the store {path} cannot be opened: {error}") from error
        return cls(database, thread, clock)

    async def get(self, key: str) -> Entry | None:
        """See `Store`."""
        found = await self._do(
            lambda: self._database.execute(
                "SELECT key, value, revision, lease FROM entry WHERE key = ?", (key,)
            ).fetchone()
        )
        return None if found is None else Entry(*found)

    async def range(self, prefix: str) -> Snapshot:
        """See `Store`."""

        def read() -> Snapshot:
            rows = self._database.execute(
                "SELECT key, value, revision, lease FROM entry WHERE key >= ? AND key < ? ORDER BY key",
                (prefix, after_prefix(prefix)),
            ).fetchall()
            return Snapshot(self._revision(), tuple(Entry(*row) for row in rows))

        return await self._do(read)

    async def commit(self, writes: Sequence[Write], guards: Sequence[Guard] = ()) -> int:
        """See `Store`."""
        check_size(writes, guards)

        def change() -> int:
            for key, expected in [(write.key, write.expected) for write in writes] + [
                (guard.key, guard.expected) for guard in guards
            ]:
                if expected is not None and (found := self._revision_of(key)) != expected:
                    raise Conflict(f"{key} is at revision {found}, not {expected}")
            for lease in {write.lease for write in writes if write.lease}:
                self._check_lease(lease)
            return self._apply(writes)

        return await self._do_and_tell(change)

    async def watch(self, prefix: str, after: int) -> AsyncIterator[Changes]:
        """See `Store`."""
        while not self._closed:
            changes = await self._do(lambda seen=after: self._changes(prefix, seen))  # type: ignore[misc]
            if changes.revision > after:
                after = changes.revision
                if changes.writes:
                    yield changes
                continue
            async with self._changed:
                if not self._closed:
                    # Not wait_for: it forgets a cancellation that comes together with the change.
                    with suppress(TimeoutError):
                        async with asyncio.timeout(POLL_INTERVAL):
                            await self._changed.wait()

    async def grant(self, seconds: float) -> int:
        """See `Store`."""

        def make() -> int:
            ends = self._clock() + seconds
            made = self._database.execute("INSERT INTO lease (seconds, ends) VALUES (?, ?)", (seconds, ends))
            return int(made.lastrowid or 0)

        return await self._do(make)

    async def keep_alive(self, lease: int) -> None:
        """See `Store`."""

        def extend() -> None:
            self._check_lease(lease)
            self._database.execute("UPDATE lease SET ends = ? + seconds WHERE id = ?", (self._clock(), lease))

        await self._do(extend)

    async def revoke(self, lease: int) -> None:
        """See `Store`."""
        await self._do_and_tell(lambda: self._end_lease(lease))

    async def close(self) -> None:
        """See `Store`."""
        if self._closed:
            return
        self._closed = True
        async with self._changed:
            self._changed.notify_all()
        await asyncio.get_running_loop().run_in_executor(self._thread, self._database.close)
        self._thread.shutdown()

    # what runs in the thread, inside one transaction

    def _revision(self) -> int:
        return int(self._database.execute("SELECT revision FROM state").fetchone()[0])

    def _revision_of(self, key: str) -> int:
        found = self._database.execute("SELECT revision FROM entry WHERE key = ?", (key,)).fetchone()
        return ABSENT if found is None else int(found[0])

    def _check_lease(self, lease: int) -> None:
        if self._database.execute("SELECT 1 FROM lease WHERE id = ?", (lease,)).fetchone() is None:
            raise LeaseLost(f"lease {lease} has ended")

    def _apply(self, writes: Sequence[Write]) -> int:
        """Make changes under one new revision. O(writes)."""
        revision = self._revision() + 1
        for write in writes:
            if write.value is None:
                self._database.execute("DELETE FROM entry WHERE key = ?", (write.key,))
            else:
                self._database.execute(
                    "INSERT OR REPLACE INTO entry VALUES (?, ?, ?, ?)",
                    (write.key, write.value, revision, write.lease),
                )
            self._database.execute(
                "INSERT INTO history VALUES (?, ?, ?, ?)", (revision, write.key, write.value, write.lease)
            )
        self._database.execute("UPDATE state SET revision = ?", (revision,))
        self._compact()
        return revision

    def _compact(self) -> None:
        oldest = self._database.execute(
            "SELECT revision FROM history ORDER BY revision DESC LIMIT 1 OFFSET ?", (HISTORY_KEPT,)
        ).fetchone()
        if oldest is not None:
            self._database.execute("DELETE FROM history WHERE revision <= ?", oldest)
            self._database.execute("UPDATE state SET compacted = ?", oldest)

    def _changes(self, prefix: str, after: int) -> Changes:
        compacted = int(self._database.execute("SELECT compacted FROM state").fetchone()[0])
        if after < compacted:
            raise Compacted(f"changes up to revision {compacted} are no longer kept")
        rows = self._database.execute(
            "SELECT key, value, lease FROM history WHERE revision > ? AND key >= ? AND key < ? ORDER BY revision, key",
            (after, prefix, after_prefix(prefix)),
        ).fetchall()
        return Changes(self._revision(), tuple(Write(key, value, lease=lease) for key, value, lease in rows))

    def _end_lease(self, lease: int) -> None:
        keys = self._database.execute("SELECT key FROM entry WHERE lease = ?", (lease,)).fetchall()
        if keys:
            self._apply([Write(key, None) for (key,) in keys])
        self._database.execute("DELETE FROM lease WHERE id = ?", (lease,))

    def _end_old_leases(self) -> None:
        for (lease,) in self._database.execute(
            # What ends later than it could was granted when the clock had not begun anew.
            "SELECT id FROM lease WHERE ends <= ?1 OR ends > ?1 + seconds + 1",
            (self._clock(),),
        ).fetchall():
            self._end_lease(lease)

    # between the loop and the thread

    async def _do(self, work: Callable[[], T]) -> T:
        """Run `work` in one transaction, after the leases that have run out were ended. Raises StoreUnavailable."""
        if self._closed:
            raise StoreUnavailable("the store is closed")

        def transaction() -> T:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                self._end_old_leases()
                result = work()
            except (Conflict, LeaseLost, Compacted):
                # Refused before anything of it was written: what the ended leases took with them stays.
                self._database.execute("COMMIT")
                raise
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")
            return result

        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, transaction)
        except sqlite3.Error as error:
            raise StoreUnavailable(f"the embedded store failed: {error}") from error

    async def _do_and_tell(self, work: Callable[[], T]) -> T:
        result = await self._do(work)
        async with self._changed:
            self._changed.notify_all()
        return result
