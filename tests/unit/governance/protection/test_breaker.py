"""When a circuit breaker opens, refuses, probes and closes."""

from __future__ import annotations

import math
from collections import deque

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from dbmesh.governance.protection.breaker import FORCED, CircuitBreaker, State
from dbmesh.governance.protection.windows import BUCKETS, CallWindow, TimeWindow, Totals
from dbmesh.rules.protection.values import BreakerPolicy

POLICY = BreakerPolicy(
    window_calls=10, minimum_calls=4, open_seconds=5.0, longest_open_seconds=20.0, jitter=0.0, probes=2
)


def breaker(policy: BreakerPolicy = POLICY, draw: float = 0.0) -> CircuitBreaker:
    return CircuitBreaker("shop.ds_0", policy, 0.0, lambda: draw)


def calls(one: CircuitBreaker, now: float, *failed: bool, seconds: float = 0.0) -> list[bool]:
    """Make calls at `now`; which of them were permitted."""
    permitted = []
    for outcome in failed:
        permitted.append(one.permits(now))
        if permitted[-1]:
            one.ended(now, now + seconds, outcome)
    return permitted


def test_too_few_calls_decide_nothing_and_enough_of_them_open_it() -> None:
    one = breaker()
    calls(one, 1.0, True, True, True)
    assert one.state is State.CLOSED
    calls(one, 1.0, False)
    assert one.state is State.CLOSED, "a call that ends well opens nothing"
    calls(one, 1.0, True)
    assert one.state is State.OPEN
    assert not one.permits(5.9)
    assert one.seconds_left(5.9) == pytest.approx(0.1)
    assert one.status(5.9).totals == Totals(5, 4, 0)


def test_slow_calls_open_it_and_fast_ones_do_not() -> None:
    policy = BreakerPolicy(window_calls=4, minimum_calls=4, slow_seconds=1.0, slow_percent=50.0)
    one = breaker(policy)
    calls(one, 1.0, *[False] * 10, seconds=0.9)
    assert one.state is State.CLOSED
    calls(one, 10.0, False, False, seconds=1.0)
    assert one.state is State.OPEN


def test_probes_close_it_or_open_it_for_twice_as_long_up_to_a_limit() -> None:
    one = breaker()
    calls(one, 0.0, *[True] * 4)
    now, waits = 0.0, []
    for _ in range(4):
        left = one.seconds_left(now)
        assert left is not None
        waits.append(left)
        now += left
        assert calls(one, now, True) == [True], "one of two failed: that is half of them"
        assert one.state is State.OPEN
    assert waits == [5.0, 10.0, 20.0, 20.0]
    now += 20.0
    assert calls(one, now, False, False) == [True, True]
    assert one.state is State.CLOSED
    calls(one, now + 1, *[True] * 4)
    assert one.seconds_left(now + 1) == 20.0, "it did not last"
    now += 21.0
    calls(one, now, False, False)
    calls(one, now + 20.1, *[True] * 4)
    assert one.seconds_left(now + 20.1) == 5.0, "what lasted is forgotten"


def test_half_open_lets_no_more_through_than_its_probes_and_gives_up_those_nobody_told_of() -> None:
    one = breaker()
    calls(one, 0.0, *[True] * 4)
    assert [one.permits(5.0) for _ in range(3)] == [True, True, False]
    assert not one.permits(10.0)
    assert one.permits(10.1), "their callers went away"
    assert one.state is State.HALF_OPEN


def test_what_began_before_the_present_state_says_nothing_about_it() -> None:
    one = breaker()
    calls(one, 1.0, *[True] * 4)
    assert one.permits(6.0)
    for _ in range(2):
        one.ended(0.5, 6.1, failed=True)
    assert one.state is State.HALF_OPEN
    one.ended(6.0, 6.1, failed=False)
    assert one.permits(6.1)
    one.ended(6.1, 6.2, failed=False)
    assert one.state is State.CLOSED
    one.ended(6.0, 7.0, failed=True)
    assert one.status(7.0).totals == Totals()


