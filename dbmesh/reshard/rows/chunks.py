"""Which rows of a table are copied and who copies which, in the store: chunks of the primary key, each claimed by one process.

Decides that a chunk is cut off what is left of a data node only when somebody takes it, and forgotten when it is done: however long a
table is, the store holds one document per data node, and one per chunk that is being worked at. A claim lives by its holder's lease;
when that is over the chunk is anybody's again. Two who meet are told apart by compare-and-set.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from dbmesh.governance import layout
from dbmesh.governance.store import ABSENT, Conflict, Entry, Guard, Store, Write
from dbmesh.model import DataNode
from dbmesh.planner.images import Row


class ClaimLost(Exception):
    """Somebody else has the chunk by now: the lease was over."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Rows read, their bytes, rows written and removed on the new side."""

    rows: int = 0
    size: int = 0
    written: int = 0
    removed: int = 0

    def __add__(self, other: Counts) -> Counts:
        """Both together."""
        return Counts(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(Counts)))


@dataclass(frozen=True, slots=True)
class Rest:
    """What nobody has taken of a data node: the rows behind a key, or none. `cut` chunks were taken, and `done` is what became of those
    that are through."""

    node: DataNode
    after: Row | None = None
    exhausted: bool = False
    cut: int = 0
    done: Counts = Counts()
    revision: int = ABSENT


@dataclass(frozen=True, slots=True)
class OpenChunk:
    """The rows of a data node behind one key and not behind another; None is an open end. `done`: what was done of the chunk, whose rows
    up to `after` are through. `left`: the revision of a claim that its holder knows nothing of any more."""

    node: DataNode
    number: int
    after: Row | None
    upto: Row | None
    done: Counts = Counts()
    revision: int = ABSENT
    left: int = ABSENT


@dataclass(frozen=True, slots=True)
class Claim:
    """A chunk somebody has; `revision` is that of the claim."""

    chunk: OpenChunk
    revision: int


@dataclass(frozen=True, slots=True)
class Outlook:
    """All there is to know at one moment: what is left, and what is being worked at or was left off, with who has it (by number of the
    chunk)."""

    rests: tuple[Rest, ...]
    chunks: tuple[OpenChunk, ...]
    holders: frozenset[tuple[DataNode, int]]

    @property
    def through(self) -> bool:
        """Whether every row is copied."""
        return not self.chunks and all(rest.exhausted for rest in self.rests)

    @property
    def counts(self) -> Counts:
        """What was done so far."""
        done = [*(rest.done for rest in self.rests), *(chunk.done for chunk in self.chunks)]
        return sum(done, Counts())

    @property
    def abandoned(self) -> tuple[OpenChunk, ...]:
        """Chunks nobody has."""
        return tuple(one for one in self.chunks if (one.node, one.number) not in self.holders)


