"""Whatever happens in whatever order: a job goes by its phases, ends once, and never leaves a side that is not written to for one that is read."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbmesh.reshard.jobs.job import (
    ENDED,
    PATHS,
    PAUSABLE,
    WAITING,
    Job,
    Mode,
    NotNow,
    Phase,
    Wish,
    begun,
    decode_job,
    done,
    encode_job,
    failed,
    paused,
    resumed,
    wished,
)

_NEW = begun(Job(7, "shop", "me@here", 5.0, estimates=(("t_order", 12),)))

_BOTH = {Phase.VERIFY, Phase.READY, Phase.CUTOVER, Phase.REVERSE, Phase.ROLLBACK}
"""Every write goes to both sides when these begin, in either mode."""

_BEGINNINGS = {
    Mode.DOUBLE_WRITE: {
        Phase.PREPARE: {Phase.DOUBLE_WRITE, Phase.CANCEL},
        Phase.DOUBLE_WRITE: {Phase.COPY, Phase.CANCEL},
        Phase.COPY: {Phase.VERIFY, Phase.CANCEL},
    },
    Mode.CDC: {
        Phase.PREPARE: {Phase.COPY, Phase.CANCEL},
        Phase.COPY: {Phase.CATCH_UP, Phase.CANCEL},
        Phase.CATCH_UP: {Phase.DOUBLE_WRITE, Phase.CANCEL},
        Phase.DOUBLE_WRITE: {Phase.VERIFY, Phase.CANCEL},
    },
}
_FOLLOWS = {
    Phase.VERIFY: {Phase.READY, Phase.CUTOVER, Phase.CANCEL},
    Phase.READY: {Phase.CUTOVER, Phase.VERIFY, Phase.CANCEL},
    Phase.CUTOVER: {Phase.REVERSE, Phase.READY},
    Phase.REVERSE: {Phase.ROLLBACK, Phase.CLEAN_UP},
    Phase.ROLLBACK: {Phase.READY, Phase.REVERSE},
    Phase.CLEAN_UP: {Phase.FINISHED},
    Phase.CANCEL: {Phase.CANCELLED},
}

_EVENTS = st.one_of(
    st.sampled_from(("done", "failed", "pause", "resume")),
    st.sampled_from(Wish),
)


def _after(job: Job, event: str | Wish, now: float) -> Job:
    """As the runner and operators do: who works tells how it ended."""
    try:
        if isinstance(event, Wish):
            return wished(job, event, now)
        if event == "pause":
            return paused(job)
        if event == "resume":
            return resumed(job)
    except NotNow:
        return job
    if not job.works:
        return job
    return done(job, now) if event == "done" else failed(job, "a server is away", now)


@given(st.lists(_EVENTS, max_size=60), st.booleans(), st.sampled_from(Mode))
def test_any_order_of_events(events: list[str | Wish], automatic: bool, mode: Mode) -> None:
    job = begun(Job(7, "shop", "me@here", 5.0, automatic=automatic, mode=mode))
    follows = _FOLLOWS | _BEGINNINGS[mode]
    reads_new = False
    for now, event in enumerate(events):
        before, job = job, _after(job, event, float(now))
        assert decode_job(encode_job(job)) == job
        if before.phase in ENDED:
            assert job == before
        if len(job.journal) == len(before.journal):
            assert job.phase is before.phase
            continue
        assert job.phase in follows[before.phase]
        assert job.mode is mode
        if before.writes_both and not job.writes_both:
            assert job.phase in {Phase.CANCEL, Phase.CLEAN_UP}
        if before.catches_up and not job.catches_up:
            assert job.phase in {Phase.VERIFY, Phase.CANCEL}
        assert job.journal[-1] == (job.phase.value, float(now))
        if job.phase is Phase.REVERSE:
            reads_new = True
        if job.phase is Phase.READY:
            reads_new = False
        if reads_new:
            assert job.phase in {Phase.REVERSE, Phase.ROLLBACK, Phase.CLEAN_UP, Phase.FINISHED}
        assert job.writes_both or job.phase not in _BOTH
        if before.writes_both and job.phase in ENDED:
            raise AssertionError("both sides were written until the end")
    # Whatever kept it, it can be brought to an end.
    for step in range(10):
        if job.ended:
            break
        wish = Wish.FINISH if job.phase is Phase.REVERSE else Wish.CANCEL
        job = _after(resumed(job), wish, 100.0 + step)
        job = _after(job, "done", 100.0 + step)
    assert job.ended


def test_what_is_asked_for_too_early_or_too_late() -> None:
    for wish, phase in (
        (Wish.CUTOVER, Phase.PREPARE),
        (Wish.ROLLBACK, Phase.PREPARE),
        (Wish.FINISH, Phase.PREPARE),
        (Wish.VERIFY, Phase.PREPARE),
    ):
        with pytest.raises(NotNow, match=f"job 7 is in phase '{phase.value}'; {wish.value} follows"):
            wished(_NEW, wish, 6.0)
    ended = done(wished(_NEW, Wish.CANCEL, 6.0), 7.0)
    assert ended.phase is Phase.CANCELLED
    for change in (paused, resumed):
        with pytest.raises(NotNow, match="cancelled"):
            change(ended)


def test_who_waits_and_who_works() -> None:
    for phase in Phase:
        job = Job(1, "shop", "me", 0.0, phase=phase)
        assert job.works is (phase not in ENDED | WAITING)
        if phase in {Phase.PREPARE, Phase.DOUBLE_WRITE, *PAUSABLE}:
            assert paused(job).works is (phase not in PAUSABLE)
        else:
            with pytest.raises(NotNow, match=phase.value):
                paused(job)
        stopped = Job(1, "shop", "me", 0.0, phase=phase, stopped="why")
        assert not stopped.works
        if not stopped.ended:
            assert resumed(stopped).works is job.works


def test_a_job_that_is_paused_is_given_up_at_once() -> None:
    job = wished(paused(Job(1, "shop", "me", 0.0, phase=Phase.COPY)), Wish.CANCEL, 5.0)
    assert job.works
    assert not job.paused


def test_a_refusal_names_phases_in_their_order() -> None:
    with pytest.raises(
        NotNow, match=r"cancel follows 'prepare' or 'double write' or 'copy' or .* or 'ready'$"
    ):
        wished(Job(1, "shop", "me", 0.0, phase=Phase.REVERSE), Wish.CANCEL, 5.0)


def test_a_switch_that_is_refused_leaves_the_job_as_it_was() -> None:
    job = Job(1, "shop", "me", 0.0, phase=Phase.CUTOVER, automatic=True)
    back = failed(job, "a transaction", 3.0)
    assert (back.phase, back.stopped, back.automatic) == (Phase.READY, "a transaction", False)
    again = wished(back, Wish.CUTOVER, 4.0)
    assert (again.phase, again.stopped) == (Phase.CUTOVER, "")


def test_who_asks_once_more_for_what_did_not_go_on_lets_it_go_on() -> None:
    job = failed(Job(1, "shop", "me", 0.0, phase=Phase.CLEAN_UP), "a server is away", 3.0)
    assert wished(job, Wish.FINISH, 4.0) == Job(1, "shop", "me", 0.0, phase=Phase.CLEAN_UP)
    with pytest.raises(NotNow, match="is in phase 'clean up'"):
        wished(resumed(job), Wish.FINISH, 5.0)


@pytest.mark.parametrize(
    ("mode", "way"),
    [
        (Mode.DOUBLE_WRITE, "prepare, double write*, copy*, verify*, ready*"),
        (Mode.CDC, "prepare~, copy~, catch up~, double write*~, verify*, ready*"),
    ],
)
def test_the_way_to_where_it_waits(mode: Mode, way: str) -> None:
    """*: clients' writes may be on both sides; ~: they are brought over by the binlogs."""
    job = begun(Job(7, "shop", "me@here", 5.0, mode=mode))
    seen = []
    while True:
        seen.append(job.phase.value + "*" * job.writes_both + "~" * job.catches_up)
        if job.phase in WAITING:
            break
        job = done(job, 6.0)
    assert ", ".join(seen) == way
    assert [phase for phase, _ in job.journal] == [phase.value for phase in PATHS[mode]]


def test_a_switch_to_and_fro_catches_up_with_nothing() -> None:
    job = Job(7, "shop", "me@here", 5.0, mode=Mode.CDC, phase=Phase.READY)
    for step in (Wish.CUTOVER, None, Wish.ROLLBACK, None, Wish.VERIFY, None):
        job = done(job, 6.0) if step is None else wished(job, step, 6.0)
        assert job.writes_both
        assert not job.catches_up
    assert job.phase is Phase.READY


def test_a_job_of_a_former_version_is_one_of_double_writes() -> None:
    kept = json.loads(encode_job(_NEW))
    del kept["mode"]
    assert decode_job(json.dumps(kept).encode()) == _NEW
