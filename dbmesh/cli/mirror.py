"""`dbmesh mirror`: what the mirrors of a running sidecar have found.

Decides how it looks on a terminal. What is found, the sidecar says.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dbmesh.cli.admin import ask_sidecar, print_rows
from dbmesh.cli.output import answers

_MOST = 20
"""Rows of each table that are printed; JSON has them all."""

_TABLES = {"mirrors": "mirrors", "statements": "mirrored_statements", "examples": "mirror_examples"}


def show_report(directory: Path, url: str | None, *, as_json: bool) -> None:
    """Prints mirrors, their statements with those that differ first, and the last answers that differed. Raises Failure."""
    found: dict[str, list[dict[str, Any]]] = {
        name: ask_sidecar(directory, url, "GET", f"/v1/{table}") for name, table in _TABLES.items()
    }
    found["statements"].sort(key=lambda row: row["count_same"] - row["count_star"])
    if as_json:
        answers().print_json(json.dumps(found))
        return
    if not found["mirrors"]:
        answers().print("nothing is mirrored; name a logic database in mirroring of global.yaml")
        return
    print_rows("mirrors", found["mirrors"], _MOST)
    statements = [
        {
            key: row[key]
            for key in ("digest", "digest_text", "count_star", "count_same", "differing", "time_percent")
        }
        for row in found["statements"]
    ]
    if statements:
        print_rows("statements", statements, _MOST)
    if found["examples"]:
        print_rows("answers that differed", found["examples"][-_MOST:], _MOST)
