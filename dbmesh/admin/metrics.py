"""Metrics in Prometheus's text format, made from the mesh's own counts when somebody asks.

Decides names, labels and units (docs/OPERATIONS.md lists them). Counts nothing itself: a scrape costs O(series), a
statement nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.registry import Collector

from dbmesh.admin.table import Operated
from dbmesh.governance.statistics import BOUNDS, Histogram


class Metrics:
    """The page of metrics."""

    def __init__(self, operated: Operated) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_MeshCollector(operated))
        ProcessCollector(registry=self._registry)

    def page(self) -> bytes:
        """The page as it is now. O(series)."""
        return generate_latest(self._registry)


class _MeshCollector(Collector):
    def __init__(self, operated: Operated) -> None:
        self._operated = operated

    def collect(self) -> Iterator[Metric]:
        yield InfoMetricFamily("dbmesh", "The running version.", {"version": self._operated.version})
        yield from self._statements()
        yield from self._sessions()
        yield from self._pools()
        yield from self._plans()
        yield from self._replicas()
        yield from self._protection()
        yield from self._mirrors()
        yield from self._transactions()
        yield from self._merges()

    def _statements(self) -> Iterator[Metric]:
        statistics = self._operated.statistics
        durations = HistogramMetricFamily(
            "dbmesh_statement_duration_seconds",
            "From a statement's arrival to the end of its answer.",
            labels=("database", "verb", "shots", "answer"),
        )
        for kind, histogram in list(statistics.durations.items()):
            durations.add_metric(kind, _buckets(histogram), histogram.total)
        yield durations
        errors = CounterMetricFamily(
            "dbmesh_statement_errors", "Errors that clients were answered with.", labels=("database", "errno")
        )
        for (database, number), count in list(statistics.errors.items()):
            errors.add_metric((database, str(number)), count)
        yield errors

    def _sessions(self) -> Iterator[Metric]:
        sessions = list(self._operated.mesh.sessions.values())
        yield GaugeMetricFamily("dbmesh_client_connections", "Clients that are logged in.", len(sessions))
        yield GaugeMetricFamily(
            "dbmesh_statements_running",
            "Clients whose statement is under way.",
            sum(bool(one.command_text) for one in sessions),
        )
        yield GaugeMetricFamily(
            "dbmesh_transactions_open",
            "Clients inside a transaction.",
            sum(one.transaction.open for one in sessions),
        )
        pinned = GaugeMetricFamily(
            "dbmesh_pinned_connections",
            "Connections that clients keep between transactions.",
            labels=("reason",),
        )
        reasons = Counter(reason.value for one in sessions for _, reason in one.pins.values())
        for reason, count in sorted(reasons.items()):
            pinned.add_metric((reason,), count)
        yield pinned

    def _pools(self) -> Iterator[Metric]:
        labels = ("database", "data_source")
        connections = GaugeMetricFamily(
            "dbmesh_pool_connections", "Connections to a data source.", labels=(*labels, "state")
        )
        limits = GaugeMetricFamily("dbmesh_pool_connections_max", "The most there may be.", labels=labels)
        for database in list(self._operated.mesh.databases.values()):
            for name, pool in database.pools.items():
                idle = pool.idle
                connections.add_metric((database.name, name, "idle"), idle)
                connections.add_metric((database.name, name, "used"), pool.size - idle)
                limits.add_metric((database.name, name), pool.config.max_pool_size)
        yield connections
        yield limits

    def _plans(self) -> Iterator[Metric]:
        looked_up = CounterMetricFamily(
            "dbmesh_plan_lookups", "Statements whose plan was known, or not.", labels=("database", "result")
        )
        for database in list(self._operated.mesh.databases.values()):
            looked_up.add_metric((database.name, "hit"), database.plans.hits)
            looked_up.add_metric((database.name, "miss"), database.plans.misses)
        yield looked_up

    def _replicas(self) -> Iterator[Metric]:
        labels = ("database", "group", "server")
        used = GaugeMetricFamily("dbmesh_replica_used", "Whether a server is asked.", labels=labels)
        lag = GaugeMetricFamily("dbmesh_replica_lag_seconds", "How far a replica is behind.", labels=labels)
        retries = CounterMetricFamily(
            "dbmesh_replica_retries",
            "Reads that a server failed and that were sent again, or were not for want of budget.",
            labels=("database", "group", "result"),
        )
        for database in list(self._operated.mesh.databases.values()):
            for group, replicas in database.replicas.items():
                retries.add_metric((database.name, group, "made"), replicas.retries.made)
                retries.add_metric((database.name, group, "refused"), replicas.retries.refused)
                for server in replicas.servers.values():
                    names = (database.name, group, server.name)
                    primary = server is replicas.primary
                    used.add_metric(names, replicas.has_primary if primary else not server.health.reason)
                    if server.seen.lag is not None:
                        lag.add_metric(names, server.seen.lag)
        yield from (used, lag, retries)

    def _mirrors(self) -> Iterator[Metric]:
        report = self._operated.mirrored
        if report is None:
            return
        labels = ("database", "target")
        mirrored = CounterMetricFamily(
            "dbmesh_mirrored_statements",
            "Statements of a mirror, by what became of them.",
            labels=(*labels, "result"),
        )
        waiting = GaugeMetricFamily("dbmesh_mirror_waiting", "Statements that wait.", labels=labels)
        for pair, tally in report.tallies.items():
            own = [one for key, one in report.counts.items() if key[:2] == pair]
            same = sum(one.same for one in own)
            mirrored.add_metric((*pair, "same"), same)
            mirrored.add_metric((*pair, "different"), sum(one.compared for one in own) - same)
            for result in ("dropped", "failed", "skipped"):
                mirrored.add_metric((*pair, result), getattr(tally, result))
            waiting.add_metric(pair, tally.waiting)
        yield from (mirrored, waiting)

    def _protection(self) -> Iterator[Metric]:
        protector = self._operated.protector
        if protector is None:
            return
        states = GaugeMetricFamily(
            "dbmesh_breaker_state", "1 for the state a circuit breaker is in.", labels=("breaker", "state")
        )
        opened = CounterMetricFamily(
            "dbmesh_breaker_opened", "How often circuit breakers have opened.", labels=("breaker",)
        )
        closed = GaugeMetricFamily(
            "dbmesh_breaker_closed", "Whether a circuit breaker lets all through.", labels=("breaker",)
        )
        stopped = CounterMetricFamily(
            "dbmesh_breaker_refused", "Calls that circuit breakers refused.", labels=("breaker",)
        )
        for status in protector.breakers.statuses():
            states.add_metric((status.name, status.state.value), 1)
            opened.add_metric((status.name,), status.opened)
            closed.add_metric((status.name,), status.permits_all)
            stopped.add_metric((status.name,), status.refused)
        labels = ("limit", "limited")
        running = GaugeMetricFamily("dbmesh_limit_running", "Statements that run.", labels=labels)
        waiting = GaugeMetricFamily("dbmesh_limit_waiting", "Statements that wait.", labels=labels)
        refused = CounterMetricFamily("dbmesh_limit_refused", "Statements that were refused.", labels=labels)
        for key, limiter in protector.limiters():
            running.add_metric((limiter.limit.name, key), limiter.running)
            waiting.add_metric((limiter.limit.name, key), limiter.waiting)
            refused.add_metric((limiter.limit.name, key), limiter.refused)
        yield from (states, opened, closed, stopped, running, waiting, refused)

    def _transactions(self) -> Iterator[Metric]:
        mesh = self._operated.mesh
        durations = SummaryMetricFamily(
            "dbmesh_transaction_duration_seconds",
            "How long transactions were open, and how many have ended.",
            labels=("kind", "end"),
        )
        for ended, spent in list(mesh.transactions.ended.items()):
            durations.add_metric(ended, spent.count, spent.seconds)
        yield durations
        yield GaugeMetricFamily(
            "dbmesh_transactions_in_doubt",
            "Prepared branches that the last look has found.",
            mesh.coordinator.in_doubt,
        )
        recovered = CounterMetricFamily(
            "dbmesh_branches_recovered", "Branches left prepared that were ended.", labels=("end",)
        )
        for end, count in sorted(mesh.coordinator.recovered.items()):
            recovered.add_metric((end,), count)
        yield recovered

    def _merges(self) -> Iterator[Metric]:
        statistics, federated = self._operated.statistics, self._operated.mesh.federated
        rows = CounterMetricFamily(
            "dbmesh_merged_rows",
            "Rows returned that were not just relayed.",
            labels=("database", "answer"),
        )
        for names, count in sorted(statistics.merged_rows.items()):
            rows.add_metric(names, count)
        hits = CounterMetricFamily(
            "dbmesh_merge_limit_hits",
            "Statements that met a limit of merges or federation.",
            labels=("database", "setting"),
        )
        for names, count in sorted(statistics.limit_hits.items()):
            hits.add_metric(names, count)
        yield from (rows, hits)
        yield SummaryMetricFamily(
            "dbmesh_federation_duration_seconds",
            "How long statements used merge nodes, and how many did.",
            federated.runs,
            federated.seconds,
        )
        yield CounterMetricFamily("dbmesh_federation_rows", "Rows loaded on merge nodes.", federated.rows)
        yield CounterMetricFamily("dbmesh_federation_bytes", "Bytes loaded on merge nodes.", federated.size)


def _buckets(histogram: Histogram) -> list[tuple[str, float]]:
    """Prometheus's buckets: how many took at most so long."""
    total = 0
    found: list[tuple[str, float]] = []
    for bound, count in zip((*map(str, BOUNDS), "+Inf"), histogram.counts, strict=True):
        total += count
        found.append((bound, total))
    return found
