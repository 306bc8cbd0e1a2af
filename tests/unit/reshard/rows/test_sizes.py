"""Steps come to last as long as they should, at whatever speed rows go."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dbmesh.reshard.rows.sizes import StepSize


@given(st.floats(10, 1_000_000))
def test_it_settles_where_a_step_takes_its_time(speed: float) -> None:
    size = StepSize(0.05, 100, 10_000)
    for _ in range(20):
        size.took(size.rows, size.rows / speed)
    wanted = min(max(speed * 0.05, 100), 10_000)
    assert abs(size.rows - wanted) <= 1


def test_it_grows_slowly_and_shrinks_at_once() -> None:
    size = StepSize(1.0, 10, 1_000)
    rows = []
    for seconds in (0.001, 0.001, 0.001, 4.0, 0.0):
        rows.append(size.rows)
        size.took(size.rows, seconds)
    assert rows == [10, 20, 40, 80, 20]


def test_a_short_step_says_nothing_of_longer_ones() -> None:
    size = StepSize(1.0, 10, 1_000)
    size.took(10, 0.1)
    size.took(3, 0.0001)
    size.took(0, 5.0)
    assert size.rows == 20
    size.took(3, 2.0)
    assert size.rows == 10, "but of shorter ones"
