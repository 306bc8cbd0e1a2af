from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbmesh.errors import MeshError
from dbmesh.merge.keys import make_key_reader
from dbmesh.merge.limits import Budget, MergeLimits
from dbmesh.merge.stages import AdjacentDistinct, HashedDistinct, Sorter, Window
from dbmesh.planner.plan import SortKey
from tests.plugins.merging import integer, row, values

READ = make_key_reader([SortKey(0)], [integer("i"), integer("n")])


def budget(rows: int = 1000) -> Budget:
    return Budget(MergeLimits(max_rows=rows, max_bytes=1_000_000))


@given(st.lists(st.lists(st.integers(0, 3))))
def test_adjacent_distinct_keeps_the_first_of_each_run(chunks: list[list[int]]) -> None:
    numbers = sorted(number for chunk in chunks for number in chunk)
    stage = AdjacentDistinct()
    out: list[bytes] = []
    start = 0
    for chunk in chunks:
        keys = numbers[start : start + len(chunk)]
        out += stage.feed(keys, [row(key, start + place) for place, key in enumerate(keys)])
        start += len(chunk)
    assert values(out) == [(str(key), str(numbers.index(key))) for key in sorted(set(numbers))]


def test_adjacent_distinct_keeps_null() -> None:
    assert AdjacentDistinct().feed([None, None], [b"a", b"b"]) == [b"a"]


@given(st.lists(st.integers(0, 3), max_size=20), st.integers(1, 5))
def test_hashed_distinct_keeps_the_first_of_each_key(numbers: list[int], size: int) -> None:
    stage = HashedDistinct(READ, budget())
    rows = [row(number, place) for place, number in enumerate(numbers)]
    out = [item for start in range(0, len(rows), size) for item in stage.feed(rows[start : start + size])]
    assert values(out) == [(str(number), str(numbers.index(number))) for number in dict.fromkeys(numbers)]


def test_hashed_distinct_is_bounded() -> None:
    with pytest.raises(MeshError, match="merge-max-rows"):
        HashedDistinct(READ, budget(2)).feed([row(number, 0) for number in range(3)])


@given(st.lists(st.integers(0, 9), max_size=40), st.one_of(st.none(), st.integers(0, 45)))
def test_sorter_is_stable_and_keeps_the_first(numbers: list[int], first: int | None) -> None:
    sorter = Sorter(READ, budget(), first)
    for place, number in enumerate(numbers):
        sorter.feed([row(number, place)])
    expected = sorted((number, place) for place, number in enumerate(numbers))[:first]
    assert values(sorter.close()) == [(str(number), str(place)) for number, place in expected]


def test_sorter_holds_little_more_than_it_needs() -> None:
    sorter = Sorter(READ, budget(1100), 10)
    for number in range(20_000, 0, -1):
        sorter.feed([row(number, 0)])
    assert values(sorter.close()) == [(str(number), "0") for number in range(1, 11)]


def test_sorter_is_bounded() -> None:
    with pytest.raises(MeshError, match="merge-max-rows"):
        Sorter(READ, budget(2), None).feed([row(number, 0) for number in range(3)])


@given(
    st.lists(st.integers(0, 5)),
    st.integers(0, 12),
    st.one_of(st.none(), st.integers(0, 12)),
)
def test_window_is_offset_and_limit(sizes: list[int], offset: int, limit: int | None) -> None:
    rows = [b"%d" % number for number in range(sum(sizes))]
    window = Window(offset, limit)
    out: list[bytes] = []
    start = 0
    for size in sizes:
        out += window.feed(rows[start : start + size])
        start += size
    assert out == rows[offset:][:limit]
    assert window.closed == (limit is not None and len(out) == limit)
