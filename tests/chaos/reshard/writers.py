"""Clients that write and read while a table moves, and know what it must hold: each has rows of its own, which nobody else touches.

Decides what they do, and what is wrong: an answer that does not fit, an error, a stall.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import MySQLdb
import pymysql

from tests.plugins.processes import wait_until

Row = tuple[int, int, str]
"""owner, n, note."""

_DEADLOCK = 1213

SETTLED = 60.0
"""Seconds in which what was in doubt is settled once everything works again."""

MINE = 100_000
"""Ids of one client; those below are nobody's."""


@contextmanager
def going_on(clients: Sequence[Client]) -> Iterator[Sequence[Client]]:
    """Clients write and read for the block."""
    for client in clients:
        client.start()
    try:
        yield clients
    finally:
        for client in clients:
            client.stop()
        for client in clients:
            client.join(60)


def seen_wrong(clients: Sequence[Client]) -> list[str]:
    """What any of them was told that it must not have been told."""
    return [text for client in clients for text in (*client.errors, *client.wrong)]


class Client(threading.Thread):
    """One connection. `known` are its rows as it has been told; `stalls` are (moment, seconds) of statements, `writes` how many of them
    wrote, `deadlocks` how many transactions a deadlock has undone, `errors` what it must not have been told. With `may_fail` statements
    may end in an error (`failed`) and are asked for again. It rests for about `pause` seconds between two steps. `settled` says whether
    nothing is in doubt any more that was so at a moment (seconds since 1970), where reading under locks does not wait for that."""

    def __init__(
        self,
        number: int,
        connect: Callable[[], pymysql.Connection[Any]],
        seed: int,
        *,
        pause: float = 0.0,
        may_fail: bool = False,
        settled: Callable[[float], bool] = lambda moment: True,
    ) -> None:
        super().__init__(name=f"client {number}")
        self.number = number
        self._connect = connect
        self._dice = random.Random(f"{seed} {number}")
        self._pause = pause
        self._may_fail = may_fail
        self._settled = settled
        self._in_doubt_since = 0.0
        self._warned = False
        self._stopping = threading.Event()
        self._next = (number + 1) * MINE
        self.known: dict[int, Row] = {}
        # What its rows are if the change whose outcome it was not told has happened.
        self.possible: dict[int, Row] | None = None
        self.stalls: list[tuple[float, float]] = []
        self.writes = self.deadlocks = 0
        self.errors: list[str] = []
        self.failed: list[str] = []
        self.wrong: list[str] = []
        self._connection: pymysql.Connection[Any] | None = None

    def stop(self) -> None:
        """Finish what it is at."""
        self._stopping.set()

    def run(self) -> None:
        """Write and read until it is stopped."""
        # Not all at the same moments.
        while not self._stopping.wait(self._dice.uniform(0, 2 * self._pause)):
            try:
                if self._connection is None:
                    self._connection = self._connect()
                if self.possible is None:
                    self._step()
                elif self._settled(self._in_doubt_since):
                    self._resolve()
            except (pymysql.err.MySQLError, MySQLdb.MySQLError) as error:
                if not self._may_fail:
                    self.errors.append(f"{self.name}: {error}")
                    break
                self.failed.append(str(error))
                self._in_doubt_since = time.time()
                self._hang_up()
                self._stopping.wait(0.1)
        self._hang_up()

    def settle(self) -> None:
        """Find out what became of the last change, once everything works again."""
        if self.possible is None:
            return
        wait_until(
            lambda: self._settled(self._in_doubt_since), SETTLED, f"{self.name}'s last change is settled"
        )
        self._connection = self._connect()
        try:
            self._resolve()
        finally:
            self._hang_up()

    # ------------------------------------------------------------------------------------------ steps

    def _step(self) -> None:
        choices: list[Callable[[], None]] = [self._insert, self._insert_many, self._transaction]
        if self.known:
            choices += [
                self._update,
                self._update,
                self._remove,
                self._move,
                self._replace,
                self._read,
                self._read_all,
            ]
        self._dice.choice(choices)()

    def _insert(self) -> None:
        id_, row = self._fresh()
        self._write({id_: row}, (), [("INSERT INTO item VALUES (%s, %s, %s, %s)", (id_, *row))])

    def _insert_many(self) -> None:
        rows = dict(self._fresh() for _ in range(3))
        values = ", ".join(f"({id_}, {row[0]}, {row[1]}, '{row[2]}')" for id_, row in rows.items())
        self._write(rows, (), [(f"INSERT INTO item VALUES {values}", ())])

    def _update(self) -> None:
        id_ = self._one()
        owner, n, note = self.known[id_]
        change = ("UPDATE item SET n = n + 1 WHERE id = %s AND n = %s", (id_, n))
        if self._dice.random() < 0.5:
            change = ("UPDATE item SET n = n + 1 WHERE id = %s AND owner = %s AND n = %s", (id_, owner, n))
        self._write({id_: (owner, n + 1, note)}, (), [change])

    def _move(self) -> None:
        """To another actual table, on either side."""
        id_ = self._one()
        owner, n, note = self.known[id_]
        other = owner + self._dice.randrange(1, 4)
        self._write({id_: (other, n, note)}, (), [("UPDATE item SET owner = %s WHERE id = %s", (other, id_))])

    def _remove(self) -> None:
        id_ = self._one()
        self._write({}, (id_,), [("DELETE FROM item WHERE id = %s", (id_,))])

    def _replace(self) -> None:
        id_ = self._one()
        owner, n, _ = self.known[id_]
        row = (owner, n + 1, f"replaced {n}")
        sql = "INSERT INTO item VALUES (%s, %s, %s, %s) ON DUPLICATE KEY UPDATE n = VALUES(n), note = VALUES(note)"
        self._write({id_: row}, (), [(sql, (id_, *row))])

    def _transaction(self) -> None:
        """Several statements, which are rolled back now and then."""
        id_, row = self._fresh()
        steps: list[tuple[str, tuple[object, ...]]] = [
            ("INSERT INTO item VALUES (%s, %s, %s, %s)", (id_, *row))
        ]
        after, gone = {id_: row}, []
        for other in self._dice.sample(sorted(self.known), min(2, len(self.known))):
            owner, n, note = self.known[other]
            if self._dice.random() < 0.3:
                steps.append(("DELETE FROM item WHERE id = %s AND n = %s", (other, n)))
                gone.append(other)
            else:
                steps.append(("UPDATE item SET n = n + 1 WHERE id = %s AND n = %s", (other, n)))
                after[other] = (owner, n + 1, note)
        try:
            if self._dice.random() < 0.2:
                for sql, values in [("BEGIN", ()), *steps, ("ROLLBACK", ())]:
                    self._ask(sql, values)
            else:
                self._write(after, gone, [("BEGIN", ()), *steps, ("COMMIT", ())])
        except (pymysql.err.MySQLError, MySQLdb.MySQLError) as error:
            # What a deadlock has undone is the client's to try again; a statement that is a transaction of its own, the mesh's.
            if error.args[0] != _DEADLOCK:
                raise
            self.possible = None
            self.deadlocks += 1

    def _read(self) -> None:
        id_ = self._one()
        found = self._ask("SELECT owner, n, note FROM item WHERE id = %s", (id_,))
        self._compare(f"row {id_}", found, [self.known[id_]])

    def _read_all(self) -> None:
        found = self._ask(
            "SELECT id, owner, n, note FROM item WHERE id BETWEEN %s AND %s ORDER BY id", self._range
        )
        self._compare("rows", found, [(id_, *row) for id_, row in sorted(self.known.items())])

    # ------------------------------------------------------------------------------------------ inside

    def _write(
        self, changed: dict[int, Row], gone: object, steps: list[tuple[str, tuple[object, ...]]]
    ) -> None:
        after = {id_: row for id_, row in (self.known | changed).items() if id_ not in gone}  # type: ignore[operator]
        self.possible = after
        for sql, values in steps:
            self._ask(sql, values)
        self.writes += sum(sql not in ("BEGIN", "COMMIT") for sql, _ in steps)
        self.known, self.possible = after, None
        if self._may_fail and self._warned:
            # A data source was lost behind the decision: what it has of this is there when it is back, and not to be read before.
            self.possible, self._in_doubt_since = after, time.time()

    def _resolve(self) -> None:
        """Ask under locks, which whatever is under way has."""
        found = {
            id_: (owner, n, note)
            for id_, owner, n, note in self._ask(
                "SELECT id, owner, n, note FROM item WHERE id BETWEEN %s AND %s ORDER BY id LOCK IN SHARE MODE",
                self._range,
            )
        }
        if found not in (self.known, self.possible):
            self.wrong.append(f"{self.name}: {found} is neither {self.known} nor {self.possible}")
        self.known, self.possible = found, None

    @property
    def _range(self) -> tuple[int, int]:
        return (self.number + 1) * MINE, (self.number + 2) * MINE - 1

    def _fresh(self) -> tuple[int, Row]:
        self._next += 1
        return self._next, (self._dice.randrange(8), 0, f"made {self._next}")

    def _one(self) -> int:
        return self._dice.choice(sorted(self.known))

    def _compare(self, what: str, found: object, expected: object) -> None:
        if found != expected:
            self.wrong.append(f"{self.name}: {what}: {found}, not {expected}")

    def _ask(self, sql: str, values: tuple[object, ...] = ()) -> Any:
        assert self._connection is not None
        began = time.monotonic()
        with self._connection.cursor() as cursor:
            cursor.execute(sql, values or None)
            found = list(cursor.fetchall())
            # mysqlclient's cursors do not tell.
            self._warned = bool(getattr(cursor, "warning_count", 0))
        ended = time.monotonic()
        self.stalls.append((ended, ended - began))
        return found

    def _hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None and connection.open:
            connection.close()
