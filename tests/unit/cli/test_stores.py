"""Verbs that look into the store answer at once: they do not read in what plans and runs statements."""

from __future__ import annotations

import subprocess
import sys

import pytest

# Verbs an operator calls again and again while a mesh runs.
VERBS = ("breaker", "data_sources", "fault", "mesh", "reshard_jobs", "revisions", "rules", "users")


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_needs_no_engine(verb: str) -> None:
    program = f"import sys, dbmesh.cli.{verb}; print(*sorted(sys.modules))"
    read = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    packages = {".".join(name.split(".")[:2]) for name in read.split()}
    assert "dbmesh.governance" in packages
    assert not packages & {"sqlglot", "dbmesh.planner", "dbmesh.engine", "dbmesh.session", "dbmesh.assembly"}
