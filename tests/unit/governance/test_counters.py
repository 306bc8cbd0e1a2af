"""Numbers stay unique over processes and consecutive within one."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dbmesh.governance.counters import BLOCK, doubt, give_back, lease
from dbmesh.governance.embedded import EmbeddedStore
from dbmesh.rules.keygen.auto_increment import AutoIncrement


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[EmbeddedStore]:
    opened = await EmbeddedStore.open(tmp_path / "store.db", time.time)
    yield opened
    await opened.close()


async def _none() -> int:
    return 0


async def _forty() -> int:
    return 40


async def _many() -> int:
    return 5 * BLOCK


async def _unasked() -> int:
    raise AssertionError("the counter is known")


async def test_the_first_lease_begins_behind_the_rows_there_are(store: EmbeddedStore) -> None:
    generator = AutoIncrement("t")
    await lease(store, "app", generator, 2, _forty)
    assert (generator.next, generator.end) == (41, 42 + BLOCK)


async def test_blocks_of_one_process_are_consecutive(store: EmbeddedStore) -> None:
    generator = AutoIncrement("t")
    await lease(store, "app", generator, 2, _none)
    keys = [generator.next_key() for _ in range(BLOCK + 1)]
    await lease(store, "app", generator, generator.next + 1, _unasked)
    assert [*keys, generator.next_key()] == list(range(1, BLOCK + 3))


async def test_two_processes_never_have_the_same_number(store: EmbeddedStore) -> None:
    one, two = AutoIncrement("t"), AutoIncrement("t")
    await lease(store, "app", one, 2, _none)
    await lease(store, "app", two, 2, _unasked)
    assert one.end <= two.next


async def test_a_process_gives_back_what_it_did_not_use(store: EmbeddedStore) -> None:
    one, two = AutoIncrement("t"), AutoIncrement("t")
    await lease(store, "app", one, 2, _none)
    one.number((None, None, None))
    await give_back(store, "app", one)
    await lease(store, "app", two, 2, _unasked)
    assert two.next == 4


async def test_a_counter_that_is_doubted_looks_at_the_rows_again(store: EmbeddedStore) -> None:
    generator = AutoIncrement("t")
    await doubt(store, "app", "t")
    await lease(store, "app", generator, 2, _none)
    await doubt(store, "app", "t")
    other = AutoIncrement("t")
    await lease(store, "app", other, 2, _many)
    assert other.next == 5 * BLOCK + 1
