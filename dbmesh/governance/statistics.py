"""What statements cost: how many of each kind, how long they took, what they returned.

Decides what is counted and under which names, bounded however many different statements there are. Shows nothing:
`admin` does. Durations are seconds of `time.perf_counter`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from dbmesh.planner.plan import Plan
from dbmesh.session.filtering import RunningStatement

BOUNDS: Final = (
    0.0001,
    0.00025,
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
)
"""Upper bounds of a histogram's buckets; what took longer is in one more."""

MOST_DIGESTS: Final = 10_000
"""Different statements counted one by one, each for a logic database and an account."""

OTHER: Final = "other"
"""What statements beyond that are counted as."""

_SHOTS: Final = ("0", "1", "2", "4", "8", "16", "more")


@dataclass(slots=True)
class Histogram:
    """Counts of durations by bucket, and their sum in seconds."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    total: float = 0.0


class Kind(NamedTuple):
    """Statements whose durations are in one histogram. `shots`: at most so many; `answer`: how the shards' answers become one."""

    database: str
    verb: str
    shots: str
    answer: str


class DigestKey(NamedTuple):
    """Statements that are counted as one."""

    database: str
    account: str
    digest: str


@dataclass(slots=True)
class DigestCounts:
    """What ProxySQL's stats_mysql_query_digest tells of a statement. It was first seen so many seconds after 1970, and last at
    this reading of the clock."""

    text: str
    first_seen: float
    last_seen: float = 0.0
    count: int = 0
    errors: int = 0
    seconds: float = 0.0
    least: float = float("inf")
    most: float = 0.0
    rows_affected: int = 0
    rows_sent: int = 0


@dataclass(slots=True)
class _Known:
    """Where statements with a plan are counted; those that are relayed in one histogram, once there was one. The plan is kept,
    so that nothing else gets its id meanwhile."""

    plan: Plan
    counts: DigestCounts
    relayed: Histogram | None = None


class Statistics:
    """A filter that counts. `clock` is `time.perf_counter`, `now` gives seconds since 1970."""

    def __init__(self, clock: Callable[[], float], now: Callable[[], float]) -> None:
        self._clock = clock
        self._now = now
        self._known: dict[tuple[int, str], _Known] = {}
        self.durations: dict[Kind, Histogram] = {}
        self.digests: dict[DigestKey, DigestCounts] = {}
        self.errors: dict[tuple[str, int], int] = {}

    def begin(self, statement: RunningStatement) -> None:
        """See `StatementFilter`: nobody is refused."""

    def end(self, statement: RunningStatement) -> None:
        """See `StatementFilter`. O(1) where the plan was met before."""
        ended = self._clock()
        seconds = ended - statement.begun
        session = statement.session
        known = self._known.get((id(statement.plan), session.account))
        if known is None:
            known = self._meet(statement)
        counts = known.counts
        histogram = known.relayed
        if histogram is None or statement.sent is not None:
            histogram = self._histogram(statement)
            if statement.sent is None:
                known.relayed = histogram
        histogram.counts[bisect_left(BOUNDS, seconds)] += 1
        histogram.total += seconds
        counts.count += 1
        counts.seconds += seconds
        counts.last_seen = ended
        if seconds < counts.least:
            counts.least = seconds
        if seconds > counts.most:
            counts.most = seconds
        if statement.error is not None:
            counts.errors += 1
            key = statement.database.name, statement.error.number
            self.errors[key] = self.errors.get(key, 0) + 1
        elif session.row_count >= 0:
            counts.rows_affected += session.row_count
        else:
            counts.rows_sent += session.found_rows

    def last_seen(self, counts: DigestCounts) -> float:
        """When a statement was seen last, in seconds since 1970."""
        return self._now() - (self._clock() - counts.last_seen)

    def reset(self) -> None:
        """Begin to count statements anew; durations and errors, which only grow, stay."""
        self.digests.clear()
        self._known.clear()

    def _meet(self, statement: RunningStatement) -> _Known:
        if len(self._known) >= MOST_DIGESTS:
            self._known.clear()
        account = statement.session.account
        known = _Known(statement.plan, self._counts(statement, account))
        self._known[id(statement.plan), account] = known
        return known

    def _histogram(self, statement: RunningStatement) -> Histogram:
        shots = _at_most(statement.shots)
        kind = Kind(statement.database.name, statement.verb.value, shots, statement.answer)
        return self.durations.setdefault(kind, Histogram())

    def _counts(self, statement: RunningStatement, account: str) -> DigestCounts:
        digest = statement.digest
        key, text = DigestKey(statement.database.name, account, digest.name), digest.text
        if key not in self.digests and len(self.digests) >= MOST_DIGESTS:
            key, text = DigestKey("", "", OTHER), ""
        return self.digests.setdefault(key, DigestCounts(text, self._now()))


def _at_most(shots: int) -> str:
    if shots <= 2:
        return _SHOTS[shots]
    return _SHOTS[min((shots - 1).bit_length() + 1, len(_SHOTS) - 1)]
