"""Copying is held up while servers are in trouble and a while after, and goes as fast as it may otherwise."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dbmesh.reshard.rows.throttle import BURST, Limits, Load, Throttle


def test_it_holds_until_the_trouble_is_clearly_over() -> None:
    throttle = Throttle(Limits(lag=10, running=50))
    said = []
    for lag in (10, 11, 9, 6, 5, 9, 10.5):
        throttle.see(Load(lag={"replica_0": lag}, running={"ds_0": 3}))
        said.append(throttle.reason)
    behind = "replica_0 is {} s behind"
    assert said == ["", behind.format(11), behind.format(9), behind.format(6), "", "", behind.format(10.5)]
    throttle.see(Load(lag={"replica_0": 0}, running={"ds_0": 41}))
    assert throttle.reason == "ds_0 runs 41 threads"
    throttle.see(Load(running={"ds_0": 40}))
    assert not throttle.reason
    for seconds, held in ((10.0, False), (10.4, True), (5.1, True), (5.0, False), (9.9, False)):
        throttle.see(Load(backlog={"ds_0": 0.0, "ds_1": seconds}))
        assert throttle.reason == (f"the binlog of ds_1 is brought over {seconds} s late" if held else "")
    throttle.see(Load(stalled={"replica_0": "it does not apply changes"}, running={"ds_1": 51}))
    assert throttle.reason == "replica_0: it does not apply changes; ds_1 runs 51 threads"


def test_other_limits_hold_at_once() -> None:
    throttle = Throttle(Limits(rate=10, lag=5))
    throttle.see(Load(lag={"r": 8}))
    throttle.copied(1000, 100.0)
    assert throttle.reason
    assert throttle.pause(100.0) > 90
    throttle.change(Limits(rate=1000, lag=20))
    assert not throttle.reason, "8 is less than half of 20"
    assert throttle.pause(100.0) == 0
    throttle.change(Limits(lag=0, running=0, backlog=0))
    stalled = {"r": "it does not receive changes"}
    throttle.see(Load(lag={"r": 999}, running={"ds": 999}, stalled=stalled, backlog={"ds": 999}))
    assert not throttle.reason, "nobody looks at it"


@given(
    st.floats(1, 10_000),
    st.lists(st.tuples(st.integers(0, 5_000), st.floats(0, 3)), min_size=1, max_size=30),
)
def test_no_more_rows_than_the_rate_allows(rate: float, steps: list[tuple[int, float]]) -> None:
    """Whoever waits as long as he is told copies at the rate, but for what was saved up."""
    throttle = Throttle(Limits(rate=rate))
    now, rows = 50.0, 0
    for copied, idle in steps:
        now += idle
        throttle.copied(copied, now)
        rows += copied
        now += throttle.pause(now)
        assert rows <= rate * (now - 50.0 + BURST) * 1.000001 + 1e-6
    assert throttle.pause(now) < 1e-6
