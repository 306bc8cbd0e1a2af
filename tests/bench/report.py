"""What the bench says: tables for a person, markdown for the docs, JSON for a machine; and the targets.

Decides which number is held against which target (the numbers the project promises to hold). Measures nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.bench.stage import COUNTED, WATCHED
from tests.bench.sysbench import Load, Run

Results = Mapping[Load, Mapping[str, Sequence[Run]]]


@dataclass(frozen=True)
class Target:
    """One promise about speed or memory and what was measured."""

    what: str
    wanted: str
    measured: str
    met: bool


def middle(runs: Sequence[Run], field: str) -> float:
    """The median of one number over the rounds."""
    return median(float(getattr(run, field) or 0.0) for run in runs)


def load_rows(results: Results) -> list[list[str]]:
    """One line per load and place."""
    rows = []
    for load, places in results.items():
        base = middle(places["direct"], "queries_per_second")
        proxy = middle(places["haproxy"], "queries_per_second") if "haproxy" in places else 0.0
        for name, runs in places.items():
            speed = middle(runs, "queries_per_second")
            rows.append(
                [
                    load.title,
                    str(load.connections),
                    name,
                    f"{speed:,.0f}",
                    f"{speed / base:.2f}",
                    f"{speed / proxy:.2f}" if proxy else "–",
                    f"{middle(runs, 'cpu'):.1f}" if runs[0].cpu is not None else "–",
                    f"{middle(runs, 'p50'):,.0f}",
                    f"{middle(runs, 'p99'):,.0f}",
                ]
            )
    return rows


LOAD_HEAD = [
    "load",
    "conns",
    "through",
    "queries/s",
    "× direct",
    "× HAProxy",
    "CPU µs/query",
    "p50 µs",
    "p99 µs",
]
TARGET_HEAD = ["what", "at least", "measured", "met"]


def _at_least(what: str, wanted: float, measured: float, unit: str = "×") -> Target:
    return Target(what, f"≥ {wanted:,.2f} {unit}", f"{measured:,.2f} {unit}", measured >= wanted)


def _at_most(what: str, wanted: float, measured: float, unit: str) -> Target:
    return Target(what, f"≤ {wanted:,.0f} {unit}", f"{measured:,.1f} {unit}", measured <= wanted)


def load_targets(results: Results) -> list[Target]:
    """The targets that sysbench decides."""
    targets = []
    for load, places in results.items():

        def number(place: str, field: str, places: Mapping[str, Sequence[Run]] = places) -> float:
            return middle(places[place], field)

        if load.script == "oltp_point_select":
            targets += _point_select_targets(load, places, number)
        if load.script == "oltp_read_write" and "dbmesh sharded" in places:
            ratio = number("dbmesh sharded", "queries_per_second") / number("direct", "queries_per_second")
            targets.append(
                _at_least(f"{load.title}, {load.connections} conns, two sources, × direct", 0.6, ratio)
            )
    return targets


def _point_select_targets(
    load: Load, places: Mapping[str, Sequence[Run]], number: Callable[[str, str], float]
) -> list[Target]:
    targets = []
    for place in (COUNTED, WATCHED):
        if place in places:
            ratio = number(place, "queries_per_second") / number("dbmesh single", "queries_per_second")
            targets.append(_at_least(f"{load.title}, 8 conns, {place}, × unwatched", 0.95, ratio))
    for place in ("dbmesh single", "dbmesh sharded"):
        if place not in places:
            continue
        if load.connections == 8:
            ratio = number(place, "queries_per_second") / number("haproxy", "queries_per_second")
            targets.append(_at_least(f"{load.title}, 8 conns, {place}, × HAProxy", 0.85, ratio))
            targets.append(
                _at_most(f"{load.title}, 8 conns, {place}, CPU", 30, number(place, "cpu"), "µs/query")
            )
        if load.connections == 1:
            for field, limit in (("p50", 60), ("p99", 200)):
                added = number(place, field) - number("direct", field)
                targets.append(_at_most(f"{load.title}, 1 conn, {place}, added {field}", limit, added, "µs"))
    return targets


def own_targets(own: Mapping[str, Any]) -> list[Target]:
    """The targets that the project's own cases decide."""
    relay, direct = own["relay"]["dbmesh single"], own["relay"]["direct"]
    merge = own["merge"]["dbmesh sharded"]
    small = own["footprint"]
    return [
        _at_least(
            f"{own['big_rows']:,} rows × 200 B, relay, × direct",
            0.7,
            relay.rows_per_second / direct.rows_per_second,
        ),
        _at_most("memory the relay adds", 8, relay.highest - relay.before, "MB"),
        _at_least("ordered merge from 4 shards", 300_000, merge.rows_per_second, "rows/s"),
        _at_most("memory the merge adds", 16, merge.highest - merge.before, "MB"),
        _at_most("1,000-row INSERT over 4 shards, proxy CPU", 6, own["insert_cpu_ms"], "ms"),
        _at_most("planning a new join of three tables, proxy CPU", 3, own["planning_cpu_ms"], "ms"),
        _at_most("federated join, 100,000 rows loaded", 3, own["federation_seconds"], "s"),
        _at_most("start to first answered query", 1000, small.start_seconds * 1000, "ms"),
        _at_most("memory with 100 clients", 80, small.hundred_clients, "MB"),
        _at_least(
            "copying rows that move, × INSERT … SELECT",
            0.3,
            max(own["copying"].copied.values()) / own["copying"].direct,
        ),
    ]


