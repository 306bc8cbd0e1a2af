"""Every row is copied, however many copy and whoever of them is killed when."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from dbmesh.errors import ShardError
from dbmesh.governance.embedded import EmbeddedStore
from dbmesh.model import DataNode
from dbmesh.planner.images import Row
from dbmesh.reshard.rows import copying
from dbmesh.reshard.rows.chunks import ChunkJournal
from dbmesh.reshard.rows.copying import TableCopy
from dbmesh.reshard.rows.reconcile import Chunk

_NODES = (DataNode("ds_0", "t_0"), DataNode("ds_0", "t_1"), DataNode("ds_1", "t_0"))


class Clock:
    """Seconds a test moves by hand."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Rows:
    """Data nodes as sorted numbers, and what of them has been copied. `fails` says whether a step does."""

    def __init__(self, rows: dict[DataNode, list[int]], fails: Callable[[], bool]) -> None:
        self.rows = rows
        self.copied: dict[DataNode, set[int]] = {node: set() for node in rows}
        self.fails = fails

    def _behind(self, node: DataNode, after: Row | None) -> list[int]:
        return [one for one in self.rows[node] if after is None or one > int(after[0] or b"")]

    async def chunk(self, node: DataNode, after: Row | None, most: int, upto: Row | None = None) -> Chunk:
        """As `Reconciler.chunk`."""
        await asyncio.sleep(0)
        found = [one for one in self._behind(node, after) if upto is None or one <= int(upto[0] or b"")]
        taken = found[:most]
        if self.fails():
            self.copied[node] |= set(taken[::2])
            raise ShardError(1205, "HY000", "Lock wait timeout exceeded")
        new = set(taken) - self.copied[node]
        self.copied[node] |= new
        last = (str(taken[-1]).encode(),) if len(taken) == most else None
        return Chunk(last, len(taken), len(new), 0, 10 * len(taken))

    async def key_behind(self, node: DataNode, after: Row | None, rows: int) -> Row | None:
        """As `Reconciler.key_behind`."""
        await asyncio.sleep(0)
        found = self._behind(node, after)
        return (str(found[rows - 1]).encode(),) if len(found) >= rows else None


class Unhurried:
    """No limits."""

    async def keep(self, rows: int) -> None:
        """At once."""
        await asyncio.sleep(0)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[EmbeddedStore]:
    made = await EmbeddedStore.open(tmp_path / "store.db", Clock())
    yield made
    await made.close()


async def _copy(store: EmbeddedStore, rows: Rows, holder: str, workers: int) -> TableCopy:
    journal = ChunkJournal(store, "1", "t", holder, await store.grant(60))
    copy = TableCopy(_NODES, rows, journal, Unhurried())
    await copy.run(workers)
    return copy


def _rows(fails: Callable[[], bool] = lambda: False) -> Rows:
    return Rows({_NODES[0]: list(range(0, 9_000, 3)), _NODES[1]: [], _NODES[2]: list(range(700))}, fails)


async def test_several_processes_copy_every_row_once(store: EmbeddedStore) -> None:
    rows = _rows()
    both = await asyncio.gather(_copy(store, rows, "one", 2), _copy(store, rows, "other", 3))
    assert rows.copied == {node: set(found) for node, found in rows.rows.items()}
    assert sum(one.counts.rows for one in both) == 3_700, "nobody did what another does"
    outlook = await ChunkJournal(store, "1", "t", "x", 0).look()
    assert outlook.through
    assert (outlook.counts.rows, outlook.counts.written, outlook.counts.size) == (3_700, 3_700, 37_000)


@pytest.mark.parametrize("seed", range(5))
async def test_whoever_fails_goes_on_where_he_was(
    store: EmbeddedStore, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "CHUNK_SECONDS", 0.0)
    draw = random.Random(seed)
    rows = _rows(lambda: draw.random() < 0.3)
    failures = 0
    while True:
        try:
            await _copy(store, rows, "one", 2)
        except ShardError:
            failures += 1
        else:
            break
    assert failures
    assert rows.copied == {node: set(found) for node, found in rows.rows.items()}
    assert (await ChunkJournal(store, "1", "t", "x", 0).look()).counts.rows == 3_700, "each counts once"


async def test_what_is_cancelled_is_anybodys(store: EmbeddedStore) -> None:
    """Its lease need not be waited for."""
    rows, gate = _rows(), asyncio.Event()

    class Held(Rows):
        """Copies nothing."""

        async def chunk(self, node: DataNode, after: Row | None, most: int, upto: Row | None = None) -> Chunk:
            """Never."""
            gate.set()
            await asyncio.Event().wait()
            raise AssertionError

    async with asyncio.TaskGroup() as group:
        task = group.create_task(_copy(store, Held(rows.rows, lambda: False), "one", 1))
        await gate.wait()
        task.cancel()
    outlook = await ChunkJournal(store, "1", "t", "x", 0).look()
    assert outlook.chunks
    assert not outlook.holders
    await _copy(store, rows, "other", 1)
    assert rows.copied == {node: set(found) for node, found in rows.rows.items()}
