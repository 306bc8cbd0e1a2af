"""Many clients at once, doing everything sessions can do, on small pools: no answer, row or variable goes astray.

Every answer carries a token of its own, every row the tag of the session that wrote it, and every session remembers
what it has set and written. The mix is drawn from a fixed seed; how threads interleave is not.
"""

from __future__ import annotations

import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import pytest

from tests.plugins import shop as shop_data
from tests.plugins.database_server import RENEWED, DatabaseServer, chosen_product
from tests.plugins.fix_mesh import Shop
from tests.plugins.processes import wait_until
from tests.plugins.raw_client import (
    BASIC,
    COM_INIT_DB,
    COM_QUERY,
    COM_RESET_CONNECTION,
    COM_STMT_CLOSE,
    COM_STMT_EXECUTE,
    COM_STMT_FETCH,
    DEPRECATE_EOF,
    FOUND_ROWS,
    Failure,
    Ok,
    RawClient,
    Reply,
    ResultSet,
    execute_payload,
)

pytestmark = pytest.mark.integration

Rows = dict[int, int]
"""The rows of one tag: order_id and qty."""

NAMES = {row[0]: row[1] for row in shop_data.ROWS["t_user"]}
USERS = sorted(NAMES)
LOST = (1184, 1317, 3024, 1205, 1213, 1094)
"""Interrupted, lock wait, deadlock, no such thread: what a client of a busy server must live with."""

ROLLED_BACK = (1205, 1213)


@dataclass
class Ledger:
    """What lies in the table by the accounts of the clients: per tag the outcomes that are possible."""

    outcomes: dict[str, list[Rows]] = field(default_factory=dict)
    troubles: list[str] = field(default_factory=list)
    sessions: set[int] = field(default_factory=set)
    answers: int = 0
    errors: dict[int, int] = field(default_factory=dict)

    def trouble(self, text: str) -> None:
        """Remember a wrong answer."""
        self.troubles.append(text)


class Gone(Exception):
    """This client's connection has ended."""


