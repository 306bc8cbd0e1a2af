"""How many retries there are, whatever the reads: never more than the window's share and the few there always may be."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dbmesh.backend.retry_budget import WINDOW, RetryBudget

STEPS = st.lists(
    st.tuples(
        st.floats(0, 4, allow_nan=False),
        st.integers(0, 200),
        st.integers(0, 60),
    ),
    max_size=60,
)


@given(STEPS, st.floats(0, 1), st.floats(0, 5))
def test_retries_never_exceed_the_share_of_the_windows_reads(
    steps: list[tuple[float, int, int]], share: float, least: float
) -> None:
    budget = RetryBudget(share, least)
    now = 0.0
    reads: list[tuple[float, int]] = []
    made: list[float] = []
    asked = 0
    for seconds, read, tries in steps:
        now += seconds
        budget.pass_time(now)
        budget.reads += read
        reads.append((now, read))
        for _ in range(tries):
            asked += 1
            if budget.take(now):
                made.append(now)
        if not made or made[-1] < now:
            # Reads that allowed an earlier retry may have left the window before it does.
            continue
        # Retries leave the window with the slot they were made in, a tenth of it too early at most.
        retries = sum(moment > now - WINDOW * 0.9 for moment in made)
        allowed = share * sum(count for moment, count in reads if moment >= now - WINDOW) + least * WINDOW
        assert retries <= allowed + 1e-6
    assert (budget.made, budget.made + budget.refused) == (len(made), asked)


@given(st.integers(1, 20))
def test_a_group_that_is_hardly_read_has_a_few_each_second(seconds: int) -> None:
    budget = RetryBudget(0.0, 2.0)
    made = sum(budget.take(float(second)) for second in range(seconds) for _ in range(100))
    assert made >= min(20, 2 * seconds)
    assert made <= 20 + 2 * seconds + 2


def test_what_is_older_than_the_window_counts_no_more() -> None:
    budget = RetryBudget(0.5, 0.0)
    assert not budget.take(0.0)
    budget.reads = 4
    assert [budget.take(1.0) for _ in range(3)] == [True, True, False]
    assert not budget.take(WINDOW + 2.5)
    budget.reads += 2
    assert [budget.take(WINDOW + 3.0) for _ in range(2)] == [True, False]
