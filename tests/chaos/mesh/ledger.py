"""Clients that know every answer: each has accounts of its own, and what they must hold.

Decides what clients ask, what they may be told, and what is a contradiction. Every change of an account counts its number `n` on and asks
for the one before, so that one whose outcome nobody was told can happen late or not at all, but never beside the next.
"""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import pymysql

EACH = 8
"""Accounts of one client: two on each data source."""

PAUSE = 0.01
"""Seconds between two things a client does; the machine has more to do."""

REFUSED = frozenset({1053, 1226, 3168})
"""Errors of the mesh itself before anything of a statement is done."""
NOTHING_HAPPENED = frozenset({1205, 1213})
"""Errors of COMMIT after which nothing is committed; of others the client cannot know."""

Account = tuple[int, int]
"""Its number and its value."""
State = dict[int, Account]
Connection = "pymysql.Connection[Any]"
Connect = Callable[[int], "pymysql.Connection[Any]"]


@dataclass(frozen=True, slots=True)
class Event:
    """One statement: when it ended (monotonic seconds), how long it took, on which sidecar, which data sources it needed, its error
    (0 for none)."""

    at: float
    seconds: float
    sidecar: int
    sources: frozenset[int]
    error: int = 0
    text: str = ""


@dataclass
class Ledger:
    """What clients have seen. `wrong` is what must not be."""

    events: list[Event] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def since(self, moment: float) -> list[Event]:
        """What has ended from then on."""
        with self.lock:
            return [one for one in self.events if one.at >= moment]

    def note(self, event: Event) -> None:
        """A statement has ended."""
        with self.lock:
            self.events.append(event)

    def contradict(self, text: str) -> None:
        """An answer is wrong."""
        with self.lock:
            self.wrong.append(text)


