"""`python -m tests.compatibility`: other projects' tests on plain MariaDB and through dbmesh, with the same selection.

Prints a table and writes, under build/compatibility/, which tests plain MariaDB passes and dbmesh does not.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.compatibility import suites
from tests.compatibility.results import Comparison, compare, read
from tests.compatibility.rows import RowCounter
from tests.compatibility.sources import BUILD, unpacked
from tests.compatibility.stage import RUNS, SHARDS, Certificate, place


def arguments() -> argparse.Namespace:
    """The command line; what follows `--` goes to the suite."""
    parser = argparse.ArgumentParser(prog="python -m tests.compatibility", description=__doc__)
    names = [suite.name for suite in suites.SUITES]
    parser.add_argument("--suite", action="append", choices=names, help="only these suites (all)")
    parser.add_argument(
        "--run", action="append", choices=RUNS[1:], help="only these runs (unsharded, sharded)"
    )
    parser.add_argument(
        "--again", action="store_true", help="run plain MariaDB too although its record exists"
    )
    parser.add_argument("selection", nargs="*", help="arguments for the suite, after --")
    return parser.parse_args()


def certificate() -> Certificate:
    """aiomysql's tests trust an authority of their own: every server here has the certificate they expect."""
    folder = unpacked("aiomysql") / "tests" / "ssl_resources" / "ssl"
    return Certificate(folder / "ca.pem", folder / "server-cert.pem", folder / "server-key.pem")


def execute(suite: suites.Suite, run: str, selection: tuple[str, ...]) -> Path:
    """One run of one suite; returns its record."""
    folder = BUILD / "runs" / f"{suite.name}-{run}"
    folder.mkdir(parents=True, exist_ok=True)
    record = folder / ("selected.jsonl" if selection else "record.jsonl")
    (folder / "suite.log").unlink(missing_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="dbmesh-compatibility-") as directory,
        place(run, Path(directory), suite.databases, certificate()) as found,
    ):
        with RowCounter(found.servers, SHARDS) as counter:
            suites.run(suite, found, folder, record, selection)
        (folder / "rows.json").write_text(json.dumps(counter.places(), indent=1, ensure_ascii=False) + "\n")
        if found.mesh is not None:
            (folder / "mesh.log").write_text(found.mesh.output())
    return record


def table(comparisons: list[Comparison]) -> Table:
    """The summary for people."""
    shown = Table("suite", "run", "passed on plain", "failed through the mesh only", "%")
    for one in comparisons:
        shown.add_row(
            one.suite,
            one.run,
            str(one.passed_plain),
            str(len(one.failed_mesh_only)),
            f"{one.percent:.2f}",
        )
    return shown


def recorded() -> list[Comparison]:
    """Every run that has left a record beside its plain one, now or before."""
    runs = BUILD / "runs"
    found = []
    for suite in suites.SUITES:
        plain = runs / f"{suite.name}-plain" / "record.jsonl"
        for run in RUNS[1:]:
            record = runs / f"{suite.name}-{run}" / "record.jsonl"
            if plain.exists() and record.exists():
                found.append(compare(suite.name, run, read(plain), read(record)))
    return found


def main() -> int:
    """Runs what was asked for."""
    given = arguments()
    selection = tuple(given.selection)
    chosen = [suite for suite in suites.SUITES if not given.suite or suite.name in given.suite]
    console = Console()
    selected = []
    for suite in chosen:
        plain = BUILD / "runs" / f"{suite.name}-plain" / "record.jsonl"
        if selection or given.again or not plain.exists():
            plain = execute(suite, "plain", selection)
        for run in given.run or RUNS[1:]:
            record = execute(suite, run, selection)
            selected.append(compare(suite.name, run, read(plain), read(record)))
    comparisons = selected if selection else recorded()
    console.print(table(comparisons))
    output = BUILD / ("selected.json" if selection else "differences.json")
    output.write_text(json.dumps([dataclasses.asdict(one) for one in comparisons], indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
