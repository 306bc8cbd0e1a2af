"""One run of sysbench: its command line, and the numbers in what it prints."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass

from tests.bench.stage import Place
from tests.plugins.mariadb import find_program
from tests.plugins.processes import cpu_seconds


@dataclass(frozen=True)
class Load:
    """What one run does: a sysbench script, prepared or text statements, how many connections."""

    script: str
    prepared: bool
    connections: int

    @property
    def title(self) -> str:
        """The load in words."""
        return f"{self.script.removeprefix('oltp_')} {'prepared' if self.prepared else 'text'}"


@dataclass(frozen=True)
class Run:
    """What one run showed. Latencies in microseconds (of a query for point selects, else of a transaction);
    `cpu` is the proxy's CPU per query in microseconds, None where nothing stands between."""

    queries_per_second: float
    p50: float
    p99: float
    cpu: float | None
    errors: int


_BUCKET = re.compile(r"^\s*([\d.]+) \|.*?\s(\d+)\s*$", re.MULTILINE)
_QUERIES = re.compile(r"queries:\s+(\d+)\s+\(([\d.]+) per sec\.\)")
_ERRORS = re.compile(r"ignored errors:\s+(\d+)")


def percentile(buckets: list[tuple[float, int]], share: float) -> float:
    """The value below which `share` of the counted events lie; buckets are (milliseconds, count), ascending."""
    wanted = share * sum(count for _value, count in buckets)
    seen = 0
    for value, count in buckets:
        seen += count
        if seen >= wanted:
            return value
    return 0.0


def run(load: Load, place: Place, seconds: float, rows: int) -> Run:
    """Runs sysbench once. Raises RuntimeError with its output when it fails."""
    command = [
        find_program("sysbench"),
        load.script,
        "--mysql-host=127.0.0.1",
        f"--mysql-port={place.port}",
        f"--mysql-user={place.user}",
        f"--mysql-password={place.password}",
        f"--mysql-db={place.database}",
        "--mysql-ssl=off",
        "--tables=1",
        f"--table-size={rows}",
        "--auto-inc=off",
        f"--threads={load.connections}",
        f"--time={seconds:g}",
        "--histogram=on",
        "--percentile=99",
        "--mysql-ignore-errors=1213,1020,1205,1062",
        f"--db-ps-mode={'auto' if load.prepared else 'disable'}",
        "run",
    ]
    before = cpu_seconds(place.pid) if place.pid else 0.0
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60)
    after = cpu_seconds(place.pid) if place.pid else 0.0
    found = _QUERIES.search(done.stdout)
    if done.returncode != 0 or found is None:
        raise RuntimeError(
            f"sysbench {load} on {place.name} failed:\n{done.stdout[-3000:]}\n{done.stderr[-1000:]}"
        )
    buckets = [(float(value), int(count)) for value, count in _BUCKET.findall(done.stdout)]
    errors = _ERRORS.search(done.stdout)
    return Run(
        queries_per_second=float(found.group(2)),
        p50=percentile(buckets, 0.50) * 1000,
        p99=percentile(buckets, 0.99) * 1000,
        cpu=(after - before) * 1e6 / int(found.group(1)) if place.pid else None,
        errors=int(errors.group(1)) if errors else 0,
    )
