"""One pool of connections per data source: who may borrow, who waits, what is closed and when.

Decides limits, waiting, ages and health checks. Opening is a function it is given; the state of a connection is the
borrower's business. A connection that is not `usable` on return is closed, never lent again.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from dbmesh.backend.connection import Connection, Flavour, Guard, Observer, Product
from dbmesh.backend.state import SessionState
from dbmesh.errors import DATA_SOURCE_DISABLED, DATA_SOURCE_UNREACHABLE, POOL_EXHAUSTED, MeshError
from dbmesh.rules.ruleset import DataSourceConfig

SILENCE_BEFORE_PING = 20.0
"""Seconds a pooled connection may be idle before it is checked on borrowing."""

SILENCE_THAT_TELLS = 1.0
"""Who stops waiting for a connection after so many seconds, because a statement's time is over, has had no answer from the server."""


class Pool:
    """Connections to one data source.

    `lent + idle + opening <= config.max_pool_size`. Borrowing is last-in first-out, so that a quiet pool shrinks by
    `idle_timeout`; waiters are served in order of arrival and wait at most `connection_timeout` seconds.
    """

    def __init__(
        self,
        config: DataSourceConfig,
        open_connection: Callable[[Flavour], Awaitable[Connection]],
    ) -> None:
        self.config = config
        self._open = open_connection
        # Of the instance, not of the class: both are asked for at every statement.
        self.observer: Observer | None = None
        self.guard: Guard | None = None
        self.catalog_reads = 0
        self._idle: defaultdict[Flavour, list[tuple[Connection, float]]] = defaultdict(list)
        self._lent: set[Connection] = set()
        self._left_behind: set[Connection] = set()
        self._waiters: deque[_Waiter] = deque()
        self._total = 0
        self._several = asyncio.Lock()
        self.product = Product.OTHER
        """What answered last."""
        self.autocommit = True
        """Whether its sessions begin with autocommit."""
        self._closing = False
        self._keeps = True
        self.disabled = False
        """Whether it is out of service: statements get no connection."""

    @property
    def size(self) -> int:
        """Connections open or being opened."""
        return self._total

    @property
    def idle(self) -> int:
        """Connections that wait to be borrowed."""
        return sum(len(stack) for stack in self._idle.values())

    def idle_connections(self) -> list[Connection]:
        """Those that wait to be borrowed, to be looked at only."""
        return [connection for stack in self._idle.values() for connection, _ in stack]

    def try_acquire(
        self, flavour: Flavour, now: float, state: SessionState | None = None
    ) -> Connection | None:
        """An idle connection at once, in this `state` where that matters, or None: then `acquire` must be awaited, and the guard
        has counted nothing. The hot path: O(1)."""
        stack = self._idle.get(flavour)
        if not stack or self._waiters:
            return None
        connection, since = stack[-1]
        if now - since > SILENCE_BEFORE_PING or not connection.usable:
            return None
        if state is not None and connection.state is not state:
            if connection.state != state:
                return None
            # Found equal by identity next time.
            connection.state = state
        if self.guard is not None and not self.guard.permits(now):
            return None
        stack.pop()
        self._lent.add(connection)
        return connection

    def share(self, wanted: int) -> int:
        """How many of the connections it wants one statement may hold: half of them all, so that two find room."""
        return min(wanted, max(1, self.config.max_pool_size // 2))

    async def acquire_many(self, flavour: Flavour, count: int) -> list[Connection]:
        """`count` connections for one statement. Statements that need several wait their turn here, one at a time:
        two that each held half of what they need would wait for ever. Raises as `acquire`."""
        connections: list[Connection] = []
        async with self._several:
            try:
                while len(connections) < count:
                    connections.append(await self.acquire(flavour))
            except BaseException:
                now = asyncio.get_running_loop().time()
                for connection in connections:
                    self.release(connection, now)
                raise
        return connections

    async def acquire(self, flavour: Flavour, *, guarded: bool = True) -> Connection:
        """A healthy connection, opened if there is room, waited for if not. Unless `guarded` the data source's guard is not
        asked: for what ends transactions, and reads what there is.

        Raises MeshError POOL_EXHAUSTED after `connection_timeout`, DATA_SOURCE_UNREACHABLE when opening fails, and what the
        guard raises; DATA_SOURCE_DISABLED while it is out of service, unless not `guarded`.
        """
        if self.disabled and guarded:
            raise MeshError(DATA_SOURCE_DISABLED, data_source=self.config.name)
        guard = self.guard
        if guard is None or not guarded:
            return await self._acquire(flavour)
        await guard.admit()
        now = asyncio.get_running_loop().time
        began = now()
        try:
            return await self._acquire(flavour)
        except MeshError as error:
            guard.ended(began, now(), error)
            raise
        except asyncio.CancelledError:
            waited = now() - began
            if waited >= SILENCE_THAT_TELLS and self._has_room:
                guard.ended(began, now(), self._unreachable(waited))
            raise

    async def _acquire(self, flavour: Flavour) -> Connection:
        try:
            async with asyncio.timeout(self.config.connection_timeout):
                while True:
                    connection = await self._take(flavour)
                    if connection is not None:
                        return connection
        except TimeoutError:
            if self._has_room:
                raise self._unreachable(self.config.connection_timeout) from None
            raise MeshError(
                POOL_EXHAUSTED,
                data_source=self.config.name,
                seconds=f"{self.config.connection_timeout:g}",
                size=self.config.max_pool_size,
            ) from None

    @property
    def _has_room(self) -> bool:
        """Whether who gets no connection has waited for the server, and not for those that have all."""
        return self._total < self.config.max_pool_size

    def _unreachable(self, seconds: float) -> MeshError:
        reason = f"no answer within {seconds:.3g} s"
        return MeshError(DATA_SOURCE_UNREACHABLE, data_source=self.config.name, reason=reason)

    async def open_apart(self) -> Connection:
        """A connection the pool does not count, for whoever keeps it as long as the process lives, and closes it. Raises
        MeshError."""
        return await self._open(Flavour())

    def release(self, connection: Connection, now: float) -> None:
        """Take a connection back. It is closed instead when its state is unknown, when something may still hit it
        (a KILL QUERY on its way), when it has left its schema, or when its time is over."""
        if connection not in self._lent:
            return
        config = self.config
        if (
            not self._keeps
            or not connection.usable
            or connection.in_transaction
            or connection.interrupting
            or now - connection.opened_at > config.max_lifetime
            or (connection.schema != config.database and connection.relays)
            or (self._left_behind and connection in self._left_behind)
        ):
            self.discard(connection)
            return
        waiter = self._next_waiter() if self._waiters else None
        if waiter is None:
            self._lent.discard(connection)
            self._idle[connection.flavour].append((connection, now))
        elif waiter.flavour == connection.flavour:
            waiter.turn.set_result(connection)
        else:
            self._lent.discard(connection)
            connection.abort()
            waiter.turn.set_result(None)

    def all_connections(self) -> list[Connection]:
        """Those that wait, and those that are lent."""
        return [*self.idle_connections(), *self._lent]

    def discard(self, connection: Connection) -> None:
        """Close a lent connection for good."""
        if connection not in self._lent:
            return
        self._lent.discard(connection)
        self._left_behind.discard(connection)
        connection.abort()
        self._give_room()

    def move(self, config: DataSourceConfig, *, abandon: bool) -> None:
        """From now on connections are to another server. Idle ones are closed, lent ones when they come back: what they
        run ends where it began. With `abandon` it ends now: nothing more is done there, were it to answer again."""
        self.config = config
        self._left_behind |= self._lent
        if abandon:
            self.abandon()
        self._hang_up()

    def disable(self) -> None:
        """Give statements no connection from here on; those that are lent are closed when they come back."""
        self.disabled, self._keeps = True, False
        self._hang_up()

    def enable(self) -> None:
        """Back into service."""
        self.disabled, self._keeps = False, not self._closing

    def _hang_up(self) -> None:
        """Close what is idle."""
        for stack in self._idle.values():
            for connection, _ in stack:
                connection.abort()
                self._give_room()
            stack.clear()

    def abandon(self) -> None:
        """Close what is lent: whoever waits for an answer there is told that it is lost."""
        for connection in tuple(self._lent):
            connection.abort()

    async def close_idle(self, now: float) -> None:
        """Say goodbye to connections idle beyond `idle_timeout`, keeping `min_pool_size`, and to idle ones whose time is over.
        Called now and then."""
        for stack in tuple(self._idle.values()):
            for entry in tuple(stack):
                connection, since = entry
                unused = now - since > self.config.idle_timeout and self._total > self.config.min_pool_size
                too_old = now - connection.opened_at > self.config.max_lifetime
                # While one is being closed, others may be lent.
                if (unused or too_old) and entry in stack:
                    stack.remove(entry)
                    self._total -= 1
                    await connection.close()

    async def retire(self) -> None:
        """Close every connection as soon as it is free, and keep none that comes back. Whoever still needs one gets a new one."""
        self._closing, self._keeps = True, False
        stacks = list(self._idle.values())
        self._idle.clear()
        for stack in stacks:
            for connection, _ in stack:
                self._total -= 1
                await connection.close()

    async def close(self) -> None:
        """Close every connection, lent ones at once, and keep none that comes back."""
        await self.retire()
        for connection in tuple(self._lent):
            self.discard(connection)

    async def _take(self, flavour: Flavour) -> Connection | None:
        """A connection, or None when the idle one found was dead: look again. Whoever comes while others wait queues
        behind them."""
        stack = self._idle.get(flavour)
        if stack and not self._waiters:
            return await self._checked(*stack.pop())
        if self._total < self.config.max_pool_size and not self._waiters:
            self._total += 1
            return await self._open_counted(flavour)
        if not self._waiters and self._make_room():
            return await self._open_counted(flavour)
        waiter = _Waiter(flavour, asyncio.get_running_loop().create_future())
        self._waiters.append(waiter)
        try:
            connection = await waiter.turn
        except asyncio.CancelledError:
            if waiter.turn.done() and not waiter.turn.cancelled():
                # Its turn had come, but nobody is there to take it.
                self._pass_on(waiter.turn.result())
            raise
        finally:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
        if connection is None:
            return await self._open_counted(flavour)
        if self._is_fit(connection):
            return connection
        self.discard(connection)
        return None

    def _is_fit(self, connection: Connection) -> bool:
        """Whether who has waited for this one may have it: the pool may have been moved meanwhile."""
        return connection.usable and connection not in self._left_behind

    async def _checked(self, connection: Connection, since: float) -> Connection | None:
        silent = asyncio.get_running_loop().time() - since > SILENCE_BEFORE_PING
        self._lent.add(connection)
        try:
            if connection.usable and (not silent or await connection.ping()) and self._is_fit(connection):
                return connection
        except BaseException:
            self.discard(connection)
            raise
        self.discard(connection)
        return None

    async def _open_counted(self, flavour: Flavour) -> Connection:
        """Open a connection that has been counted already."""
        try:
            while True:
                config = self.config
                try:
                    connection = await self._open(flavour)
                except MeshError:
                    if config is self.config:
                        raise
                    # It has been moved meanwhile, most likely because of that.
                    continue
                if config is self.config:
                    break
                connection.abort()
            self.product = connection.product
            self.autocommit = connection.began_with_autocommit
        except BaseException:
            self._give_room()
            raise
        connection.home = self
        self._lent.add(connection)
        return connection

    def _pass_on(self, connection: Connection | None) -> None:
        if connection is None:
            self._give_room()
        else:
            self.release(connection, asyncio.get_running_loop().time())

    def _make_room(self) -> bool:
        """Close an idle connection of another flavour: a full pool must not starve one kind of client. Its place stays
        counted for the one that is opened now."""
        for stack in self._idle.values():
            if stack:
                connection, _ = stack.pop(0)
                connection.abort()
                return True
        return False

    def _give_room(self) -> None:
        """One place is free: the next waiter gets it, still counted, else it is counted no more."""
        waiter = self._next_waiter()
        if waiter is None:
            self._total -= 1
        else:
            waiter.turn.set_result(None)

    def _next_waiter(self) -> _Waiter | None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.turn.done():
                return waiter
        return None


@dataclass(frozen=True, slots=True, eq=False)
class _Waiter:
    """Someone who waits. `turn` brings a connection of the right flavour, or None: a counted place to open one."""

    flavour: Flavour
    turn: asyncio.Future[Connection | None]
