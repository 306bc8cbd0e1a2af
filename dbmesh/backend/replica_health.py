"""Whether a replica may be read, as a value that observations change.

Decides when one is taken out and when it comes back: out at the first bad observation, since a read elsewhere costs little
and a stale one is wrong; back only after several good ones in a row and a time that grows with every return that did not last
(exponential backoff with jitter, as in Envoy's outlier detection), so that it never flaps. Clocks and chance are arguments.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

GOOD_IN_A_ROW = 3
"""Good observations before a replica that was taken out comes back."""

SHORTEST_OUT = 2.0
LONGEST_OUT = 60.0
"""Seconds a replica stays out at least: the first time, and however often it has been."""

JITTER = 0.5
"""The part of that time by which replicas that went out together differ."""


@dataclass(frozen=True, slots=True)
class Observation:
    """One look at a server. `problem` is why it could not be asked, '' when it answered.

    * `stalled`: why it does not apply what its source sends, '' while it does or nobody asked.
    * `searches`: it has lost its source and tries to reach it.
    * `follows`: it is somebody's replica: one that runs, or was stopped by an error.
    * `lag`: seconds it is behind, None when it does not say.
    * `read_only`: it refuses writes.
    * `server_id`, `sources`: its number among servers that replicate, and its sources' ones; 0 and none where nobody asked.
    """

    problem: str = ""
    stalled: str = ""
    searches: bool = False
    follows: bool = False
    lag: float | None = None
    read_only: bool = False
    server_id: int = 0
    sources: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Health:
    """What is known of a replica. `reason` is why it is out, '' while it is read; `since` the moment of the last change.

    A replica nothing is known of is out, and comes in with its first good observation.
    """

    readable: bool = False
    reason: str = "not looked at yet"
    good: int = 0
    times_out: int = 0
    back_at: float = 0.0
    since: float = 0.0

    def after(self, observation: Observation, most_lag: float, now: float, draw: float) -> Health:
        """The health after an observation. `most_lag` in seconds, 0 for no limit; `now` is any steady clock, `draw` of [0, 1)."""
        problem = _problem(observation, most_lag if self.readable else most_lag / 2)
        if problem:
            return self._out(problem, now, draw)
        if self.readable:
            # What lasted is forgotten.
            steady = self.times_out and now - self.since > LONGEST_OUT
            return replace(self, times_out=0) if steady else self
        good = self.good + 1
        if self.times_out and (good < GOOD_IN_A_ROW or now < self.back_at):
            return replace(self, good=good)
        return Health(True, "", 0, self.times_out, 0.0, now)

    def _out(self, problem: str, now: float, draw: float) -> Health:
        if not self.readable:
            return replace(self, reason=problem, good=0)
        longest = min(LONGEST_OUT, SHORTEST_OUT * 2**self.times_out)
        back_at = now + longest * (1 - JITTER + JITTER * draw)
        return Health(False, problem, 0, self.times_out + 1, back_at, now)


def _problem(observation: Observation, most_lag: float) -> str:
    if observation.problem or observation.stalled:
        return observation.problem or observation.stalled
    if most_lag and observation.lag is not None and observation.lag > most_lag:
        return f"it is {observation.lag:g} s behind"
    return ""
