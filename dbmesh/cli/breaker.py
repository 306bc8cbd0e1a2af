"""`dbmesh breaker`: what somebody decides about circuit breakers, for every sidecar of the mesh.

Decides the words, and which names are mistakes. Where decisions lie, `governance.protection.decisions` says.
"""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

from rich import box
from rich.table import Table

from dbmesh.cli.loading import load_directory
from dbmesh.cli.output import Failure, answers
from dbmesh.cli.stores import opened_store
from dbmesh.governance.protection.breaker import State
from dbmesh.governance.protection.decisions import decide, read_decisions
from dbmesh.rules.ruleset import Configuration
from dbmesh.rules.sections import suggestion
from dbmesh.rules.shadow.rule import all_sources

_FINGERPRINT = re.compile(r"[0-9a-fA-F]{16}")


DECISIONS = "decisions"
"""Shows what has been decided; the other actions make a decision."""

_STATES = {
    "force-open": State.FORCED_OPEN,
    "force-close": State.METRICS_ONLY,
    "disable": State.DISABLED,
    "reset": None,
}


def run_action(directory: Path, action: str, name: str | None, *, as_json: bool) -> None:
    """Prints decisions, or makes one (a key of `_STATES`) about the breaker of this name. Raises Failure."""
    configuration = load_directory(directory)
    if action != DECISIONS:
        _check_name(configuration, name)
    decisions = asyncio.run(_run(configuration, directory, action, name or ""))
    if as_json:
        answers().print_json(json.dumps({one: state.value for one, state in decisions.items()}))
    elif action != DECISIONS:
        state = decisions.get((name or "").lower())
        answers().print(f"{name}: {'it decides by itself' if state is None else state.value}")
    elif decisions:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        table.add_column("breaker")
        table.add_column("state")
        for one, state in decisions.items():
            table.add_row(one, state.value)
        answers().print(table)
    else:
        answers().print("nobody has decided anything: all breakers decide by themselves")


async def _run(configuration: Configuration, directory: Path, action: str, name: str) -> dict[str, State]:
    async with opened_store(configuration, directory) as store:
        if store is None:
            raise Failure(
                "this configuration has no store to keep decisions in; name one in mode.repository of global.yaml"
            )
        if action != DECISIONS:
            await decide(store, name, _STATES[action])
        return await read_decisions(store)


def _check_name(configuration: Configuration, name: str | None) -> None:
    known = [
        f"{rule_set.database}.{source}".lower()
        for rule_set in configuration.databases.values()
        for source in all_sources(rule_set)
    ]
    if name is None:
        raise Failure("which breaker? write database.data_source, or a fingerprint")
    if name.lower() not in known and _FINGERPRINT.fullmatch(name) is None:
        raise Failure(f"'{name}' is neither a data source nor a fingerprint; {suggestion(name, known)}")
