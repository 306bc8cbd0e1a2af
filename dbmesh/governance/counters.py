"""The counters of AUTO_INCREMENT: blocks of numbers leased from the store, one counter per table.

Decides how numbers stay unique over processes and consecutive within one: a block that follows the last one is added
to it, what a process did not use it gives back when it ends, and a counter that is set back stays above every block
that another process may still be giving numbers from, until that hears of it.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, replace

from dbmesh.governance import layout
from dbmesh.governance.store import ABSENT, Conflict, Entry, Store, Write
from dbmesh.rules.keygen.auto_increment import AutoIncrement

BLOCK = 1000
"""Numbers taken beyond those that are needed."""

NOBODY = ""
"""The holder when no process has numbers left of what was leased since `others`."""


@dataclass(frozen=True, slots=True)
class Counter:
    """What the store knows of one table. Numbers from `next` on have not been leased; `checked` tells that no row has one of them.
    `holder` leased last, and numbers below `others` are all that anybody else may have been given. `anew`: how often it was set back."""

    next: int = 1
    checked: bool = False
    holder: str = NOBODY
    others: int = 1
    anew: int = 0

    def leased(self, holder: str, end: int) -> Counter:
        """Once `holder` has been given the numbers up to, but not including, `end`."""
        others = self.others if self.holder in (holder, NOBODY) else self.next
        return Counter(end, True, holder, others, self.anew)

    def set_back(self, start: int, holder: str | None) -> Counter:
        """Once the table is numbered from `start` on again, or from where its rows end, by a process that gives away none of its former
        numbers any more; None for one that never had any."""
        others = self.others if self.holder in (holder, NOBODY) else self.next
        return Counter(max(start, others), False, NOBODY, others, self.anew + 1)

    def given_back(self, generator: AutoIncrement) -> Counter:
        """Once its holder has ended."""
        unused = self.checked and self.next == generator.end
        return replace(self, next=generator.next if unused else self.next, holder=NOBODY)


async def lease(
    store: Store,
    database: str,
    generator: AutoIncrement,
    end: int,
    greatest: Callable[[], Awaitable[int]],
    holder: str,
) -> int:
    """Give `generator`, one of the process `holder`, numbers enough to reach `end`; it may give numbers away meanwhile. `greatest` tells
    the greatest number among the table's rows; it is asked when nobody can know it: at the first lease, and after the counter was set
    back. Returns how often it was set back by then. Raises StoreError."""
    key = layout.counter(database, generator.table)
    needed = end - generator.next
    while True:
        entry = await store.get(key)
        counter = _counter(entry)
        start = counter.next
        if not counter.checked:
            # What it has left may have been given away by others.
            generator.withdraw()
            start = max(start, await greatest() + 1)
        last = max(start + needed, end) + BLOCK
        leased = replace(counter, next=start).leased(holder, last)
        try:
            await store.commit([_write(key, leased, entry)])
        except Conflict:
            continue
        generator.lease(start, last)
        return counter.anew


def is_outdated(anew: int, value: bytes | None) -> bool:
    """Whether the numbers of a lease, made when the counter had been set back so often, belong to rows of another table by now: the value of
    its key tells, None when it has none any more."""
    return value is None or _decode(value).anew > anew


async def doubt(store: Store, database: str, table: str) -> None:
    """Numbers of a table may have been given away by others: the next lease looks at its rows. Raises StoreError."""
    key = layout.counter(database, table)
    while True:
        entry = await store.get(key)
        if entry is None:
            return
        try:
            await store.commit([_write(key, replace(_counter(entry), checked=False), entry)])
        except Conflict:
            continue
        return


async def set_back(store: Store, database: str, table: str, start: int, holder: str | None) -> Write:
    """What sets a table's counter back (see `Counter.set_back`), unless it is changed meanwhile. Raises StoreError."""
    key = layout.counter(database, table)
    entry = await store.get(key)
    return _write(key, _counter(entry).set_back(start, holder), entry)


async def give_back(store: Store, database: str, generator: AutoIncrement, holder: str) -> None:
    """Return the numbers nobody used, unless another process has taken further ones since; `holder` ends. Raises StoreError."""
    key = layout.counter(database, generator.table)
    entry = await store.get(key)
    counter = _counter(entry)
    if counter.holder != holder:
        return
    given_back = counter.given_back(generator)
    generator.withdraw()
    try:
        await store.commit([_write(key, given_back, entry)])
    except Conflict:
        return


def _counter(entry: Entry | None) -> Counter:
    return Counter() if entry is None else _decode(entry.value)


def _decode(value: bytes) -> Counter:
    read = json.loads(value)
    # Before anybody said who leased, anybody may have.
    others = read.get("others", read["next"])
    return Counter(read["next"], read["checked"], read.get("holder", NOBODY), others, read.get("anew", 0))


def _write(key: str, counter: Counter, entry: Entry | None) -> Write:
    return Write(key, json.dumps(asdict(counter)).encode(), ABSENT if entry is None else entry.revision)
