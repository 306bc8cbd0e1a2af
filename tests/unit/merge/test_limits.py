from __future__ import annotations

import pytest

from dbmesh.errors import MERGE_LIMIT, MeshError
from dbmesh.merge.limits import Budget, MergeLimits


def test_budget_allows_exactly_its_limits() -> None:
    Budget(MergeLimits(max_rows=2, max_bytes=10)).take(2, 10)


@pytest.mark.parametrize(("rows", "size", "setting"), [(3, 1, "merge-max-rows"), (1, 11, "merge-max-bytes")])
def test_budget_names_the_limit_that_is_passed(rows: int, size: int, setting: str) -> None:
    with pytest.raises(MeshError, match=setting) as caught:
        Budget(MergeLimits(max_rows=2, max_bytes=10)).take(rows, size)
    assert caught.value.kind is MERGE_LIMIT


def test_budget_given_back_can_be_taken_again() -> None:
    budget = Budget(MergeLimits(max_rows=2, max_bytes=10))
    for _ in range(5):
        budget.take(2, 10)
        budget.give_back(2, 10)