class Client(threading.Thread):
    """One client of one sidecar, until `stop`. `known` is what its accounts hold, and `possible` what they hold instead if a change
    whose outcome it was not told has happened. Who never `transfers` sends no COMMIT, which nobody stops: each of his statements ends."""

    def __init__(
        self, ledger: Ledger, connect: Connect, sidecar: int, number: int, seed: int, *, transfers: bool
    ) -> None:
        super().__init__(name=f"client {number}")
        self._ledger = ledger
        self._connect = connect
        self._sidecar = sidecar
        self._dice = random.Random(f"{seed} {number}")
        self._stopping = threading.Event()
        self._connection: Connection | None = None
        self.first = number * EACH
        self.known: State = {self.first + one: (0, 100) for one in range(EACH)}
        self.possible: list[State] = []
        self._steps = (self._read_one, self._read_all, self._sum, self._change_one)
        if transfers:
            self._steps += (self._transfer,)
        # A COMMIT has warned that a data source follows when it is back: until then it may be read as it was.
        self._follows_later = False
        # The last change that failed, for whoever looks for the cause of a contradiction.
        self._last = ""

    def stop(self) -> None:
        """Finish what it is at."""
        self._stopping.set()

    def run(self) -> None:
        """Ask, and compare."""
        while not self._stopping.wait(PAUSE):
            try:
                if self._connection is None:
                    self._connection = self._connect(self._sidecar)
                self._step()
            except pymysql.err.MySQLError as error:
                if self._connection is None:
                    # It could not log in.
                    code, text = _told(error)
                    self._ledger.note(
                        Event(time.monotonic(), 0.0, self._sidecar, frozenset(range(4)), code, text)
                    )
                self._hang_up()
                self._stopping.wait(0.05)
        self._hang_up()

    def settle(self) -> None:
        """Find out what became of the last change. To be called when everything is normal again, and the client has stopped."""
        self._connection = self._connect(self._sidecar)
        try:
            while self.possible or self._follows_later:
                self._resolve()
        finally:
            self._hang_up()

    def _step(self) -> None:
        if self.possible or self._follows_later:
            self._resolve()
            return
        self._dice.choice(self._steps)()

    # ------------------------------------------------------------------------------------------ statements

    def _read_one(self) -> None:
        id_ = self._one()
        found = self._ask("SELECT n, v FROM account WHERE id = %s", (id_,), (id_,))
        self._compare("point select", found, [self.known[id_]])

    def _read_all(self) -> None:
        found = self._ask(
            "SELECT id, n, v FROM account WHERE id BETWEEN %s AND %s ORDER BY id", self._range, self.known
        )
        self._compare("ordered select", found, [(id_, *held) for id_, held in sorted(self.known.items())])

    def _sum(self) -> None:
        sql = "SELECT COUNT(*), SUM(v), MAX(n) FROM account WHERE id BETWEEN %s AND %s"
        found = self._ask(sql, self._range, self.known)
        held = self.known.values()
        self._compare("sum", found, [(EACH, sum(v for _, v in held), max(n for n, _ in held))])

    def _change_one(self) -> None:
        id_, amount = self._one(), self._dice.randint(-20, 20)
        self._write(lambda: self._count_on(id_, amount, (id_,)), {id_: amount}, begun=True)

    def _transfer(self) -> None:
        payer, payee = self._dice.sample(sorted(self.known), 2)
        amount = self._dice.randint(1, 20)
        changes = {payer: -amount, payee: amount}

        def pay() -> None:
            assert self._connection is not None
            self._ask("BEGIN", (), changes)
            for id_, change in changes.items():
                self._count_on(id_, change, changes)
            sql = "SELECT id, n, v FROM account WHERE id IN (%s, %s) ORDER BY id"
            expected = [(id_, *held) for id_, held in sorted(self._after(changes).items()) if id_ in changes]
            self._compare("select inside", self._ask(sql, (payer, payee), changes), expected)
            committing[0] = True
            self._ask("COMMIT", (), changes)
            # Whether all of it can be read already is asked again, where that cannot be told.
            self._follows_later = True
            with self._connection.cursor() as cursor, contextlib.suppress(pymysql.err.MySQLError):
                self._follows_later = bool(cursor.execute("SHOW WARNINGS"))

        committing = [False]
        self._write(pay, changes, begun=False, committing=committing)

    def _count_on(self, id_: int, amount: int, accounts: Collection[int]) -> None:
        number = self.known[id_][0]
        sql = "UPDATE account SET v = v + %s, n = n + 1 WHERE id = %s AND n = %s"
        changed = self._ask(sql, (amount, id_, number), accounts)
        self._compare(f"update of {id_} at {number}", changed, 1)

    def _write(
        self,
        work: Callable[[], None],
        changes: dict[int, int],
        *,
        begun: bool,
        committing: Sequence[bool] = (False,),
    ) -> None:
        """Do something that makes these changes. `begun`: each statement of it may have happened when it failed."""
        after = self._after(changes)
        try:
            work()
        except pymysql.err.MySQLError as error:
            code, text = _told(error)
            refused = code in REFUSED or (committing[0] and code in NOTHING_HAPPENED)
            unknown = (begun or committing[0]) and not refused and "nothing was committed" not in text
            if unknown:
                self.possible = [after]
            self._last = f"{changes} → {code} {text} (at {'COMMIT' if committing[0] else 'a statement'}, {'un' * unknown}known)"
            raise
        self.known = after

    def _resolve(self) -> None:
        """Ask under locks, which whatever is under way has: then count on, so that what comes later finds another number."""
        sql = "SELECT id, n, v FROM account WHERE id BETWEEN %s AND %s ORDER BY id LOCK IN SHARE MODE"
        found = {id_: (n, v) for id_, n, v in self._ask(sql, self._range, self.known)}
        if found in self.possible:
            self.known, self.possible = found, []
            return
        self._follows_later = False
        if found != self.known:
            self._ledger.contradict(f"{self.name}: {found} is neither {self.known} nor of {self.possible}")
            self.known, self.possible = found, []
        elif self.possible:
            self._count_past()

    def _count_past(self) -> None:
        """Nothing has happened so far: see to it that nothing does later."""
        id_ = min(id_ for id_, held in self.possible[0].items() if self.known[id_] != held)
        after = self._after({id_: 0})
        self.possible.append(after)
        sql = "UPDATE account SET n = n + 1 WHERE id = %s AND n = %s"
        if self._ask(sql, (id_, self.known[id_][0]), (id_,)) == 1:
            self.known, self.possible = after, []
        else:
            # What was unknown has happened after all.
            self.possible.remove(after)

    # ------------------------------------------------------------------------------------------ inside

    @property
    def _range(self) -> tuple[int, int]:
        return self.first, self.first + EACH - 1

    def _one(self) -> int:
        return self.first + self._dice.randrange(EACH)

    def _after(self, changes: dict[int, int]) -> State:
        changed = {id_: (self.known[id_][0] + 1, self.known[id_][1] + one) for id_, one in changes.items()}
        return self.known | changed

    def _compare(self, what: str, found: object, expected: object) -> None:
        if found != expected:
            self._ledger.contradict(f"{self.name}: {what}: {found}, not {expected}; before: {self._last}")

    def _ask(self, sql: str, values: Sequence[int], accounts: Collection[int]) -> Any:
        """Rows of a query, or the number of rows changed; raises what the client is told."""
        assert self._connection is not None
        began = time.monotonic()
        code, text = 0, ""
        try:
            with self._connection.cursor() as cursor:
                changed = cursor.execute(sql, tuple(values) or None)
                return list(cursor.fetchall()) if cursor.description else changed
        except pymysql.err.MySQLError as error:
            code, text = _told(error)
            raise
        finally:
            ended = time.monotonic()
            sources = frozenset(id_ % 4 for id_ in accounts)
            self._ledger.note(Event(ended, ended - began, self._sidecar, sources, code, text))

    def _hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None and connection.open:
            try:
                connection.close()
            except pymysql.err.MySQLError:
                # Closed it is; the goodbye was lost.
                return


