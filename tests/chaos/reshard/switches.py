"""`python -m tests.chaos.reshard.switches`: many connections write and read while a table is cut over and rolled back, to and fro, and how
long the longest statement was meanwhile. Ends with 1 when a statement failed, an answer was wrong, or a row is not where it has to be.

Decides how clients are spread over processes, so that none waits for another one's interpreter, and which statements were under way at a
switch.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import MySQLdb

from tests.chaos.reshard.stage import ReshardStage, open_reshard_stage
from tests.chaos.reshard.writers import Client, Row
from tests.plugins.database_server import DatabaseServer, start_all
from tests.plugins.mariadb import MariaDb, make_template

ROWS = 2_000
PROCESSES = 4
REST = 1.5
"""Seconds before and after each switch."""

_OPTIONS = ("--log-bin=binlog", "--binlog-format=ROW", "--innodb-buffer-pool-size=256M")


@dataclass
class Seen:
    """What clients have seen, as `Client` has it."""

    stalls: list[tuple[float, float]] = field(default_factory=list)
    writes: int = 0
    deadlocks: int = 0
    wrong: list[str] = field(default_factory=list)
    known: dict[int, Row] = field(default_factory=dict)


def _connect(port: int) -> Any:
    return MySQLdb.connect(
        host="127.0.0.1", port=port, user="root", password="root", database="shop", autocommit=True
    )


def _write(numbers: Sequence[int], ports: Sequence[int], seed: int, pause: float, told: Connection) -> None:
    """A process of clients, until something is sent to it; sends what they have seen."""
    clients = [
        Client(number, lambda n=number: _connect(ports[n % len(ports)]), seed, pause=pause)  # type: ignore[misc]
        for number in numbers
    ]
    for client in clients:
        client.start()
    told.recv()
    for client in clients:
        client.stop()
    seen = Seen()
    for client in clients:
        client.join(60)
        seen.stalls += client.stalls
        seen.writes += client.writes
        seen.deadlocks += client.deadlocks
        seen.wrong += [*client.errors, *client.wrong]
        seen.known |= client.known
    told.send(seen)


@contextmanager
def writing(stage: ReshardStage, clients: int, pause: float, seed: int) -> Iterator[Seen]:
    """Clients for the block; after it, what they have seen."""
    context = multiprocessing.get_context("spawn")
    ports = [mesh.port for mesh in stage.sidecars]
    found = Seen()
    running = []
    for first in range(min(PROCESSES, clients)):
        ours, theirs = context.Pipe()
        arguments = (range(first, clients, PROCESSES), ports, seed, pause, theirs)
        process = context.Process(target=_write, args=arguments)
        process.start()
        running.append((process, ours))
    try:
        yield found
    finally:
        for _, ours in running:
            ours.send("end")
        for process, ours in running:
            seen = ours.recv()
            process.join()
            found.stalls += seen.stalls
            found.writes += seen.writes
            found.deadlocks += seen.deadlocks
            found.wrong += seen.wrong
            found.known |= seen.known


def _percentile(seconds: Sequence[float], part: float) -> float:
    return sorted(seconds)[int(part * (len(seconds) - 1))] if seconds else 0.0


def run(directory: Path, clients: int, pause: float, switches: int, seed: int) -> int:
    """Everything; how many things were wrong."""
    template = make_template(directory)
    servers: list[DatabaseServer] = [
        MariaDb(f"server{number}", directory, template, (*_OPTIONS, f"--server-id={number + 1}"))
        for number in range(2)
    ]
    start_all(servers)
    try:
        with open_reshard_stage(servers, directory, rows=ROWS) as stage:
            stage.start()
            return _switch(stage, clients, pause, switches, seed)
    finally:
        for server in servers:
            server.stop()


def _switch(stage: ReshardStage, clients: int, pause: float, switches: int, seed: int) -> int:
    moments: list[tuple[float, float]] = []
    with writing(stage, clients, pause, seed) as seen:
        time.sleep(3 * REST)
        began = time.monotonic()
        cpu = [mesh_cpu(mesh.pid) for mesh in stage.sidecars]
        for number in range(switches):
            time.sleep(REST)
            start = time.monotonic()
            stage.reshard("rollback" if number % 2 else "cutover")
            moments.append((start, time.monotonic()))
        time.sleep(REST)
        ended = time.monotonic()
        cpu = [mesh_cpu(mesh.pid) - before for mesh, before in zip(stage.sidecars, cpu, strict=True)]
    stalls = [(at, seconds) for at, seconds in seen.stalls if began < at < ended]

    def at_switch(at: float, seconds: float) -> bool:
        return any(at > start and at - seconds < end for start, end in moments)

    usual = [seconds for at, seconds in stalls if not at_switch(at, seconds)]
    print(f"| connections | {clients} |")
    print(f"| statements a second | {len(stalls) / (ended - began):.0f} |")
    print(f"| writes a second | {seen.writes / len(seen.stalls) * len(stalls) / (ended - began):.0f} |")
    print(f"| transactions undone by deadlocks, of all statements | {seen.deadlocks} of {len(seen.stalls)} |")
    print(f"| CPU of the sidecars | {', '.join(f'{one / (ended - began):.2f}' for one in cpu)} |")
    for part, name in (
        (0.5, "median"),
        (0.99, "99th percentile"),
        (0.999, "99.9th percentile"),
        (1.0, "longest"),
    ):
        print(f"| {name} without a switch | {_percentile(usual, part) * 1e3:.0f} ms |")
    longest = [
        max((s for at, s in stalls if at > start and at - s < end), default=0.0) for start, end in moments
    ]
    print(f"| longest at each switch | {', '.join(f'{one * 1e3:.0f}' for one in longest)} ms |")
    print(
        f"| longest at a switch: median, longest | {statistics.median(longest) * 1e3:.0f}, {max(longest) * 1e3:.0f} ms |"
    )
    held = {id_: (id_ // 2 % 4, 0, f"old {id_}") for id_ in range(1, ROWS + 1)} | seen.known
    number = stage.status()["number"]
    for side, found in (("new", stage.new_rows(number)), ("old", stage.old_rows(number))):
        seen.wrong += [
            f"the {side} side has {found.get(id_)} of row {id_}, which is {held.get(id_)}"
            for id_ in sorted(found.keys() | held.keys())
            if found.get(id_) != held.get(id_)
        ]
    print(f"| rows compared, wrong | {len(held)}, {len(seen.wrong)} |")
    for text in seen.wrong[:20]:
        print(f"    {text}")
    return len(seen.wrong)


def mesh_cpu(pid: int | None) -> float:
    """Seconds of CPU a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


def main() -> int:
    """Runs what the arguments ask for."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.reshard.switches", description=__doc__)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--pause", type=float, default=0.1, help="seconds a client rests between two steps")
    parser.add_argument("--switches", type=int, default=20, help="half of them are rollbacks")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        wrong = run(Path(directory), arguments.clients, arguments.pause, arguments.switches, arguments.seed)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
