"""What statements cost: how many of each kind, how long they took, what they returned.

Decides what is counted and under which names, bounded however many different statements there are. Shows nothing:
`admin` does. Durations are seconds of `time.perf_counter`.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Final, NamedTuple

from dbmesh.errors import MERGE_LIMIT, MeshError
from dbmesh.planner.plan import Plan
from dbmesh.session.filtering import RunningStatement, Seen
from dbmesh.session.session import Session

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

_MOST_UNCOUNTED: Final = 100
"""Durations of one plan that wait to be counted: far more would not stay in the processor's cache."""

_SHOTS: Final = ("0", "1", "2", "4", "8", "16", "more")


@dataclass(slots=True)
class Histogram:
    """Counts of durations by bucket, and their sum in seconds."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    total: float = 0.0

    def add_one(self, seconds: float) -> None:
        """One more."""
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds

    def add(self, durations: Sequence[float]) -> None:
        """These too; they are sorted."""
        below = 0
        for bucket, bound in enumerate(BOUNDS):
            upto = bisect_right(durations, bound)
            self.counts[bucket] += upto - below
            below = upto
        self.counts[-1] += len(durations) - below
        self.total += sum(durations)


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

    def add_one(self, seconds: float) -> None:
        """A statement that took so long."""
        self.count += 1
        self.seconds += seconds
        if seconds < self.least:
            self.least = seconds
        if seconds > self.most:
            self.most = seconds

    def add(self, durations: Sequence[float]) -> None:
        """Statements that took so long; they are sorted."""
        self.count += len(durations)
        self.seconds += sum(durations)
        self.least = min(self.least, durations[0])
        self.most = max(self.most, durations[-1])


@dataclass(slots=True)
class _Known:
    """Where statements with a plan are counted that ended as planned, and the seconds that those took that are not counted yet. The
    plan is kept, so that nothing else gets its id meanwhile."""

    plan: Plan
    counts: DigestCounts
    histogram: Histogram
    uncounted: list[float] = field(default_factory=list)

    def count(self) -> None:
        """Count what took so long. O(n log n) for n of them, and far less than each of them by itself."""
        taken = self.uncounted
        if taken:
            taken.sort()
            self.counts.add(taken)
            self.histogram.add(taken)
            taken.clear()


class Statistics:
    """A `StatementCounter`. `merged_rows` are rows returned that were not just relayed, by logic database and answer, `limit_hits`
    statements that met a limit of merges, by logic database and property. `clock` is `time.perf_counter`, `now` gives seconds since 1970."""

    least = inf

    def __init__(self, clock: Callable[[], float], now: Callable[[], float]) -> None:
        self._clock = clock
        self._now = now
        self._known: list[_Known] = []
        # The same by account and by the plan's id.
        self._found: dict[str, dict[int, _Known]] = {}
        self._durations: dict[Kind, Histogram] = {}
        self._digests: dict[DigestKey, DigestCounts] = {}
        self.errors: dict[tuple[str, int], int] = {}
        self.merged_rows: Counter[tuple[str, str]] = Counter()
        self.limit_hits: Counter[tuple[str, str]] = Counter()

    @property
    def durations(self) -> Mapping[Kind, Histogram]:
        """Histograms of all that was counted. O(plans)."""
        self._count()
        return self._durations

    @property
    def digests(self) -> Mapping[DigestKey, DigestCounts]:
        """Counts of statements. O(plans)."""
        self._count()
        return self._digests

    def ended_as_planned(self, session: Session, seen: Seen) -> float:
        """See `StatementCounter`. O(1) where the plan was met before."""
        clock = self._clock
        ended = clock()
        seconds = ended - session.arrived
        try:
            known = self._found[session.account][id(seen[1])]
        except KeyError:
            known = self._meet(RunningStatement(session, *seen))
        counts = known.counts
        counts.last_seen = ended
        taken = known.uncounted
        taken.append(seconds)
        if len(taken) == _MOST_UNCOUNTED:
            known.count()
        rows = session.row_count
        if rows < 0:
            counts.rows_sent += session.found_rows
        else:
            counts.rows_affected += rows
        return seconds

    def ended(self, statement: RunningStatement) -> None:
        """See `StatementCounter`. O(1) where the plan was met before."""
        session = statement.session
        ended = self._clock()
        counts = self._counts(statement, session.account)
        seconds = ended - statement.begun
        counts.add_one(seconds)
        counts.last_seen = ended
        self._histogram(statement).add_one(seconds)
        if statement.error is not None:
            counts.errors += 1
            cause = statement.cause
            if isinstance(cause, MeshError) and cause.kind is MERGE_LIMIT:
                self.limit_hits[statement.database.name, str(cause.values["setting"])] += 1
            key = statement.database.name, statement.error.number
            self.errors[key] = self.errors.get(key, 0) + 1
        elif session.row_count >= 0:
            counts.rows_affected += session.row_count
        else:
            counts.rows_sent += session.found_rows
            if statement.sent is not None:
                self.merged_rows[statement.database.name, statement.answer] += session.found_rows

    def last_seen(self, counts: DigestCounts) -> float:
        """When a statement was seen last, in seconds since 1970."""
        return self._now() - (self._clock() - counts.last_seen)

    def reset(self) -> None:
        """Begin to count statements anew; durations and errors, which only grow, stay."""
        self._count()
        self._digests.clear()
        self._forget()

    def _count(self) -> None:
        for known in self._known:
            known.count()

    def _forget(self) -> None:
        self._known.clear()
        self._found.clear()

    def _meet(self, statement: RunningStatement) -> _Known:
        if len(self._known) >= MOST_DIGESTS:
            self._count()
            self._forget()
        account = statement.session.account
        known = _Known(statement.plan, self._counts(statement, account), self._histogram(statement))
        self._known.append(known)
        self._found.setdefault(account, {})[id(statement.plan)] = known
        return known

    def _histogram(self, statement: RunningStatement) -> Histogram:
        shots = _at_most(statement.shots)
        kind = Kind(statement.database.name, statement.verb.value, shots, statement.answer)
        found = self._durations.get(kind)
        if found is None:
            found = self._durations[kind] = Histogram()
        return found

    def _counts(self, statement: RunningStatement, account: str) -> DigestCounts:
        digest = statement.digest
        key, text = DigestKey(statement.database.name, account, digest.name), digest.text
        if key not in self._digests and len(self._digests) >= MOST_DIGESTS:
            key, text = DigestKey("", "", OTHER), ""
        found = self._digests.get(key)
        if found is None:
            found = self._digests[key] = DigestCounts(text, self._now())
        return found


def _at_most(shots: int) -> str:
    if shots <= 2:
        return _SHOTS[shots]
    return _SHOTS[min((shots - 1).bit_length() + 1, len(_SHOTS) - 1)]