def test_jitter_only_shortens_the_time() -> None:
    policy = BreakerPolicy(window_calls=1, minimum_calls=1, open_seconds=10.0, jitter=0.5)
    for draw, seconds in ((0.0, 10.0), (0.5, 7.5), (0.999, 5.005)):
        one = breaker(policy, draw)
        calls(one, 0.0, True)
        assert one.seconds_left(0.0) == pytest.approx(seconds)


def test_forced_states_hold_whatever_happens_until_they_are_reset() -> None:
    one = breaker()
    for state, permitted, counted in (
        (State.FORCED_OPEN, False, 0),
        (State.DISABLED, True, 0),
        (State.METRICS_ONLY, True, 10),
    ):
        one.force(state, 1.0)
        assert calls(one, 2.0, *[True] * 12) == [permitted] * 12
        assert one.state is state
        assert one.seconds_left(2.0) is None
        assert one.status(2.0).totals.calls == counted
    one.reset(3.0)
    assert one.state is State.CLOSED
    assert one.status(3.0).totals == Totals()
    with pytest.raises(ValueError, match="open"):
        one.force(State.OPEN, 3.0)


def test_one_that_is_not_enforced_only_counts() -> None:
    one = breaker(BreakerPolicy(window_calls=4, minimum_calls=1, enforced=False))
    assert all(calls(one, 0.0, *[True] * 10))
    one.force(State.FORCED_OPEN, 1.0)
    one.reset(2.0)
    assert one.state is State.METRICS_ONLY


class TimeWindowMachine(RuleBasedStateMachine):
    """A window of seconds tells the calls of its time, to a tenth of it."""

    @initialize(seconds=st.floats(0.5, 100.0))
    def begin(self, seconds: float) -> None:
        self.seconds, self.now = seconds, 1000.0
        self.window = TimeWindow(seconds)
        self.all: list[tuple[float, bool, bool]] = []

    @rule(step=st.floats(0.0, 3.0))
    def wait(self, step: float) -> None:
        self.now += step * self.seconds / 3

    @rule(failed=st.booleans(), slow=st.booleans())
    def add(self, failed: bool, slow: bool) -> None:
        self.window.add(self.now, failed, slow)
        self.all.append((self.now, failed, slow))

    @invariant()
    def tells_the_last_seconds(self) -> None:
        told = self.window.totals(self.now)
        slack = 1e-6 * self.seconds
        certain = [call for call in self.all if self.now - call[0] < self.seconds * (1 - 1 / BUCKETS) - slack]
        possible = [call for call in self.all if self.now - call[0] <= self.seconds + slack]
        for at, count in enumerate(told[1:], 1):
            assert sum(call[at] for call in certain) <= count <= sum(call[at] for call in possible)
        assert len(certain) <= told.calls <= len(possible)


class CallWindowMachine(RuleBasedStateMachine):
    """A window of calls tells the last of them exactly."""

    @initialize(size=st.integers(1, 20))
    def begin(self, size: int) -> None:
        self.window = CallWindow(size)
        self.last: deque[tuple[bool, bool]] = deque(maxlen=size)

    @rule(failed=st.booleans(), slow=st.booleans())
    def add(self, failed: bool, slow: bool) -> None:
        self.window.add(0.0, failed, slow)
        self.last.append((failed, slow))

    @invariant()
    def tells_the_last_calls(self) -> None:
        expected = Totals(len(self.last), sum(f for f, _ in self.last), sum(s for _, s in self.last))
        assert self.window.totals(0.0) == expected


