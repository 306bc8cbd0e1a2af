from __future__ import annotations

import pytest

from dbmesh.errors import MeshError
from dbmesh.merge.groups import GroupCombiner
from dbmesh.merge.limits import Budget, MergeLimits
from dbmesh.planner.plan import Aggregate
from dbmesh.planner.plan import AggregateFunction as F
from tests.plugins.merging import integer, row, text, values

COLUMNS = [text("g"), integer("n"), text("other")]


def combiner(*aggregates: Aggregate, one_group: bool = False, visible: int = 3) -> GroupCombiner:
    return GroupCombiner(aggregates, COLUMNS, Budget(MergeLimits()), one_group=one_group, visible=visible)


def test_neighbours_with_equal_keys_become_the_first_row_with_new_aggregates() -> None:
    groups = combiner(Aggregate(1, F.SUM))
    rows = [row("a", 1, "first"), row("A", 2, "second"), row("b", 5, None)]
    assert values(groups.feed([b"A", b"A", b"B"], rows)) == [("a", "3", "first")]
    assert values(groups.feed([b"B"], [row("b", 6, "x")])) == []
    assert values(groups.close()) == [("b", "11", None)]


def test_groups_without_aggregates() -> None:
    groups = combiner()
    assert values(groups.feed([1, 1, 2], [row("a", 1, "x"), row("a", 2, "y"), row("b", 3, "z")])) == [
        ("a", "1", "x")
    ]
    assert values(groups.close()) == [("b", "3", "z")]


def test_one_group_takes_every_row() -> None:
    groups = combiner(Aggregate(1, F.COUNT), one_group=True)
    assert groups.feed([], [row("a", 1, "x"), row("b", 2, "y")]) == []
    assert groups.feed([], []) == []
    assert values(groups.close()) == [("a", "3", "x")]


def test_one_group_of_nothing_is_one_row() -> None:
    counted = GroupCombiner(
        [Aggregate(0, F.COUNT), Aggregate(1, F.SUM)],
        [integer("c"), integer("s"), text("h")],
        Budget(MergeLimits()),
        one_group=True,
        visible=2,
    )
    assert values(counted.close()) == [("0", None, None)]


def test_groups_of_nothing_are_no_rows() -> None:
    assert combiner(Aggregate(1, F.COUNT)).close() == []


def test_one_group_of_nothing_beside_a_plain_column_is_refused() -> None:
    with pytest.raises(MeshError, match="not supported"):
        combiner(Aggregate(1, F.COUNT), Aggregate(0, F.ANY), one_group=True).close()
