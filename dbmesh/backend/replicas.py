"""The servers of one replica group at this moment: which one is the primary, which replicas may be read, who waits.

Decides where a read goes, when another primary is followed, and how long a statement waits for one. Learns of servers by what
it is told (`observe`, `lost`); how they are asked is `engine.replica_monitor`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from dbmesh.backend.pool import Pool
from dbmesh.backend.replica_health import Health, Observation
from dbmesh.backend.retry_budget import RetryBudget
from dbmesh.errors import NO_PRIMARY, NO_REPLICA, MeshError
from dbmesh.rules.replica_groups import ReplicaGroup, make_load_balancer
from dbmesh.rules.ruleset import DataSourceConfig

_log = logging.getLogger(__name__)

_NEWEST = 0.2
"""The weight of the newest answer in a replica's latency."""


class Server:
    """One server of a group: its pool for reads, and what is known of it. Observes the pool, whose connections are those of
    the group as a data source; `report` tells the group."""

    def __init__(
        self,
        config: DataSourceConfig,
        pool: Pool,
        report: Callable[[dict[str, Observation], float], None],
        retries: RetryBudget,
    ) -> None:
        self.name = config.name
        self.config = config
        self.pool = pool
        pool.observer = self
        self._report = report
        self._retries = retries
        self.health = Health()
        self.seen = Observation("not looked at yet")
        self.id = 0
        self.latency = 0.0
        self.reads = 0
        self._silent_since: float | None = None

    def answered(self, seconds: float) -> None:
        """A read began to be answered after so long."""
        self.reads += 1
        self._retries.reads += 1
        self.latency = seconds if not self.latency else self.latency + _NEWEST * (seconds - self.latency)

    def lost(self, problem: str, now: float) -> None:
        """A statement could not reach the server, or lost it: nobody else need find that out."""
        self._report({self.name: Observation(problem)}, now)

    def may_retry(self, now: float) -> bool:
        """Whether a read that it failed may be sent once more, to another one."""
        return self._retries.take(now)

    def retry_not_made(self) -> None:
        """See `session.failover.Retrier`."""
        self._retries.give_back()

    def abandon_if_silent(self, now: float, patience: float) -> None:
        """Close the connections that reads run on when the server has not answered for `patience` seconds: a network that
        tells nothing would keep their clients for ever."""
        if not self.seen.problem:
            self._silent_since = None
        elif self._silent_since is None:
            self._silent_since = now
        elif now - self._silent_since >= patience:
            self.pool.abandon()


