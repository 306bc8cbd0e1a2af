"""Two runs of one suite side by side: what plain MariaDB passes and dbmesh does not.

Decides what counts as a difference. Knows nothing of how the runs were made.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Outcome:
    """How one test ended."""

    outcome: str
    message: str


def read(record: Path) -> dict[str, Outcome]:
    """The record of a run. A test that was run twice has its worse outcome; one that has only begun, that of its process."""
    found: dict[str, Outcome] = {}
    for line in record.read_text().splitlines():
        entry = json.loads(line)
        if found.get(entry["test"], Outcome("", "")).outcome != "failed":
            found[entry["test"]] = Outcome(entry["outcome"], entry["message"])
    return found


@dataclass(frozen=True)
class Comparison:
    """One suite, one run through the mesh, beside the plain one."""

    suite: str
    run: str
    passed_plain: int
    passed_mesh: int
    failed_mesh_only: dict[str, str]
    """Tests that plain MariaDB passes and the mesh does not, with what was said."""

    @property
    def percent(self) -> float:
        """The share of the differing tests in those that plain MariaDB passes."""
        return 100 * len(self.failed_mesh_only) / self.passed_plain if self.passed_plain else 0.0


def compare(suite: str, run: str, plain: dict[str, Outcome], mesh: dict[str, Outcome]) -> Comparison:
    """A test that did not run, or was skipped, through the mesh counts as failed: its feature was not seen."""
    passed = [test for test, outcome in plain.items() if outcome.outcome == "passed"]
    missing = Outcome("missing", "did not run through the mesh")
    ends = {test: mesh.get(test, missing) for test in passed}
    failed = {
        test: end.message or end.outcome for test, end in sorted(ends.items()) if end.outcome != "passed"
    }
    return Comparison(suite, run, len(passed), len(passed) - len(failed), failed)