class Client:
    """One connection of a worker: a random walk over what a session can do, each answer checked."""

    def __init__(self, shop: Shop, ledger: Ledger, tag: str, first_id: int, dice: random.Random) -> None:
        self.shop, self.ledger, self.tag, self.dice = shop, ledger, tag, dice
        self.next_id = first_id
        capabilities = BASIC | dice.choice((0, DEPRECATE_EOF, FOUND_ROWS))
        self.raw = RawClient(shop.target.host, shop.target.port, capabilities, timeout=15.0)
        self.committed: Rows = {}
        self.seen: Rows = {}
        self.in_transaction = False
        self.autocommit = True
        self.savepoint: Rows | None = None
        self.variables: dict[str, str] = {}
        self.token = 0
        self._doing: Callable[[], None] = self._point
        self.prepared: dict[str, int] = {}

    def walk(self, steps: int) -> None:
        """Log in, take so many steps, leave in one of the ways clients leave."""
        try:
            if isinstance(self.raw.log_in(), Failure):
                return
            self.ledger.sessions.add(self.raw.thread_id)
            for _ in range(steps):
                self._doing = self._step()
                self._doing()
            self._leave()
        except (Gone, ConnectionError):
            # What it was about to change may be changed or not, as `_write` and `_transaction` have noted.
            self.in_transaction = False
        except TimeoutError:
            self.ledger.trouble(f"{self.tag}: no answer in {self._doing.__name__}")
        except AssertionError as error:
            self.ledger.trouble(f"{self.tag}: {error}")
        finally:
            self.ledger.sessions.discard(self.raw.thread_id)
            self.raw.socket.close()
            self.ledger.outcomes.setdefault(self.tag, [self.committed])

    def _step(self) -> Callable[[], None]:
        return self.dice.choices(
            (
                self._point,
                self._ordered,
                self._aggregate,
                self._own_rows,
                self._insert,
                self._update,
                self._transaction,
                self._savepoints,
                self._prepared,
                self._cursors,
                self._set,
                self._variables,
                self._again,
                self._slow,
            ),
            (8, 6, 4, 4, 5, 4, 5, 2, 5, 2, 4, 6, 1, 1),
        )[0]

    # ------------------------------------------------------------------ speaking

    def _fresh(self) -> int:
        self.token += 1
        return self.raw.thread_id * 100_000 + self.token

    def _say(self, statement: str) -> Reply:
        return self._answered(self.raw.query(statement), statement)

    def _answered(self, reply: Reply, what: str) -> Reply:
        self.ledger.answers += 1
        if isinstance(reply, Failure):
            errors = self.ledger.errors
            errors[reply.number] = errors.get(reply.number, 0) + 1
            if not self._bearable(reply):
                self.ledger.trouble(f"{self.tag}: {what}: {reply}")
        return reply

    def _bearable(self, failure: Failure) -> bool:
        return failure.number in LOST or "dbmesh" in failure.text or "data source" in failure.text

    def _rows(self, statement: str) -> list[list[bytes | None]] | None:
        reply = self._say(statement)
        if isinstance(reply, Failure):
            self._failed(reply)
            return None
        assert isinstance(reply, ResultSet), f"{statement}: {reply}"
        return reply.text()

    def _failed(self, failure: Failure) -> None:
        """After an error in a transaction: end it, so that both sides agree on what is kept."""
        if self.in_transaction or not self.autocommit:
            self._roll_back()

    def _roll_back(self) -> None:
        reply = self._say("ROLLBACK")
        if not isinstance(reply, Ok):
            # Killed in the middle of it: nothing is known but that nothing was kept.
            raise Gone
        self.seen = dict(self.committed)
        self.in_transaction, self.savepoint = False, None

    # ------------------------------------------------------------------ reading

    def _point(self) -> None:
        user, token = self.dice.choice(USERS), self._fresh()
        rows = self._rows(f"SELECT {token}, name FROM t_user WHERE user_id = {user}")
        assert rows in (None, [[b"%d" % token, NAMES[user].encode()]]), f"point {token} {user}: {rows}"

    def _ordered(self) -> None:
        token, count, offset = self._fresh(), self.dice.randrange(1, 70), self.dice.randrange(5)
        rows = self._rows(
            f"SELECT {token}, user_id FROM t_user ORDER BY user_id DESC LIMIT {count} OFFSET {offset}"
        )
        wanted = [[b"%d" % token, b"%d" % user] for user in USERS[::-1][offset : offset + count]]
        assert rows in (None, wanted), f"ordered {token}: {rows}"

    def _aggregate(self) -> None:
        token = self._fresh()
        rows = self._rows(f"SELECT MAX({token}), COUNT(*), SUM(user_id), MIN(name) FROM t_user")
        wanted = [[b"%d" % token, b"%d" % len(USERS), b"%d" % sum(USERS), min(NAMES.values()).encode()]]
        assert rows in (None, wanted), f"aggregate {token}: {rows}"

    def _own_rows(self) -> None:
        token = self._fresh()
        rows = self._rows(
            f"SELECT {token}, order_id, qty FROM t_order WHERE note = '{self.tag}' ORDER BY order_id"
        )
        wanted = [[b"%d" % token, b"%d" % key, b"%d" % qty] for key, qty in sorted(self.seen.items())]
        assert rows in (None, wanted), f"own rows: {rows} instead of {wanted}"

    def _slow(self) -> None:
        """A big answer, merged or relayed, that the client lets wait half-way."""
        token, size = self._fresh(), 50_000
        merged = self.dice.random() < 0.5
        where = "ORDER BY user_id" if merged else "WHERE user_id = 4"
        statement = f"SELECT {token}, user_id, REPEAT('x', {size}) FROM t_user, t_country {where}"
        self.raw.command(COM_QUERY, statement.encode())
        head = self.raw.receive()
        if head[0] == 0xFF:
            self._failed_with(self.raw.failure(head), statement)
            return
        names = self.raw.read_columns(head[0])
        threading.Event().wait(0.05)
        reply = self._answered(self.raw.read_rows(names), statement)
        if isinstance(reply, Failure):
            self._failed(reply)
            return
        assert isinstance(reply, ResultSet)
        users = [user for user in (USERS if merged else [4]) for _ in shop_data.ROWS["t_country"]]
        wanted = [[b"%d" % token, b"%d" % user, b"x" * size] for user in users]
        assert reply.text() == wanted, f"slow {token}: {len(reply.rows)} rows"

    def _failed_with(self, failure: Failure, what: str) -> None:
        self._answered(failure, what)
        self._failed(failure)

    # ------------------------------------------------------------------ writing

    def _write(self, statement: str, after: Rows, affected: int) -> None:
        before = self.seen
        transaction = self.in_transaction or not self.autocommit
        self.ledger.outcomes[self.tag] = [self.committed] if transaction else [before, after]
        reply = self._say(statement)
        if isinstance(reply, Failure):
            if transaction:
                self._failed(reply)
                self.ledger.outcomes[self.tag] = [self.committed]
                return
            if "already" in reply.text or reply.number not in LOST:
                # Part of it may have been done, and that was told: this tag is not written again.
                self.ledger.outcomes[self.tag] = [before, after]
                self.seen = before
                raise Gone
            self.ledger.outcomes[self.tag] = [before]
            return
        assert isinstance(reply, Ok), f"{statement}: {reply}"
        assert reply.affected == affected, f"{statement}: {reply}"
        self.seen = after
        if not transaction:
            self.committed = dict(after)
        self.ledger.outcomes[self.tag] = [self.committed]

    def _insert(self) -> None:
        rows = {self.next_id + n: self.dice.randrange(1000) for n in range(self.dice.randrange(1, 6))}
        self.next_id += len(rows)
        values = ", ".join(
            f"({key}, {self.dice.choice(USERS)}, 'NEW', 1, {qty}, '{self.tag}')" for key, qty in rows.items()
        )
        statement = f"INSERT INTO t_order (order_id, user_id, status, amount, qty, note) VALUES {values}"
        self._write(statement, {**self.seen, **rows}, len(rows))

    def _update(self) -> None:
        # Always another value, so that found and changed rows are as many.
        after = {key: qty + 1 for key, qty in self.seen.items()}
        if len(after) > 20:
            self._write(f"DELETE FROM t_order WHERE note = '{self.tag}'", {}, len(after))
            return
        self._write(f"UPDATE t_order SET qty = qty + 1 WHERE note = '{self.tag}'", after, len(after))

    def _transaction(self) -> None:
        if not (self.in_transaction or not self.autocommit):
            if self.dice.random() < 0.3:
                if isinstance(self._say("SET autocommit = 0"), Ok):
                    self.autocommit = False
            elif isinstance(self._say("BEGIN"), Ok):
                self.in_transaction = True
            return
        if self.dice.random() < 0.5:
            self._roll_back()
        else:
            self.ledger.outcomes[self.tag] = [self.committed, self.seen]
            reply = self._say("COMMIT")
            if isinstance(reply, Failure):
                self.ledger.outcomes[self.tag] = [self.committed, self.seen]
                raise Gone
            self.committed = dict(self.seen)
            self.ledger.outcomes[self.tag] = [self.committed]
            self.in_transaction, self.savepoint = False, None
        if not self.autocommit and isinstance(self._say("SET autocommit = 1"), Ok):
            self.autocommit = True

    def _savepoints(self) -> None:
        if not self.in_transaction:
            return
        if self.savepoint is None:
            reply = self._say("SAVEPOINT here")
            if isinstance(reply, Ok):
                self.savepoint = dict(self.seen)
        else:
            reply = self._say("ROLLBACK TO SAVEPOINT here")
            if isinstance(reply, Ok):
                self.seen = dict(self.savepoint)
        if isinstance(reply, Failure):
            self._failed(reply)

    # ------------------------------------------------------------------ prepared statements

    def _prepare(self, statement: str) -> int | None:
        if statement not in self.prepared:
            made = self.raw.prepare(statement)
            if isinstance(made, Failure):
                self._answered(made, statement)
                self._failed(made)
                return None
            self.prepared[statement] = made[0]
        return self.prepared[statement]

    def _prepared(self) -> None:
        user, token = self.dice.choice(USERS), self._fresh()
        scattered = self.dice.random() < 0.3
        where = "user_id >= ? ORDER BY user_id LIMIT 1" if scattered else "user_id = ?"
        statement = self._prepare(f"SELECT {self.raw.thread_id}, name, user_id FROM t_user WHERE {where}")
        if statement is None:
            return
        reply = self._answered(self.raw.execute(statement, [user]), f"execute {token}")
        if isinstance(reply, Failure):
            self._failed(reply)
            return
        assert isinstance(reply, ResultSet), reply
        assert len(reply.rows) == 1, f"prepared {user}: {reply.rows}"
        row, name = reply.rows[0], NAMES[user].encode()
        assert b"%c%s" % (len(name), name) in row, f"prepared {user}: {row!r}"
        assert row.endswith(struct.pack("<q", user)), f"prepared {user}: {row!r}"
        assert struct.pack("<i", self.raw.thread_id) in row, f"prepared {self.raw.thread_id}: {row!r}"

    def _cursors(self) -> None:
        """Two cursors of the same text on one shard, read in turns."""
        text = "SELECT order_id FROM t_order_item WHERE order_id = ? AND user_id = ? ORDER BY item_id"
        made = [self.raw.prepare(text) for _ in range(2)]
        statements = []
        for one in made:
            if isinstance(one, Failure):
                self._answered(one, text)
                self._failed(one)
                return
            statements.append(one[0])
        orders = self.dice.sample([row for row in shop_data.ROWS["t_order"] if row[0] % 10], 2)
        for statement, order in zip(statements, orders, strict=True):
            reply = self._open(statement, [order[0], order[1]])
            if isinstance(reply, Failure):
                self._failed(reply)
                return
        for statement, order in zip(statements, orders, strict=True):
            self.raw.command(COM_STMT_FETCH, struct.pack("<II", statement, 100))
            rows = self._answered(self.raw.read_rows(["order_id"]), "fetch")
            if isinstance(rows, Failure):
                self._failed(rows)
                break
            assert isinstance(rows, ResultSet)
            found = [struct.unpack_from("<q", row, 2)[0] for row in rows.rows]
            wanted = [row[0] for row in shop_data.ROWS["t_order_item"] if row[0] == order[0]]
            assert found == wanted, f"cursor of {order[0]}: {found} instead of {wanted}"
        for statement in statements:
            self.raw.command(COM_STMT_CLOSE, struct.pack("<I", statement))

    def _open(self, statement: int, parameters: list[bytes | int | None]) -> Reply:
        self.raw.command(COM_STMT_EXECUTE, execute_payload(statement, parameters, flags=1))
        head = self.raw.receive()
        if head[0] == 0xFF:
            return self._answered(self.raw.failure(head), "open cursor")
        for _ in range(head[0]):
            self.raw.receive()
        tail = self.raw.receive()
        assert tail[0] == 0xFE, tail
        return Ok(0, 0, 0, 0, b"")

    # ------------------------------------------------------------------ the session itself

    def _set(self) -> None:
        name, value = self.dice.choice(
            (
                ("@@sql_mode", self.dice.choice(("ANSI_QUOTES", "STRICT_ALL_TABLES", ""))),
                ("@@time_zone", self.dice.choice(("+01:00", "+09:00", "-03:00"))),
                ("@mine", str(self._fresh())),
                ("@@lc_time_names", self.dice.choice(("de_DE", "fr_FR"))),
            )
        )
        reply = self._say(f"SET {name} = '{value}'")
        if isinstance(reply, Ok):
            self.variables[name] = value
        else:
            assert isinstance(reply, Failure)
            self._failed(reply)

    def _variables(self) -> None:
        token = self._fresh()
        names = ("@@sql_mode", "@@time_zone", "@@lc_time_names", "@mine")
        rows = self._rows(
            f"SELECT {token}, {', '.join(names)} FROM t_user WHERE user_id = {self.dice.choice(USERS)}"
        )
        if rows is None:
            return
        defaults = {"@@time_zone": "SYSTEM", "@@lc_time_names": "en_US", "@@sql_mode": DEFAULT_MODE}
        values = [self.variables.get(name, defaults.get(name)) for name in names]
        wanted = [b"%d" % token, *(None if value is None else value.encode() for value in values)]
        assert rows == [wanted], f"variables: {rows} instead of {wanted}"

    def _again(self) -> None:
        """COM_RESET_CONNECTION, COM_CHANGE_USER, COM_INIT_DB: all but the last give everything up."""
        kind = self.dice.randrange(3)
        if kind == 2:
            self.raw.command(COM_INIT_DB, b"shop")
            self._answered(self.raw.read_reply(), "use")
            return
        if kind == 1:
            reply = self.raw.change_user("root", "root", "shop")
        else:
            self.raw.command(COM_RESET_CONNECTION)
            reply = self.raw.read_reply()
        if isinstance(self._answered(reply, "reset"), Failure):
            raise Gone
        self.seen = dict(self.committed)
        self.in_transaction, self.savepoint, self.autocommit = False, None, True
        self.variables, self.prepared = {}, {}

    def _leave(self) -> None:
        way = self.dice.randrange(4)
        if way == 1:
            linger = struct.pack("ii", 1, 0)
            self.raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        elif way == 2:
            self.raw.command(COM_QUERY, b"SELECT SLEEP(0.2), name FROM t_user ORDER BY user_id")
        elif way == 3:
            # A big answer nobody reads.
            self.raw.command(COM_QUERY, b"SELECT REPEAT('x', 200000), a.user_id FROM t_user a ORDER BY 2")
        self.ledger.outcomes[self.tag] = [self.committed]


