"""Locks of rows that BASE transactions have written and not ended yet, kept where all processes of a mesh see them.

Decides what a lock is called and what is asked of whoever keeps them; the keeper is handed in. Knows no store.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Protocol

from dbmesh.planner.images import ImageTable, Row
from dbmesh.transaction.undo import TableChanges


@dataclass(frozen=True, slots=True)
class Holder:
    """The transaction that holds a lock, and the sign of the place where it is decided."""

    gtrid: str
    decider: str


class RecordLocks(Protocol):
    """All methods raise MeshError when the locks cannot be reached."""

    async def take(self, holder: Holder, keys: Collection[str]) -> str:
        """Take all of these locks, or none that it does not have already: then the name of a transaction that has one of
        them, else ''."""
        ...

    async def release(self, gtrid: str, keys: Collection[str]) -> None:
        """Give back those of these locks that a transaction has."""
        ...

    async def held(self) -> Mapping[Holder, Collection[str]]:
        """Every lock there is, by who has it."""
        ...

    async def alive(self) -> Collection[str]:
        """The processes that are taken for alive, each as names of its transactions begin (`TransactionNames.instance`)."""
        ...


def lock_keys(own: str, changed: Iterable[TableChanges]) -> set[str]:
    """The locks of the rows a write has changed on the place of this sign. O(rows)."""
    return {
        f"{own}/{one.table.name}/{_digest(one.table, one.table.key_of(row))}"
        for one in changed
        for change in one.changes
        if (row := change.before or change.after) is not None
    }


def _digest(table: ImageTable, key: Row) -> str:
    """Keys may be long, and hold any bytes."""
    columns = [table.columns[index].name for index in table.key]
    text = json.dumps([columns, [None if value is None else value.hex() for value in key]])
    return blake2b(text.encode(), digest_size=16).hexdigest()
