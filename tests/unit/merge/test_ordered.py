from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbmesh.errors import MeshError
from dbmesh.merge.ordered import AHEAD_BYTES, ArrivalStream, SortedStream

runs = st.lists(st.lists(st.integers(0, 6)).map(sorted), min_size=1, max_size=4)


@given(runs, st.integers(0, 1000), st.booleans())
def test_order_is_that_of_a_stable_sort_whatever_the_chunks(
    sources: list[list[int]], seed: int, keeps_keys: bool
) -> None:
    chance = random.Random(seed)
    stream = SortedStream(len(sources), keeps_keys=keeps_keys)
    rows = [[b"%d.%d" % (number, place) for place in range(len(keys))] for number, keys in enumerate(sources)]
    positions = [0] * len(sources)
    unfinished = list(range(len(sources)))
    out_keys: list[int] = []
    out_rows: list[bytes] = []
    while unfinished:
        source = chance.choice(unfinished)
        start = positions[source]
        positions[source] += chance.randint(1, 3)
        if start < len(sources[source]):
            end = positions[source]
            keys, done = stream.push(source, sources[source][start:end], rows[source][start:end])
        else:
            keys, done = stream.finish(source)
            unfinished.remove(source)
        out_keys += keys
        out_rows += done
    expected = sorted(
        (
            (key, row)
            for keys, items in zip(sources, rows, strict=True)
            for key, row in zip(keys, items, strict=True)
        ),
        key=lambda pair: pair[0],
    )
    assert out_rows == [row for _, row in expected]
    if keeps_keys:
        assert out_keys == [key for key, _ in expected]


def test_rows_leave_as_soon_as_no_source_can_precede_them() -> None:
    stream = SortedStream(2, keeps_keys=False)
    assert list(stream.push(0, [1, 2, 5], [b"1", b"2", b"5"])[1]) == []
    assert list(stream.push(1, [3], [b"3"])[1]) == [b"1", b"2", b"3"]
    assert list(stream.finish(1)[1]) == [b"5"]


def test_source_far_ahead_is_not_wanted_until_the_others_catch_up() -> None:
    stream = SortedStream(2, keeps_keys=False)
    big = b"x" * (AHEAD_BYTES // 2)
    stream.push(0, [1, 2], [big, big])
    assert not stream.wants(0)
    assert stream.wants(1)
    stream.push(1, [9], [b"y"])
    assert stream.wants(0)


@pytest.mark.parametrize(("before", "then"), [([], [2, 1]), ([1, 5], [4])])
def test_shard_that_does_not_sort_as_its_keys_say_is_refused(before: list[int], then: list[int]) -> None:
    stream = SortedStream(2, keeps_keys=False)
    stream.push(0, before, [b""] * len(before))
    with pytest.raises(MeshError, match="another order"):
        stream.push(0, then, [b""] * len(then))


def test_empty_push_changes_nothing() -> None:
    assert list(SortedStream(1, keeps_keys=False).push(0, [], [])[1]) == []


def test_arrival_stream_holds_nothing() -> None:
    stream = ArrivalStream()
    assert stream.push(0, [], [b"a"]) == ([], [b"a"])
    assert list(stream.finish(0)[1]) == []
    assert stream.wants(0)
