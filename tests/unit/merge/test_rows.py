"""Every merge against the plain way to do it: all rows in one list, then Python."""

from __future__ import annotations

import functools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dbmesh.errors import MeshError, ProtocolError
from dbmesh.merge.limits import MergeLimits
from dbmesh.merge.rows import make_row_merger
from dbmesh.planner.plan import Aggregate, Having, HavingOperator, RowMerge, SortKey
from dbmesh.planner.plan import AggregateFunction as F
from tests.plugins.merging import LIMITS, binary, decimal, drive, integer, merge_rows, row, text, values

# id, an integer, a text of a padding collation, a decimal, the hidden weight of the text
COLUMNS = [integer("id"), integer("i"), text("t"), decimal("d", 2), binary("w")]
COLLATION = "utf8mb4_general_ci"
Record = tuple[int, int | None, str | None, str | None]
KEYS = {1: SortKey(1), 2: SortKey(2, weight=-1, collation=COLLATION), 3: SortKey(3)}

records = st.lists(
    st.tuples(
        st.none() | st.integers(-2, 2),
        st.none() | st.text(alphabet="aAb \t", max_size=3),
        st.none()
        | st.integers(-300, 300).map(
            lambda cents: f"{'-' if cents < 0 else ''}{abs(cents) // 100}.{abs(cents) % 100:02d}"
        ),
    ),
    max_size=24,
).map(lambda items: [(number, *item) for number, item in enumerate(items)])
orders = st.lists(
    st.tuples(st.sampled_from([1, 2, 3]), st.booleans()), min_size=1, max_size=3, unique_by=lambda key: key[0]
)


def weigh(value: str | None) -> bytes | None:
    return None if value is None else value.upper().encode("utf-16-be")


def payload(record: Record) -> bytes:
    return row(*record, weigh(record[2]))


def comparable(record: Record, column: int) -> tuple[bool, Any]:
    """NULLs first; text as if it went on in spaces."""
    value = record[column]
    if value is None:
        return (False, 0)
    return (True, str(value).upper().ljust(8) if column == 2 else float(value))


def compare(order: list[tuple[int, bool]], left: Record, right: Record) -> int:
    for column, descending in order:
        a, b = comparable(left, column), comparable(right, column)
        if a != b:
            return (-1 if a < b else 1) * (-1 if descending else 1)
    return 0


def sort(items: list[Record], order: list[tuple[int, bool]]) -> list[Record]:
    return sorted(items, key=functools.cmp_to_key(functools.partial(compare, order)))


def sort_keys(order: list[tuple[int, bool]]) -> tuple[SortKey, ...]:
    return tuple(
        SortKey(column, KEYS[column].weight, descending, KEYS[column].collation)
        for column, descending in order
    )


def shards(items: list[Record], count: int, order: list[tuple[int, bool]]) -> list[list[bytes]]:
    return [[payload(item) for item in sort(items[shard::count], order)] for shard in range(count)]


def shown(items: list[Record]) -> list[tuple[str | None, ...]]:
    return [tuple(None if value is None else str(value) for value in item) for item in items]


@given(
    records, orders, st.integers(1, 4), st.integers(0, 8), st.none() | st.integers(0, 8), st.integers(0, 99)
)
def test_ordered(
    items: list[Record], order: list[tuple[int, bool]], count: int, offset: int, limit: int | None, seed: int
) -> None:
    merge = RowMerge(hidden=1, order_by=sort_keys(order), offset=offset, limit=limit)
    out = merge_rows(merge, COLUMNS, shards(items, count, order), seed=seed)
    by_source = [item for shard in range(count) for item in sort(items[shard::count], order)]
    assert out == shown(sort(by_source, order)[offset:][:limit])


@given(records, st.integers(1, 4), st.integers(0, 8), st.none() | st.integers(0, 8), st.integers(0, 99))
def test_unordered_is_any_rows_within_the_window(
    items: list[Record], count: int, offset: int, limit: int | None, seed: int
) -> None:
    merge = RowMerge(hidden=1, offset=offset, limit=limit)
    out = merge_rows(merge, COLUMNS, shards(items, count, [(1, False)]), seed=seed)
    assert len(out) == len(items[offset:][:limit])
    assert len(set(out)) == len(out)
    assert set(out) <= set(shown(items))