class ChunkJournal:
    """Of one table of a job. `holder` is who claims, by `lease`: nobody else of that name does at the time. Every method raises
    StoreError."""

    def __init__(self, store: Store, job: str, table: str, holder: str, lease: int) -> None:
        self._store = store
        self._prefix = layout.reshard_chunks_prefix(job, table)
        self._holder = holder
        self._lease = lease
        self._held: set[tuple[DataNode, int]] = set()

    async def begin(self, nodes: Sequence[DataNode]) -> None:
        """All rows of these data nodes are to be copied; nothing changes for those that are known."""
        for node in nodes:
            with suppress(Conflict):
                await self._store.commit([self._of_rest(Rest(node))])

    async def look(self) -> Outlook:
        """How things are."""
        rests: list[Rest] = []
        chunks: list[OpenChunk] = []
        holders: set[tuple[DataNode, int]] = set()
        left: dict[tuple[DataNode, int], int] = {}
        for entry in (await self._store.range(self._prefix)).entries:
            kind = entry.key[len(self._prefix) :].partition("/")[0]
            value = json.loads(entry.value)
            node = DataNode(*value["node"])
            if kind == "rests":
                rests.append(_rest(node, value, entry))
            elif kind == "open":
                chunks.append(_chunk(node, value, entry))
            elif value["holder"] == self._holder and (node, value["number"]) not in self._held:
                # Who was cancelled while he claimed does not know whether he has.
                left[node, value["number"]] = entry.revision
            else:
                holders.add((node, value["number"]))
        chunks = [replace(one, left=left.get((one.node, one.number), ABSENT)) for one in chunks]
        return Outlook(tuple(rests), tuple(chunks), frozenset(holders))

    async def cut(self, rest: Rest, upto: Row | None) -> Claim | None:
        """Take the rows up to a key off what is left, all of them for None; None where somebody else was faster."""
        chunk = OpenChunk(rest.node, rest.cut, rest.after, upto)
        left = replace(rest, after=upto, exhausted=upto is None, cut=rest.cut + 1)
        return await self._claim(chunk, [self._of_rest(left), self._of_chunk(chunk)])

    async def take(self, chunk: OpenChunk) -> Claim | None:
        """Go on with a chunk that was left off; None where somebody else was faster."""
        return await self._claim(chunk, [self._of_chunk(chunk)])

    async def advance(self, claim: Claim, after: Row, more: Counts) -> Claim:
        """The rows of a chunk up to a key are through. Raises ClaimLost."""
        chunk = replace(claim.chunk, after=after, done=claim.chunk.done + more)
        return Claim(
            replace(chunk, revision=await self._while_claimed(claim, [self._of_chunk(chunk)])), claim.revision
        )

    async def finish(self, claim: Claim, more: Counts) -> None:
        """All rows of a chunk are through. Raises ClaimLost."""
        chunk = claim.chunk
        while True:
            entry = await self._store.get(self._key("rests", chunk.node))
            if entry is None:
                raise self._lost(claim)
            rest = _rest(chunk.node, json.loads(entry.value), entry)
            counted = replace(rest, done=rest.done + chunk.done + more)
            gone = Write(self._key("open", chunk.node, chunk.number), None, chunk.revision)
            claimed = Write(self._key("claims", chunk.node, chunk.number), None, claim.revision)
            try:
                await self._store.commit([self._of_rest(counted), gone, claimed])
            except Conflict:
                # Others cut off the same rest; unless it is the chunk that has changed.
                await self._check(claim)
            else:
                self._held.discard((chunk.node, chunk.number))
                return

    async def release(self, claim: Claim) -> None:
        """Leave a chunk to others."""
        self._held.discard((claim.chunk.node, claim.chunk.number))
        with suppress(Conflict):
            key = self._key("claims", claim.chunk.node, claim.chunk.number)
            await self._store.commit([Write(key, None, claim.revision)])

    async def forget(self) -> None:
        """Take everything about the table away."""
        for entry in (await self._store.range(self._prefix)).entries:
            await self._store.commit([Write(entry.key, None)])

    async def _claim(self, chunk: OpenChunk, writes: Sequence[Write]) -> Claim | None:
        value = _encoded(chunk.node, {"number": chunk.number, "holder": self._holder})
        key = self._key("claims", chunk.node, chunk.number)
        held = chunk.node, chunk.number
        if held in self._held:
            return None
        self._held.add(held)
        try:
            revision = await self._store.commit([*writes, Write(key, value, chunk.left, self._lease)])
        except BaseException as error:
            self._held.discard(held)
            if isinstance(error, Conflict):
                return None
            raise
        return Claim(replace(chunk, revision=revision), revision)

    async def _while_claimed(self, claim: Claim, writes: Sequence[Write]) -> int:
        key = self._key("claims", claim.chunk.node, claim.chunk.number)
        try:
            return await self._store.commit(writes, [Guard(key, claim.revision)])
        except Conflict:
            raise self._lost(claim) from None

    async def _check(self, claim: Claim) -> None:
        entry = await self._store.get(self._key("claims", claim.chunk.node, claim.chunk.number))
        if entry is None or entry.revision != claim.revision:
            raise self._lost(claim)

    def _lost(self, claim: Claim) -> ClaimLost:
        self._held.discard((claim.chunk.node, claim.chunk.number))
        return ClaimLost()

    def _of_rest(self, rest: Rest) -> Write:
        value = {
            "exhausted": rest.exhausted,
            "cut": rest.cut,
            "after": _written(rest.after),
            "done": asdict(rest.done),
        }
        return Write(self._key("rests", rest.node), _encoded(rest.node, value), rest.revision)

    def _of_chunk(self, chunk: OpenChunk) -> Write:
        value = {
            "number": chunk.number,
            "after": _written(chunk.after),
            "upto": _written(chunk.upto),
            "done": asdict(chunk.done),
        }
        key = self._key("open", chunk.node, chunk.number)
        return Write(key, _encoded(chunk.node, value), chunk.revision)

    def _key(self, kind: str, node: DataNode, number: int | None = None) -> str:
        return f"{self._prefix}{kind}/{node}" + ("" if number is None else f"/{number}")


def _encoded(node: DataNode, value: dict[str, Any]) -> bytes:
    return json.dumps({"node": [node.data_source, str(node.table)], **value}).encode()


def _written(key: Row | None) -> list[str] | None:
    """Bytes as the characters of the same numbers."""
    return None if key is None else [(value or b"").decode("latin-1") for value in key]


def _key(written: list[str] | None) -> Row | None:
    return None if written is None else tuple(value.encode("latin-1") for value in written)


def _rest(node: DataNode, value: dict[str, Any], entry: Entry) -> Rest:
    done = Counts(**value["done"])
    return Rest(node, _key(value["after"]), value["exhausted"], value["cut"], done, entry.revision)


def _chunk(node: DataNode, value: dict[str, Any], entry: Entry) -> OpenChunk:
    done = Counts(**value["done"])
    return OpenChunk(node, value["number"], _key(value["after"]), _key(value["upto"]), done, entry.revision)
