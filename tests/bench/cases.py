"""The project's own cases: big answers, ordered merges, split inserts, planning, federation, transactions, start-up and memory.

The client of the big answers is the `mariadb` command line: a client in C, so that it is not the slowest part.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.bench.stage import Place, Stage
from tests.plugins.mariadb import find_program
from tests.plugins.processes import cpu_seconds, resident_bytes

MEGABYTE = 1024 * 1024


@dataclass(frozen=True)
class BigAnswer:
    """A big answer through one place: rows per second, and the proxy's memory before and at its highest, in MB."""

    rows_per_second: float
    before: float
    highest: float


def _highest_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise ProcessLookupError(pid)


def _stream(place: Place, statement: str) -> float:
    """Seconds one statement takes when a client in C reads its answer and throws it away."""
    command = [
        find_program("mariadb", "mysql"),
        "--no-defaults",
        "--host=127.0.0.1",
        f"--port={place.port}",
        "--protocol=TCP",
        f"--user={place.user}",
        f"--password={place.password}",
        "--quick",
        "--batch",
        "--skip-column-names",
        place.database,
        "-e",
        statement,
    ]
    began = time.monotonic()
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=True, timeout=600)
    return time.monotonic() - began


def big_answer(place: Place, statement: str, rows: int, rounds: int) -> BigAnswer:
    """Streams an answer of `rows` rows `rounds` times and takes the median."""
    before = highest = 0
    if place.pid:
        before = resident_bytes(place.pid)
        Path(f"/proc/{place.pid}/clear_refs").write_text("5")  # resets VmHWM (proc(5))
    seconds = median(_stream(place, statement) for _ in range(rounds))
    if place.pid:
        highest = _highest_bytes(place.pid)
    return BigAnswer(rows / seconds, before / MEGABYTE, highest / MEGABYTE)


def interleaved(places: list[Place], statement: str, rows: int, rounds: int) -> dict[str, BigAnswer]:
    """The same answer through several places, taking turns."""
    runs: dict[str, list[BigAnswer]] = {place.name: [] for place in places}
    for _ in range(rounds):
        for place in places:
            runs[place.name].append(big_answer(place, statement, rows, 1))
    return {
        name: BigAnswer(
            median(run.rows_per_second for run in answers),
            answers[0].before,
            max(run.highest for run in answers),
        )
        for name, answers in runs.items()
    }


def split_inserts(stage: Stage, statements: int) -> tuple[float, float]:
    """CPU milliseconds of the proxy and milliseconds of wall time per 1,000-row INSERT over four shards."""
    texts = [
        "INSERT INTO inserted (id, word, n, amount) VALUES "
        + ", ".join(f"({n}, 'word number {n}', {n % 1000}, {n % 977}.25)" for n in range(start, start + 1000))
        for start in range(1_000_000, 1_000_000 + statements * 1000, 1000)
    ]
    connection = stage.mesh.connect("sharded")
    try:
        with connection.cursor() as cursor:
            before, began = cpu_seconds(stage.mesh.pid), time.monotonic()
            for text in texts:
                assert cursor.execute(text) == 1000
            cpu, wall = cpu_seconds(stage.mesh.pid) - before, time.monotonic() - began
            cursor.execute("SELECT COUNT(*) FROM inserted")
            assert cursor.fetchone() == (statements * 1000,)
    finally:
        connection.close()
    return cpu * 1000 / statements, wall * 1000 / statements


_JOIN = (
    "SELECT a.c, b.word AS w{}, d.pad FROM sbtest1 AS a JOIN inserted AS b ON b.id = a.id JOIN big AS d ON d.id = b.id "
    "WHERE a.id = 4 AND b.n > 10 ORDER BY b.amount DESC LIMIT 10"
)


def planning(stage: Stage, statements: int) -> float:
    """CPU milliseconds that a join of three tables costs the proxy when its form is new, above one it has planned."""
    connection = stage.mesh.connect("sharded")

    def cost(texts: Iterable[str]) -> float:
        before = cpu_seconds(stage.mesh.pid)
        for text in texts:
            cursor.execute(text)
            cursor.fetchall()
        return cpu_seconds(stage.mesh.pid) - before

    try:
        with connection.cursor() as cursor:
            new = cost(_JOIN.format(number) for number in range(statements))
            planned = cost(_JOIN.format(0) for _ in range(statements))
    finally:
        connection.close()
    return (new - planned) * 1000 / statements


_FEDERATED = "SELECT COUNT(*), SUM(a.k) FROM big AS a JOIN big AS b ON b.id = a.id + 1 WHERE a.id <= {n} AND b.id <= {n}"


def federation(stage: Stage, rounds: int) -> float:
    """Seconds of a join that no shard can answer alone; it loads 100,000 rows on the merge node."""
    statement = _FEDERATED.format(n=50_000)
    connection = stage.mesh.connect("sharded")
    seconds = []
    try:
        with connection.cursor() as cursor:
            for _ in range(rounds):
                began = time.monotonic()
                cursor.execute(statement)
                (row,) = cursor.fetchall()
                seconds.append(time.monotonic() - began)
                assert row[0] == 49_999
    finally:
        connection.close()
    return median(seconds)


@dataclass(frozen=True)
class Transactions:
    """A transaction of two UPDATEs by key: the median in milliseconds, and the proxy's CPU milliseconds for each."""

    milliseconds: float
    cpu_ms: float


def transactions(stage: Stage, count: int) -> dict[str, Transactions]:
    """The same two rows on one server, through dbmesh on one data source, and on two, where they commit as one."""
    direct, sharded = stage.places["direct"], stage.places["dbmesh sharded"]
    return {
        "direct": _transactions(direct, (4, 8), count),
        "dbmesh, one data source": _transactions(sharded, (4, 8), count),
        "dbmesh, two data sources": _transactions(sharded, (4, 5), count),
    }


def _transactions(place: Place, keys: tuple[int, int], count: int) -> Transactions:
    connection = place.connect()
    times = []
    try:
        with connection.cursor() as cursor:
            cpu = cpu_seconds(place.pid) if place.pid else 0.0
            for _ in range(count):
                began = time.monotonic()
                cursor.execute("BEGIN")
                for key in keys:
                    cursor.execute(f"UPDATE sbtest1 SET k = k + 1 WHERE id = {key}")
                cursor.execute("COMMIT")
                times.append(time.monotonic() - began)
            cpu = cpu_seconds(place.pid) - cpu if place.pid else 0.0
    finally:
        connection.close()
    return Transactions(median(times) * 1000, cpu * 1000 / count)


@dataclass(frozen=True)
class Footprint:
    """Start-up in seconds; resident memory in MB, idle and with a hundred clients."""

    start_seconds: float
    idle: float
    hundred_clients: float


def footprint(stage: Stage, rounds: int) -> Footprint:
    """Restarts dbmesh `rounds` times, then connects a hundred clients that each have asked something."""
    seconds = []
    for _ in range(rounds):
        stage.mesh.stop()
        seconds.append(stage.start_mesh())
    idle = resident_bytes(stage.mesh.pid)
    clients = [stage.mesh.connect("sharded") for _ in range(100)]
    try:
        for number, client in enumerate(clients):
            with client.cursor() as cursor:
                cursor.execute(f"SELECT c FROM sbtest1 WHERE id = {number + 1}")
                cursor.fetchall()
        crowded = resident_bytes(stage.mesh.pid)
    finally:
        for client in clients:
            client.close()
    return Footprint(median(seconds), idle / MEGABYTE, crowded / MEGABYTE)
