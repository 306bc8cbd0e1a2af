"""Who copies which rows, in the store: nobody's rows are lost, whoever is killed, and nobody works for another."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dbmesh.governance.embedded import EmbeddedStore
from dbmesh.model import DataNode
from dbmesh.reshard.rows.chunks import ChunkJournal, ClaimLost, Counts

_A, _B = DataNode("ds_0", "t_0"), DataNode("ds_1", "t_0")


class Clock:
    """Seconds a test moves by hand."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def store(tmp_path: Path, clock: Clock) -> AsyncIterator[EmbeddedStore]:
    made = await EmbeddedStore.open(tmp_path / "store.db", clock)
    yield made
    await made.close()


async def _journals(store: EmbeddedStore) -> tuple[ChunkJournal, ChunkJournal]:
    one, other = [ChunkJournal(store, "7", "T", name, await store.grant(10)) for name in ("one", "other")]
    await one.begin([_A, _B])
    await other.begin([_A, _B])
    return one, other


async def test_a_chunk_is_cut_worked_at_and_forgotten(store: EmbeddedStore) -> None:
    one, other = await _journals(store)
    rest = (await one.look()).rests[0]
    claim = await one.cut(rest, (b"10", b"\xff\x00"))
    assert claim is not None
    assert await other.cut(rest, (b"12", b"")) is None, "somebody was faster"
    outlook = await other.look()
    assert outlook.rests[0].after == (b"10", b"\xff\x00")
    assert outlook.chunks[0].upto == (b"10", b"\xff\x00")
    assert not outlook.abandoned
    assert await other.take(outlook.chunks[0]) is None
    claim = await one.advance(claim, (b"5", b"x"), Counts(5, 50, 5, 0))
    assert (await other.look()).chunks[0].after == (b"5", b"x")
    last = await other.cut((await other.look()).rests[0], None)
    assert last is not None
    await one.finish(claim, Counts(4, 40, 3, 1))
    await other.finish(last, Counts())
    outlook = await one.look()
    assert outlook.counts == Counts(9, 90, 8, 1)
    assert not outlook.through, "nobody has begun with the other data node"
    last = await one.cut(outlook.rests[1], None)
    assert last is not None
    assert not (await one.look()).through
    await one.finish(last, Counts(1, 1, 1))
    outlook = await one.look()
    assert outlook.through
    assert outlook.counts.rows == 10
    await one.forget()
    assert not (await store.range("/")).entries


async def test_what_a_killed_process_had_is_taken_by_another(store: EmbeddedStore, clock: Clock) -> None:
    one, other = await _journals(store)
    claim = await one.cut((await one.look()).rests[0], (b"10",))
    assert claim is not None
    claim = await one.advance(claim, (b"4",), Counts(4, 4, 4))
    assert not (await other.look()).abandoned
    clock.now += 11
    other = ChunkJournal(store, "7", "t", "other", await store.grant(10))
    (left,) = (await other.look()).abandoned
    assert (left.after, left.upto, left.done.rows) == ((b"4",), (b"10",), 4)
    with pytest.raises(ClaimLost):
        await one.advance(claim, (b"5",), Counts(1))
    taken = await other.take(left)
    assert taken is not None
    with pytest.raises(ClaimLost):
        await one.finish(claim, Counts(6))
    await one.release(claim)
    assert not (await other.look()).abandoned, "it is not the first one's to release"
    await other.release(taken)
    (left,) = (await other.look()).abandoned
    taken = await other.take(left)
    assert taken is not None
    await other.finish(taken, Counts(6, 6, 6))
    assert (await other.look()).counts == Counts(10, 10, 10)


async def test_the_store_holds_as_little_of_a_long_table_as_of_a_short_one(store: EmbeddedStore) -> None:
    one, _ = await _journals(store)
    for number in range(1, 50):
        claim = await one.cut((await one.look()).rests[0], (str(number).encode(),))
        assert claim is not None
        await one.finish(claim, Counts(1))
    entries = (await store.range("/reshard/jobs/7/chunks/t/")).entries
    assert len(entries) == 2
    assert json.loads(entries[0].value)["done"]["rows"] == 49


async def test_a_claim_whose_holder_does_not_know_of_it_is_anybodys(store: EmbeddedStore) -> None:
    """He was cancelled, or lost the store, when he had claimed and nobody had told him yet."""
    one, other = await _journals(store)
    assert await one.cut((await one.look()).rests[0], (b"10",)) is not None
    assert not (await other.look()).abandoned
    again = ChunkJournal(store, "7", "t", "one", await store.grant(10))
    (left,) = (await again.look()).abandoned
    taken = await again.take(left)
    assert taken is not None
    assert await again.take(left) is None, "once"
    await again.finish(taken, Counts(1))
    assert (await other.look()).counts.rows == 1
