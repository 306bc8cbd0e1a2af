"""Numbers stay unique over processes and consecutive within one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dbmesh.governance import counters, layout
from dbmesh.governance.counters import BLOCK, doubt, give_back, set_back
from dbmesh.governance.embedded import EmbeddedStore
from dbmesh.governance.store import Conflict, Guard, Write
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


async def lease(
    store: EmbeddedStore,
    generator: AutoIncrement,
    greatest: Callable[[], Awaitable[int]],
    end: int = 2,
    holder: str = "one",
) -> None:
    await counters.lease(store, "app", generator, end, greatest, holder)


async def test_the_first_lease_begins_behind_the_rows_there_are(store: EmbeddedStore) -> None:
    generator = AutoIncrement("t")
    await lease(store, generator, _forty)
    assert (generator.next, generator.end) == (41, 42 + BLOCK)


async def test_blocks_of_one_process_are_consecutive(store: EmbeddedStore) -> None:
    generator = AutoIncrement("t")
    await lease(store, generator, _none)
    keys = [generator.next_key() for _ in range(BLOCK + 1)]
    await lease(store, generator, _unasked, generator.next + 1)
    assert [*keys, generator.next_key()] == list(range(1, BLOCK + 3))


async def test_two_processes_never_have_the_same_number(store: EmbeddedStore) -> None:
    one, two = AutoIncrement("t"), AutoIncrement("t")
    await lease(store, one, _none)
    await lease(store, two, _unasked, holder="two")
    assert one.end <= two.next


async def test_a_process_gives_back_what_it_did_not_use(store: EmbeddedStore) -> None:
    one, two = AutoIncrement("t"), AutoIncrement("t")
    await lease(store, one, _none)
    one.number((None, None, None))
    await give_back(store, "app", one, "one")
    await lease(store, two, _unasked, holder="two")
    assert two.next == 4


async def test_a_counter_that_is_doubted_looks_at_the_rows_again(store: EmbeddedStore) -> None:
    generator = AutoIncrement("t")
    await doubt(store, "app", "t")
    await lease(store, generator, _none)
    await doubt(store, "app", "t")
    other = AutoIncrement("t")
    await lease(store, other, _many)
    assert other.next == 5 * BLOCK + 1


class _Meanwhile(EmbeddedStore):
    """While a commit is on its way, statements take numbers."""

    generator = AutoIncrement("t")
    taken: list[int | None]

    async def commit(self, writes: Sequence[Write], guards: Sequence[Guard] = ()) -> int:
        self.taken = self.generator.number((None,) * (self.generator.end - self.generator.next))
        return await super().commit(writes, guards)


async def test_numbers_given_while_a_block_is_leased_are_not_given_again(tmp_path: Path) -> None:
    store = await _Meanwhile.open(tmp_path / "store.db", time.time)
    assert isinstance(store, _Meanwhile)
    store.generator.lease(1, 1)
    await lease(store, store.generator, _none)
    store.generator.number((None,) * (BLOCK - 2))
    await lease(store, store.generator, _unasked, BLOCK + 5)
    assert store.taken == [BLOCK - 1, BLOCK, BLOCK + 1]
    assert store.generator.next_key() == BLOCK + 2
    await store.close()


async def test_a_counter_that_is_set_back_begins_anew_for_who_alone_has_leased(store: EmbeddedStore) -> None:
    generator = AutoIncrement("t")
    await lease(store, generator, _none)
    generator.withdraw()
    await store.commit([await set_back(store, "app", "t", 1, "one")])
    await lease(store, generator, _none)
    assert generator.next == 1


async def test_one_that_has_ended_holds_nothing(store: EmbeddedStore) -> None:
    one, two = AutoIncrement("t"), AutoIncrement("t")
    await lease(store, one, _none)
    one.number((None,) * (one.end - one.next))
    await give_back(store, "app", one, "one")
    await lease(store, two, _unasked, holder="two")
    two.withdraw()
    await store.commit([await set_back(store, "app", "t", 1, "two")])
    await lease(store, two, _none, holder="two")
    assert two.next == 1


async def test_a_counter_that_is_set_back_stays_above_what_others_may_give_away(store: EmbeddedStore) -> None:
    one, two = AutoIncrement("t"), AutoIncrement("t")
    await lease(store, one, _none)
    await lease(store, two, _unasked, holder="two")
    two.withdraw()
    await store.commit([await set_back(store, "app", "t", 1, "two")])
    await lease(store, two, _none, holder="two")
    assert two.next == one.end


_STEPS = st.lists(
    st.tuples(
        st.sampled_from(("insert", "truncate", "rename", "resume", "stop", "kill")),
        st.integers(0, 2),
        st.sampled_from((1, 3, BLOCK - 1, 2 * BLOCK)),
    ),
    max_size=12,
)


@given(_STEPS)
@settings(max_examples=60, deadline=None)
def test_no_row_has_the_number_of_another(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int, int]]
) -> None:
    """Three processes insert, truncate, give the table's name to another one, end in order and are killed, in any order."""

    async def run() -> None:
        store = await EmbeddedStore.open(tmp_path_factory.mktemp("counters") / "store.db", time.time)
        processes = {number: (f"{number}", AutoIncrement("t")) for number in range(3)}
        rows: list[int] = []
        known: dict[int, int] = {}

        async def greatest() -> int:
            return max(rows, default=0)

        for number, (step, process, many) in enumerate(steps):
            holder, generator = processes[process]
            if step == "insert":
                if generator.end - generator.next < many:
                    end = generator.next + many
                    known[process] = await counters.lease(store, "app", generator, end, greatest, holder)
                numbered = [id_ for id_ in generator.number((None,) * many) if id_ is not None]
                assert numbered == list(range(numbered[0], numbered[0] + many))
                rows += numbered
                assert len(set(rows)) == len(rows)
            elif step == "rename":
                generator.withdraw()
                await store.commit([await set_back(store, "app", "t", 1, holder)])
                rows[:] = range(1, many + 1)
                for other, leased in known.items():
                    [entry] = (await store.range(layout.counter("app", "t"))).entries
                    if counters.is_outdated(leased, entry.value):
                        processes[other][1].withdraw()
            elif step in ("truncate", "resume"):
                # What another process finishes for this one, it does not know of.
                if step == "truncate":
                    generator.withdraw()
                rows.clear()
                by = holder if step == "truncate" else None
                await store.commit([await set_back(store, "app", "t", 1, by)])
            else:
                if step == "stop":
                    await give_back(store, "app", generator, holder)
                processes[process] = (f"{process} {number}", AutoIncrement("t"))
                known.pop(process, None)
        await store.close()

    asyncio.run(run())


async def test_of_two_that_set_a_counter_back_one_has_to_look_again(store: EmbeddedStore) -> None:
    write = await set_back(store, "app", "t", 1, "one")
    await lease(store, AutoIncrement("t"), _none, holder="two")
    with pytest.raises(Conflict):
        await store.commit([write])