DEFAULT_MODE = {
    "MariaDB": "STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_AUTO_CREATE_USER,NO_ENGINE_SUBSTITUTION",
    "MySQL": "ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,"
    "NO_ENGINE_SUBSTITUTION",
}[chosen_product()]


def work(shop: Shop, ledger: Ledger, number: int, seed: int, until: float) -> None:
    """One worker: one client after another until the time is over."""
    dice = random.Random(seed * 1000 + number)
    turn = 0
    while time.monotonic() < until and not ledger.troubles:
        turn += 1
        tag = f"w{number}.{turn}"
        try:
            Client(shop, ledger, tag, number * 10_000_000 + turn * 10_000, dice).walk(dice.randrange(5, 60))
        except (ConnectionError, TimeoutError) as error:
            ledger.trouble(f"{tag}: {error!r}")


def kill(shop: Shop, ledger: Ledger, seed: int, until: float) -> None:
    """KILL QUERY and KILL CONNECTION of sessions chosen at random."""
    dice = random.Random(seed)
    with RawClient(shop.target.host, shop.target.port, timeout=25.0) as client:
        client.log_in()
        while time.monotonic() < until and not ledger.troubles:
            chosen = list(ledger.sessions)
            if chosen:
                client.query(f"KILL {dice.choice(('QUERY', 'QUERY', 'CONNECTION'))} {dice.choice(chosen)}")
            time.sleep(0.01)


