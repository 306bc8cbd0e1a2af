"""What statements cost: how many of each kind, how long they took, what they returned.

Decides what is counted and under which names, bounded however many different statements there are. Shows nothing:
`admin` does. Durations are seconds of `time.perf_counter`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

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
    """Counts of durations by bucket."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    total: float = 0.0

    def observe(self, seconds: float) -> None:
        """One more. O(log buckets)."""
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds


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
    """What ProxySQL's stats_mysql_query_digest tells of a statement. Moments are seconds since 1970."""

    text: str
    first_seen: float
    last_seen: float
    count: int = 0
    errors: int = 0
    seconds: float = 0.0
    least: float = float("inf")
    most: float = 0.0
    rows_affected: int = 0
    rows_sent: int = 0


class Statistics:
    """A filter that counts. `clock` is `time.perf_counter`, `now` gives seconds since 1970."""

    def __init__(self, clock: Callable[[], float], now: Callable[[], float]) -> None:
        self._clock = clock
        self._now = now
        self.durations: dict[Kind, Histogram] = {}
        self.digests: dict[DigestKey, DigestCounts] = {}
        self.errors: dict[tuple[str, int], int] = {}

    def begin(self, statement: RunningStatement) -> None:
        """See `StatementFilter`: nobody is refused."""

    def end(self, statement: RunningStatement) -> None:
        """See `StatementFilter`."""
        seconds = self._clock() - statement.begun
        database = statement.database.name
        # A plain tuple finds what a Kind is the key of, and is made in half the time.
        kind = (database, statement.verb.value, _at_most(statement.shots), statement.answer)
        histogram = self.durations.get(kind)  # type: ignore[call-overload]
        if histogram is None:
            histogram = self.durations[Kind(*kind)] = Histogram()
        histogram.observe(seconds)
        counts = self._counts(statement, database)
        counts.count += 1
        counts.last_seen = self._now()
        counts.seconds += seconds
        if seconds < counts.least:
            counts.least = seconds
        if seconds > counts.most:
            counts.most = seconds
        error = statement.error
        if error is not None:
            counts.errors += 1
            key = database, error.number
            self.errors[key] = self.errors.get(key, 0) + 1
        elif statement.session.row_count >= 0:
            counts.rows_affected += statement.session.row_count
        else:
            counts.rows_sent += statement.session.found_rows

    def reset(self) -> None:
        """Begin to count statements anew; durations and errors, which only grow, stay."""
        self.digests.clear()

    def _counts(self, statement: RunningStatement, database: str) -> DigestCounts:
        digest = statement.digest
        key = (database, statement.session.account, digest.name)
        found: DigestCounts | None = self.digests.get(key)  # type: ignore[call-overload]
        if found is not None:
            return found
        new, text = DigestKey(*key), digest.text
        if len(self.digests) >= MOST_DIGESTS:
            new, text = DigestKey("", "", OTHER), ""
        now = self._now()
        return self.digests.setdefault(new, DigestCounts(text, now, now))


def _at_most(shots: int) -> str:
    if shots <= 2:
        return _SHOTS[shots]
    return _SHOTS[min((shots - 1).bit_length() + 1, len(_SHOTS) - 1)]
