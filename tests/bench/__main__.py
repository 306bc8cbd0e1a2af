"""`python -m tests.bench`: direct, HAProxy and dbmesh side by side, in rounds that take turns; medians are shown.

Every place is measured within the same minutes on the same machine, because only ratios travel.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from tests.bench import cases, report
from tests.bench.copying import copying
from tests.bench.doubling import doubling
from tests.bench.modes import modes
from tests.bench.stage import COUNTED, WATCHED, Place, Stage
from tests.bench.sysbench import Load, Run, run

POINT = "oltp_point_select"
OUTPUT = Path(__file__).resolve().parents[2] / "build" / "bench.json"


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="short rounds, small tables: for a first look")
    parser.add_argument(
        "--markdown", metavar="FILE", help="also write the tables as markdown (- for standard output)"
    )
    parser.add_argument("--only", choices=["point", "mixed", "own"], action="append", help="only these parts")
    parser.add_argument("--seconds", type=float, help="seconds per run (5, quick: 2)")
    parser.add_argument("--rounds", type=int, help="rounds (3, quick: 1)")
    parser.add_argument("--json", type=Path, default=OUTPUT, help="where the numbers go (build/bench.json)")
    return parser.parse_args()


def loads(parts: set[str], quick: bool) -> Iterator[tuple[Load, list[str]]]:
    """Each load and the places it runs through."""
    counts = (1, 8) if quick else (1, 8, 64)
    if "point" in parts:
        for prepared in (False, True):
            for count in counts:
                watched = [COUNTED, WATCHED] if count == 8 else []
                names = ["direct", "haproxy", "dbmesh single", *watched, "dbmesh sharded"]
                yield Load(POINT, prepared, count), names
    if "mixed" in parts:
        for script in ("oltp_read_only", "oltp_read_write"):
            for count in counts:
                yield Load(script, True, count), ["direct", "haproxy", "dbmesh sharded"]


def measure_loads(
    stage: Stage, parts: set[str], options: argparse.Namespace, console: Console
) -> dict[Load, dict[str, list[Run]]]:
    """Runs every load through its places, taking turns; a place that fails is reported and left out."""
    results: dict[Load, dict[str, list[Run]]] = {}
    for load, names in loads(parts, options.quick):
        places: list[Place] = [stage.places[name] for name in names]
        runs: dict[str, list[Run]] = {place.name: [] for place in places}
        for _ in range(options.rounds):
            for place in places:
                console.print(f"[dim]{load.title}, {load.connections} connections, {place.name}[/dim]")
                try:
                    runs[place.name].append(run(load, place, options.seconds, stage.rows))
                except RuntimeError as failure:
                    console.print(f"[red]{failure}[/red]", highlight=False, markup=False)
        results[load] = {name: done for name, done in runs.items() if done}
    return results


def measure_own(stage: Stage, options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """The project's own cases."""
    direct, single, sharded = (stage.places[name] for name in ("direct", "dbmesh single", "dbmesh sharded"))
    haproxy, rows, rounds = stage.places["haproxy"], stage.big_rows, options.rounds
    own: dict[str, Any] = {"big_rows": rows}
    own["titles"] = {
        "relay": f"{rows:,} rows × 200 B, one shard",
        "merge": f"{rows:,} rows (id, k) in order of id",
        "merge_wide": f"{rows:,} rows × 200 B in order of id",
    }
    for case, statement, places in (
        ("relay", "SELECT * FROM big", [direct, haproxy, single]),
        ("merge", "SELECT id, k FROM big ORDER BY id", [direct, sharded]),
        ("merge_wide", "SELECT * FROM big ORDER BY id", [direct, sharded]),
    ):
        console.print(f"[dim]{own['titles'][case]}[/dim]")
        own[case] = cases.interleaved(places, statement, rows, rounds)
    console.print("[dim]split inserts, planning, federation, transactions, start-up, memory[/dim]")
    own["insert_cpu_ms"], own["insert_wall_ms"] = cases.split_inserts(stage, 20 if options.quick else 60)
    own["planning_cpu_ms"] = cases.planning(stage, 200 if options.quick else 500)
    own["federation_seconds"] = cases.federation(stage, rounds)
    own["transactions"] = cases.transactions(stage, 200 if options.quick else 1000)
    own["footprint"] = cases.footprint(stage, rounds)
    console.print("[dim]copying a table that moves[/dim]")
    own["copying"] = copying(stage, rounds)
    own["doubling"] = doubling(stage, rounds, 200 if options.quick else 1000)
    console.print("[dim]writing a table that is copied[/dim]")
    own["modes"] = modes(rounds, 4.0 if options.quick else 10.0)
    return own


def machine() -> dict[str, str]:
    """The machine and the versions, for the record."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.processor(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**30
    return {
        "processor": model,
        "cores": str(os.cpu_count()),
        "memory": f"{memory} GB",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
    }


def write_json(
    path: Path, results: dict[Load, dict[str, list[Run]]], own: dict[str, Any], targets: list[Any]
) -> None:
    """Every round of every run, the own cases and the targets."""

    def plain(value: Any) -> Any:
        return (
            dataclasses.asdict(value)
            if dataclasses.is_dataclass(value) and not isinstance(value, type)
            else str(value)
        )

    path.parent.mkdir(parents=True, exist_ok=True)
    document = {
        "machine": machine(),
        "loads": [
            {**dataclasses.asdict(load), "runs": dict(places.items())} for load, places in results.items()
        ],
        "own": own,
        "targets": targets,
    }
    path.write_text(json.dumps(document, default=plain, indent=1, ensure_ascii=False) + "\n")


def main() -> int:
    """Measures, shows, writes. Exit code 0 even when a target is missed: the table says so."""
    options = arguments()
    options.seconds = options.seconds or (2.0 if options.quick else 5.0)
    options.rounds = options.rounds or (1 if options.quick else 3)
    parts = set(options.only or ("point", "mixed", "own"))
    console = Console(width=max(140, Console().width))
    console.print("[dim]starting MariaDB, HAProxy and dbmesh, filling tables[/dim]")
    with Stage(20_000 if options.quick else 100_000, 200_000 if options.quick else 1_000_000) as stage:
        version = stage.servers[0].execute("SELECT VERSION()")[0][0]
        results = measure_loads(stage, parts, options, console)
        own = measure_own(stage, options, console) if "own" in parts else {}
    targets = report.load_targets(results) + (report.own_targets(own) if own else [])
    place = machine()
    tables = [
        ("sysbench", report.LOAD_HEAD, report.load_rows(results)),
        ("own cases", report.OWN_HEAD, report.own_rows(own) if own else []),
        ("targets", report.TARGET_HEAD, report.target_rows(targets)),
    ]
    heading = (
        f"{', '.join(place.values())}; MariaDB {version}; {options.rounds} × {options.seconds:g} s, medians"
    )
    console.print(heading, highlight=False)
    for table in tables:
        report.show(console, *table)
    if options.markdown:
        text = heading + "\n\n" + "\n".join(report.markdown(*table) for table in tables)
        if options.markdown == "-":
            sys.stdout.write(text)
        else:
            Path(options.markdown).write_text(text)
    write_json(options.json, results, own, targets)
    console.print(f"numbers: {options.json}", highlight=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