@given(records, orders, st.integers(1, 4), st.integers(0, 99))
def test_grouped(items: list[Record], order: list[tuple[int, bool]], count: int, seed: int) -> None:
    """Each shard sends every row as a group of its own, which is a legal (if lazy) partial grouping."""
    columns = [integer("n"), *COLUMNS[1:]]
    merge = RowMerge(
        hidden=1,
        grouped=True,
        group_by=sort_keys(order),
        aggregates=(
            Aggregate(0, F.COUNT),
            *(() if (3, False) in order or (3, True) in order else (Aggregate(3, F.SUM),)),
        ),
    )
    sources = [
        [row(1, *item[1:], weigh(item[2])) for item in sort(items[shard::count], order)]
        for shard in range(count)
    ]
    out = merge_rows(merge, columns, sources, seed=seed)
    groups: list[list[Record]] = []
    for item in sort(items, order):
        if groups and compare(order, groups[-1][0], item) == 0:
            groups[-1].append(item)
        else:
            groups.append([item])
    assert [line[0] for line in out] == [str(len(group)) for group in groups]
    if len(merge.aggregates) == 2:
        for line, group in zip(out, groups, strict=True):
            numbers = [round(float(item[3]) * 100) for item in group if item[3] is not None]
            assert line[3] is None if not numbers else round(float(line[3] or 0) * 100) == sum(numbers)


@given(records, orders, st.integers(1, 4), st.booleans(), st.integers(0, 99))
def test_distinct(
    items: list[Record], order: list[tuple[int, bool]], count: int, resort: bool, seed: int
) -> None:
    """Distinct by the ordered columns; with `resort` in another order than the shards'."""
    final = [(column, not descending) for column, descending in order] if resort else order
    merge = RowMerge(
        hidden=1,
        distinct=True,
        distinct_keys=sort_keys(order),
        order_by=sort_keys(final),
        resort=resort,
    )
    out = merge_rows(merge, COLUMNS, shards(items, count, order), seed=seed)
    kept: list[Record] = []
    for item in sort(items, final):
        if not kept or compare(order, kept[-1], item) != 0:
            kept.append(item)
    by_id = {str(item[0]): item for item in items}
    assert len(out) == len(kept)
    assert all(compare(order, by_id[line[0] or ""], item) == 0 for line, item in zip(out, kept, strict=True))


@settings(max_examples=50)
@given(records, st.integers(1, 4), st.integers(0, 6), st.none() | st.integers(0, 6), st.integers(0, 99))
def test_group_having_resort_limit(
    items: list[Record], count: int, offset: int, limit: int | None, seed: int
) -> None:
    merge = RowMerge(
        grouped=True,
        group_by=(SortKey(0),),
        aggregates=(Aggregate(1, F.COUNT),),
        having=Having(
            HavingOperator.GREATER,
            (Having(HavingOperator.COLUMN, column=1), Having(HavingOperator.VALUE, value=1)),
        ),
        resort=True,
        order_by=(SortKey(1, descending=True), SortKey(0)),
        offset=offset,
        limit=limit,
    )
    sources = [
        [row(item[1], 1) for item in sort(items[shard::count], [(1, False)])] for shard in range(count)
    ]
    out = merge_rows(merge, [integer("i"), integer("n")], sources, seed=seed)
    counts: dict[int | None, int] = {}
    for item in items:
        counts[item[1]] = counts.get(item[1], 0) + 1
    kept = sorted(
        ((key, number) for key, number in counts.items() if number > 1),
        key=lambda pair: (-pair[1], pair[0] is not None, pair[0] or 0),
    )
    assert out == [(None if key is None else str(key), str(number)) for key, number in kept[offset:][:limit]]


def test_grouped_rows_are_distinct_by_their_shown_columns() -> None:
    merge = RowMerge(
        hidden=1,
        grouped=True,
        group_by=(SortKey(-1),),
        aggregates=(Aggregate(0, F.COUNT),),
        distinct=True,
        distinct_keys=(SortKey(0),),
    )
    sources = [[row(1, 1), row(2, 2), row(1, 3)], [row(1, 1)]]
    assert merge_rows(merge, [integer("n"), integer("g")], sources) == [("2",), ("1",)]


