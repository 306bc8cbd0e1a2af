"""Accounts that SQL makes, kept in the store for every process of the mesh.

Decides how a change gets there (one after the other: each is made from all accounts as they are) and how a process learns of those of
others. What a statement changes `rules.account_changes` knows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from dbmesh.errors import STORE, MeshError
from dbmesh.governance import layout
from dbmesh.governance.following import follow
from dbmesh.governance.store import ABSENT, MOST_CHANGES, Conflict, Snapshot, Store, StoreError, Write
from dbmesh.governance.stored_accounts import read_accounts, to_value
from dbmesh.rules.account_changes import Accounts, Changed
from dbmesh.rules.accounts import AccountName, User
from dbmesh.session.authority.rights import use_authority
from dbmesh.session.mesh import Mesh

_ATTEMPTS = 20
"""How often a change is made anew because another one came first."""


class StoredAccounts:
    """The store's accounts as this process knows them."""

    def __init__(self, store: Store, mesh: Mesh) -> None:
        self._store = store
        self._mesh = mesh
        # One reading at a time: of two that overlap, the older must not have the last word.
        self._reading = asyncio.Lock()
        self._known: Mapping[AccountName, User] = {}

    async def follow(self) -> None:
        """Take over every change until the store is closed; see `following.follow`."""
        await follow(self._store, layout.authority_prefix(), self.read, "the accounts in the store")

    async def read(self) -> None:
        """Take over what the store has. Raises StoreError."""
        await self._read()

    async def _read(self) -> tuple[Snapshot, Mapping[AccountName, User]]:
        async with self._reading:
            snapshot = await self._store.range(layout.authority_prefix())
            stored = read_accounts(snapshot.entries)
            await self._take(stored)
        return snapshot, stored

    async def change(self, make: Callable[[Accounts], Changed]) -> Changed:
        """See `session.mesh.AccountKeeper`."""
        try:
            for _ in range(_ATTEMPTS):
                snapshot, stored = await self._read()
                before = self._mesh.authority.with_stored(stored.values()).users
                changed = make(before)
                try:
                    await self._write(snapshot, before, changed.accounts)
                except Conflict:
                    continue
                return changed
        except StoreError as error:
            raise MeshError(STORE, reason=str(error)) from error
        raise MeshError(STORE, reason="other changes of accounts come first; try again")

    async def _write(self, snapshot: Snapshot, before: Accounts, after: Accounts) -> None:
        """Commit the difference. What is taken away goes first, so that a change of many accounts that stops half-way leaves
        too little rather than too much. Raises StoreError."""
        revisions = {entry.key: entry.revision for entry in snapshot.entries}

        def write(name: AccountName, user: User | None) -> Write:
            key = layout.account(*name)
            return Write(key, None if user is None else to_value(user), revisions.get(key, ABSENT))

        changed = [
            write(name, user) for name, user in after.items() if user.stored and user is not before.get(name)
        ]
        gone = [write(name, None) for name, user in before.items() if user.stored and name not in after]
        writes = [*changed, *gone]
        version = revisions.get(layout.accounts_version(), ABSENT)
        for start in range(0, len(writes), MOST_CHANGES - 1):
            part = writes[start : start + MOST_CHANGES - 1]
            try:
                version = await self._store.commit([*part, Write(layout.accounts_version(), b"1", version)])
            except Conflict as error:
                if not start:
                    raise
                # Made anew it would meet what it has made itself.
                raise StoreError(
                    f"{start} of {len(writes)} accounts are changed, then another change came first; change the rest again"
                ) from error
        if writes:
            await self.read()

    async def _take(self, stored: Mapping[AccountName, User]) -> None:
        if stored == self._known:
            return
        self._known = stored
        preparing = use_authority(self._mesh, self._mesh.authority.with_stored(stored.values()))
        if preparing:
            # Whoever has made an account may log in to it at once.
            await asyncio.wait(preparing)
