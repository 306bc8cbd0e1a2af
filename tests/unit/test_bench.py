"""The bench runs every case it promises and shows the figures it promises; the numbers themselves are made up here."""

from __future__ import annotations

from tests.bench.__main__ import loads
from tests.bench.cases import BigAnswer, Footprint, Transactions
from tests.bench.copying import Copying
from tests.bench.doubling import Written
from tests.bench.modes import Writing
from tests.bench.report import LOAD_HEAD, OWN_HEAD, load_rows, load_targets, own_rows, own_targets
from tests.bench.sysbench import Load, Run

PARTS = {"point", "mixed", "own"}


def test_every_load_runs_with_one_eight_and_sixty_four_connections() -> None:
    wanted = {
        (script, prepared, connections)
        for script, prepared in (
            ("oltp_point_select", False),
            ("oltp_point_select", True),
            ("oltp_read_only", True),
            ("oltp_read_write", True),
        )
        for connections in (1, 8, 64)
    }
    found = dict(loads(PARTS, quick=False))
    assert {(load.script, load.prepared, load.connections) for load in found} == wanted
    for load, places in found.items():
        assert {"direct", "haproxy", "dbmesh sharded"} <= set(places), load


def test_a_load_shows_ratios_processor_time_and_latencies() -> None:
    load = Load("oltp_point_select", False, 8)
    places = {
        "direct": [Run(10_000, 100, 300, None, 0)],
        "haproxy": [Run(8_000, 120, 400, 20.0, 0)],
        "dbmesh sharded": [Run(6_000, 150, 500, 25.5, 0)],
    }
    rows = load_rows({load: places})
    assert LOAD_HEAD[3:] == ["queries/s", "× direct", "× HAProxy", "CPU µs/query", "p50 µs", "p99 µs"]
    assert rows[2] == [
        "point_select text",
        "8",
        "dbmesh sharded",
        "6,000",
        "0.60",
        "0.75",
        "25.5",
        "150",
        "500",
    ]
    assert [target.met for target in load_targets({load: places})] == [False, True]


def test_the_own_cases_show_speed_start_and_memory() -> None:
    answers = {
        name: BigAnswer(400_000, 40, 45) for name in ("direct", "haproxy", "dbmesh single", "dbmesh sharded")
    }
    own = {
        "big_rows": 1_000_000,
        "titles": {"relay": "relay", "merge": "merge", "merge_wide": "wide merge"},
        "relay": answers,
        "merge": answers,
        "merge_wide": answers,
        "insert_cpu_ms": 4.5,
        "insert_wall_ms": 12.0,
        "planning_cpu_ms": 2.5,
        "federation_seconds": 1.5,
        "transactions": {
            "direct": Transactions(0.5, 0.0),
            "dbmesh, two data sources": Transactions(1.5, 0.75),
        },
        "footprint": Footprint(0.5, 60, 75),
        "copying": Copying(100_000, {1: 25_000, 4: 40_000}, 12.5),
        "doubling": {"point UPDATE": {"no job": Written(0.5, 0.25), "to both sides": Written(2.0, 1.25)}},
        "modes": {"no job": Writing(1_200.0, 5.0, 20.0), "cdc": Writing(800.0, 7.5, 30.0)},
    }
    rows = own_rows(own)
    assert all(len(row) == len(OWN_HEAD) for row in rows)
    assert rows[0] == ["relay", "direct", "400,000 rows/s", "40 → 45 MB"]
    assert rows[-14:] == [
        ["1,000-row INSERT over 4 shards", "dbmesh", "12.0 ms", "CPU 4.50 ms"],
        ["planning a new join of three tables", "dbmesh", "", "CPU 2.50 ms"],
        ["federated join, 100,000 rows loaded", "dbmesh", "1.50 s", ""],
        ["BEGIN, two UPDATEs by key, COMMIT", "direct", "0.50 ms", ""],
        ["BEGIN, two UPDATEs by key, COMMIT", "dbmesh, two data sources", "1.50 ms", "CPU 0.75 ms"],
        ["copying rows of 200 B", "INSERT … SELECT", "100,000 rows/s", ""],
        ["copying rows of 200 B", "dbmesh, 1 worker, to 4 shards", "25,000 rows/s", "CPU 12 µs/row"],
        ["copying rows of 200 B", "dbmesh, 4 workers, to 4 shards", "40,000 rows/s", "CPU 12 µs/row"],
        ["point UPDATE, no job", "dbmesh", "0.50 ms", "CPU 0.25 ms"],
        ["point UPDATE, to both sides", "dbmesh", "2.00 ms", "CPU 1.25 ms"],
        ["8 clients write a table, no job", "dbmesh", "1,200 writes/s", "half in 5.0 ms, 99 % in 20.0 ms"],
        ["8 clients write a table, cdc", "dbmesh", "800 writes/s", "half in 7.5 ms, 99 % in 30.0 ms"],
        ["start to first answered query", "dbmesh", "500 ms", ""],
        ["resident memory", "dbmesh", "idle 60 MB", "100 clients 75 MB"],
    ]
    assert all(target.met for target in own_targets(own))
