"""A bank: money moves between accounts on four data sources, and every transfer leaves a row.

Decides what clients do, what they were told, and what must be true afterwards. Knows nothing of what goes wrong meanwhile.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pymysql

SOURCES = 4
ACCOUNTS = 40
BALANCE = 1000
TABLES = {
    "account": "id INT PRIMARY KEY, balance INT NOT NULL",
    "transfer": "id BIGINT PRIMARY KEY, payer INT NOT NULL, payee INT NOT NULL, amount INT NOT NULL",
}
NOTHING_HAPPENED = frozenset({1205, 1213})
"""Errors of COMMIT after which nothing is committed; of others the client cannot know."""

Connect = Callable[[], "pymysql.Connection[Any]"]


@dataclass
class Record:
    """What clients were told of each transfer, by its id."""

    acknowledged: set[int] = field(default_factory=set)
    refused: set[int] = field(default_factory=set)
    unknown: set[int] = field(default_factory=set)
    sums: int = 0
    wrong_sums: list[int] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)


class Bank:
    """Writers, and with `sums` a reader, in threads, until `stop`. `connect` gives a connection to any sidecar."""

    def __init__(self, connect: Connect, seed: int, writers: int = 8, *, sums: bool = True) -> None:
        self.record = Record()
        self._connect = connect
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._write, args=(random.Random(f"{seed} {number}"),))
            for number in range(writers)
        ]
        if sums:
            self._threads.append(threading.Thread(target=self._read))

    def start(self) -> None:
        """Open for business."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Close: everybody finishes what they are at."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(120)
            assert not thread.is_alive(), "a client hangs"

    def _write(self, dice: random.Random) -> None:
        connection: pymysql.Connection[Any] | None = None
        while not self._stopping.is_set():
            try:
                connection = connection or self._connect()
            except pymysql.err.MySQLError as error:
                self._note(error)
                self._stopping.wait(0.1)
                continue
            if not self._transfer(connection, dice):
                connection = _closed(connection)
        _closed(connection)

    def _transfer(self, connection: pymysql.Connection[Any], dice: random.Random) -> bool:
        """One transfer; False when the connection is of no use any more."""
        payer, payee = dice.sample(range(ACCOUNTS), 2)
        number, amount = dice.getrandbits(62), dice.randint(1, 20)
        committing = False
        try:
            with connection.cursor() as cursor:
                cursor.execute("BEGIN")
                cursor.execute("UPDATE account SET balance = balance - %s WHERE id = %s", (amount, payer))
                cursor.execute("INSERT INTO transfer VALUES (%s, %s, %s, %s)", (number, payer, payee, amount))
                cursor.execute("UPDATE account SET balance = balance + %s WHERE id = %s", (amount, payee))
                committing = True
                cursor.execute("COMMIT")
        except pymysql.err.MySQLError as error:
            self._note(error)
            known = (
                not committing or error.args[0] in NOTHING_HAPPENED or "nothing was committed" in str(error)
            )
            with self._lock:
                (self.record.refused if known else self.record.unknown).add(number)
            return False
        with self._lock:
            self.record.acknowledged.add(number)
        return True

    def _read(self) -> None:
        """The sum under locks is exact at any time."""
        while not self._stopping.wait(0.1):
            try:
                connection = self._connect()
            except pymysql.err.MySQLError as error:
                self._note(error)
                continue
            try:
                with connection.cursor() as cursor:
                    cursor.execute("BEGIN")
                    cursor.execute("SELECT SUM(balance) FROM account LOCK IN SHARE MODE")
                    (total,) = cursor.fetchone() or (None,)
                    # Only this tells that no lock was lost on the way.
                    cursor.execute("COMMIT")
                self.record.sums += 1
                if total != ACCOUNTS * BALANCE:
                    self.record.wrong_sums.append(total)
            except pymysql.err.MySQLError as error:
                self._note(error)
            _closed(connection)

    def _note(self, error: pymysql.err.MySQLError) -> None:
        with self._lock:
            self.record.errors[str(error.args)[:100]] += 1


def _closed(connection: pymysql.Connection[Any] | None) -> None:
    if connection is not None and connection.open:
        try:
            connection.close()
        except pymysql.err.MySQLError:
            # Closed it is; the goodbye was lost.
            return


def mistakes(
    record: Record, accounts: Sequence[tuple[int, int]], transfers: Sequence[tuple[int, ...]]
) -> list[str]:
    """What the rows of all data sources contradict: empty when nothing was lost, doubled or left half done."""
    found: list[str] = []
    if sum(balance for _, balance in accounts) != ACCOUNTS * BALANCE:
        found.append(f"the sum is {sum(balance for _, balance in accounts)}, not {ACCOUNTS * BALANCE}")
    expected = dict.fromkeys(range(ACCOUNTS), BALANCE)
    for _, payer, payee, amount in transfers:
        expected[payer] -= amount
        expected[payee] += amount
    found += [
        f"account {number} has {balance}, its transfers make {expected[number]}"
        for number, balance in accounts
        if balance != expected[number]
    ]
    stored = Counter(row[0] for row in transfers)
    found += [f"transfer {number} is stored {times} times" for number, times in stored.items() if times > 1]
    lost = record.acknowledged - stored.keys()
    ghosts = stored.keys() & record.refused
    found += [f"{len(lost)} acknowledged transfers are lost"] if lost else []
    found += [f"{len(ghosts)} refused transfers happened"] if ghosts else []
    found += [f"a reader saw the sum {total}" for total in record.wrong_sums]
    return found
