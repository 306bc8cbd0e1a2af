"""When a replica is taken out, and when it comes back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dbmesh.backend.replica_health import GOOD_IN_A_ROW, LONGEST_OUT, Health, Observation

GOOD = Observation(lag=0.0)
GONE = Observation("connection refused")


def after(health: Health, *observations: Observation, now: float = 0.0, step: float = 1.0) -> Health:
    for observation in observations:
        health = health.after(observation, 10.0, now, 0.5)
        now += step
    return health


def test_a_replica_comes_in_with_its_first_good_observation() -> None:
    assert not Health().readable
    assert after(Health(), GOOD).readable
    assert not after(Health(), GONE).readable


def test_one_bad_observation_takes_it_out_and_says_why() -> None:
    for bad, reason in (
        (GONE, "connection refused"),
        (Observation(stalled="it does not apply changes"), "it does not apply changes"),
        (Observation(lag=11.0), "it is 11 s behind"),
    ):
        out = after(Health(), GOOD, bad)
        assert (out.readable, out.reason) == (False, reason)


def test_it_comes_back_after_its_time_and_several_good_observations_in_a_row() -> None:
    out = after(Health(), GOOD, GONE)
    assert not after(out, *[GOOD] * (GOOD_IN_A_ROW - 1), now=100).readable
    assert not after(out, GOOD, GOOD, GONE, GOOD, GOOD, now=100).readable
    assert after(out, *[GOOD] * GOOD_IN_A_ROW, now=100).readable
    assert not after(out, *[GOOD] * GOOD_IN_A_ROW, now=1.1, step=0.01).readable, "its time is not over"


def test_to_come_back_it_must_be_nearer_than_to_stay() -> None:
    out = after(Health(), GOOD, Observation(lag=20.0))
    assert not after(out, *[Observation(lag=9.0)] * 10, now=100).readable
    assert after(out, *[Observation(lag=4.0)] * GOOD_IN_A_ROW, now=100).readable
    assert after(Health(), GOOD, Observation(lag=9.0)).readable


def test_without_a_limit_lag_does_not_matter() -> None:
    assert Health().after(Observation(lag=1e6), 0.0, 0.0, 0.5).readable


def test_what_does_not_last_stays_out_longer_each_time_and_what_lasts_is_forgotten() -> None:
    health, now, times = after(Health(), GOOD), 0.0, []
    for _ in range(8):
        health = health.after(GONE, 10.0, now, 1.0)
        times.append(health.back_at - now)
        now = health.back_at
        health = after(health, *[GOOD] * GOOD_IN_A_ROW, now=now)
        assert health.readable
    assert times == sorted(times)
    assert times[-1] == LONGEST_OUT
    assert after(health, GOOD, now=now + LONGEST_OUT + 10).times_out == 0


@given(
    st.lists(
        st.tuples(
            st.sampled_from((GOOD, GONE, Observation(lag=9.0), Observation(lag=50.0))), st.floats(0, 1)
        ),
        max_size=60,
    )
)
def test_it_never_flaps(observations: list[tuple[Observation, float]]) -> None:
    """Between going out and coming back lie several observations, and it is read only after a good one."""
    health, since_out = Health(), GOOD_IN_A_ROW
    for now, (observation, draw) in enumerate(observations):
        before, health = health, health.after(observation, 10.0, float(now), draw)
        since_out += 1
        if before.readable and not health.readable:
            since_out = 0
        if health.readable:
            assert observation in (GOOD, Observation(lag=9.0))
        if health.readable and not before.readable and before.times_out:
            assert since_out >= GOOD_IN_A_ROW
