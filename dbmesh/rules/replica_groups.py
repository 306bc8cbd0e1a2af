"""Groups of a primary and its replicas, as values: what `!READWRITE_SPLITTING` says.

Decides their shape and which replica is next. Knows nothing of YAML, of connections or of a replica's health: the candidates
it is handed are those that may be read.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from itertools import accumulate
from typing import Protocol

from dbmesh.rules.ruleset import DataSourceConfig


class TransactionalReads(Enum):
    """Where a transaction reads before it has written to the group; afterwards it reads what it wrote, on the primary."""

    PRIMARY = "PRIMARY"
    FIXED = "FIXED"
    """On one replica, in a transaction of its own there."""
    DYNAMIC = "DYNAMIC"
    """On any replica, each statement for itself."""


class CausalReads(Enum):
    """Which commits a read on a replica must see."""

    NONE = "none"
    SESSION = "session"
    """Those of its own session."""
    GLOBAL = "global"
    """All that were acknowledged before it began, to whomever."""


class Candidate(Protocol):
    """A replica that may be read."""

    @property
    def name(self) -> str: ...
    @property
    def latency(self) -> float:
        """Moving average of its answers' seconds; 0 while nothing is known."""
        ...


class LoadBalancer(Protocol):
    """Chooses among replicas. One belongs to one group of one process."""

    def choose(self, candidates: Sequence[Candidate]) -> int:
        """The index of the next one; there is at least one. O(1), by weight O(candidates)."""
        ...


@dataclass(frozen=True, slots=True)
class LoadBalancerConfig:
    """A load balancer's type (ROUND_ROBIN, RANDOM, WEIGHT, LEAST_LATENCY) and, for WEIGHT, the weight of each replica."""

    type: str = "ROUND_ROBIN"
    weights: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReplicaGroup:
    """One primary and its replicas, which statements know as one data source by the group's name.

    * `causal_timeout`: longest wait for a replica to have caught up, seconds; then the primary is read.
    * `most_lag`: a replica further behind is not read, seconds; 0 asks no replica how far behind it is.
    * `falls_back`: without a replica the primary is read; else such reads fail.
    * `check_interval`: seconds between two looks at each server.
    * `failover_wait`, `failover_waiters`: how long, and how many, statements outside transactions wait for a primary.
    * `retry_share`, `least_retries`: how many reads that a server failed are sent again: this share of all, and so many a second.
    """

    name: str
    primary: DataSourceConfig
    replicas: tuple[DataSourceConfig, ...]
    load_balancer: LoadBalancerConfig = LoadBalancerConfig()
    transactional_reads: TransactionalReads = TransactionalReads.PRIMARY
    causal_reads: CausalReads = CausalReads.SESSION
    causal_timeout: float = 1.0
    most_lag: float = 10.0
    falls_back: bool = True
    check_interval: float = 1.0
    failover_wait: float = 10.0
    failover_waiters: int = 1000
    retry_share: float = 0.2
    least_retries: float = 10.0

    def in_schema(self, name: str) -> ReplicaGroup:
        """The same servers, another schema on them."""
        replicas = tuple(replace(one, database=name) for one in self.replicas)
        return replace(self, primary=replace(self.primary, database=name), replicas=replicas)


class RoundRobin:
    """One after another."""

    def __init__(self) -> None:
        self._next = 0

    def choose(self, candidates: Sequence[Candidate]) -> int:
        """See `LoadBalancer`."""
        self._next += 1
        return self._next % len(candidates)


class Random:
    """Any, all alike. `draw` gives numbers of [0, 1)."""

    def __init__(self, draw: Callable[[], float]) -> None:
        self._draw = draw

    def choose(self, candidates: Sequence[Candidate]) -> int:
        """See `LoadBalancer`."""
        return int(self._draw() * len(candidates))


class Weight:
    """Any, as often as its weight says."""

    def __init__(self, weights: Mapping[str, float], draw: Callable[[], float]) -> None:
        self._weights = weights
        self._draw = draw

    def choose(self, candidates: Sequence[Candidate]) -> int:
        """See `LoadBalancer`. Replicas that are left share what the others had; all of weight 0 are alike."""
        sums = list(accumulate(self._weights[candidate.name] for candidate in candidates))
        if not sums[-1]:
            return int(self._draw() * len(candidates))
        return bisect(sums, self._draw() * sums[-1])


class LeastLatency:
    """The faster of two random ones: it spreads load as the least loaded would, without all following one measurement
    (Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", 2001)."""

    def __init__(self, draw: Callable[[], float]) -> None:
        self._draw = draw

    def choose(self, candidates: Sequence[Candidate]) -> int:
        """See `LoadBalancer`."""
        count = len(candidates)
        if count == 1:
            return 0
        first = int(self._draw() * count)
        second = (first + 1 + int(self._draw() * (count - 1))) % count
        return first if candidates[first].latency <= candidates[second].latency else second


LOAD_BALANCERS = ("ROUND_ROBIN", "RANDOM", "WEIGHT", "LEAST_LATENCY")


def make_load_balancer(config: LoadBalancerConfig, draw: Callable[[], float]) -> LoadBalancer:
    """The load balancer of a configuration. `draw` gives numbers of [0, 1)."""
    if config.type == "RANDOM":
        return Random(draw)
    if config.type == "WEIGHT":
        return Weight(config.weights, draw)
    if config.type == "LEAST_LATENCY":
        return LeastLatency(draw)
    return RoundRobin()