class BreakerMachine(RuleBasedStateMachine):
    """Whatever happens: it never opens without enough bad calls, never refuses longer than it may, never lets more than its
    probes through at a time, and healthy calls close it again."""

    @initialize(
        window=st.integers(0, 20),
        minimum=st.integers(1, 5),
        percent=st.floats(1, 100),
        slow=st.sampled_from([0.0, 0.5]),
        probes=st.integers(1, 4),
        jitter=st.floats(0, 1),
        draw=st.floats(0, 0.999),
    )
    def begin(
        self, window: int, minimum: int, percent: float, slow: float, probes: int, jitter: float, draw: float
    ) -> None:
        self.policy = BreakerPolicy(
            window_calls=window and max(window, minimum),
            minimum_calls=minimum,
            failure_percent=percent,
            slow_seconds=slow,
            slow_percent=percent,
            open_seconds=2.0,
            longest_open_seconds=16.0,
            jitter=jitter,
            probes=probes,
        )
        self.now = 100.0
        self.breaker = CircuitBreaker("one", self.policy, self.now, lambda: draw)
        self.running: list[float] = []
        self.bad_since_closed = self.ended_since_closed = 0
        self.refusing_since: float | None = None

    @rule(step=st.floats(0.0, 5.0))
    def wait(self, step: float) -> None:
        self.now += step

    @rule()
    def call(self) -> None:
        before = self.breaker.state
        if self.breaker.permits(self.now):
            self.running.append(self.now)
            self.refusing_since = None
            return
        assert before is not State.CLOSED
        assert before not in (State.DISABLED, State.METRICS_ONLY)
        if self.breaker.state is State.FORCED_OPEN:
            return
        if self.refusing_since is None:
            self.refusing_since = self.now
        assert self.now - self.refusing_since <= self.policy.longest_open_seconds + 1e-6
        left = self.breaker.seconds_left(self.now)
        assert left is not None
        assert 0.0 <= left <= self.policy.longest_open_seconds

    @precondition(lambda self: self.running)
    @rule(failed=st.booleans(), data=st.data())
    def end(self, failed: bool, data: st.DataObject) -> None:
        began = self.running.pop(data.draw(st.integers(0, len(self.running) - 1)))
        before = self.breaker.state
        self.breaker.ended(began, self.now, failed)
        slow = 0 < self.policy.slow_seconds <= self.now - began
        if before is State.CLOSED:
            self.ended_since_closed += 1
            self.bad_since_closed += failed or slow
            if self.breaker.state is State.OPEN:
                assert failed or slow
                assert self.ended_since_closed >= self.policy.minimum_calls
        if self.breaker.state is not State.CLOSED or before is not State.CLOSED:
            self.ended_since_closed = self.bad_since_closed = 0

    @rule(state=st.sampled_from(sorted(FORCED)))
    def force(self, state: State) -> None:
        self.breaker.force(state, self.now)
        self.refusing_since = None
        assert self.breaker.state is state

    @rule()
    def reset(self) -> None:
        self.breaker.reset(self.now)
        self.refusing_since = None
        self.ended_since_closed = self.bad_since_closed = 0
        assert self.breaker.permits(self.now)

    @precondition(lambda self: self.breaker.state in (State.OPEN, State.HALF_OPEN))
    @rule()
    def recover(self) -> None:
        """Nothing fails any more: it closes within its time and the time of its probes."""
        self.now += self.policy.longest_open_seconds + self.policy.open_seconds + 0.01
        self.running.clear()
        # A probe that had ended before closes it sooner: what ends then is counted already.
        ended_since_closed = 0
        for _ in range(self.policy.probes):
            assert self.breaker.permits(self.now)
            ended_since_closed += self.breaker.state is State.CLOSED
            self.breaker.ended(self.now, self.now, failed=False)
        assert self.breaker.state is State.CLOSED
        self.refusing_since = None
        self.ended_since_closed, self.bad_since_closed = ended_since_closed, 0

    @precondition(lambda self: self.breaker.state in (State.OPEN, State.HALF_OPEN))
    @rule()
    def probe(self) -> None:
        """No more than its probes at one moment."""
        self.now += math.nextafter(self.policy.longest_open_seconds, math.inf)
        permitted = [self.breaker.permits(self.now) for _ in range(self.policy.probes + 3)]
        assert sum(permitted) <= self.policy.probes
        self.running += [self.now] * sum(permitted)
        self.refusing_since = None


FEW = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestTimeWindow = TimeWindowMachine.TestCase
TestTimeWindow.settings = FEW
TestCallWindow = CallWindowMachine.TestCase
TestCallWindow.settings = FEW
TestBreaker = BreakerMachine.TestCase
TestBreaker.settings = FEW
