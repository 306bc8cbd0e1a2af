"""What a running mesh tells of itself: one class per table, the same over HTTP, MySQL's protocol and the command line.

Decides columns and rows. Names and units are those of ProxySQL's `stats` schema where it has such a table: times are
microseconds, moments seconds since 1970. Changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from dbmesh.admin.mirror_tables import MirroredStatements, MirrorExamples, Mirrors
from dbmesh.admin.table import MICROSECONDS, Operated, Table, Value
from dbmesh.session.statement_log import shown_text
from dbmesh.session.statements.overviews import role_and_state, what_it_holds


class Statements(Table):
    """Statements by digest, account and logic database."""

    name = "statements"
    sql_name = "stats_mysql_query_digest"
    title = "What statements cost, by digest"
    columns = (
        ("schemaname", "TEXT"),
        ("username", "TEXT"),
        ("digest", "TEXT"),
        ("digest_text", "TEXT"),
        ("count_star", "BIGINT"),
        ("count_errors", "BIGINT"),
        ("first_seen", "BIGINT"),
        ("last_seen", "BIGINT"),
        ("sum_time", "BIGINT"),
        ("min_time", "BIGINT"),
        ("max_time", "BIGINT"),
        ("sum_rows_affected", "BIGINT"),
        ("sum_rows_sent", "BIGINT"),
    )

    def rows(self, operated: Operated) -> Iterator[tuple[Value, ...]]:
        """See `Table`."""
        for key, counts in list(operated.statistics.digests.items()):
            yield (
                key.database,
                key.account,
                key.digest,
                counts.text,
                counts.count,
                counts.errors,
                int(counts.first_seen),
                int(operated.statistics.last_seen(counts)),
                round(counts.seconds * MICROSECONDS),
                round(counts.least * MICROSECONDS) if counts.count else 0,
                round(counts.most * MICROSECONDS),
                counts.rows_affected,
                counts.rows_sent,
            )


class Sessions(Table):
    """The clients of this sidecar and what each holds."""

    name = "sessions"
    sql_name = "stats_mysql_processlist"
    title = "Clients, what they run and what they hold"
    columns = (
        ("SessionID", "BIGINT"),
        ("user", "TEXT"),
        ("db", "TEXT"),
        ("cli_host", "TEXT"),
        ("command", "TEXT"),
        ("time_ms", "BIGINT"),
        ("info", "TEXT"),
        ("pins", "TEXT"),
    )

    def rows(self, operated: Operated) -> Iterator[tuple[Value, ...]]:
        """See `Table`."""
        now = operated.clock()
        for session in sorted(operated.mesh.sessions.values(), key=lambda one: one.connection_id):
            text = shown_text(session)
            yield (
                session.connection_id,
                session.user_name,
                session.database,
                session.host,
                "Query" if text else "Sleep",
                round((now - session.command_since) * 1000),
                text or None,
                what_it_holds(session),
            )


class Connections(Table):
    """The pools of the data sources."""

    name = "connections"
    sql_name = "stats_mysql_connection_pool"
    title = "Connections to data sources"
    columns = (
        ("schemaname", "TEXT"),
        ("data_source", "TEXT"),
        ("srv_host", "TEXT"),
        ("srv_port", "BIGINT"),
        ("ConnUsed", "BIGINT"),
        ("ConnFree", "BIGINT"),
        ("ConnMax", "BIGINT"),
    )

    def rows(self, operated: Operated) -> Iterator[tuple[Value, ...]]:
        """See `Table`."""
        for database in list(operated.mesh.databases.values()):
            for name, pool in database.pools.items():
                config, idle = pool.config, pool.idle
                used = pool.size - idle
                yield (database.name, name, config.host, config.port, used, idle, config.max_pool_size)


class Errors(Table):
    """Errors that clients were answered with."""

    name = "errors"
    sql_name = "stats_mysql_errors"
    title = "Errors that clients got"
    columns = (("schemaname", "TEXT"), ("errno", "BIGINT"), ("count_star", "BIGINT"))

    def rows(self, operated: Operated) -> Iterator[tuple[Value, ...]]:
        """See `Table`."""
        for (database, number), count in sorted(operated.statistics.errors.items()):
            yield database, number, count


class Plans(Table):
    """The plan caches."""

    name = "plans"
    sql_name = "stats_dbmesh_plan_cache"
    title = "How often a statement's plan was known"
    columns = (("schemaname", "TEXT"), ("hits", "BIGINT"), ("misses", "BIGINT"))

    def rows(self, operated: Operated) -> Iterator[tuple[Value, ...]]:
        """See `Table`."""
        for database in list(operated.mesh.databases.values()):
            yield database.name, database.plans.hits, database.plans.misses


class ReplicaServers(Table):
    """The servers of replica groups."""

    name = "replicas"
    sql_name = "stats_dbmesh_replicas"
    title = "Servers of replica groups and whether they are used"
    columns = (
        ("schemaname", "TEXT"),
        ("replica_group", "TEXT"),
        ("server", "TEXT"),
        ("role", "TEXT"),
        ("status", "TEXT"),
        ("lag_ms", "BIGINT"),
        ("latency_us", "BIGINT"),
        ("reads", "BIGINT"),
    )

    def rows(self, operated: Operated) -> Iterator[tuple[Value, ...]]:
        """See `Table`."""
        for database in list(operated.mesh.databases.values()):
            for group, replicas in database.replicas.items():
                for server in replicas.servers.values():
                    lag = server.seen.lag
                    yield (
                        database.name,
                        group,
                        server.name,
                        *role_and_state(replicas, server),
                        None if lag is None else round(lag * 1000),
                        round(server.latency * MICROSECONDS),
                        server.reads,
                    )


class CircuitBreakers(Table):
    """The circuit breakers of data sources and fingerprints."""

    name = "breakers"
    sql_name = "stats_dbmesh_breakers"
    title = "Circuit breakers and what they have counted"
    columns = (
        ("breaker", "TEXT"),
        ("state", "TEXT"),
        ("calls", "BIGINT"),
        ("failed", "BIGINT"),
        ("slow", "BIGINT"),
        ("closes_in_ms", "BIGINT"),
        ("refused", "BIGINT"),
        ("opened", "BIGINT"),
    )

    def rows(self, operated: Operated) -> Iterator[tuple[Value, ...]]:
        """See `Table`."""
        protector = operated.protector
        for status in () if protector is None else protector.breakers.statuses():
            left = status.seconds
            yield (
                status.name,
                status.state.value,
                *status.totals,
                None if left is None else round(left * 1000),
                status.refused,
                status.opened,
            )


class LimitsInUse(Table):
    """The limits that statements have met."""

    name = "limits"
    sql_name = "stats_dbmesh_limits"
    title = "Limits, who runs and waits under them"
    columns = (
        ("limit_name", "TEXT"),
        ("limited", "TEXT"),
        ("running", "BIGINT"),
        ("waiting", "BIGINT"),
        ("concurrency", "BIGINT"),
        ("rate", "DOUBLE"),
        ("refused", "BIGINT"),
    )

    def rows(self, operated: Operated) -> Iterator[tuple[Value, ...]]:
        """See `Table`."""
        protector = operated.protector
        for key, limiter in () if protector is None else protector.limiters():
            limit = limiter.limit
            yield (
                limit.name,
                key,
                limiter.running,
                limiter.waiting,
                limiter.concurrency,
                limit.rate,
                limiter.refused,
            )


TABLES: Final[tuple[Table, ...]] = (
    Statements(),
    Sessions(),
    Connections(),
    Errors(),
    Plans(),
    ReplicaServers(),
    CircuitBreakers(),
    LimitsInUse(),
    Mirrors(),
    MirroredStatements(),
    MirrorExamples(),
)
