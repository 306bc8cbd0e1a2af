"""A part of a store: what is under one namespace, as if it were all there is.

Decides key names only: several meshes share a cluster by namespaces of their own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from dbmesh.governance.store import Changes, Entry, Guard, Snapshot, Store, Write


class Namespaced:
    """A `Store` whose keys `/…` are `/<namespace>/…` in another one, which is closed with it."""

    def __init__(self, store: Store, namespace: str) -> None:
        self._store = store
        self._root = f"/{namespace.strip('/')}"

    async def get(self, key: str) -> Entry | None:
        """See `Store`."""
        found = await self._store.get(self._root + key)
        return None if found is None else self._entry(found)

    async def range(self, prefix: str) -> Snapshot:
        """See `Store`."""
        found = await self._store.range(self._root + prefix)
        return Snapshot(found.revision, tuple(map(self._entry, found.entries)))

    async def commit(self, writes: Sequence[Write], guards: Sequence[Guard] = ()) -> int:
        """See `Store`."""
        return await self._store.commit(
            [replace(write, key=self._root + write.key) for write in writes],
            [replace(guard, key=self._root + guard.key) for guard in guards],
        )

    async def watch(self, prefix: str, after: int) -> AsyncIterator[Changes]:
        """See `Store`."""
        async for changes in self._store.watch(self._root + prefix, after):
            writes = [replace(write, key=write.key[len(self._root) :]) for write in changes.writes]
            yield Changes(changes.revision, tuple(writes))

    async def grant(self, seconds: float) -> int:
        """See `Store`."""
        return await self._store.grant(seconds)

    async def keep_alive(self, lease: int) -> None:
        """See `Store`."""
        await self._store.keep_alive(lease)

    async def revoke(self, lease: int) -> None:
        """See `Store`."""
        await self._store.revoke(lease)

    async def close(self) -> None:
        """See `Store`."""
        await self._store.close()

    def _entry(self, found: Entry) -> Entry:
        return replace(found, key=found.key[len(self._root) :])
