"""Keys that a binlog tells are brought over few at a time; those that somebody has locked keep no others back, and are waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbmesh.errors import ShardError
from dbmesh.model import DataNode
from dbmesh.planner.images import Row
from dbmesh.reshard.binlogs.catching_up import MOST_KEYS, CatchingUp, CaughtUp
from dbmesh.reshard.binlogs.listening import Batch
from dbmesh.reshard.rows.reconcile import Chunk, Reconciler

_NODE = DataNode("ds_0", "t")


class _Rows(Reconciler):
    """Some keys are `locked` until so many tries have met them."""

    def __init__(self, locked: dict[Row, int], error: int = 1205) -> None:
        self.locked = dict(locked)
        self.error = error
        self.brought: list[Row] = []
        self.asked: list[int] = []
        self.others = asyncio.Event()

    async def changed(self, node: DataNode, keys: Sequence[Row]) -> Chunk:
        """See `Reconciler`."""
        assert node == _NODE
        self.asked.append(len(keys))
        met = [key for key in keys if self.locked.get(key)]
        for key in met:
            self.locked[key] -= 1
        if met:
            raise ShardError(self.error, "HY000", "locked")
        self.brought += keys
        if len(self.brought) == 99:
            self.others.set()
        return Chunk(None, len(keys), len(keys) - 1, 1)


def _keys(count: int) -> list[Row]:
    return [(str(number).encode(),) for number in range(count)]


@given(
    st.integers(1, 450),
    st.dictionaries(st.integers(0, 449), st.integers(1, 3), max_size=5),
    st.sampled_from((1205, 1213, 3572)),
)
def test_each_key_is_brought_once(count: int, locked: dict[int, int], error: int) -> None:
    rows = _Rows({(str(number).encode(),): tries for number, tries in locked.items()}, error)
    writes = CatchingUp({_NODE: rows})
    asyncio.run(writes.handle(Batch({_NODE: _keys(count)}, ("TRUNCATE t",))))
    assert sorted(rows.brought) == sorted(_keys(count))
    assert max(rows.asked) <= MOST_KEYS
    assert writes.counts.keys == count
    assert writes.statements == ["TRUNCATE t"]


async def test_who_is_locked_keeps_no_others_back() -> None:
    stuck = _keys(100)[37]
    rows = _Rows({stuck: 1_000_000})
    async with asyncio.TaskGroup() as group:
        working = group.create_task(CatchingUp({_NODE: rows}).handle(Batch({_NODE: _keys(100)}, ())))
        await rows.others.wait()
        assert not working.done()
        rows.locked.clear()
    assert rows.brought[-1] == stuck


async def test_any_other_error_ends_it() -> None:
    writes = CatchingUp({_NODE: _Rows({_keys(1)[0]: 1}, 1146)})
    with pytest.raises(ShardError, match="locked"):
        await writes.handle(Batch({_NODE: _keys(3)}, ("TRUNCATE t",)))
    assert (writes.counts, writes.statements) == (CaughtUp(), [])
