"""Clients of the demo's shop that place, change, remove and read orders without a break, and check every answer.

Decides what they do and what counts as wrong. Each has orders of its own, which nobody else touches, so it knows what the shop must answer.
To them the mesh is a MySQL server like another; whether tables move meanwhile is none of their business.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from dbmesh.backend.connection import Connection, Flavour
from dbmesh.backend.mysql_connect import open_mysql
from dbmesh.cli.demo_data import USERS
from dbmesh.engine.collect import collect
from dbmesh.errors import MeshError, ProtocolError, ShardError
from dbmesh.rules.ruleset import DataSourceConfig

PAUSE = 0.01
"""Seconds a client rests between two steps, so that the machine has room for what it is to show."""

MINE = 1_000_000
"""Order numbers of one client; those below are the seed's."""

MOST_ORDERS = 40
"""Orders that one client has at a time."""

RATE_SECONDS = 2.0
"""The time that the rate is taken over."""


@dataclass(slots=True)
class Traffic:
    """What clients have seen: statements that were answered, what went wrong, the longest that any of them waited for one answer, in
    seconds, ever and since `begin_window`."""

    statements: int = 0
    errors: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    longest: float = 0.0
    window: float = 0.0
    _samples: deque[tuple[float, int]] = field(default_factory=deque)

    def answered(self, seconds: float) -> None:
        """One statement was."""
        self.statements += 1
        self.longest = max(self.longest, seconds)
        self.window = max(self.window, seconds)

    def begin_window(self) -> None:
        """From here on `window` counts."""
        self.window = 0.0

    def rate(self, now: float) -> float:
        """Statements a second lately, where it is asked again and again. `now` in seconds."""
        self._samples.append((now, self.statements))
        while now - self._samples[0][0] > RATE_SECONDS:
            self._samples.popleft()
        began, count = self._samples[0]
        return (self.statements - count) / (now - began) if now > began else 0.0

    @property
    def flawless(self) -> bool:
        """Whether nothing went wrong."""
        return not self.errors and not self.wrong


@dataclass(slots=True)
class Order:
    """An order as its client knows it. `items` are products with their quantities."""

    user: int
    status: str
    amount: Decimal
    items: tuple[tuple[str, int], ...]


class Shopper:
    """One client; see the module's docstring. `number` decides what it does."""

    def __init__(self, number: int, mesh: DataSourceConfig, traffic: Traffic) -> None:
        self._name = f"client {number}"
        self._mesh = mesh
        self._traffic = traffic
        self._dice = random.Random(number)
        self._first = self._next = number * MINE
        self._stopping = asyncio.Event()
        self.orders: dict[int, Order] = {}

    def stop(self) -> None:
        """Finish the step it is at."""
        self._stopping.set()

    async def shop(self) -> None:
        """Go on until it is stopped, then look at everything it has. An error ends it: whether the step was done, nobody knows."""
        try:
            connection = await open_mysql(self._mesh, Flavour())
            try:
                while not self._stopping.is_set():
                    await self._step()(connection)
                    await asyncio.sleep(PAUSE)
                await self._look_at_all(connection)
            finally:
                await connection.close()
        except (MeshError, ShardError, ProtocolError, OSError) as error:
            self._traffic.errors.append(f"{self._name}: {error}")

    def _step(self) -> Callable[[Connection], Awaitable[None]]:
        if not self.orders:
            return self._place
        steps = [self._change, self._look, self._look_with_items, self._look_at_all, self._remove]
        return self._dice.choice(steps if len(self.orders) >= MOST_ORDERS else [self._place, *steps])

    async def _place(self, connection: Connection) -> None:
        self._next += 1
        number = self._next
        items = tuple((f"thing {item}", self._dice.randint(1, 9)) for item in range(self._dice.randint(1, 3)))
        order = Order(self._dice.randint(1, USERS), "NEW", Decimal(sum(count for _, count in items)), items)
        rows = ", ".join(
            f"({number}, {item}, {order.user}, '{product}', {quantity}, 1.00)"
            for item, (product, quantity) in enumerate(items, 1)
        )
        await self._all(
            connection,
            "BEGIN",
            "INSERT INTO t_order (order_id, user_id, status, amount, created) "
            f"VALUES ({number}, {order.user}, 'NEW', {order.amount}, '2025-06-01 12:00:00')",
            f"INSERT INTO t_order_item (order_id, item_id, user_id, product, quantity, price) VALUES {rows}",
            "COMMIT",
        )
        self.orders[number] = order

    async def _change(self, connection: Connection) -> None:
        number, order = self._one()
        status = self._dice.choice(("PAID", "SHIPPED", "DELIVERED", "RETURNED"))
        await self._ask(
            connection,
            f"UPDATE t_order SET status = '{status}', amount = amount + 1 "
            f"WHERE order_id = {number} AND user_id = {order.user}",
        )
        order.status, order.amount = status, order.amount + 1

    async def _remove(self, connection: Connection) -> None:
        number, order = self._one()
        where = f"WHERE order_id = {number} AND user_id = {order.user}"
        await self._all(
            connection,
            "BEGIN",
            f"DELETE FROM t_order_item {where}",
            f"DELETE FROM t_order {where}",
            "COMMIT",
        )
        del self.orders[number]

    async def _look(self, connection: Connection) -> None:
        number, order = self._one()
        where = f"WHERE order_id = {number} AND user_id = {order.user}"
        found = await self._ask(connection, f"SELECT status, amount FROM t_order {where}")
        self._compare(f"order {number}", found, [(order.status, f"{order.amount:.2f}")])

    async def _look_with_items(self, connection: Connection) -> None:
        number, order = self._one()
        found = await self._ask(
            connection,
            "SELECT o.status, i.product, i.quantity FROM t_order o JOIN t_order_item i "
            "ON o.order_id = i.order_id AND o.user_id = i.user_id "
            f"WHERE o.order_id = {number} AND o.user_id = {order.user} ORDER BY i.item_id",
        )
        expected = [(order.status, product, str(quantity)) for product, quantity in order.items]
        self._compare(f"items of order {number}", found, expected)

    async def _look_at_all(self, connection: Connection) -> None:
        """Over every shard."""
        found = await self._ask(
            connection,
            "SELECT order_id, user_id, status, amount FROM t_order "
            f"WHERE order_id BETWEEN {self._first} AND {self._first + MINE - 1} ORDER BY order_id",
        )
        expected = [
            (str(number), str(order.user), order.status, f"{order.amount:.2f}")
            for number, order in sorted(self.orders.items())
        ]
        self._compare("all orders", found, expected)

    def _one(self) -> tuple[int, Order]:
        number = self._dice.choice(sorted(self.orders))
        return number, self.orders[number]

    def _compare(self, what: str, found: Sequence[object], expected: Sequence[object]) -> None:
        if found != expected:
            self._traffic.wrong.append(f"{self._name}: {what}: {found}, not {expected}")

    async def _all(self, connection: Connection, *statements: str) -> None:
        for statement in statements:
            await self._ask(connection, statement)

    async def _ask(self, connection: Connection, statement: str) -> list[tuple[str, ...]]:
        now = asyncio.get_running_loop().time
        began = now()
        result = await collect(connection, statement.encode())
        self._traffic.answered(now() - began)
        return [_texts(row) for row in result.rows]


def _texts(row: Iterable[bytes | None]) -> tuple[str, ...]:
    return tuple("NULL" if value is None else value.decode() for value in row)
