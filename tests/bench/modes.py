"""What clients that write all the time get done while their table is copied: without a job, and by either mode of one, in turns."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory

from dbmesh.reshard.jobs.job import Mode
from tests.chaos.reshard.stage import ReshardStage, open_reshard_stage
from tests.plugins.database_server import DatabaseServer, start_all
from tests.plugins.mariadb import MariaDb, make_template
from tests.plugins.processes import wait_until

ROWS = 40_000
RATE = 1_000
"""Rows copied a second: copying lasts longer than it is looked at, and takes the same in both modes."""
CLIENTS = 8
NO_JOB = "no job"


@dataclass(frozen=True)
class Writing:
    """Single writes under autocommit of all clients together: how many a second, and milliseconds until 50 and 99 of 100 were answered."""

    a_second: float
    middle_ms: float
    slow_ms: float


def modes(rounds: int, seconds: float) -> dict[str, Writing]:
    """By what goes on; medians of rounds, in turns."""
    found: dict[str, list[Writing]] = {NO_JOB: [], **{mode.value: [] for mode in Mode}}
    with _stage() as stage, _writing(stage) as clients:
        for _ in range(rounds):
            found[NO_JOB].append(_seen(clients, seconds))
            for mode in Mode:
                stage.reshard("start", str(stage.after), "--mode", mode.value, "--rate", str(RATE))
                wait_until(lambda: stage.status()["phase"] == "copy", 60, "rows are copied")
                found[mode.value].append(_seen(clients, seconds))
                assert stage.status()["phase"] == "copy", "all rows were copied before it was measured"
                stage.reshard("cancel")
    return {
        what: Writing(
            median(one.a_second for one in all_),
            median(one.middle_ms for one in all_),
            median(one.slow_ms for one in all_),
        )
        for what, all_ in found.items()
    }


class _Client(threading.Thread):
    """Updates rows and adds some; `took` are seconds."""

    def __init__(self, stage: ReshardStage, number: int) -> None:
        super().__init__()
        self._stage = stage
        self._number = number
        self._dice = random.Random(number)
        self.stopping = threading.Event()
        self.took: list[float] = []

    def run(self) -> None:
        """Until it is stopped."""
        added = (self._number + 1) * 1_000_000
        with self._stage.connect(self._number % 2) as connection, connection.cursor() as cursor:
            while not self.stopping.is_set():
                statement = f"UPDATE item SET n = n + 1 WHERE id = {self._dice.randrange(1, ROWS)}"
                if self._dice.random() < 0.3:
                    added += 1
                    statement = f"INSERT INTO item VALUES ({added}, {self._dice.randrange(8)}, 0, 'added')"
                began = time.monotonic()
                cursor.execute(statement)
                self.took.append(time.monotonic() - began)


def _seen(clients: Sequence[_Client], seconds: float) -> Writing:
    before = [len(client.took) for client in clients]
    began = time.monotonic()
    time.sleep(seconds)
    took = [one for client, count in zip(clients, before, strict=True) for one in client.took[count:]]
    elapsed = time.monotonic() - began
    parts = quantiles(took, n=100)
    return Writing(len(took) / elapsed, parts[49] * 1000, parts[98] * 1000)


@contextmanager
def _writing(stage: ReshardStage) -> Iterator[list[_Client]]:
    clients = [_Client(stage, number) for number in range(CLIENTS)]
    for client in clients:
        client.start()
    try:
        yield clients
    finally:
        for client in clients:
            client.stopping.set()
        for client in clients:
            client.join(30)


@contextmanager
def _stage() -> Iterator[ReshardStage]:
    with ExitStack() as ending:
        directory = Path(ending.enter_context(TemporaryDirectory()))
        template = make_template(directory)
        options = ("--log-bin=binlog", "--binlog-format=ROW", "--innodb-flush-log-at-trx-commit=1")
        servers: list[DatabaseServer] = [
            MariaDb(f"server{number}", directory, template, (*options, f"--server-id={number + 1}"))
            for number in range(2)
        ]
        for server in servers:
            ending.callback(server.stop)
        start_all(servers)
        yield ending.enter_context(open_reshard_stage(servers, directory, rows=ROWS))