class Places(threading.Thread):
    """Reads the table that moves, by all sidecars in turn: who has seen it in one place never sees it in a former one again, and neither
    does anybody who asks later. `moves` is how often it has been moved at most."""

    def __init__(
        self, ledger: Ledger, connect: Connect, sidecars: int, places: int, moves: Callable[[], int]
    ) -> None:
        super().__init__(name="places")
        self._ledger = ledger
        self._connect = connect
        self._sidecars = sidecars
        self._places = places
        self._moves = moves
        self._stopping = threading.Event()
        self.reads = 0
        self.seen = 0

    def stop(self) -> None:
        """Finish what it is at."""
        self._stopping.set()

    def run(self) -> None:
        """Ask one sidecar after another: each question begins when the one before has been answered."""
        connections: dict[int, Connection] = {}
        while not self._stopping.wait(PAUSE):
            sidecar = self.reads % self._sidecars
            self.reads += 1
            try:
                if sidecar not in connections:
                    connections[sidecar] = self._connect(sidecar)
                with connections[sidecar].cursor() as cursor:
                    cursor.execute("SELECT number FROM place WHERE id = 1")
                    self._saw(sidecar, cursor.fetchall())
            except pymysql.err.MySQLError:
                lost = connections.pop(sidecar, None)
                if lost is not None and lost.open:
                    lost.close()
        for connection in connections.values():
            connection.close()

    def _saw(self, sidecar: int, rows: Sequence[tuple[int]]) -> None:
        [(number,)] = rows
        onward = (number - self.seen) % self._places
        if self.seen + onward > self._moves():
            self._ledger.contradict(
                f"sidecar {sidecar} looks where rows were before move {self.seen}: {number}"
            )
            return
        self.seen += onward


def _told(error: pymysql.err.MySQLError) -> tuple[int, str]:
    number, *rest = error.args
    return int(number), " ".join(map(str, rest))