class Replicas:
    """See the module's docstring. `primary_pools` are those that reach the primary: they are moved to another server when
    it is. `draw` gives numbers of [0, 1). Whoever looks at the servers sets `look_now`, for those who need to know at once."""

    def __init__(
        self,
        group: ReplicaGroup,
        primary_pools: Sequence[Pool],
        make_pool: Callable[[DataSourceConfig], Pool],
        draw: Callable[[], float],
    ) -> None:
        self.group = group
        self._primary_pools = tuple(primary_pools)
        self._draw = draw
        self._balancer = make_load_balancer(group.load_balancer, draw)
        configs = (group.primary, *group.replicas)
        self.retries = RetryBudget(group.retry_share, group.least_retries)
        self.servers = {
            config.name: Server(
                config, make_pool(replace(config, name=group.name)), self.observe, self.retries
            )
            for config in configs
        }
        self.primary = self.servers[group.primary.name]
        self.readable: tuple[Server, ...] = ()
        self.off: frozenset[str] = frozenset()
        self.look_now: Callable[[], Awaitable[None]] | None = None
        self._put_back: Server | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._waiting = 0

    @property
    def pools(self) -> tuple[Pool, ...]:
        """The pools that only serve reads on replicas."""
        return tuple(server.pool for server in self.servers.values())

    # ------------------------------------------------------------------ reads

    def choose(self) -> Server | None:
        """The replica that answers the next read, None for the primary. Raises MeshError NO_REPLICA when there is none
        and the primary is not to be read. O(1)."""
        candidates = self.readable
        if self._put_back is not None:
            chosen, self._put_back = self._put_back, None
            if chosen in candidates:
                return chosen
        if not candidates:
            if self.group.falls_back:
                return None
            raise MeshError(NO_REPLICA, group=self.group.name, reason=self._why())
        return candidates[self._balancer.choose(candidates)]

    def switch_off(self, names: frozenset[str]) -> None:
        """These servers are not read from here on, whatever is seen of them; all others may be."""
        self.off = names
        self._find_readable()

    def put_back(self, server: Server) -> None:
        """The choice was made too early: the next one is this again, so that turns stay turns."""
        self._put_back = server

    def _why(self) -> str:
        return "; ".join(
            f"{server.name}: {'it is disabled' if server.name in self.off else server.health.reason}"
            for server in self.servers.values()
            if server is not self.primary
        )

    def may_retry(self, now: float) -> bool:
        """Whether a read that one of its servers failed may be sent once more."""
        return self.retries.take(now)

    def retry_not_made(self) -> None:
        """See `session.failover.Retrier`."""
        self.retries.give_back()

    # ------------------------------------------------------------------ the primary

    @property
    def has_primary(self) -> bool:
        """Whether the primary is believed to take writes."""
        return self._writable.is_set()

    async def wait_for_primary(self, deadline: float) -> None:
        """Until there is a primary. Raises MeshError NO_PRIMARY at `deadline` (loop time), or when too many wait."""
        if self._writable.is_set():
            return
        if self._waiting >= self.group.failover_waiters:
            raise MeshError(NO_PRIMARY, group=self.group.name, reason="too many statements wait for one")
        self._waiting += 1
        try:
            async with asyncio.timeout_at(deadline):
                await self._writable.wait()
        except TimeoutError:
            raise MeshError(
                NO_PRIMARY, group=self.group.name, reason=f"none within {self.group.failover_wait:g} s"
            ) from None
        finally:
            self._waiting -= 1

    # ------------------------------------------------------------------ what is learnt

    def observe(self, seen: dict[str, Observation], now: float) -> None:
        """Take what looking at servers has shown."""
        self.retries.pass_time(now)
        for name, observation in seen.items():
            server = self.servers[name]
            server.seen = observation
            server.id = observation.server_id or server.id
            server.abandon_if_silent(now, self.group.failover_wait)
        before_this = self.primary
        self._elect()
        source_answers = not self.primary.seen.problem
        former = self._former_primaries()
        # A replica of what was the primary is not read until it is looked at again: writes go elsewhere from here on.
        for name in seen if self.primary is before_this else self.servers:
            server = self.servers[name]
            observation, before = server.seen, server.health
            if observation.searches and source_answers:
                # While there is no primary, what a replica has is all there is.
                observation = replace(observation, stalled="it cannot reach its source")
            elif not observation.stalled and observation.sources & former:
                observation = replace(observation, stalled="it follows a server that is not the primary")
            elif name not in seen:
                continue
            server.health = before.after(observation, self.group.most_lag, now, self._draw())
            if server is not self.primary and before.readable != server.health.readable:
                state = "is read" if server.health.readable else f"is not read: {server.health.reason}"
                _log.info("replica '%s' of '%s' %s", name, self.group.name, state)
        self._find_readable()

    def _find_readable(self) -> None:
        self.readable = tuple(
            server
            for server in self.servers.values()
            if server is not self.primary and server.health.readable and server.name not in self.off
        )

    def _former_primaries(self) -> frozenset[int]:
        """The ids of servers that get nothing from the primary, as far as anybody knows: who follows them is up to date
        with them alone."""
        return frozenset(
            server.id
            for server in self.servers.values()
            if server is not self.primary and not server.seen.follows
        ) - {0, self.primary.id}

    def _elect(self) -> None:
        """Who is the primary: the one there is as long as it takes writes; else the one server that takes them and is
        nobody's replica. Servers are promoted by others; the mesh follows."""
        if not _takes_writes(self.primary.seen):
            promoted = [
                server
                for server in self.servers.values()
                if _takes_writes(server.seen) and not server.seen.follows
            ]
            if len(promoted) == 1:
                self._move(promoted[0])
        available = _takes_writes(self.primary.seen)
        if available and not self._writable.is_set():
            _log.info("data source '%s' has a primary again: '%s'", self.group.name, self.primary.name)
            self._writable.set()
        elif not available and self._writable.is_set():
            reason = self.primary.seen.problem or "it is read-only"
            _log.warning(
                "data source '%s' has no primary: '%s': %s", self.group.name, self.primary.name, reason
            )
            self._writable.clear()

    def _move(self, server: Server) -> None:
        _log.warning(
            "the primary of '%s' is '%s' now, no longer '%s'",
            self.group.name,
            server.name,
            self.primary.name,
        )
        # A server that has not said it is read-only may take writes that nobody else will ever see.
        abandon = bool(self.primary.seen.problem)
        # What was the primary is a replica like one nobody has looked at.
        self.primary.health = Health(reason="it was the primary", times_out=1)
        self.primary = server
        for pool in self._primary_pools:
            pool.move(replace(server.config, name=pool.config.name), abandon=abandon)


def _takes_writes(seen: Observation) -> bool:
    return not seen.problem and not seen.read_only
