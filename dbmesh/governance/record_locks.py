"""Keeps record locks in the store: one key for each locked row, which only one transaction can make.

Decides how conflicts are told from locks one has already. Whose locks may go is decided by whoever recovers.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from dbmesh.errors import STORE, MeshError
from dbmesh.governance import layout
from dbmesh.governance.store import ABSENT, Conflict, Store, StoreError, Write
from dbmesh.transaction.record_locks import Holder

AT_ONCE = 100
"""Keys of one commit: etcd takes 128 by default."""


class StoredRecordLocks:
    """See `transaction.record_locks.RecordLocks`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def take(self, holder: Holder, keys: Collection[str]) -> str:
        """See `RecordLocks`."""
        value = f"{holder.gtrid} {holder.decider}".encode()
        wanted = sorted(keys)
        taken: list[str] = []
        try:
            while wanted:
                some = wanted[:AT_ONCE]
                try:
                    await self._store.commit([Write(layout.lock(key), value, ABSENT) for key in some])
                except Conflict:
                    mine, other = await self._look(holder, some)
                    if other:
                        await self.release(holder.gtrid, taken)
                        return other
                    wanted = [key for key in wanted if key not in mine]
                    continue
                taken += some
                wanted = wanted[AT_ONCE:]
        except StoreError as error:
            raise MeshError(STORE, reason=error) from error
        return ""

    async def release(self, gtrid: str, keys: Collection[str]) -> None:
        """See `RecordLocks`."""
        left = sorted(keys)
        try:
            while left:
                await self._delete(gtrid, left[:AT_ONCE])
                left = left[AT_ONCE:]
        except StoreError as error:
            raise MeshError(STORE, reason=error) from error

    async def held(self) -> Mapping[Holder, Collection[str]]:
        """See `RecordLocks`. O(locks)."""
        prefix = layout.locks_prefix()
        try:
            entries = (await self._store.range(prefix)).entries
        except StoreError as error:
            raise MeshError(STORE, reason=error) from error
        found: defaultdict[Holder, list[str]] = defaultdict(list)
        for entry in entries:
            found[_read(entry.value)].append(entry.key.removeprefix(prefix))
        return found

    async def alive(self) -> Collection[str]:
        """See `RecordLocks`. O(processes)."""
        prefix = layout.instances_prefix()
        try:
            return {entry.key.removeprefix(prefix) for entry in (await self._store.range(prefix)).entries}
        except StoreError as error:
            raise MeshError(STORE, reason=error) from error

    async def _look(self, holder: Holder, keys: Sequence[str]) -> tuple[set[str], str]:
        """Which of these the transaction has already, and another one that has one of them, '' for none."""
        mine: set[str] = set()
        for key in keys:
            one = await self._holder(key)
            if one is not None and one.gtrid != holder.gtrid:
                return mine, one.gtrid
            if one is not None:
                mine.add(key)
        return mine, ""

    async def _holder(self, key: str) -> Holder | None:
        entry = await self._store.get(layout.lock(key))
        return None if entry is None else _read(entry.value)

    async def _delete(self, gtrid: str, keys: Sequence[str]) -> None:
        """Delete those of these keys that a transaction has; another may have given back some of them meanwhile."""
        while True:
            entries = [await self._store.get(layout.lock(key)) for key in keys]
            own = [one for one in entries if one is not None and _read(one.value).gtrid == gtrid]
            try:
                if own:
                    await self._store.commit([Write(one.key, None, one.revision) for one in own])
            except Conflict:
                continue
            return


def _read(value: bytes) -> Holder:
    gtrid, _, decider = value.decode().partition(" ")
    return Holder(gtrid, decider)