def run(shop: Shop, workers: int, seconds: float, seed: int) -> Ledger:
    """All of it for so long; what was found is in the ledger."""
    ledger = Ledger()
    until = time.monotonic() + seconds
    threads = [
        threading.Thread(target=work, args=(shop, ledger, number, seed, until))
        for number in range(1, workers + 1)
    ]
    threads.append(threading.Thread(target=kill, args=(shop, ledger, seed, until)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds + 40)
    assert not any(thread.is_alive() for thread in threads)
    return ledger


def open_transactions(sources: Iterable[DatabaseServer]) -> list[object]:
    """What is left open on the shards."""
    return [
        row for server in sources for row in server.execute("SELECT * FROM information_schema.innodb_trx")
    ]


def kept(shop: Shop) -> dict[str, Rows]:
    """What lies on the shards, by tag."""
    found: dict[str, Rows] = {}
    for _, row in shop.on_shards("t_order", "note LIKE 'w%.%'"):
        rows = found.setdefault(row[5], {})
        assert row[0] not in rows, f"row {row[0]} is there twice"
        rows[row[0]] = row[4]
    return found


def test_nothing_goes_astray(own_shop: Callable[..., Shop]) -> None:
    shop = own_shop(pool=6, timeout=5000, start=False)
    for server in shop.sources:
        # Two clients that lock each other out over two servers are a deadlock nobody sees.
        server.execute("SET GLOBAL innodb_lock_wait_timeout = 2")
    shop.start()
    ledger = run(shop, workers=16, seconds=4, seed=20)
    assert not ledger.troubles, ledger.troubles[:5]
    assert ledger.answers > 300
    # A branch whose client was killed in the middle of a commit is seen for 5 s before it is settled, within another 5 s.
    wait_until(lambda: not open_transactions(shop.sources), 30, "every transaction has ended", RENEWED)
    found = kept(shop)
    for tag, outcomes in ledger.outcomes.items():
        assert found.get(tag, {}) in outcomes, f"{tag}: {found.get(tag)} instead of {outcomes}"
    with shop.target.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM t_user")
        assert cursor.fetchone() == (60,), "the pools are not used up"