def own_rows(own: Mapping[str, Any]) -> list[list[str]]:
    """One line per big answer and place, then the single numbers."""
    rows = []
    for case in ("relay", "merge", "merge_wide"):
        for name, answer in own[case].items():
            memory = f"{answer.before:.0f} → {answer.highest:.0f} MB" if answer.before else "–"
            rows.append([own["titles"][case], name, f"{answer.rows_per_second:,.0f} rows/s", memory])
    rows.append(
        [
            "1,000-row INSERT over 4 shards",
            "dbmesh",
            f"{own['insert_wall_ms']:.1f} ms",
            f"CPU {own['insert_cpu_ms']:.2f} ms",
        ]
    )
    rows.append(["planning a new join of three tables", "dbmesh", "", f"CPU {own['planning_cpu_ms']:.2f} ms"])
    rows.append(["federated join, 100,000 rows loaded", "dbmesh", f"{own['federation_seconds']:.2f} s", ""])
    for name, one in own["transactions"].items():
        cpu = f"CPU {one.cpu_ms:.2f} ms" if one.cpu_ms else ""
        rows.append(["BEGIN, two UPDATEs by key, COMMIT", name, f"{one.milliseconds:.2f} ms", cpu])
    moved = own["copying"]
    rows.append(["copying rows of 200 B", "INSERT … SELECT", f"{moved.direct:,.0f} rows/s", ""])
    for workers, speed in moved.copied.items():
        name = f"dbmesh, {workers} worker{'s' if workers > 1 else ''}, to 4 shards"
        rows.append(["copying rows of 200 B", name, f"{speed:,.0f} rows/s", f"CPU {moved.cpu:.0f} µs/row"])
    for statement, ways in own["doubling"].items():
        for way, one in ways.items():
            rows.append(
                [f"{statement}, {way}", "dbmesh", f"{one.milliseconds:.2f} ms", f"CPU {one.cpu_ms:.2f} ms"]
            )
    for what, writing in own["modes"].items():
        rows.append(
            [
                f"8 clients write a table, {what}",
                "dbmesh",
                f"{writing.a_second:,.0f} writes/s",
                f"half in {writing.middle_ms:.1f} ms, 99 % in {writing.slow_ms:.1f} ms",
            ]
        )
    small = own["footprint"]
    rows.append(["start to first answered query", "dbmesh", f"{small.start_seconds * 1000:.0f} ms", ""])
    rows.append(
        [
            "resident memory",
            "dbmesh",
            f"idle {small.idle:.0f} MB",
            f"100 clients {small.hundred_clients:.0f} MB",
        ]
    )
    return rows


OWN_HEAD = ["case", "through", "speed", "memory, CPU"]


def target_rows(targets: Sequence[Target]) -> list[list[str]]:
    """One line per target."""
    return [
        [target.what, target.wanted, target.measured, "yes" if target.met else "NO"] for target in targets
    ]


def show(console: Console, title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table for a person."""
    table = Table(title=title, title_justify="left")
    for number, column in enumerate(head):
        table.add_column(column, justify="left" if number == 0 else "right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    console.print(table)


def markdown(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The same table for the docs."""
    lines = [f"### {title}", "", "| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines) + "\n"