def test_distinct_ordered_by_a_column_outside_the_list() -> None:
    merge = RowMerge(hidden=1, distinct=True, distinct_keys=(SortKey(0),), order_by=(SortKey(-1),))
    sources = [[row("5", 1), row("6", 2)], [row("5", 1), row("5", 3)]]
    assert merge_rows(merge, [integer("x"), integer("o")], sources) == [("5",), ("6",)]


def test_visible_columns_are_those_of_the_shards_without_the_hidden() -> None:
    merger = make_row_merger(RowMerge(hidden=2), COLUMNS, 2, LIMITS)
    assert merger.visible_columns == tuple(COLUMNS[:3])


@pytest.mark.parametrize("order", [(), (SortKey(0),)])
def test_limit_ends_the_merge(order: tuple[SortKey, ...]) -> None:
    merger = make_row_merger(RowMerge(order_by=order, limit=2), [integer("i")], 2, LIMITS)
    out = merger.push(0, [row(1), row(2), row(3)])
    out += merger.push(1, [row(4)])
    assert values(out) == [("1",), ("2",)]
    assert merger.done
    assert not merger.wants(0)
    assert merger.push(1, [row(5)]) == []
    assert merger.finish(0) == merger.finish(0) == merger.finish(1) == []


def test_limit_zero_is_done_at_once() -> None:
    merger = make_row_merger(RowMerge(limit=0), [integer("i")], 1, LIMITS)
    assert merger.done
    assert not merger.wants(0)


def test_merge_is_done_when_all_sources_have_ended() -> None:
    merger = make_row_merger(RowMerge(), [integer("i")], 2, LIMITS)
    merger.finish(0)
    assert merger.wants(1)
    assert not merger.done
    merger.finish(1)
    assert merger.done


def test_distinct_aggregate_of_no_rows_is_one_row() -> None:
    merge = RowMerge(
        hidden=1,
        grouped=True,
        aggregates=(Aggregate(0, F.COUNT_DISTINCT, arguments=(SortKey(-1),)), Aggregate(1, F.SUM)),
    )
    assert merge_rows(merge, [integer("n"), decimal("s", 0), integer("x")], [[], []]) == [("0", None)]


def test_memory_of_a_sorted_merge_is_flat() -> None:
    """One source is read to its end before the other: it must be paused, not held."""
    merger = make_row_merger(RowMerge(order_by=(SortKey(0),)), [integer("i"), binary("b")], 2, LIMITS)
    filler = b"x" * 10_000
    pushed = 0
    while merger.wants(0):
        assert merger.push(0, [row(pushed, filler)]) == []
        pushed += 1
    assert pushed < 100
    assert len(merger.push(1, [row(10**9, b"")])) == pushed
    assert merger.wants(0)
    assert not make_row_merger(RowMerge(), COLUMNS, 1, LIMITS).done


def test_resort_is_bounded() -> None:
    merge = RowMerge(resort=True, order_by=(SortKey(0),))
    with pytest.raises(MeshError, match="merge-max-rows"):
        merge_rows(merge, [integer("i")], [[row(2), row(1), row(3)]], limits=MergeLimits(2, 1_000_000))


def test_what_cannot_be_merged_is_refused_before_any_row() -> None:
    with pytest.raises(MeshError, match="not supported"):
        make_row_merger(RowMerge(order_by=(SortKey(2),)), COLUMNS, 2, LIMITS)


def test_malformed_row_is_a_protocol_error() -> None:
    merger = make_row_merger(RowMerge(order_by=(SortKey(1),)), COLUMNS, 1, LIMITS)
    with pytest.raises(ProtocolError):
        merger.push(0, [b"\x01a"])


def test_drive_reads_only_what_is_wanted() -> None:
    merger = make_row_merger(RowMerge(order_by=(SortKey(0),)), [integer("i")], 2, LIMITS)
    assert values(drive(merger, [[row(1), row(3)], [row(2)]])) == [("1",), ("2",), ("3",)]
