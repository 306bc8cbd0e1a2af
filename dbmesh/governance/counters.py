"""The counters of AUTO_INCREMENT: blocks of numbers leased from the store, one counter per table.

Decides how numbers stay unique over processes and consecutive within one: a block that follows the last one is added
to it, and what a process did not use it gives back when it ends.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

from dbmesh.governance import layout
from dbmesh.governance.store import ABSENT, Conflict, Store, Write
from dbmesh.rules.keygen.auto_increment import AutoIncrement

BLOCK = 1000
"""Numbers taken beyond those that are needed."""


async def lease(
    store: Store,
    database: str,
    generator: AutoIncrement,
    end: int,
    greatest: Callable[[], Awaitable[int]],
) -> None:
    """Give `generator` numbers enough to reach `end`. `greatest` tells the greatest number among the table's rows; it is
    asked when nobody can know it: at the first lease, and after the counter was set back."""
    key = layout.counter(database, generator.table)
    needed = end - generator.next
    while True:
        entry = await store.get(key)
        stored = {"next": 1, "checked": False} if entry is None else json.loads(entry.value)
        start = int(stored["next"])
        if not stored["checked"]:
            start = max(start, await greatest() + 1)
        follows = start == generator.end and stored["checked"]
        first = generator.next if follows else start
        last = max(first + needed, end) + BLOCK
        value = json.dumps({"next": last, "checked": True}).encode()
        try:
            await store.commit([Write(key, value, ABSENT if entry is None else entry.revision)])
        except Conflict:
            continue
        generator.lease(first, last)
        return


async def doubt(store: Store, database: str, table: str) -> None:
    """Numbers of a table may have been given away by others: the next lease looks at its rows. Raises StoreError."""
    key = layout.counter(database, table)
    while True:
        entry = await store.get(key)
        if entry is None:
            return
        value = json.dumps({**json.loads(entry.value), "checked": False}).encode()
        try:
            await store.commit([Write(key, value, entry.revision)])
        except Conflict:
            continue
        return


async def give_back(store: Store, database: str, generator: AutoIncrement) -> None:
    """Return the numbers nobody used, unless another process has taken further ones since."""
    key = layout.counter(database, generator.table)
    entry = await store.get(key)
    if entry is None or generator.next == generator.end:
        return
    stored = json.loads(entry.value)
    if stored["checked"] and stored["next"] == generator.end:
        value = json.dumps({"next": generator.next, "checked": True}).encode()
        try:
            await store.commit([Write(key, value, entry.revision)])
        except Conflict:
            return
    generator.lease(generator.next, generator.next)
