"""The store port: small versioned values under keys, changed by compare-and-set, watched, leased.

Decides what a store promises, in the terms of etcd's v3 interface; `embedded` and other modules keep the promise. Knows
nothing about what is stored.

Every change of the store has a revision, a number that only grows. A write names the revision it was made from; when
the key has changed since, nothing of the commit happens. A reading is one snapshot at one revision, and a watch that
starts after that revision misses nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

ABSENT = 0
"""The revision of a key that does not exist."""


MOST_CHANGES = 100
"""Keys a commit may name, guards among them; etcd allows 128 (its option --max-txn-ops)."""


class StoreError(Exception):
    """A store could not do what was asked; the text says why."""


class StoreUnavailable(StoreError):
    """The store cannot be reached, or lost its majority; nothing is known about the request's effect."""


class Conflict(StoreError):
    """A key had another revision than the commit expected; nothing was changed."""


class Compacted(StoreError):
    """The changes a watch asked for are no longer kept: read a snapshot and watch from its revision."""


class LeaseLost(StoreError):
    """The lease has run out or was revoked; its keys are gone."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A key with its value. `revision` is that of the key's last change; `lease` the lease it lives by, 0 for none."""

    key: str
    value: bytes
    revision: int
    lease: int = 0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All entries under a prefix in key order, as they were at `revision`."""

    revision: int
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Write:
    """One change of a commit: the key's new value, None to delete it. `expected` is the revision the key must have (ABSENT:
    it must not exist), None for any. `lease` ties the key to a lease."""

    key: str
    value: bytes | None
    expected: int | None = None
    lease: int = 0


@dataclass(frozen=True, slots=True)
class Guard:
    """A condition of a commit: the key must have this revision (ABSENT: it must not exist)."""

    key: str
    expected: int


@dataclass(frozen=True, slots=True)
class Changes:
    """What one or more commits changed under a watched prefix, oldest first, complete up to `revision`. A deleted key
    has the value None."""

    revision: int
    writes: tuple[Write, ...]


class Store(Protocol):
    """See the module's docstring. Every method raises StoreUnavailable when the store cannot be reached."""

    async def get(self, key: str) -> Entry | None:
        """The entry of a key, None when it does not exist."""
        ...

    async def range(self, prefix: str) -> Snapshot:
        """Every entry whose key begins with `prefix`."""
        ...

    async def commit(self, writes: Sequence[Write], guards: Sequence[Guard] = ()) -> int:
        """Make all changes or none; returns the new revision. A key may be written once.
        Raises Conflict, LeaseLost, and ValueError for more than MOST_CHANGES keys."""
        ...

    def watch(self, prefix: str, after: int) -> AsyncIterator[Changes]:
        """Changes under a prefix from the first after revision `after`, without end. Raises Compacted."""
        ...

    async def grant(self, seconds: float) -> int:
        """A new lease. Its keys are deleted when `seconds` have passed since it was granted or last kept alive."""
        ...

    async def keep_alive(self, lease: int) -> None:
        """Start a lease's time anew. Raises LeaseLost."""
        ...

    async def revoke(self, lease: int) -> None:
        """End a lease and delete its keys. Nothing happens when it has ended already."""
        ...

    async def close(self) -> None:
        """Give up what the store holds; running watches end."""
        ...


def check_size(writes: Sequence[Write], guards: Sequence[Guard]) -> None:
    """Raises ValueError for a commit of too many keys."""
    if len(writes) + len(guards) > MOST_CHANGES:
        raise ValueError(f"a commit of {len(writes) + len(guards)} keys; {MOST_CHANGES} are allowed")


def after_prefix(prefix: str) -> str:
    """The smallest string greater than every string that begins with `prefix` (etcd's `range_end`). `prefix` must not
    be empty nor end with the last code point."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)
