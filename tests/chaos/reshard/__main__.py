"""`python -m tests.chaos.reshard [--only TEXT] [--every N]`: whatever carries a reshard job out is killed at each of its journalled steps, and
the record of it. Ends with 1 on any contradiction."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.chaos.reshard.kills import VICTIMS, Case, Kills, Outcome
from tests.chaos.reshard.moments import MOMENTS
from tests.chaos.reshard.stage import open_reshard_stage
from tests.plugins.database_server import DatabaseServer, start_all
from tests.plugins.mariadb import MariaDb, make_template

ROWS = 3_000

_OPTIONS = (
    "--innodb-lock-wait-timeout=5",
    "--innodb-flush-log-at-trx-commit=1",
    "--log-bin=binlog",
    "--binlog-format=ROW",
)


def run(directory: Path, seed: int, cases: Sequence[Case]) -> list[Outcome]:
    """What became of each case; told one after another."""
    template = make_template(directory)
    servers: list[DatabaseServer] = [
        MariaDb(f"server{number}", directory, template, (*_OPTIONS, f"--server-id={number + 1}"))
        for number in range(2)
    ]
    start_all(servers)
    outcomes: list[Outcome] = []
    try:
        with open_reshard_stage(servers, directory, rows=ROWS) as stage:
            kills = Kills(stage, ROWS, seed)
            for case in cases:
                outcomes.append(kills.run(case))
                _tell(outcomes[-1])
    finally:
        for server in servers:
            server.stop()
    return outcomes


def _tell(one: Outcome) -> None:
    asked = f", told to go on {len(one.asked)} times" if one.asked else ""
    print(
        f"| {one.case} | at its end after {one.seconds:.1f} s{asked}; {one.statements} statements, the longest {one.longest:.2f} s; "
        f"{one.rows} rows, {len(one.wrong)} wrong |",
        flush=True,
    )
    for text in (*one.asked, *one.wrong[:10]):
        print(f"    {text[:600]}", flush=True)


def record(outcomes: Sequence[Outcome], seconds: float) -> list[tuple[str, object]]:
    """What there is to say of all of them."""
    victims = Counter(one.case.victim for one in outcomes if not one.wrong)
    return [
        ("seconds", round(seconds)),
        ("kills", len(outcomes)),
        ("kills survived", sum(victims.values())),
        *((f"of these, {victim}", count) for victim, count in sorted(victims.items())),
        ("jobs that went on by themselves", sum(not one.asked for one in outcomes)),
        ("jobs that were told to go on", sum(bool(one.asked) for one in outcomes)),
        ("statements", sum(one.statements for one in outcomes)),
        ("the longest of them, in seconds", round(max((one.longest for one in outcomes), default=0.0), 2)),
        ("rows compared", sum(one.rows for one in outcomes)),
        ("rows lost, doubled or stale", sum(len(one.wrong) for one in outcomes)),
    ]


def main() -> int:
    """Runs what the arguments ask for."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.reshard", description=__doc__)
    parser.add_argument("--only", default="", help="cases that have this in their names")
    parser.add_argument("--every", type=int, default=1, help="each Nth of them")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32))
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    cases = [Case(moment, victim) for victim in VICTIMS for moment in MOMENTS]
    chosen = [case for case in cases if arguments.only in str(case)][:: arguments.every]
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        outcomes = run(Path(directory), arguments.seed, chosen)
    for name, value in record(outcomes, time.monotonic() - began):
        print(f"| {name} | {value} |")
    return 1 if any(one.wrong for one in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
